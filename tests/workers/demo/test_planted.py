from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from schemas.cloudevents import decode
from schemas.errors import SchemaError
from schemas.image import ImageReference
from schemas.listing import ListingCreated
from schemas.sale import ItemSold
from workers.demo.planted import ENDINGS, with_planted
from workers.replay.sources import BY_KEY, Publication

LIKE = ListingCreated(
    listing_id="l",
    seller_id="s",
    category="Toys",
    currency="GBP",
    images=(ImageReference(uri="file:///photo.jpg"),),
    listed_at=datetime(2026, 3, 1, tzinfo=UTC),
)


@pytest.mark.parametrize("number", [1, 4, 60])
def test_each_bad_record_is_put_among_the_live_ones_once(number: int, tmp_path: Path) -> None:
    first = Publication("live", "listing.created", BY_KEY, b"s", b"{}", [], 0, 0)
    live = [replace(first, timestamp_ms=at, due_ms=at) for at in range(number)]

    records = with_planted(live, like=LIKE, folder=tmp_path)

    names = {dict(record.headers).get("planted"): record for record in records}
    assert len(records) == number + len(ENDINGS)
    assert names.keys() == {None, *(name.encode() for name in ENDINGS)}
    assert [record.due_ms for record in records] == sorted(record.due_ms for record in records)
    for name, ending in ENDINGS.items():
        record = names[name.encode()]
        if ending.topic == "reupload.requested":
            event, _ = decode(record.headers, record.value, (ListingCreated,))
            assert isinstance(event, ListingCreated)
            assert (event.category, event.currency) == ("Toys", "GBP")
        else:
            assert ending.topic == record.topic + ".dead-letter"
            with pytest.raises(SchemaError):
                decode(record.headers, record.value, (ListingCreated, ItemSold))
    assert [name for name, _ in names[b"no-headers"].headers] == ["planted"]
