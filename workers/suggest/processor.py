"""What the suggest worker does with records: each enriched listing gets one answer."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from typing import Self

from models.pricer import Estimate, Pricer
from schemas import cloudevents
from schemas.cloudevents import Envelope
from schemas.errors import CurrencyError, EventError
from schemas.listing import ListingEnriched
from schemas.model import ModelRole
from schemas.suggestion import PriceSuggested, ReuploadRequested
from schemas.topics import PRICE_SHADOW, PRICE_SUGGESTED, REUPLOAD_REQUESTED
from workers.runtime.metrics import SuggestMetrics
from workers.runtime.processing import Later, Output, Record, Rejected
from workers.runtime.routing import SellerRouter
from workers.suggest.answer import answer
from workers.suggest.control import is_control
from workers.suggest.estimating import Question, estimates
from workers.suggest.hints import ENGLISH, Hints
from workers.suggest.lineup import Lineup
from workers.suggest.preparation import Photo, Preparation

SOURCE = "/secondsight/suggest"

_FIRST_S = 0.05  # that a batch waits for any of its photos; then the loop polls in between
_COMPANY_S = 0.02  # that those which are ready wait for the others: half a photo in the network

_Position = tuple[str, int, int]  # topic, partition, offset


@dataclass(slots=True)
class _View:
    """The photos of a listing as some of the models want them prepared."""

    models: list[tuple[ModelRole, Pricer]]
    photos: Future[list[Photo]] | None = None  # None until they are begun with


@dataclass(slots=True)
class _Listing:
    """A listing and who answers it: those that were in use when it was first seen."""

    record: Record
    event: ListingEnriched
    envelope: Envelope
    views: list[_View]

    @property
    def photo_count(self) -> int:
        """How many photos of it are in memory once they are begun with."""
        return len(self.event.images) * len(self.views)

    @property
    def begun(self) -> bool:
        """Whether its photos are fetched."""
        return all(view.photos is not None for view in self.views)

    @property
    def ready(self) -> bool:
        """Whether its photos are fetched and decoded, or never will be."""
        return all(view.photos is not None and view.photos.done() for view in self.views)


class SuggestProcessor:
    """Answers `listing.enriched` with `price.suggested` or `reupload.requested`.

    It is to be entered before use. It holds no state of a partition: only photos that are
    fetched and decoded ahead, which are fetched again where they are missing.

    Args:
        lineup: returns the models in use now; a listing is answered by those of when it arrived.
        preparation: fetches and decodes photos; it is entered and left with the processor.
        metrics: where answers and seconds are counted.
        router: sends strays to their seller's partition.
        hints: what sellers are told beside each reason.
        photos_in_memory: most photos that are fetched and decoded ahead of their batch, in equal
            shares of the partitions, and most that go through the network at once; a listing's
            photos stay together.
        control_share: share of the listings whose price goes to `price.shadow` in place of the app.
    """

    def __init__(
        self,
        lineup: Callable[[], Lineup],
        preparation: Preparation,
        metrics: SuggestMetrics,
        *,
        router: SellerRouter,
        hints: Hints = ENGLISH,
        photos_in_memory: int = 256,
        control_share: float = 0.0,
    ) -> None:
        self._lineup = lineup
        self._metrics = metrics
        self._router = router
        self._hints = hints
        self._photos_in_memory = photos_in_memory
        self._control_share = control_share
        self._preparation = preparation
        self._ahead: dict[_Position, _Listing | Output | Rejected] = {}
        self._taken: list[_Position] = []  # what the batch under way is made of
        self._given: list[tuple[ModelRole, PriceSuggested | ReuploadRequested]] = []

    def __enter__(self) -> Self:
        self._preparation.__enter__()
        return self

    def __exit__(self, *details: object) -> None:
        self._preparation.__exit__(*details)

    def assigned(self, partition: int) -> Mapping[str, int]:  # noqa: ARG002
        """Start at the committed offsets: there is nothing to restore."""
        return {}

    def revoked(self, partition: int) -> None:
        """Abandon what is prepared for a partition."""
        for position in [position for position in self._ahead if position[1] == partition]:
            item = self._ahead.pop(position)
            for view in item.views if isinstance(item, _Listing) else ():
                if view.photos is not None:
                    view.photos.cancel()

    def arrived(self, records: Sequence[Record]) -> None:
        """Read the events and begin with their photos."""
        self._see(records)
        self._begin_ahead()

    def process(self, records: Sequence[Record]) -> Sequence[Output | Rejected | Later]:
        """Answer the listings whose photos are there, each partition in order; put off the others.

        So a slow host holds up only the partitions of the listings that name it.
        """
        self._see(records)  # after an abort they come again, without having arrived
        now, later = self._ready(records)
        self._taken = [_position(record) for record in now]
        items = [self._ahead[position] for position in self._taken]
        # The photos of the next batch are fetched and decoded while these are in the network.
        self._begin_ahead()
        return [*self._results(items), *map(Later, later)]

    def skip(self, record: Record) -> Sequence[Output]:
        """Nothing to note but that its photos may go: the positions are the group's."""
        self._taken = [_position(record)]
        return ()

    def committed(self, written: Mapping[tuple[str, int], int]) -> None:  # noqa: ARG002
        """Let the photos of the batch go, and count its answers."""
        for position in self._taken:
            self._ahead.pop(position, None)
        self._taken = []
        for role, event in self._given:
            decision = "price" if isinstance(event, PriceSuggested) else "reupload"
            self._metrics.model_answers.labels(event.model_version, role.value, decision).inc()
            if role is ModelRole.SHADOW:
                continue
            if isinstance(event, PriceSuggested):
                (self._metrics.controls if event.control else self._metrics.suggestions).inc()
            else:
                for reason in event.reasons:
                    self._metrics.reuploads.labels(reason.code.value).inc()
        self._given.clear()

    def aborted(self) -> None:
        """Forget the answers of the batch; its photos are kept for the next try."""
        self._taken = []
        self._given.clear()

    def due(self) -> bool:
        """Say that nothing is to be done without records."""
        return False

    def _see(self, records: Sequence[Record]) -> None:
        for record in records:
            position = _position(record)
            if position not in self._ahead:
                self._ahead[position] = self._read(record)

    def _read(self, record: Record) -> _Listing | Output | Rejected:
        try:
            event, envelope = cloudevents.decode(
                record.headers, record.value, accept=[ListingEnriched]
            )
            assert isinstance(event, ListingEnriched)  # noqa: S101 - for the type checker
            if (stray := self._router.sent_home(record, event.seller_id)) is not None:
                return stray
        except EventError as error:
            return Rejected(record, "decode", error)
        lineup = self._lineup()
        for currency in (event.currency, event.statistics.currency):
            if currency != lineup.live.currency:
                message = f"the model prices in {lineup.live.currency}, not in {currency}"
                return Rejected(record, "currency", CurrencyError(message))
        return _Listing(record, event, envelope, _views(lineup, event.seller_id))

    def _begin_ahead(self) -> None:
        share = self._photos_in_memory // max(1, len({place[1] for place in self._ahead}))
        photos, taken = Counter[int](), set(self._taken)
        for position, item in self._ahead.items():
            if isinstance(item, _Listing) and position not in taken:
                photos[position[1]] += item.photo_count
                if photos[position[1]] <= share and not item.begun:
                    self._begin(item)

    def _begin(self, listing: _Listing) -> None:
        for view in listing.views:
            view.photos = self._preparation.start(
                listing.event.images,
                view.models[0][1].preprocessing,
                topic=listing.record.topic,
                partition=listing.record.partition,
                offset=listing.record.offset,
                event_id=listing.envelope.id,
            )

    def _ready(self, records: Sequence[Record]) -> tuple[list[Record], list[Record]]:
        """Return what can be answered now, after a short wait, and what cannot."""
        share = self._photos_in_memory // max(1, len({record.partition for record in records}))
        photos = Counter[int]()
        held_from: dict[int, int] = {}  # by partition, the first offset that is put off
        waited_for: list[Future[list[Photo]]] = []
        for record in records:
            item = self._ahead[_position(record)]
            if isinstance(item, _Listing) and record.partition not in held_from:
                before = photos[record.partition]
                photos[record.partition] += item.photo_count
                if before and photos[record.partition] > share:
                    held_from[record.partition] = record.offset
                    continue
                if not item.begun:
                    self._begin(item)
                waited_for += [view.photos for view in item.views if view.photos is not None]
        wait(waited_for, _FIRST_S, FIRST_COMPLETED)
        wait(waited_for, _COMPANY_S)
        now: list[Record] = []
        later: list[Record] = []
        for record in records:
            item = self._ahead[_position(record)]
            if isinstance(item, _Listing) and not item.ready:
                held_from[record.partition] = min(
                    record.offset, held_from.get(record.partition, record.offset)
                )
            put_off = record.offset >= held_from.get(record.partition, record.offset + 1)
            (later if put_off else now).append(record)
        return now, later

    def _results(self, items: Sequence[_Listing | Output | Rejected]) -> list[Output | Rejected]:
        listings = [item for item in items if isinstance(item, _Listing)]
        photos = [
            [view.photos.result() for view in listing.views if view.photos is not None]
            for listing in listings
        ]
        answers = iter(self._answers(listings, photos))
        results: list[Output | Rejected] = []
        for item in items:
            results += next(answers) if isinstance(item, _Listing) else [item]
        return results

    def _answers(
        self, listings: Sequence[_Listing], photos: Sequence[Sequence[Sequence[Photo]]]
    ) -> Iterator[list[Output]]:
        """Yield what is written for each listing: the answer, and that of a shadow beside it."""
        questions = [
            Question(
                listing.event,
                [photo.prepared for photo in of_view if photo.prepared],
                [pricer for _, pricer in view.models],
            )
            for listing, of_listing in zip(listings, photos, strict=True)
            for view, of_view in zip(listing.views, of_listing, strict=True)
        ]
        with self._metrics.stage_seconds.labels("forward").time():
            found = iter(estimates(questions))
        for listing, of_listing in zip(listings, photos, strict=True):
            yield [
                self._output(listing, of_view, role, pricer, estimate)
                for view, of_view in zip(listing.views, of_listing, strict=True)
                for (role, pricer), estimate in zip(view.models, next(found), strict=True)
            ]

    def _output(
        self,
        listing: _Listing,
        photos: Sequence[Photo],
        role: ModelRole,
        pricer: Pricer,
        estimate: Estimate | None,
    ) -> Output:
        event = answer(
            listing.event,
            [photo.faults for photo in photos],
            estimate,
            model_version=pricer.version,
            range_probability=pricer.range_probability,
            hints=self._hints,
        )
        control = (
            isinstance(event, PriceSuggested)
            and role is not ModelRole.SHADOW
            and is_control(event.listing_id, self._control_share)
        )
        if control:
            event = event.model_copy(update={"control": True})
        self._given.append((role, event))
        topic = PRICE_SUGGESTED if isinstance(event, PriceSuggested) else REUPLOAD_REQUESTED
        return Output(
            topic=PRICE_SHADOW if control or role is ModelRole.SHADOW else topic,
            partition=listing.record.partition,
            key=event.seller_id.encode(),
            value=event.to_bytes(),
            headers=cloudevents.encode(
                event,
                event_id=listing.envelope.id,
                source=SOURCE,
                time=listing.envelope.time,
                subject=event.listing_id,
                traceparent=listing.envelope.traceparent,
            ),
            timestamp_ms=listing.record.timestamp_ms,
        )


def _views(lineup: Lineup, seller_id: str) -> list[_View]:
    """Name who answers a seller; the shadow shares the photos where it wants them alike."""
    role, pricer = lineup.answering(seller_id)
    views = [_View([(role, pricer)])]
    if (shadow := lineup.shadow) is not None:
        if shadow.preprocessing == pricer.preprocessing:
            views[0].models.append((ModelRole.SHADOW, shadow))
        else:
            views.append(_View([(ModelRole.SHADOW, shadow)]))
    return views


def _position(record: Record) -> _Position:
    return record.topic, record.partition, record.offset
