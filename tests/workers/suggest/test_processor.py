from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest
from PIL import Image
from prometheus_client import CollectorRegistry

from models.images.decode import decode_image
from models.images.faults import Fault
from models.pricer import Estimate, PreparedPhoto, Pricer
from schemas import cloudevents
from schemas.image import ImageReference
from schemas.listing import ListingCreated, ListingEnriched
from schemas.partitioner import partition_for
from schemas.statistics import Scope, ScopeStatistics, Statistics
from schemas.suggestion import PriceSuggested, ReuploadReason, ReuploadRequested
from workers.runtime.metrics import SuggestMetrics
from workers.runtime.processing import Output, Record, Rejected
from workers.suggest.allow_list import AllowList
from workers.suggest.fetch import Fetcher
from workers.suggest.file_roots import FileRoots
from workers.suggest.preparation import Preparation
from workers.suggest.processor import SuggestProcessor
from workers.suggest.web import WebPhotos

if TYPE_CHECKING:
    from tests.workers.suggest.conftest import PhotoHost

PARTITIONS = 4
DEADLINE_S = 20.0
TRACE = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
HAPPENED = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)


class MeanPricer:
    """Prices a photo by its mean grey level: 10 units a level; below 50 the gate rejects.

    A mean level below 10 is a photo fault (too dark).
    """

    version = "mean-1"
    currency = "GBP"
    range_probability = 0.8

    def __init__(self) -> None:
        self.passes: list[int] = []
        self.during_pass: Callable[[], None] = lambda: None
        self.prepared = threading.Semaphore(0)

    def prepare(self, data: bytes) -> PreparedPhoto:
        level = np.asarray(decode_image(data), dtype=np.float32).mean()
        dark = (Fault(code=ReuploadReason.TOO_DARK, weight=0.5),)
        self.prepared.release()
        return PreparedPhoto(
            pixels=np.full((3, 1, 1), level, np.float32), faults=dark if level < 10 else ()
        )

    def features(self, photos: Sequence[PreparedPhoto]) -> Any:
        self.passes.append(len(photos))
        self.during_pass()
        return np.stack([photo.pixels.reshape(3) for photo in photos])

    def estimate(
        self, features: Any, statistics: Sequence[Statistics], categories: Sequence[str]
    ) -> list[Estimate]:
        assert len(features) == len(statistics) == len(categories)
        return [
            Estimate(
                price_minor=round(level * 10),
                low_minor=round(level * 9),
                high_minor=round(level * 11),
                confidence=0.5,
                qualified=bool(level >= 50),
            )
            for level in features[:, 0].tolist()
        ]


@pytest.fixture
def pricer() -> MeanPricer:
    return MeanPricer()


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def build(
    pricer: MeanPricer, registry: CollectorRegistry, tmp_path: Path
) -> Callable[..., SuggestProcessor]:
    """Gives a processor whose photos may come from `tmp_path` and from `host`."""

    def build(
        host: PhotoHost | None = None, *, timeout_s: float = DEADLINE_S, **options: Any
    ) -> SuggestProcessor:
        web = WebPhotos(
            AllowList(["127.0.0.1"], ports=[host.port] if host else []),
            allow_private=True,
            max_bytes=1_000_000,
        )
        files = FileRoots([tmp_path], max_bytes=1_000_000)
        return SuggestProcessor(
            cast(Pricer, pricer),
            Fetcher(files, web, timeout_s=timeout_s, pause_s=0.01),
            SuggestMetrics(registry),
            decode_threads=2,
            partitions=PARTITIONS,
            **options,
        )

    return build


@pytest.fixture
def start(
    build: Callable[..., SuggestProcessor],
) -> Iterator[Callable[..., SuggestProcessor]]:
    """Gives a processor as `build` does, entered until the test ends."""
    with ExitStack() as stack:
        yield lambda *args, **options: stack.enter_context(build(*args, **options))


