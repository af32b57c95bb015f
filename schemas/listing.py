"""A listing as its service announces it, and as the stats worker hands it on."""

from typing import Annotated, ClassVar

from pydantic import FailFast, Field

from schemas.base import MAX_EVENT_BYTES, Category, Event, Id, UtcTime
from schemas.image import Images
from schemas.money import Currency
from schemas.statistics import Statistics

_Label = Annotated[str, Field(min_length=1, max_length=256)]


class ListingCreated(Event):
    """A seller put a thing up for sale. `title` is for people, never an input of a model."""

    event_type: ClassVar[str] = "listing.created"

    listing_id: Id
    seller_id: Id
    category: Category
    currency: Currency
    images: Images
    listed_at: UtcTime
    brand: _Label | None = None
    attributes: Annotated[tuple[_Label, ...], Field(max_length=64), FailFast()] = ()
    specifications: Annotated[dict[_Label, _Label], Field(max_length=64)] = {}
    title: Annotated[str, Field(max_length=1024)] | None = None


class ListingEnriched(ListingCreated):
    """The listing with the sold-price statistics as they stood when it was listed."""

    event_type: ClassVar[str] = "listing.enriched"
    # The largest listing must still fit with its statistics, which take less than 1 KiB.
    max_bytes: ClassVar[int] = MAX_EVENT_BYTES + 4096

    statistics: Statistics
