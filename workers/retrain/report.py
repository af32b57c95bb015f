"""What a retraining did, for people and for machines."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, JsonValue

from schemas.base import UtcTime


class CheckReport(BaseModel):
    """One check of the gate."""

    model_config = ConfigDict(frozen=True)

    name: str
    passed: bool
    says: str
    figures: dict[str, float] = {}


class RetrainReport(BaseModel):
    """One retraining, as it is kept in the registry.

    Attributes:
        at: when it began.
        published: whether the challenger is the champion now.
        model_version: of the challenger; None where none was trained.
        parent: the champion before, None of the first model.
        reason: in one sentence, why it was published or not.
        window_start: earliest listing in the window.
        window_end: when the job began.
        examples: in the window, with `older` of before it for rare categories.
        sold: those with a price.
        categories: how many.
        damaged: parts that could not be read.
        ahead: examples set aside since their times lie in the future.
        other_currency: examples set aside.
        crowded: examples left out, of sellers who have too many in a category.
        without_photos: examples whose photos cannot be had any more.
        learnt: listings that the challenger learnt from.
        held: sold listings that both were judged on.
        champion_saw: of the newest sold listings, how many the champion knew.
        images: which image networks, and why.
        began_as: what the heads began as.
        anchoring: what suggestions do to prices.
        checks: of the gate.
        metrics: of the challenger, on what it was judged by.
        code: version of the program.
        wall_s: seconds that all of it took.
    """

    model_config = ConfigDict(frozen=True)

    at: UtcTime
    published: bool
    model_version: str | None = None
    parent: str | None = None
    reason: str
    window_start: UtcTime
    window_end: UtcTime
    examples: int
    older: int
    sold: int
    categories: int
    damaged: tuple[str, ...] = ()
    ahead: int = 0
    other_currency: int = 0
    crowded: int = 0
    without_photos: int = 0
    learnt: int = 0
    held: int = 0
    champion_saw: int = 0
    images: str = ""
    began_as: str = ""
    anchoring: dict[str, JsonValue] = {}
    checks: tuple[CheckReport, ...] = ()
    metrics: dict[str, JsonValue] = {}
    code: str
    wall_s: float = 0.0

    def for_people(self) -> str:
        """Return the report as lines of text."""
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield self.reason
        yield (
            f"window: {_day(self.window_start)} to {_day(self.window_end)}, {self.examples:,} "
            f"examples ({self.older:,} older ones of rare categories), {self.sold:,} sold, "
            f"{_counted(self.categories, 'category', 'categories')}"
        )
        if self.categories == 1:
            yield "  all are of one category: of others the model will know nothing"
        for part in self.damaged:
            yield f"  left out: {part}"
        if self.ahead:
            yield f"  set aside: {self.ahead:,} examples whose times lie in the future"
        if self.other_currency:
            yield f"  set aside: {self.other_currency:,} examples in another currency"
        if self.crowded:
            yield f"  left out: {self.crowded:,} examples of sellers with too many in a category"
        if self.without_photos:
            yield f"  set aside: {self.without_photos:,} examples whose photos are gone"
        yield f"learnt from {self.learnt:,} listings, judged on {self.held:,} sold since"
        if self.champion_saw:
            yield f"  the champion knew {self.champion_saw:,} more, which judge nothing"
        if self.images:
            yield f"image networks: {self.images}"
        if self.began_as:
            yield f"heads began {self.began_as}"
        if says := self.anchoring.get("says"):
            yield f"anchoring: {says}"
        for check in self.checks:
            yield f"{'ok' if check.passed else 'NO'}  {check.name}: {check.says}"

    def line(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return self.model_dump(mode="json")


def _day(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d}"


def _counted(count: int, one: str, many: str) -> str:
    return f"{count:,} {one if count == 1 else many}"
