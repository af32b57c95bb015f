"""Records of the contract for the stats worker."""

from datetime import UTC, datetime, timedelta
from typing import Any

from schemas.base import Event
from schemas.cloudevents import encode
from schemas.image import ImageReference
from schemas.listing import ListingCreated
from schemas.sale import ItemSold, SaleReversed

START = datetime(2026, 3, 1, tzinfo=UTC)


class Events:
    """Records of the contract, second by second from START."""

    @staticmethod
    def at(second: float) -> datetime:
        return START + timedelta(seconds=second)

    def record(self, event: Event, second: float, *, key: str, name: str) -> dict[str, Any]:
        return {
            "key": key.encode(),
            "value": event.to_bytes(),
            "headers": encode(event, event_id=name, source="/test", time=self.at(second)),
            "timestamp": int(self.at(second).timestamp() * 1000),
        }

    def sale(
        self,
        number: int | str,
        second: float,
        price: int,
        *,
        seller: str = "ann",
        category: str = "A > B",
        currency: str = "GBP",
        listing: str | None = None,
        told: float | None = None,
    ) -> dict[str, Any]:
        """A sale of that second, told of then if no other second is given."""
        event = ItemSold(
            transaction_id=f"t{number}",
            listing_id=listing or f"sold{number}",
            seller_id=seller,
            category=category,
            price_minor=price,
            currency=currency,
            sold_at=self.at(second),
        )
        return self.record(
            event, second if told is None else told, key=seller, name=f"sale-{number}"
        )

    def reversal(
        self,
        number: int | str,
        second: float,
        *,
        seller: str = "ann",
        listing: str | None = None,
        refunded: int | None = None,
    ) -> dict[str, Any]:
        event = SaleReversed(
            transaction_id=f"t{number}",
            listing_id=listing or f"sold{number}",
            seller_id=seller,
            reversed_at=self.at(second),
            refunded_minor=refunded,
        )
        return self.record(event, second, key=seller, name=f"reversal-{number}")

    def listing(
        self,
        name: str,
        second: float,
        *,
        seller: str = "ann",
        category: str = "A > B",
        currency: str = "GBP",
    ) -> dict[str, Any]:
        event = ListingCreated(
            listing_id=name,
            seller_id=seller,
            category=category,
            currency=currency,
            images=(ImageReference(uri="https://photos.example.org/1.jpg"),),
            listed_at=self.at(second),
        )
        return self.record(event, second, key=seller, name=f"listing-{name}")
