from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from schemas.partitioner import partition_for
from schemas.suggestion import PriceSuggested
from workers.runtime.processing import Output, Record, Rejected
from workers.suggest.processor import SuggestProcessor

if TYPE_CHECKING:
    from tests.workers.suggest.conftest import MeanPricer, Scene

PARTITIONS = 4
TRACE = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_each_listing_gets_its_answer_in_order(scene: Scene, processor: SuggestProcessor) -> None:
    levels = [200, 20, 100, 5, 50]
    records = [scene.record(scene.enriched(scene.grey(g)), offset=i) for i, g in enumerate(levels)]

    priced, rejected, also_priced, dark, at_the_limit = scene.answers(processor, *records)

    assert isinstance(priced, PriceSuggested)
    assert (priced.price_minor, priced.low_minor, priced.high_minor) == (2000, 1800, 2200)
    assert (priced.model_version, priced.range_probability) == ("mean-1", 0.8)
    assert scene.reasons(rejected) == [("inadequate_information", None)]
    assert isinstance(also_priced, PriceSuggested)
    assert also_priced.price_minor == 1000
    assert scene.reasons(dark) == [("too_dark", 0)]
    assert isinstance(at_the_limit, PriceSuggested)


def test_an_answer_carries_on_what_its_listing_came_with(
    scene: Scene, processor: SuggestProcessor
) -> None:
    listing = scene.record(scene.enriched(scene.grey(90), listing_id="listing-9"), offset=41)
    asked_again = scene.record(scene.enriched(scene.grey(1), listing_id="listing-8"), offset=42)

    for result, topic in zip(
        scene.processed(processor, [listing, asked_again]),
        ["price.suggested", "reupload.requested"],
        strict=True,
    ):
        assert isinstance(result, Output)
        given = listing if topic == "price.suggested" else asked_again
        assert (result.topic, result.partition, result.key, result.timestamp_ms) == (
            topic,
            given.partition,
            b"seller-1",
            given.timestamp_ms,
        )
        assert dict(result.headers) == {
            "ce_specversion": b"1.0",
            "ce_id": dict(given.headers)["ce_id"],
            "ce_source": b"/secondsight/suggest",
            "ce_type": f"com.secondsight.{topic}.v1".encode(),
            "ce_time": b"2026-03-04T05:06:07Z",
            "ce_subject": dict(given.headers)["ce_subject"],
            "content-type": b"application/json",
            "traceparent": TRACE,
        }


def test_photos_of_a_listing_are_pooled_and_bad_ones_left_out(
    scene: Scene, processor: SuggestProcessor
) -> None:
    both = scene.record(scene.enriched(scene.grey(100), scene.grey(200)), offset=0)
    one = scene.record(
        scene.enriched(scene.data_uri(b"no image"), scene.grey(60), scene.grey(3), "data:oops"),
        offset=1,
    )
    gate = scene.record(scene.enriched(scene.grey(20), scene.grey(3), "data:oops"), offset=2)

    pooled, left_out, rejected = scene.answers(processor, both, one, gate)

    assert isinstance(pooled, PriceSuggested)
    assert pooled.price_minor == 1500
    assert isinstance(left_out, PriceSuggested)
    assert left_out.price_minor == 600
    assert scene.reasons(rejected) == [("unavailable", 2), ("too_dark", 1)]


def _broken(scene: Scene) -> dict[str, Record]:
    sound = scene.record(scene.enriched(scene.grey(100)))
    fields = json.loads(sound.value or b"")
    later = [(k, v.replace(b"v1", b"v9") if v and k == "ce_type" else v) for k, v in sound.headers]
    return {
        "empty": replace(sound, value=b""),
        "tombstone": replace(sound, value=None),
        "not json": replace(sound, value=b"price me"),
        "nonsense": replace(sound, value=b"\xff" * 2**20),
        "no headers": replace(sound, headers=[]),
        "null header": replace(sound, headers=[*sound.headers, ("ce_id", None)]),
        "unknown version": replace(sound, headers=later),
        "no photo": replace(sound, value=json.dumps(fields | {"images": []}).encode()),
        "no statistics": replace(sound, value=json.dumps(fields | {"statistics": None}).encode()),
        "no zone": replace(
            sound, value=json.dumps(fields | {"listed_at": "2026-01-01T00:00:00"}).encode()
        ),
        "wrong currency": replace(sound, value=json.dumps(fields | {"currency": "XXX"}).encode()),
    }


@pytest.mark.parametrize(
    "what",
    [
        "empty",
        "tombstone",
        "not json",
        "nonsense",
        "no headers",
        "null header",
        "unknown version",
        "no photo",
        "no statistics",
        "no zone",
        "wrong currency",
    ],
)
def test_what_is_no_enriched_listing_is_rejected_and_others_answered(
    scene: Scene, processor: SuggestProcessor, what: str
) -> None:
    broken = replace(_broken(scene)[what], offset=7)
    sound = scene.record(scene.enriched(scene.grey(100)), offset=8)
    processor.arrived([broken, sound])

    rejected, answered = scene.processed(processor, [broken, sound])

    assert isinstance(rejected, Rejected)
    assert (rejected.record, rejected.stage) == (broken, "decode")
    assert isinstance(scene.read(answered), PriceSuggested)


@pytest.mark.parametrize("currencies", [("EUR", "EUR"), ("GBP", "EUR"), ("EUR", "GBP")])
def test_other_currencies_are_rejected(
    scene: Scene, processor: SuggestProcessor, currencies: tuple[str, str]
) -> None:
    listing = json.loads(scene.enriched(scene.grey(100)).to_bytes())
    listing["currency"], listing["statistics"]["currency"] = currencies
    other = replace(scene.record(scene.enriched("data:,")), value=json.dumps(listing).encode())

    (rejected,) = scene.processed(processor, [other])

    assert isinstance(rejected, Rejected)
    assert rejected.stage == "currency"
    assert "EUR" in str(rejected.error)


def test_a_record_in_the_wrong_partition_is_sent_on_unchanged(
    scene: Scene, processor: SuggestProcessor, pricer: MeanPricer
) -> None:
    home = partition_for(b"seller-1", PARTITIONS)
    stray = scene.record(scene.enriched(scene.grey(100)), partition=(home + 1) % PARTITIONS)
    processor.arrived([stray])

    (sent_on,) = scene.processed(processor, [stray])

    assert sent_on == Output(
        topic="listing.enriched",
        partition=home,
        key=stray.key,
        value=stray.value,
        headers=stray.headers,
        timestamp_ms=stray.timestamp_ms,
    )
    assert pricer.passes == []


def test_a_listing_that_comes_twice_is_answered_twice(
    scene: Scene, processor: SuggestProcessor
) -> None:
    listing = scene.enriched(scene.grey(100))

    first, second = scene.answers(
        processor, scene.record(listing, offset=1), scene.record(listing, offset=2)
    )

    assert first == second


def test_an_empty_batch_gives_nothing(processor: SuggestProcessor, pricer: MeanPricer) -> None:
    assert list(processor.process([])) == []
    assert pricer.passes == []
    assert not processor.due()
    assert processor.assigned(0) == {}
