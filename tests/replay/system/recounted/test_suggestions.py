"""All that both workers write for two days, byte for byte against a recount."""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from schemas.suggestion import ReuploadReason
from workers.suggest.hints import hint_for

# What is seen in a photo: its red, or why it is left out with the weight of that.
SEEN: dict[str, int | tuple[str, float]] = {
    "red 192": 192,
    "red 128": 128,
    "red 64": 64,
    "dark": ("too_dark", 0.489),
    "small": ("low_resolution", 0.5),
    "broken": ("unreadable", 1.0),
    "elsewhere": ("unavailable", 1.0),
}


@dataclass
class Answers:
    """What the suggest worker has to write for enriched listings."""

    prices: list[Any] = field(default_factory=list)
    reuploads: list[Any] = field(default_factory=list)
    foreign: list[Any] = field(default_factory=list)  # in a currency that has no model

    def __len__(self) -> int:
        return len(self.prices) + len(self.reuploads) + len(self.foreign)

    def check(self, system: Any, wire: Any) -> None:
        """Compare all that the suggest worker wrote."""
        assert wire.written(system.written["price.suggested"]) == self.prices
        assert wire.written(system.written["reupload.requested"]) == self.reuploads
        # the offset in listing.enriched depends on where transactions ended
        offsets = {m.value(): m.offset() for m in system.written["listing.enriched"]}
        assert wire.letters(system.written["listing.enriched.dead-letter"]) == [
            wire.letter(
                written,
                "listing.enriched",
                offsets[written[1]],
                "currency",
                "CurrencyError",
                "the model prices in GBP, not in JPY",
            )
            for written in self.foreign
        ]


def answers_to(enriched: list[Any], photos: dict[str, str], version: str, wire: Any) -> Answers:
    names = {uri: name for name, uri in photos.items()}
    result = Answers()
    for written in enriched:
        key, value, headers, timestamp = written
        listing = json.loads(value or b"")
        if listing["currency"] != "GBP":
            result.foreign.append(written)
            continue
        seen = [SEEN[names[image["uri"]]] for image in listing["images"]]
        reds = [red / 256 for red in seen if isinstance(red, int)]
        answer = {name: listing[name] for name in ("listing_id", "seller_id", "category")}
        red = sum(reds) / len(reds) if reds else 0.0
        confidence = {"confidence": min(1.0, 10 * red / 8)} if reds else {}
        last = {"model_version": version, "listed_at": listing["listed_at"]}
        if reds and 10 * red - 3 >= 0:
            kind, into = "price.suggested", result.prices
            price, low, high = (
                round(100 * math.exp(3 + 2 * red + step)) for step in (0, -0.5, 0.5)
            )
            answer |= {"currency": "GBP", "price_minor": price}
            answer |= {"low_minor": low, "high_minor": high, "range_probability": 0.8}
            answer |= {**confidence, "statistics": listing["statistics"], **last}
        else:
            kind, into = "reupload.requested", result.reuploads
            faults = [(*s, i) for i, s in enumerate(seen) if not isinstance(s, int)]
            faults.sort(key=lambda fault: -fault[1])
            answer["reasons"] = [
                {"code": code, "hint": hint_for(ReuploadReason(code)), "image": image}
                for code, _, image in faults
            ] or [
                {
                    "code": "inadequate_information",
                    "hint": hint_for(ReuploadReason.INADEQUATE_INFORMATION),
                }
            ]
            answer |= confidence | last
        headers = wire.headers(headers, "/secondsight/suggest", kind, listing["listing_id"])
        into.append((key, wire.json(answer), headers, timestamp))
    return result


def answered(system: Any) -> int:
    topics = ("price.suggested", "reupload.requested", "listing.enriched.dead-letter")
    return sum(len(system.written[topic]) for topic in topics)


@pytest.fixture
def answers(photos: dict[str, str], red_bundle: Path, wire: Any) -> Callable[[list[Any]], Answers]:
    """Gives the answers to enriched listings."""
    manifest = json.loads((red_bundle / "bundle.json").read_bytes())
    return lambda enriched: answers_to(enriched, photos, manifest["model_version"], wire)


def test_a_normal_day(
    system: Any,
    play: Callable[..., None],
    recount: Callable[..., Any],
    answers: Callable[[list[Any]], Answers],
    log_file: Callable[[str], Path],
    wire: Any,
) -> None:
    log = log_file("normal-day")
    expected = recount(log)
    expected_answers = answers(expected.enriched)
    assert len(expected_answers.prices) >= 4
    assert len(expected_answers.reuploads) >= 4
    assert len(expected_answers.foreign) == 1
    play(log, "stats", "suggest")
    expected.until_applied(system)
    system.until(lambda: answered(system) >= len(expected_answers))
    system.stop()
    expected.check(system, {})
    expected_answers.check(system, wire)


@pytest.mark.parametrize("data", ["data", "an empty folder"])
def test_a_restart_in_the_middle(
    system: Any,
    recount: Callable[..., Any],
    answers: Callable[[list[Any]], Answers],
    log_file: Callable[[str], Path],
    wire: Any,
    tmp_path: Path,
    speed: int,
    data: str,
) -> None:
    log = log_file("restart")
    expected = recount(log)
    expected_answers = answers(expected.enriched)
    enriched = system.written["listing.enriched"]
    head, *lines = log.read_text("utf-8").split("\n")[:-1]
    # The rest comes when both workers have been killed, so that they cannot be done before.
    cut = len(lines) * 2 // 3
    parts = {"first": lines[:cut], "second": lines[cut:]}
    files = {name: tmp_path / f"{name}.jsonl" for name in parts}
    for name, part in parts.items():
        files[name].write_text("\n".join([head, *part, ""]), "utf-8")

    system.start("stats")
    system.start("suggest")
    if speed:
        system.until_ready()
    first = system.replay(files["first"], speed=speed)
    system.until(lambda: 2 * len(enriched) >= len(expected.enriched))
    system.workers["stats"].kill()
    assert len(enriched) < len(expected.enriched)
    system.start("stats", data=data)
    system.until(lambda: 2 * answered(system) >= len(expected_answers))
    system.workers["suggest"].kill()
    assert answered(system) < len(expected_answers)
    system.start("suggest")
    assert system.published(first) == cut
    assert system.published(system.replay(files["second"], speed=speed)) == len(lines) - cut

    expected.until_applied(system)
    system.until(lambda: answered(system) >= len(expected_answers))
    system.stop()
    expected.check(system, {})
    expected_answers.check(system, wire)
