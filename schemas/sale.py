"""Sales and their reversals, the two events of the topic `transactions`."""

from typing import ClassVar

from schemas.base import Category, Event, Id, UtcTime
from schemas.money import Currency, PriceMinor


class ItemSold(Event):
    """A thing was sold and paid for. `(listing_id, transaction_id)` names the sale."""

    event_type: ClassVar[str] = "item.sold"

    transaction_id: Id
    listing_id: Id
    seller_id: Id
    category: Category
    price_minor: PriceMinor
    currency: Currency
    sold_at: UtcTime


class SaleReversed(Event):
    """A sale was taken back (refund, charge-back, cancellation); it may arrive before the sale.

    `refunded_minor` tells of a refund in part: what has been paid back of the price so far, in all,
    in minor units of the sale's currency. The thing then counts as sold for the rest. Without it
    the whole sale is taken back.
    """

    event_type: ClassVar[str] = "sale.reversed"

    transaction_id: Id
    listing_id: Id
    seller_id: Id
    reversed_at: UtcTime
    refunded_minor: PriceMinor | None = None