@pytest.fixture
def processor(start: Callable[..., SuggestProcessor]) -> SuggestProcessor:
    return start()


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def grey(level: int) -> bytes:
    return encoded(Image.new("RGB", (16, 16), (level, level, level)))


def data_uri(data: bytes) -> str:
    return "data:;base64," + base64.b64encode(data).decode()


def enriched(
    *uris: str, seller: str = "seller-1", currency: str = "GBP", **more: Any
) -> ListingEnriched:
    scope = ScopeStatistics(q1=1, q2=2, q3=3, mean=2, count=5, source=Scope.SELLER)
    return ListingEnriched(
        listing_id=more.pop("listing_id", "listing-1"),
        seller_id=seller,
        category="Toys",
        currency=currency,
        images=tuple(ImageReference(uri=uri) for uri in uris),
        listed_at=HAPPENED,
        statistics=Statistics(
            currency=more.pop("statistics_currency", currency),
            seller=scope,
            category=scope,
            overall=scope,
        ),
        **more,
    )


def record(event: ListingCreated, offset: int = 0, partition: int | None = None) -> Record:
    home = partition_for(event.seller_id.encode(), PARTITIONS)
    return Record(
        topic="listing.enriched",
        partition=home if partition is None else partition,
        offset=offset,
        timestamp_ms=1_700_000_000_000 + offset,
        key=event.seller_id.encode(),
        value=event.to_bytes(),
        headers=cloudevents.encode(
            event,
            event_id=f"event-{offset}",
            source="/secondsight/stats",
            time=HAPPENED,
            subject=event.listing_id,
            traceparent=TRACE,
        ),
    )


def read(result: Output | Rejected) -> PriceSuggested | ReuploadRequested:
    assert isinstance(result, Output), result
    event, _ = cloudevents.decode(
        result.headers, result.value, accept=[PriceSuggested, ReuploadRequested]
    )
    assert isinstance(event, PriceSuggested | ReuploadRequested)
    return event


def answers(
    processor: SuggestProcessor, *records: Record
) -> list[PriceSuggested | ReuploadRequested]:
    processor.arrived(records)
    return [read(result) for result in processor.process(records)]


def reasons(event: PriceSuggested | ReuploadRequested) -> list[tuple[str, int | None]]:
    assert isinstance(event, ReuploadRequested), event
    return [(reason.code.value, reason.image) for reason in event.reasons]


def test_each_listing_gets_its_answer_in_order(processor: SuggestProcessor) -> None:
    levels = [200, 20, 100, 5, 50]
    records = [record(enriched(data_uri(grey(g))), offset=i) for i, g in enumerate(levels)]

    priced, rejected, also_priced, dark, at_the_limit = answers(processor, *records)

    assert isinstance(priced, PriceSuggested)
    assert (priced.price_minor, priced.low_minor, priced.high_minor) == (2000, 1800, 2200)
    assert (priced.model_version, priced.range_probability) == ("mean-1", 0.8)
    assert reasons(rejected) == [("inadequate_information", None)]
    assert isinstance(also_priced, PriceSuggested)
    assert also_priced.price_minor == 1000
    assert reasons(dark) == [("too_dark", 0)]
    assert isinstance(at_the_limit, PriceSuggested)


def test_an_answer_carries_on_what_its_listing_came_with(processor: SuggestProcessor) -> None:
    listing = record(enriched(data_uri(grey(90)), listing_id="listing-9"), offset=41)
    asked_again = record(enriched(data_uri(grey(1)), listing_id="listing-8"), offset=42)

    for result, topic in zip(
        processor.process([listing, asked_again]),
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


def test_photos_of_a_listing_are_pooled_and_bad_ones_left_out(processor: SuggestProcessor) -> None:
    both = record(enriched(data_uri(grey(100)), data_uri(grey(200))), offset=0)
    one = record(
        enriched(data_uri(b"no image"), data_uri(grey(60)), data_uri(grey(3)), "data:oops"),
        offset=1,
    )
    gate = record(enriched(data_uri(grey(20)), data_uri(grey(3)), "data:oops"), offset=2)

    pooled, left_out, rejected = answers(processor, both, one, gate)

    assert isinstance(pooled, PriceSuggested)
    assert pooled.price_minor == 1500
    assert isinstance(left_out, PriceSuggested)
    assert left_out.price_minor == 600
    assert reasons(rejected) == [("unavailable", 2), ("too_dark", 1)]


def _gif() -> bytes:
    frames = [Image.new("L", (16, 16), level) for level in (120, 0, 255)]
    return encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])


