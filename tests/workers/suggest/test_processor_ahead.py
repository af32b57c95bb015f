from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from itertools import count
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from models.extractors.preprocessing import Preprocessing
from models.prepared_photo import PreparedPhoto
from schemas.image import ImageReference
from schemas.partitioner import partition_for
from schemas.suggestion import PriceSuggested
from tests.workers.suggest.conftest import SQUASH, InProcess
from workers.runtime.metrics import SuggestMetrics
from workers.runtime.processing import Later, Output
from workers.suggest.fetch import Fetcher
from workers.suggest.preparation import Photo, Preparation
from workers.suggest.processor import SuggestProcessor

if TYPE_CHECKING:
    from tests.workers.suggest.conftest import MeanPricer, PhotoHost, Scene

PARTITIONS = 4
DEADLINE_S = 20.0


def test_an_aborted_batch_is_answered_the_same_again(
    scene: Scene, processor: SuggestProcessor
) -> None:
    records = [scene.record(scene.enriched(scene.grey(g)), offset=g) for g in (30, 80, 130)]
    processor.arrived(records)

    first = list(scene.processed(processor, records))
    processor.aborted()
    halves = [*scene.processed(processor, records[:1]), *scene.processed(processor, records[1:])]

    assert halves == first


def test_photos_of_the_next_batch_are_decoded_while_one_is_in_the_network(
    scene: Scene, start: Callable[..., SuggestProcessor], pricer: MeanPricer
) -> None:
    processor = start(photos_in_memory=1)
    first = scene.record(scene.enriched(scene.grey(100)), offset=1)
    second = scene.record(scene.enriched(scene.grey(110)), offset=2)
    overlapped: list[bool] = []
    # Two photos are prepared before the first pass over the network is allowed to end.
    pricer.during_pass = lambda: overlapped.append(
        all(pricer.prepared.acquire(timeout=DEADLINE_S) for _ in range(2))
    )

    processor.arrived([first, second])
    scene.processed(processor, [first])

    assert overlapped == [True]


def test_photos_are_fetched_once_though_seen_twice(
    scene: Scene, start: Callable[..., SuggestProcessor], host: PhotoHost
) -> None:
    processor = start(host)
    listing = scene.record(scene.enriched(host.url("/photo")))
    processor.arrived([listing])
    processor.arrived([listing])

    scene.processed(processor, [listing])

    assert host.asked == ["/photo"]


