"""Bad events, put among the live ones to show what becomes of them."""

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

from PIL import Image, ImageDraw

from schemas.cloudevents import encode
from schemas.dead_letter import dead_letter_topic
from schemas.image import ImageReference
from schemas.listing import ListingCreated
from schemas.sale import ItemSold
from schemas.suggestion import ReuploadReason
from schemas.topics import LISTING_CREATED, REUPLOAD_REQUESTED, TRANSACTIONS
from workers.demo.records import SOURCE
from workers.replay.sources import BY_KEY, Publication

PLANTED_HEADER = "planted"
"""The header that names a planted record; it is no header of CloudEvents, and nothing reads it."""


@dataclass(frozen=True, slots=True)
class Ending:
    """Where a planted record has to end.

    Attributes:
        topic: of the answer or the dead letter.
        reason: the leading reason of a request for other photos, the stage of a dead letter.
    """

    topic: str
    reason: str


ENDINGS: Mapping[str, Ending] = {
    "not-json": Ending(dead_letter_topic(TRANSACTIONS), "decode"),
    "missing-photo": Ending(REUPLOAD_REQUESTED, ReuploadReason.UNAVAILABLE),
    "wrong-schema": Ending(dead_letter_topic(LISTING_CREATED), "decode"),
    "broken-photo": Ending(REUPLOAD_REQUESTED, ReuploadReason.UNREADABLE),
    "no-headers": Ending(dead_letter_topic(LISTING_CREATED), "decode"),
}
"""How each planted record ends, by its name."""


def with_planted(
    live: Sequence[Publication], *, like: ListingCreated, folder: Path
) -> list[Publication]:
    """Return the live records with five bad ones spread among them.

    A sale that is not JSON, a listing without currency and with a wrong photo list, a listing
    without CloudEvents headers; a listing with a photo that is not there, and one with a photo
    that breaks off in the middle.

    Args:
        live: at least one record; a bad one takes its time from the record before it.
        like: a listing of the category and currency that the planted ones have.
        folder: where photos may lie.
    """
    records: list[Publication] = []
    bad = _bad(like, folder)
    every = len(live) // (len(ENDINGS) + 1) or 1
    for number, record in enumerate(live, start=1):
        records.append(record)
        if number % every == 0 and (planted := next(bad, None)) is not None:
            records.append(_at(planted, record))
    records += [_at(planted, live[-1]) for planted in bad]
    return records


def _bad(like: ListingCreated, folder: Path) -> Iterator[Publication]:
    moment = datetime(1970, 1, 1, tzinfo=UTC)

    def listing(name: str, uri: str) -> ListingCreated:
        return ListingCreated(
            listing_id=f"planted-{name}",
            seller_id="planted-seller",
            category=like.category,
            currency=like.currency,
            images=(ImageReference(uri=uri),),
            listed_at=moment,
            title=f"planted: {name}",
        )

    def record(event: ListingCreated | ItemSold, name: str, topic: str) -> Publication:
        headers = encode(event, event_id=f"planted-{name}", source=SOURCE, time=moment)
        return Publication(
            where=f"planted {name}",
            topic=topic,
            partition=BY_KEY,
            key=event.seller_id.encode(),
            value=event.to_bytes(),
            headers=[*headers, (PLANTED_HEADER, name.encode())],
            timestamp_ms=0,
            due_ms=0,
        )

    sale = ItemSold(
        transaction_id="planted-not-json",
        listing_id="planted-not-json",
        seller_id="planted-seller",
        category=like.category,
        price_minor=1_000,
        currency=like.currency,
        sold_at=moment,
    )
    nowhere = listing("missing-photo", (folder / "images" / "planted-nowhere.jpg").as_uri())
    broken = listing("broken-photo", _broken_photo())
    yield replace(record(sale, "not-json", TRANSACTIONS), value=b'{"transaction_id": planted')
    yield record(nowhere, "missing-photo", LISTING_CREATED)
    yield replace(
        record(nowhere, "wrong-schema", LISTING_CREATED),
        value=b'{"listing_id": "planted-wrong-schema", "seller_id": 7, "images": "photo.jpg"}',
    )
    yield record(broken, "broken-photo", LISTING_CREATED)
    bare = record(broken, "no-headers", LISTING_CREATED)
    yield replace(bare, headers=bare.headers[-1:])


def _at(planted: Publication, before: Publication) -> Publication:
    return replace(planted, timestamp_ms=before.timestamp_ms, due_ms=before.due_ms)


def _broken_photo() -> str:
    image = Image.radial_gradient("L").resize((400, 400)).convert("RGB")
    ImageDraw.Draw(image).rectangle((90, 120, 310, 280), outline="navy", width=12)
    whole = BytesIO()
    image.save(whole, "JPEG", quality=85)
    half = whole.getvalue()[: whole.tell() // 2]
    return "data:image/jpeg;base64," + base64.b64encode(half).decode()