@pytest.mark.parametrize(
    ("data", "level"),
    [
        (grey(120), 120),
        (encoded(Image.new("L", (16, 16), 120)), 120),
        (encoded(Image.new("RGB", (640, 480), (120, 120, 120)), "JPEG"), 120),
        (encoded(Image.new("CMYK", (16, 16), (0, 0, 0, 135)), "JPEG"), 120),
        (encoded(Image.fromarray(np.full((16, 16), 120 * 257, np.uint16))), 120),
        (_gif(), 120),
    ],
    ids=["rgb", "grey", "jpeg", "cmyk", "16-bit", "animated"],
)
def test_sound_photos_of_any_kind_are_priced(
    processor: SuggestProcessor, data: bytes, level: int
) -> None:
    (event,) = answers(processor, record(enriched(data_uri(data))))

    assert isinstance(event, PriceSuggested), event
    assert event.price_minor == pytest.approx(level * 10, abs=20)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<html>not a photo</html>",
        grey(120)[:-30],
        encoded(Image.new("RGB", (640, 480), (120, 120, 120)), "JPEG")[:700],
        encoded(Image.new("1", (20_000, 20_000))),
    ],
    ids=["empty", "html", "truncated png", "truncated jpeg", "20,000 x 20,000"],
)
def test_photos_that_cannot_be_read_are_asked_for_again(
    processor: SuggestProcessor, data: bytes
) -> None:
    (event,) = answers(processor, record(enriched(data_uri(data))))

    assert reasons(event) == [("unreadable", 0)]


@pytest.mark.parametrize(
    "uri",
    [
        "https://evil.example/photo.jpg",
        "http://169.254.169.254/latest/meta-data",
        "file:///etc/passwd",
        "data:image/png;base64,!",
        "s3://bucket/photo",
        "x:y",
    ],
)
def test_photos_that_may_not_be_fetched_are_unavailable(
    processor: SuggestProcessor, uri: str
) -> None:
    (event,) = answers(processor, record(enriched(uri)))

    assert reasons(event) == [("unavailable", 0)]


def test_photos_come_from_files_and_hosts(
    start: Callable[..., SuggestProcessor], host: PhotoHost, tmp_path: Path
) -> None:
    (tmp_path / "photo.png").write_bytes(grey(70))
    processor = start(host)

    from_file, from_host, missing = answers(
        processor,
        record(enriched(f"file://{tmp_path}/photo.png"), offset=0),
        record(enriched(host.url("/photo")), offset=1),
        record(enriched(f"file://{tmp_path}/gone.png", host.url("/status/404")), offset=2),
    )

    assert isinstance(from_file, PriceSuggested)
    assert from_file.price_minor == 700
    assert reasons(from_host) == [("unreadable", 0)]  # it was fetched, and is no image
    assert reasons(missing) == [("unavailable", 0), ("unavailable", 1)]


def test_a_host_that_does_not_answer_costs_its_listing_only(
    start: Callable[..., SuggestProcessor], host: PhotoHost
) -> None:
    processor = start(host, timeout_s=0.3)

    stuck, sound = answers(
        processor,
        record(enriched(host.url("/stuck")), offset=0),
        record(enriched(data_uri(grey(70))), offset=1),
    )

    assert reasons(stuck) == [("unavailable", 0)]
    assert isinstance(sound, PriceSuggested)


