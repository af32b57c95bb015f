"""`bundle.json`: all that a bundle is besides its weights."""

import hashlib
import json
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from models.bundle.lineage import Lineage
from models.dataset.cleaning import PriceLimits
from models.extractors.preprocessing import Preprocessing
from models.joint.confidence import Confidence
from models.joint.ranges import RangeTable
from schemas.base import Id, UtcTime
from schemas.money import Currency
from schemas.statistics import Statistics
from stats_store.features import STATISTICS_WIDTH

FORMAT_VERSION: Literal[2] = 2

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
FILE_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"
FileName = Annotated[str, Field(pattern=FILE_NAME)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class FeaturePart(_Part):
    """Neighbouring features of a network: of the backbone as pretrained (`base`) or of a task."""

    name: Id
    width: Annotated[int, Field(ge=1)]


class ImageNetwork(_Part):
    """One file of extractors: its features are the next `width` columns of the input.

    `fingerprint` names weights and preprocessing, so features cached under it can be used.
    `parts` says what the columns are from, in their order, where extractors were trained on
    tasks (3.2); without parts all are from the backbone as it was pretrained.
    """

    name: Id
    backbone: Id
    fingerprint: Annotated[str, Field(min_length=1, max_length=512)]
    width: Annotated[int, Field(ge=1)]
    file: FileName
    parts: tuple[FeaturePart, ...] = ()

    @model_validator(mode="after")
    def _parts_fill_the_width(self) -> Self:
        if self.parts and sum(part.width for part in self.parts) != self.width:
            raise ValueError(f"the parts of {self.name} are not {self.width} wide together")
        return self


class RuleName(StrEnum):
    """By a share of all listings (Eq. 1), or by closeness (Eq. 3)."""

    PERCENTILE = "percentile"
    THRESHOLD = "threshold"


class Rule(_Part):
    """The constraint that the operator chose (3.3.1, 3.3.2) and where the gate opens.

    `score_threshold` is compared with the score s of the classification network; 0 is the
    paper's `f_cls >= 0.5`.

    `delta` and `epsilon` are those that the loss ran with; of the threshold rule, `delta` is its
    floor, not a share that was asked for.
    """

    name: RuleName
    delta: Annotated[float, Field(gt=0, le=1)]
    epsilon: Annotated[float, Field(gt=0)] | None = None
    score_threshold: float


class DataWindow(_Part):
    """From the first listing or sale to the last, where the dataset has times."""

    start: UtcTime
    end: UtcTime

    def holds(self, moment: datetime) -> bool:
        """Tell whether a moment may be part of what the bundle learnt from."""
        return moment <= self.end


class Source(_Part):
    """What the bundle learnt from."""

    dataset: str
    listings: int
    sales: int
    train: int
    validation: int
    test: int
    window: DataWindow | None = None


class Manifest(_Part):
    """The content of `bundle.json`. `files` has the SHA-256 of every other file of the bundle.

    `lineage` is of bundles that `secondsight retrain` made.
    """

    format_version: Literal[2] = FORMAT_VERSION
    model_version: Annotated[str, Field(max_length=128)]
    currency: Currency
    image_networks: Annotated[tuple[ImageNetwork, ...], Field(min_length=1)]
    preprocessing: Preprocessing
    category_levels: tuple[str, ...]
    inputs: Annotated[int, Field(ge=1)]
    statistics_schema_sha256: Sha256
    target_mean: float
    price_limits: PriceLimits
    rule: Rule
    confidence: Confidence
    ranges: RangeTable
    source: Source
    training: dict[str, JsonValue]
    metrics: dict[str, JsonValue]
    lineage: Lineage | None = None
    files: dict[FileName, Sha256]


def statistics_schema_sha256() -> str:
    """Return what changes when the statistics of an event or their columns change."""
    layout = {"columns": STATISTICS_WIDTH, "event": Statistics.model_json_schema()}
    return hashlib.sha256(json.dumps(layout, sort_keys=True).encode()).hexdigest()
