"""A second worker follows the changelog and takes over, on a real broker."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from schemas.partitioner import partition_for
from stats_store.scope import ScopeKey

MakeSystem = Callable[[int], Any]
PARTITIONS = 2
SELLERS = {
    partition_for(name.encode(), PARTITIONS): name
    for name in (f"seller {number}" for number in range(20))
}
SETTINGS = {
    "SECONDSIGHT_STANDBY": "true",
    "SECONDSIGHT_SESSION_TIMEOUT_MS": "2000",
    "SECONDSIGHT_HEALTH_PORT": "0",
}


class Sales:
    """What is sold by one seller of each partition, and a listing of each now and then."""

    def __init__(self, system: Any, events: Any) -> None:
        self._system, self._events = system, events
        self.prices: dict[str, list[int]] = {name: [] for name in SELLERS.values()}
        self._second = 0

    def sell(self, count: int) -> None:
        records = []
        for _ in range(count):
            self._second += 1
            for seller, prices in self.prices.items():
                price = 1_000 + 17 * self._second
                prices.append(price)
                records.append(
                    self._events.sale(f"{seller}{self._second}", self._second, price, seller=seller)
                )
        self._system.publish("transactions", *records)

    def check(self) -> None:
        """A new listing of each seller shows all of the seller's sales, once."""
        self._second += 1
        for seller in self.prices:
            listing = self._events.listing(
                f"{seller}-{self._second}", 10_000 + self._second, seller=seller
            )
            self._system.publish("listing.created", listing)
        names = {f"{seller}-{self._second}": seller for seller in self.prices}
        found: dict[str, list[Any]] = {}

        def all_there() -> bool:
            found.clear()
            for listing in self._system.enriched(0):
                found.setdefault(listing.listing_id, []).append(listing)
            return names.keys() <= found.keys()

        self._system.until(all_there, "a listing was not enriched")
        for name, seller in names.items():
            (listing,) = found[name]
            count, total = len(self.prices[seller]), sum(self.prices[seller])
            shown = listing.statistics.seller
            assert (shown.count, shown.mean) == (count, (2 * total + count) // (2 * count))


def followed(system: Any, worker: int) -> list[int]:
    """The partitions that a worker follows and has read to their end."""
    return [
        partition
        for partition in range(PARTITIONS)
        if system.metric(worker, "standby_lag_records", partition=f"{partition}") == 0
    ]


@pytest.fixture
def sales(make_system: MakeSystem, events: Any) -> tuple[Any, Sales]:
    system = make_system(PARTITIONS)
    return system, Sales(system, events)


def test_the_survivor_of_a_kill_reads_next_to_nothing_and_counts_right(
    sales: tuple[Any, Sales], stores: Any
) -> None:
    system, shop = sales
    first = system.start("a", **SETTINGS)
    system.until(lambda: system.asked(0, "/readyz")[0] == 200, "the first is not ready")
    second = system.start("b", **SETTINGS)
    # Each is given one partition, and follows the other's.
    system.until(
        lambda: (followed(system, 0), followed(system, 1)) in (([0], [1]), ([1], [0])),
        "the two do not follow each other",
    )
    (of_first,) = followed(system, 1)
    for _ in range(8):
        shop.sell(10)
        shop.check()
    system.until(lambda: followed(system, 1) == [of_first], "the second is behind")
    changelog = [r for r in system.read("stats.changelog") if r.partition() == of_first]
    behind = system.metric(1, "restored_records_total")
    assert system.metric(1, "standby_records_total") >= len(changelog)

    first.kill()
    shop.sell(10)
    shop.check()
    assert followed(system, 1) == []
    read = system.metric(1, "restored_records_total") - behind
    assert read < len(changelog) / 10, (read, len(changelog))

    # A worker that comes back is given a partition, which is followed again here.
    system.start("a", **SETTINGS)
    system.until(lambda: len(followed(system, 1)) == 1, "what was handed back is not followed")
    shop.sell(10)
    shop.check()
    for worker in (system.workers[2], second):
        assert worker.stop() == 0
    counted: dict[str, list[tuple[int, int]]] = {name: [] for name in SELLERS.values()}
    for data in ("a", "b"):
        for partition, seller in SELLERS.items():
            store = stores.open_at(system.folder / data / "stats" / f"{partition}", partition)
            prices = store.histogram(ScopeKey.seller("GBP", seller))
            counted[seller].append((prices.count, prices.sum))
            store.close()
    for seller, prices in shop.prices.items():
        assert (len(prices), sum(prices)) in counted[seller]  # the owner's; the other's may lag


def test_a_number_limits_what_is_followed(make_system: MakeSystem) -> None:
    system = make_system(2 * PARTITIONS)
    system.start("a", **(SETTINGS | {"SECONDSIGHT_STANDBY": "false"}))
    system.until(lambda: system.asked(0, "/readyz")[0] == 200, "the first is not ready")
    system.start("b", **(SETTINGS | {"SECONDSIGHT_STANDBY": "1"}))
    seen: set[int] = set()

    def settled() -> bool:
        """Whether the second has its half of the partitions and follows of the other half."""
        numbers = range(2 * PARTITIONS)
        lags = [system.metric(1, "standby_lag_records", partition=f"{n}") for n in numbers]
        seen.add(sum(lag is not None for lag in lags))
        status, text = system.asked(1, "/stats/global?currency=GBP")
        owned = len(json.loads(text)["here"]["state"]) if status == 200 else 0
        return owned == PARTITIONS and lags.count(0) == 1

    system.until(settled, "it follows none")
    assert max(seen) == 1
    assert all(
        system.metric(0, "standby_lag_records", partition=f"{n}") is None
        for n in range(2 * PARTITIONS)
    )