def _broken() -> dict[str, Record]:
    sound = record(enriched(data_uri(grey(100))))
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


@pytest.mark.parametrize("what", list(_broken()))
def test_what_is_no_enriched_listing_is_rejected_and_others_answered(
    processor: SuggestProcessor, what: str
) -> None:
    broken = replace(_broken()[what], offset=7)
    sound = record(enriched(data_uri(grey(100))), offset=8)
    processor.arrived([broken, sound])

    rejected, answered = processor.process([broken, sound])

    assert isinstance(rejected, Rejected)
    assert (rejected.record, rejected.stage) == (broken, "decode")
    assert isinstance(read(answered), PriceSuggested)


@pytest.mark.parametrize("currencies", [("EUR", "EUR"), ("GBP", "EUR"), ("EUR", "GBP")])
def test_other_currencies_are_rejected(
    processor: SuggestProcessor, currencies: tuple[str, str]
) -> None:
    listing = json.loads(enriched(data_uri(grey(100))).to_bytes())
    listing["currency"], listing["statistics"]["currency"] = currencies
    other = replace(record(enriched("data:,")), value=json.dumps(listing).encode())

    (rejected,) = processor.process([other])

    assert isinstance(rejected, Rejected)
    assert rejected.stage == "currency"
    assert "EUR" in str(rejected.error)


def test_a_record_in_the_wrong_partition_is_sent_on_unchanged(
    processor: SuggestProcessor, pricer: MeanPricer
) -> None:
    home = partition_for(b"seller-1", PARTITIONS)
    stray = record(enriched(data_uri(grey(100))), partition=(home + 1) % PARTITIONS)
    processor.arrived([stray])

    (sent_on,) = processor.process([stray])

    assert sent_on == Output(
        topic="listing.enriched",
        partition=home,
        key=stray.key,
        value=stray.value,
        headers=stray.headers,
        timestamp_ms=stray.timestamp_ms,
    )
    assert pricer.passes == []


def test_a_listing_that_comes_twice_is_answered_twice(processor: SuggestProcessor) -> None:
    listing = enriched(data_uri(grey(100)))

    first, second = answers(processor, record(listing, offset=1), record(listing, offset=2))

    assert first == second


def test_an_aborted_batch_is_answered_the_same_again(processor: SuggestProcessor) -> None:
    records = [record(enriched(data_uri(grey(g))), offset=g) for g in (30, 80, 130)]
    processor.arrived(records)

    first = list(processor.process(records))
    processor.aborted()
    halves = [*processor.process(records[:1]), *processor.process(records[1:])]

    assert halves == first


def test_an_empty_batch_gives_nothing(processor: SuggestProcessor, pricer: MeanPricer) -> None:
    assert list(processor.process([])) == []
    assert pricer.passes == []
    assert not processor.due()
    assert processor.assigned(0) == {}


def test_photos_of_the_next_batch_are_decoded_while_one_is_in_the_network(
    start: Callable[..., SuggestProcessor], pricer: MeanPricer
) -> None:
    processor = start(photos_in_memory=1)
    first = record(enriched(data_uri(grey(100))), offset=1)
    second = record(enriched(data_uri(grey(110))), offset=2)
    overlapped: list[bool] = []
    # Two photos are prepared before the first pass over the network is allowed to end.
    pricer.during_pass = lambda: overlapped.append(
        all(pricer.prepared.acquire(timeout=DEADLINE_S) for _ in range(2))
    )

    processor.arrived([first, second])
    processor.process([first])

    assert overlapped == [True]


def test_photos_are_fetched_once_though_seen_twice(
    start: Callable[..., SuggestProcessor], host: PhotoHost
) -> None:
    processor = start(host)
    listing = record(enriched(host.url("/photo")))
    processor.arrived([listing])
    processor.arrived([listing])

    processor.process([listing])

    assert host.asked == ["/photo"]


