"""All events of the contract."""

from schemas.base import Event
from schemas.dead_letter import DeadLetter
from schemas.listing import ListingCreated, ListingEnriched
from schemas.model import ModelPublished
from schemas.sale import ItemSold, SaleReversed
from schemas.suggestion import PriceSuggested, ReuploadRequested, SuggestionScored

EVENTS: tuple[type[Event], ...] = (
    ListingCreated,
    ListingEnriched,
    ItemSold,
    SaleReversed,
    PriceSuggested,
    ReuploadRequested,
    SuggestionScored,
    ModelPublished,
    DeadLetter,
)