def test_few_photos_are_in_memory_at_once(
    scene: Scene,
    start: Callable[..., SuggestProcessor],
    pricer: MeanPricer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    processor = start(photos_in_memory=3)
    begun: list[int] = []
    begin = Preparation.start

    def counted(
        self: Preparation, images: Sequence[ImageReference], squash: Preprocessing, **about: Any
    ) -> Any:
        begun.append(len(images))
        return begin(self, images, squash, **about)

    monkeypatch.setattr(Preparation, "start", counted)
    counts = [2, 1, 1, 2, 5, 1]
    records = [
        scene.record(scene.enriched(*[scene.grey(100 + i)] * n), offset=i)
        for i, n in enumerate(counts)
    ]

    processor.arrived(records)
    assert begun == [2, 1]
    events = [scene.read(result) for result in scene.processed(processor, records)]

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


def test_a_slow_host_holds_up_only_the_partitions_that_wait_for_it(
    scene: Scene, start: Callable[..., SuggestProcessor], host: PhotoHost
) -> None:
    processor = start(host)
    here, there = sellers_of_two_partitions()
    slow = scene.record(scene.enriched(host.url("/held"), seller=here), offset=1)
    behind = scene.record(scene.enriched(scene.grey(100), seller=here), offset=2)
    others = [
        scene.record(scene.enriched(scene.grey(100 + n), seller=there), offset=n) for n in (3, 4)
    ]
    processor.arrived([slow, behind, *others])

    answered: list[Output] = []
    waiting = [slow, others[0], behind, others[1]]
    while len(waiting) > 2:
        results = processor.process(waiting)
        answered += [result for result in results if isinstance(result, Output)]
        waiting = [result.record for result in results if isinstance(result, Later)]
    assert [scene.read(output).seller_id for output in answered] == [there, there]
    assert waiting == [slow, behind]

    host.let_go()
    first, second = scene.processed(processor, waiting)
    assert scene.reasons(scene.read(first)) == [("unreadable", 0)]  # fetched, and no image
    assert isinstance(scene.read(second), PriceSuggested)


def test_held_photos_take_no_room_from_other_partitions(
    scene: Scene, start: Callable[..., SuggestProcessor], host: PhotoHost
) -> None:
    processor = start(host, photos_in_memory=4)
    here, there = sellers_of_two_partitions()
    slow = [
        scene.record(scene.enriched(host.url("/held"), seller=here), offset=n) for n in range(4)
    ]
    other = scene.record(scene.enriched(scene.grey(100), seller=there), offset=9)
    processor.arrived([*slow, other])

    waiting = [*slow, other]
    while len(waiting) == 5:
        results = processor.process(waiting)
        waiting = [result.record for result in results if isinstance(result, Later)]
    assert waiting == slow


def test_each_partition_has_its_share_of_the_photos_in_memory(
    scene: Scene, start: Callable[..., SuggestProcessor], host: PhotoHost
) -> None:
    processor = start(host, photos_in_memory=4)
    here, there = sellers_of_two_partitions()
    slow = [
        scene.record(scene.enriched(host.url("/held"), seller=here), offset=n) for n in range(9)
    ]
    processor.arrived(slow[:1])
    processor.arrived([*slow, scene.record(scene.enriched(host.url("/photo"), seller=there))])

    scene.wait_until(lambda: sorted(host.asked) == ["/held", "/held", "/photo"])


def sellers_of_two_partitions() -> tuple[str, str]:
    """Two sellers whose listings are not in order with each other's."""
    here = "seller-1"
    home = partition_for(here.encode(), PARTITIONS)
    there = next(s for n in count() if partition_for((s := f"{n}").encode(), PARTITIONS) != home)
    return here, there


def test_a_revoked_partition_is_abandoned_and_can_come_back(
    scene: Scene,
    start: Callable[..., SuggestProcessor],
    host: PhotoHost,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begin = Preparation.start
    begun: list[Future[list[Photo]]] = []

    def kept(self: Preparation, *args: Any, **about: Any) -> Future[list[Photo]]:
        begun.append(begin(self, *args, **about))
        return begun[-1]

    monkeypatch.setattr(Preparation, "start", kept)
    processor = start(host)
    stuck = scene.record(scene.enriched(host.url("/stuck")), offset=1)
    processor.arrived([stuck])
    scene.wait_until(lambda: host.asked == ["/stuck"])

    processor.revoked((stuck.partition + 1) % PARTITIONS)
    assert not begun[0].done()
    processor.revoked(stuck.partition)
    assert begun[0].cancelled()

    # The same offset is read anew: what was under way for it is not waited for.
    (event,) = scene.answers(processor, scene.record(scene.enriched(scene.grey(100)), offset=1))
    assert isinstance(event, PriceSuggested)


class CountingFetcher:
    """Knows how many photos were being fetched at once, at most."""

    def __init__(self) -> None:
        self.now = self.most = 0

    async def __aenter__(self) -> None:
        pass

    async def __aexit__(self, *_: object) -> None:
        pass

    async def fetch(self, reference: ImageReference, *, failed: set[str] | None = None) -> bytes:
        self.now += 1
        self.most = max(self.most, self.now)
        for _ in range(20):  # turns in which the others could begin
            await asyncio.to_thread(lambda: None)
        self.now -= 1
        return reference.uri.encode()


def test_few_photos_are_fetched_at_once(registry: CollectorRegistry) -> None:
    fetcher = CountingFetcher()
    prepared = PreparedPhoto(pixels=np.zeros((1, 1, 3), np.uint8), faults=())
    preparation = Preparation(
        cast(Fetcher, fetcher),
        InProcess(lambda _data: prepared),
        SuggestMetrics(registry),
        photos_at_once=3,
        photos_of_a_host=9,
    )

    with preparation:
        images = [ImageReference(uri="x:y")] * 4
        listings = [preparation.start(images, SQUASH) for _ in range(3)]
        photos = [listing.result(DEADLINE_S) for listing in listings]

    assert photos == [[Photo(prepared)] * 4] * 3
    assert fetcher.most == 3


def test_leaving_does_not_wait_for_photos_under_way(
    scene: Scene, build: Callable[..., SuggestProcessor], host: PhotoHost
) -> None:
    entered = threading.Event()

    def enter_and_leave() -> None:
        with build(host, timeout_s=10 * DEADLINE_S) as processor:
            processor.arrived([scene.record(scene.enriched(host.url("/stuck")))])
            scene.wait_until(lambda: host.asked == ["/stuck"])
            entered.set()

    visitor = threading.Thread(target=enter_and_leave, daemon=True)
    visitor.start()
    visitor.join(DEADLINE_S)

    assert entered.is_set()
    assert not visitor.is_alive()


def test_an_error_of_the_network_is_left_to_the_loop(
    scene: Scene, processor: SuggestProcessor, pricer: MeanPricer
) -> None:
    records = [scene.record(scene.enriched(scene.grey(100)), offset=i) for i in range(2)]

    def fail() -> None:
        if pricer.passes[-1] > 1:
            raise ValueError("the shapes do not fit")

    pricer.during_pass = fail
    processor.arrived(records)

    with pytest.raises(ValueError, match="shapes"):
        scene.processed(processor, records)
    processor.aborted()
    assert isinstance(scene.read(scene.processed(processor, records[:1])[0]), PriceSuggested)


def test_answers_are_counted_when_they_are_committed(
    scene: Scene, processor: SuggestProcessor, registry: CollectorRegistry
) -> None:
    records = [scene.record(scene.enriched(scene.grey(g)), offset=g) for g in (3, 20, 100, 120)]

    def counted() -> list[float | None]:
        return [
            registry.get_sample_value("secondsight_suggestions_total"),
            registry.get_sample_value("secondsight_reuploads_total", {"reason": "too_dark"}),
            registry.get_sample_value(
                "secondsight_reuploads_total", {"reason": "inadequate_information"}
            ),
        ]

    scene.processed(processor, records)
    processor.aborted()
    assert counted() == [0, None, None]
    scene.processed(processor, records)
    processor.committed({})
    scene.processed(processor, records[:1])
    processor.committed({})

    assert counted() == [2, 2, 1]
    assert registry.get_sample_value("secondsight_image_fetches_total", {"outcome": "fetched"}) == 5