def test_few_photos_are_in_memory_at_once(
    start: Callable[..., SuggestProcessor], pricer: MeanPricer, monkeypatch: pytest.MonkeyPatch
) -> None:
    processor = start(photos_in_memory=3)
    begun: list[int] = []
    begin = Preparation.start

    def counted(self: Preparation, images: Sequence[ImageReference], **about: Any) -> Any:
        begun.append(len(images))
        return begin(self, images, **about)

    monkeypatch.setattr(Preparation, "start", counted)
    counts = [2, 1, 1, 2, 5, 1]
    records = [
        record(enriched(*[data_uri(grey(100 + i))] * n), offset=i) for i, n in enumerate(counts)
    ]

    processor.arrived(records)
    assert begun == [2, 1]
    events = [read(result) for result in processor.process(records)]

    assert begun == counts
    assert [e.price_minor for e in events if isinstance(e, PriceSuggested)] == [
        1000,
        1010,
        1020,
        1030,
        1040,
        1050,
    ]
    assert pricer.passes == [3, 3, 5, 1]


def test_a_revoked_partition_is_abandoned_and_can_come_back(
    start: Callable[..., SuggestProcessor], host: PhotoHost
) -> None:
    processor = start(host)
    flaky = record(enriched(host.url("/stuck")), offset=1)
    home = flaky.partition
    processor.arrived([flaky])
    _wait_until(lambda: host.asked == ["/stuck"])

    processor.revoked((home + 1) % PARTITIONS)
    processor.revoked(home)
    instead = record(enriched(data_uri(grey(100))), offset=1)

    # The same offset is read anew: what was under way for it is not waited for.
    (event,) = answers(processor, instead)
    assert isinstance(event, PriceSuggested)


def test_leaving_does_not_wait_for_photos_under_way(
    build: Callable[..., SuggestProcessor], host: PhotoHost
) -> None:
    entered = threading.Event()

    def enter_and_leave() -> None:
        with build(host, timeout_s=10 * DEADLINE_S) as processor:
            processor.arrived([record(enriched(host.url("/stuck")))])
            _wait_until(lambda: host.asked == ["/stuck"])
            entered.set()

    visitor = threading.Thread(target=enter_and_leave, daemon=True)
    visitor.start()
    visitor.join(DEADLINE_S)

    assert entered.is_set()
    assert not visitor.is_alive()


def test_an_error_of_the_network_is_left_to_the_loop(
    processor: SuggestProcessor, pricer: MeanPricer
) -> None:
    records = [record(enriched(data_uri(grey(100))), offset=i) for i in range(2)]

    def fail() -> None:
        if pricer.passes[-1] > 1:
            raise ValueError("the shapes do not fit")

    pricer.during_pass = fail
    processor.arrived(records)

    with pytest.raises(ValueError, match="shapes"):
        processor.process(records)
    processor.aborted()
    assert isinstance(read(processor.process(records[:1])[0]), PriceSuggested)


def test_answers_are_counted_when_they_are_committed(
    processor: SuggestProcessor, registry: CollectorRegistry
) -> None:
    records = [record(enriched(data_uri(grey(g))), offset=g) for g in (3, 20, 100, 120)]

    def counted() -> list[float | None]:
        return [
            registry.get_sample_value("secondsight_suggestions_total"),
            registry.get_sample_value("secondsight_reuploads_total", {"reason": "too_dark"}),
            registry.get_sample_value(
                "secondsight_reuploads_total", {"reason": "inadequate_information"}
            ),
        ]

    processor.process(records)
    processor.aborted()
    assert counted() == [0, None, None]
    processor.process(records)
    processor.committed({})
    processor.process(records[:1])
    processor.committed({})

    assert counted() == [2, 2, 1]
    assert registry.get_sample_value("secondsight_image_fetches_total", {"outcome": "fetched"}) == 9


def _wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    ticks = threading.Event()
    while not condition():
        assert time.monotonic() < deadline
        ticks.wait(0.005)
