"""Bad events, put among the live ones to show what becomes of them."""

import base64
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

from PIL import Image, ImageDraw

from schemas.cloudevents import encode
from schemas.image import ImageReference
from schemas.listing import ListingCreated
from schemas.sale import ItemSold
from schemas.topics import LISTING_CREATED, TRANSACTIONS
from workers.demo.publisher import SOURCE, Outgoing

DEAD_LETTERS = 3
"""How many of the planted records cannot be read, and so become dead letters."""

REUPLOADS = 2
"""How many are listings whose photo cannot be used."""


def with_planted(
    live: Sequence[Outgoing], *, category: str, currency: str, folder: Path
) -> list[Outgoing]:
    """Return the live records with five bad ones spread among them.

    A sale that is not JSON, a listing without currency and with a wrong photo list, a listing
    without CloudEvents headers; a listing with a photo that is not there, and one with a photo
    that breaks off in the middle.

    Args:
        live: at least one record; a bad one takes its time from the record before it.
        category: of the planted listings.
        currency: of the planted listings.
        folder: where photos may lie.
    """
    records: list[Outgoing] = []
    bad = _bad(category, currency, folder)
    every = len(live) // (DEAD_LETTERS + REUPLOADS + 1) or 1
    for number, record in enumerate(live, start=1):
        records.append(record)
        if number % every == 0 and (planted := next(bad, None)) is not None:
            records.append(_at(planted, record.timestamp_ms))
    records += [_at(planted, live[-1].timestamp_ms) for planted in bad]
    return records


def _bad(category: str, currency: str, folder: Path) -> Iterator[Outgoing]:
    moment = datetime(1970, 1, 1, tzinfo=UTC)

    def listing(name: str, uri: str) -> ListingCreated:
        return ListingCreated(
            listing_id=f"planted-{name}",
            seller_id="planted-seller",
            category=category,
            currency=currency,
            images=(ImageReference(uri=uri),),
            listed_at=moment,
            title=f"planted: {name}",
        )

    def record(event: ListingCreated | ItemSold, name: str, topic: str) -> Outgoing:
        headers = encode(event, event_id=f"planted-{name}", source=SOURCE, time=moment)
        return Outgoing(topic, event.seller_id.encode(), event.to_bytes(), headers, 0)

    sale = ItemSold(
        transaction_id="planted-not-json",
        listing_id="planted-not-json",
        seller_id="planted-seller",
        category=category,
        price_minor=1_000,
        currency=currency,
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
    yield replace(record(broken, "no-headers", LISTING_CREATED), headers=[])


def _at(record: Outgoing, timestamp_ms: int) -> Outgoing:
    return replace(record, timestamp_ms=timestamp_ms)


def _broken_photo() -> str:
    image = Image.radial_gradient("L").resize((400, 400)).convert("RGB")
    ImageDraw.Draw(image).rectangle((90, 120, 310, 280), outline="navy", width=12)
    whole = BytesIO()
    image.save(whole, "JPEG", quality=85)
    half = whole.getvalue()[: whole.tell() // 2]
    return "data:image/jpeg;base64," + base64.b64encode(half).decode()
