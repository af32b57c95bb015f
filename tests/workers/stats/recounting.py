"""What sales, reversals and corrections come to: recounted from the sales alone, each time."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field


@dataclass
class Sale:
    """A sale of an item, whatever became of it."""

    price: int
    category: str
    told: set[str]  # categories so far
    refunded: int = 0
    reversed: bool = False


@dataclass
class Recount:
    """The sales of one partition, recounted whenever a number is asked for."""

    sales: dict[int, Sale] = field(default_factory=dict)
    waiting: dict[int, int | None] = field(default_factory=dict)  # refunds; None: of all

    def sell(self, item: int, price: int, category: str) -> str:
        known = self.sales.get(item)
        if known is None:
            refunded = self.waiting.pop(item, 0)
            annulled = refunded is None or refunded >= price
            self.sales[item] = Sale(price, category, {category}, refunded or 0, annulled)
            return "annulled" if annulled else "counted"
        if known.price != price:
            return "conflict"
        if category in known.told:
            return "duplicate"
        known.told.add(category)
        known.category = category
        return "corrected"

    def reverse(self, item: int, refunded: int | None) -> str:
        sale = self.sales.get(item)
        if sale is None:
            before = self.waiting.get(item, 0)
            if before is not None and (refunded is None or refunded > before):
                self.waiting[item] = refunded
            return "parked" if before == 0 else "duplicate"
        if sale.reversed or (refunded is not None and refunded <= sale.refunded):
            return "duplicate"
        if refunded is None or refunded >= sale.price:
            sale.reversed = True
            return "taken_back"
        sale.refunded = refunded
        return "taken_back_in_part"

    def prices(
        self, *, seller: int | None = None, category: str | None = None, without: int | None = None
    ) -> list[int]:
        """Return what was paid, in order of price; an item is of the seller of its parity."""
        return sorted(
            sale.price - sale.refunded
            for item, sale in self.sales.items()
            if not sale.reversed
            and item != without
            and seller in (None, item % 2)
            and category in (None, sale.category)
        )


def quartiles_of(prices: Sequence[int]) -> tuple[int, ...]:
    return tuple(prices[(len(prices) * k + 3) // 4 - 1] for k in (1, 2, 3))


def statistics_of(scopes: Iterable[Sequence[int]]) -> list[tuple[int, ...]]:
    """Return count, mean and quartiles of each scope; the narrower ones come first."""
    found: list[tuple[int, ...]] = []
    numbers: tuple[int, ...] = (0, 0, 0, 0)
    for prices in reversed(list(scopes)):
        if prices:
            half_up = (2 * sum(prices) + len(prices)) // (2 * len(prices))
            numbers = (half_up, *quartiles_of(prices))
        found.insert(0, (len(prices), *numbers))
    return found
