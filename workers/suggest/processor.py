"""What the suggest worker does with records: each enriched listing gets one answer."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Self

import numpy as np

from models.pricer import Estimate, Pricer
from schemas import cloudevents
from schemas.cloudevents import Envelope
from schemas.errors import CurrencyError, EventError
from schemas.listing import ListingEnriched
from schemas.suggestion import PriceSuggested, ReuploadRequested
from schemas.topics import PRICE_SUGGESTED, REUPLOAD_REQUESTED
from workers.runtime.metrics import SuggestMetrics
from workers.runtime.processing import Output, Record, Rejected
from workers.runtime.routing import SellerRouter
from workers.suggest.answer import answer
from workers.suggest.fetch import Fetcher
from workers.suggest.preparation import Photo, Preparation

SOURCE = "/secondsight/suggest"

_Position = tuple[str, int, int]  # topic, partition, offset


@dataclass(slots=True)
class _Listing:
    record: Record
    event: ListingEnriched
    envelope: Envelope
    photos: Future[list[Photo]] | None = None  # None until they are begun with


class SuggestProcessor:
    """Answers `listing.enriched` with `price.suggested` or `reupload.requested`.

    It is to be entered before use. It holds no state of a partition: only photos that are
    fetched and decoded ahead, which are fetched again where they are missing.

    Args:
        pricer: the model.
        fetcher: gives the bytes of photos.
        metrics: where answers, photos and seconds are counted.
        decode_threads: how many photos are decoded at once.
        router: sends strays to their seller's partition.
        photos_in_memory: most photos that are fetched and decoded ahead of their batch, and most
            that go through the network at once; a listing's photos stay together.
    """

    def __init__(
        self,
        pricer: Pricer,
        fetcher: Fetcher,
        metrics: SuggestMetrics,
        *,
        decode_threads: int,
        router: SellerRouter,
        photos_in_memory: int = 256,
    ) -> None:
        self._pricer = pricer
        self._metrics = metrics
        self._router = router
        self._photos_in_memory = photos_in_memory
        self._preparation = Preparation(
            pricer.prepare, fetcher, metrics, decode_threads=decode_threads
        )
        self._ahead: dict[_Position, _Listing | Output | Rejected] = {}
        self._given: list[PriceSuggested | ReuploadRequested] = []

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
            if isinstance(item, _Listing) and item.photos is not None:
                item.photos.cancel()

    def arrived(self, records: Sequence[Record]) -> None:
        """Read the events and begin with their photos."""
        self._see(records)
        self._begin_ahead()

    def process(self, records: Sequence[Record]) -> Sequence[Output | Rejected]:
        """Answer each listing, in order; waits for photos that are under way."""
        self._see(records)  # after an abort they come again, without having arrived
        return [result for group in self._groups(records) for result in self._results(group)]

    def skip(self, record: Record) -> Sequence[Output]:  # noqa: ARG002
        """Nothing to note: the positions are the group's."""
        return ()

    def committed(self, written: Mapping[tuple[str, int], int]) -> None:  # noqa: ARG002
        """Count the answers of the batch."""
        for event in self._given:
            if isinstance(event, PriceSuggested):
                self._metrics.suggestions.inc()
            else:
                for reason in event.reasons:
                    self._metrics.reuploads.labels(reason.code.value).inc()
        self._given.clear()

    def aborted(self) -> None:
        """Forget the answers of the batch."""
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
        for currency in (event.currency, event.statistics.currency):
            if currency != self._pricer.currency:
                message = f"the model prices in {self._pricer.currency}, not in {currency}"
                return Rejected(record, "currency", CurrencyError(message))
        return _Listing(record, event, envelope)

    def _begin_ahead(self) -> None:
        listings = [item for item in self._ahead.values() if isinstance(item, _Listing)]
        room = self._photos_in_memory - sum(
            len(listing.event.images) for listing in listings if listing.photos is not None
        )
        for listing in listings:
            if listing.photos is None:
                room -= len(listing.event.images)
                if room < 0:
                    break
                listing.photos = self._begin(listing)

    def _begin(self, listing: _Listing) -> Future[list[Photo]]:
        return self._preparation.start(
            listing.event.images,
            topic=listing.record.topic,
            partition=listing.record.partition,
            offset=listing.record.offset,
            event_id=listing.envelope.id,
        )

    def _groups(self, records: Sequence[Record]) -> Iterator[list[_Listing | Output | Rejected]]:
        """Cut a batch where its photos would be more than may be in memory."""
        group: list[_Listing | Output | Rejected] = []
        photos = 0
        for record in records:
            item = self._ahead[_position(record)]
            added = len(item.event.images) if isinstance(item, _Listing) else 0
            if group and photos + added > self._photos_in_memory:
                yield group
                group, photos = [], 0
            del self._ahead[_position(record)]
            group.append(item)
            photos += added
        yield group

    def _results(self, group: Sequence[_Listing | Output | Rejected]) -> list[Output | Rejected]:
        listings = [item for item in group if isinstance(item, _Listing)]
        begun = [listing.photos or self._begin(listing) for listing in listings]
        photos = [future.result() for future in begun]
        # The photos of the next batch are fetched and decoded while these are in the network.
        self._begin_ahead()
        estimates = self._estimates(listings, photos)
        answers = iter(
            [
                self._output(listing, of_listing, estimate)
                for listing, of_listing, estimate in zip(listings, photos, estimates, strict=True)
            ]
        )
        return [next(answers) if isinstance(item, _Listing) else item for item in group]

    def _estimates(
        self, listings: Sequence[_Listing], photos: Sequence[Sequence[Photo]]
    ) -> list[Estimate | None]:
        """Price the listings that have sound photos, on the mean of those photos' features."""
        sound = [[p.prepared for p in of_listing if p.prepared] for of_listing in photos]
        counts = [len(prepared) for prepared in sound if prepared]
        if not counts:
            return [None] * len(listings)
        with self._metrics.stage_seconds.labels("forward").time():
            features = self._pricer.features([photo for prepared in sound for photo in prepared])
            by_listing = np.split(features, np.cumsum(counts)[:-1])
            priced = [item.event for item, kept in zip(listings, sound, strict=True) if kept]
            estimates = iter(
                self._pricer.estimate(
                    np.stack([of_listing.mean(axis=0) for of_listing in by_listing]),
                    [event.statistics for event in priced],
                    [event.category for event in priced],
                )
            )
        return [next(estimates) if prepared else None for prepared in sound]

    def _output(
        self, listing: _Listing, photos: Sequence[Photo], estimate: Estimate | None
    ) -> Output:
        event = answer(
            listing.event,
            [photo.faults for photo in photos],
            estimate,
            model_version=self._pricer.version,
            range_probability=self._pricer.range_probability,
        )
        self._given.append(event)
        return Output(
            topic=PRICE_SUGGESTED if isinstance(event, PriceSuggested) else REUPLOAD_REQUESTED,
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


def _position(record: Record) -> _Position:
    return record.topic, record.partition, record.offset
