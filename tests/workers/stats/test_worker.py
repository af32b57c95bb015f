"""The stats worker on a real broker against a recount with plain lists."""

import json
import random
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from schemas.listing import ListingEnriched
from schemas.partitioner import partition_for

MakeSystem = Callable[[int], Any]


def bucket_middle(price: int) -> int:
    """The documented rounding: exact below 256, else the middle of one of 128 an octave."""
    if price < 256:
        return price
    width = 1 << (price.bit_length() - 8)
    return price // width * width + width // 2


def quartiles_and_mean(prices: list[int]) -> tuple[int, int, int, int]:
    ordered = sorted(prices)
    ranks = [-(-len(ordered) * quarter // 4) for quarter in (1, 2, 3)]  # ceil(q * n)
    middle = [bucket_middle(ordered[rank - 1]) for rank in ranks]
    return middle[0], middle[1], middle[2], (2 * sum(ordered) + len(ordered)) // (2 * len(ordered))


class Recount:
    """Prices by scope, kept as lists."""

    def __init__(self) -> None:
        self.prices: dict[tuple[str, str], list[int]] = defaultdict(list)

    def sold(self, seller: str, category: str, price: int) -> None:
        for scope in (("seller", seller), ("category", category), ("global", "")):
            self.prices[scope].append(price)

    def check(self, listing: ListingEnriched) -> None:
        scopes = [
            ("seller", listing.seller_id),
            ("category", listing.category),
            ("global", ""),
        ]
        got = [
            listing.statistics.seller,
            listing.statistics.category,
            listing.statistics.overall,
        ]
        for place, (scope, statistics) in enumerate(zip(scopes, got, strict=True)):
            assert statistics.count == len(self.prices[scope])
            source = next((s for s in scopes[place:] if self.prices[s]), None)
            expected = quartiles_and_mean(self.prices[source]) if source else (0, 0, 0, 0)
            assert (statistics.q1, statistics.q2, statistics.q3, statistics.mean) == expected
            assert statistics.source == (source[0] if source else "none")


def test_listings_carry_the_statistics_of_just_before_them(
    make_system: MakeSystem, events: Any
) -> None:
    system, recount, draw = make_system(1), Recount(), random.Random(5)
    transactions, listings = [], []
    expected: dict[str, Recount] = {}
    for second in range(400):
        seller, category = draw.choice("abc"), f"cat {draw.randrange(3)}"
        if second % 8 == 0:
            name = f"new{second}"
            listings.append(events.listing(name, second, seller=seller, category=category))
            expected[name] = Recount()
            for scope, prices in recount.prices.items():
                expected[name].prices[scope] = list(prices)
        else:
            price = draw.randrange(1, 10**6)
            sale = events.sale(second, second, price, seller=seller, category=category)
            transactions += [sale] * draw.choice([1, 1, 1, 2])  # some come twice
            recount.sold(seller, category, price)
    system.publish("transactions", *transactions)
    system.publish("listing.created", *listings)
    system.start()
    enriched = system.enriched(len(listings))
    assert [listing.listing_id for listing in enriched] == list(expected)
    for listing in enriched:
        expected[listing.listing_id].check(listing)
    assert system.workers[0].stop() == 0


def test_a_killed_worker_restores_from_the_changelog_and_counts_nothing_twice(
    make_system: MakeSystem, events: Any
) -> None:
    system, recount = make_system(1), Recount()

    def sell(first: int, count: int) -> None:
        sales = [events.sale(i, i, 100 + 7 * i) for i in range(first, first + count)]
        system.publish("transactions", *sales)
        for i in range(first, first + count):
            recount.sold("ann", "A > B", 100 + 7 * i)

    worker = system.start()
    sell(0, 200)
    system.publish("listing.created", events.listing("one", 1_000))
    (one,) = system.enriched(1)
    recount.check(one)
    worker.kill()
    sell(2_000, 200)
    system.publish("listing.created", events.listing("two", 3_000))
    worker = system.start()  # its own state
    two = system.enriched(2)[1]
    recount.check(two)
    worker.kill()
    system.publish("listing.created", events.listing("three", 4_000))
    system.start(data="a new machine")
    three = system.enriched(3)[2]
    recount.check(three)
    assert len(system.read("listing.enriched")) == 3
    assert '"records": 0' not in system.workers[-1].logged().splitlines()[-1]


def test_refunds_also_before_their_sale_and_a_listings_own_sale(
    make_system: MakeSystem, events: Any
) -> None:
    system, recount = make_system(1), Recount()
    system.publish(
        "transactions",
        events.sale(1, 1, 1_000),
        events.sale(2, 2, 5_000),
        events.reversal(2, 3),
        events.reversal(2, 4),  # twice
        events.reversal(3, 5),  # before its sale
        events.sale(3, 6, 9_000),
        events.sale(4, 7, 300, listing="late"),  # the sale of a listing announced after it
        events.sale(5, 8, 2_000),
        events.sale(6, 9, 70, currency="JPY"),  # currencies never mix
    )
    system.publish("listing.created", events.listing("late", 20), events.listing("other", 21))
    for price in (1_000, 2_000):
        recount.sold("ann", "A > B", price)
    system.start()
    late, other = system.enriched(2)
    recount.check(late)
    recount.sold("ann", "A > B", 300)
    recount.check(other)


def test_bad_records_become_dead_letters_and_the_worker_goes_on(
    make_system: MakeSystem, events: Any
) -> None:
    system = make_system(1)
    good: dict[str, Any] = events.sale(1, 1, 1_000)

    def broken(**changes: Any) -> dict[str, Any]:
        return good | changes

    def field(name: str, value: bytes) -> dict[str, Any]:
        changed = json.loads(good["value"]) | {name: json.loads(value)}
        return broken(value=json.dumps(changed).encode())

    bad = [
        broken(value=b""),
        broken(value=None),
        broken(value=b"not json"),
        broken(value=b"\xff" * 2**20),
        broken(value=b'{"listing_id": 3}'),
        broken(headers=[]),
        broken(headers=[(k, v) for k, v in good["headers"] if k != "ce_type"]),
        broken(
            headers=[
                (k, v.replace(b".v1", b".v9") if k == "ce_type" else v) for k, v in good["headers"]
            ]
        ),
        field("price_minor", b"-5"),
        field("price_minor", b"0"),
        field("price_minor", b"1" + b"0" * 30),
        field("price_minor", b"12.5"),
        field("currency", b'"XXX"'),
        field("sold_at", b'"2026-03-01T00:00:00"'),
        events.sale("future", 10**9, 1_000) | {"timestamp": good["timestamp"]},
        events.sale(1, 1, 1_001, listing="sold1"),  # known ids, another price
    ]
    letters = "transactions.dead-letter"
    system.publish("transactions", good, *bad, events.sale(2, 50, 3_000))
    system.publish("listing.created", events.listing("new", 60))
    system.start()
    (listing,) = system.enriched(1)
    assert listing.statistics.seller.count == 2
    found = system.read(letters)
    assert [letter.value() for letter in found] == [record["value"] for record in bad]
    reasons = [dict(letter.headers() or [])["dead_letter_message"].decode() for letter in found]
    for reason, part in zip(
        reasons,
        [
            "empty",
            "empty",
            "JSON",
            "",
            "transaction_id",
            "ce_type",
            "ce_type",
            "v1",
            "price_minor",
            "price_minor",
            "price_minor",
            "price_minor",
            "currency",
            "sold_at",
            "ahead",
            "otherwise",
        ],
        strict=True,
    ):
        assert part in reason, (part, reason)


def test_partitions_add_up_once_quiet_and_strays_are_sent_home(
    make_system: MakeSystem, events: Any
) -> None:
    system, recount, partitions = make_system(3), Recount(), 3
    sellers = [f"seller {i}" for i in range(12)]
    sales = []
    for i in range(120):
        seller = sellers[i % 12]
        sale = events.sale(i, i, 50 + 3 * i, seller=seller, category="one")
        if i % 10 == 0:  # lies in another partition than its seller's
            sale["partition"] = (partition_for(seller.encode(), partitions) + 1) % partitions
        sales.append(sale)
        recount.sold(seller, "one", 50 + 3 * i)
    system.publish("transactions", *sales)
    first, _ = system.start("a"), system.start("b")
    asked = 0
    while True:  # a listing after another, until the parts of the other partitions are there
        name = f"probe {asked}"
        system.publish("listing.created", events.listing(name, 1_000 + asked, seller=sellers[0]))
        asked += 1
        listing = next(x for x in system.enriched(asked) if x.listing_id == name)
        if listing.statistics.overall.count >= 120:
            break
        assert asked < 200, listing.statistics
    listing = listing.model_copy(update={"category": "one"})
    count = listing.statistics.overall
    assert count.count == 120
    assert (count.q1, count.q2, count.q3, count.mean) == quartiles_and_mean(
        recount.prices["global", ""]
    )
    assert listing.statistics.seller.count == len(recount.prices["seller", sellers[0]])
    first.kill()  # the other one takes all over, and no part is counted twice
    system.publish("listing.created", events.listing("last", 5_000, seller=sellers[1]))
    last = next(x for x in system.enriched(asked + 1) if x.listing_id == "last")
    assert last.statistics.overall.count == 120


def test_a_state_ahead_of_its_changelog_is_refused(make_system: MakeSystem, events: Any) -> None:
    system = make_system(1)
    worker = system.start()
    system.publish("transactions", events.sale(1, 1, 1_000))
    system.publish("listing.created", events.listing("one", 2))
    system.enriched(1)
    assert worker.stop() == 0
    system.recreate("stats.changelog")
    again = system.start()
    assert again.wait() == 3
    assert "they do not belong together" in again.logged()


def test_missing_topics_are_refused(make_system: MakeSystem) -> None:
    worker = make_system(1).start(SECONDSIGHT_TOPIC_PREFIX="there-are-none.")
    assert worker.wait() == 3
    assert "secondsight topics" in worker.logged()


def test_workers_that_share_a_folder_hand_their_stores_over(
    make_system: MakeSystem, events: Any
) -> None:
    system = make_system(2)
    system.start()
    sellers = {partition_for(name.encode(), 2): name for name in ("a", "b", "c", "d", "e")}
    for count, seller in enumerate((sellers[0], sellers[1]), 1):
        system.publish("listing.created", events.listing(f"by {seller}", count, seller=seller))
        system.enriched(count)
    # It is handed a partition whose store the first has to close before it can be opened.
    second = system.start()
    system.publish("listing.created", events.listing("third", 3, seller=sellers[0]))
    system.publish("listing.created", events.listing("fourth", 4, seller=sellers[1]))
    assert len(system.enriched(4)) == 4
    assert second.running
