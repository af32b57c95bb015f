"""The judge is judged: each thing that is wrong, made wrong on purpose, is found."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from schemas.dead_letter import HEADER_PREFIX
from schemas.partitioner import partition_for
from schemas.sale import ItemSold
from stats_store.backend.options import RocksDBOptions
from stats_store.histogram import PriceHistogram
from stats_store.scope import ScopeKey
from stats_store.store import PartitionStore
from tests.torture.recount import PARKED, REVERSED, SOLD, Book, Entry, recount, seller_numbers
from tests.torture.stream import BAD, GOOD, LISTINGS, STRAY, TRANSACTIONS
from tests.torture.verdict import (
    DEAD_LETTERS,
    ENRICHED,
    Verdict,
    answers,
    sellers_as_they_stood,
    sent_home,
    set_aside,
    states,
    wrong_parts,
)

FIRST = "2026-03-01T00:00:00Z"
LATER = "2026-03-01T00:00:01Z"
FIRST_MS = 1_772_323_200_000
ANN = next(name for name in ("ann", "bob", "cas", "dee") if partition_for(name.encode(), 2) == 0)


def sale(number: int, price: int, *, seller: str = ANN, **more: Any) -> dict[str, Any]:
    return {
        "transaction_id": f"t{number}",
        "listing_id": f"l{number}",
        "seller_id": seller,
        "category": "A > B",
        "price_minor": price,
        "currency": "GBP",
        "sold_at": FIRST,
        **more,
    }


def reversal(number: int) -> dict[str, Any]:
    ids = {"transaction_id": f"t{number}", "listing_id": f"l{number}", "seller_id": ANN}
    return {**ids, "reversed_at": LATER}


def entry(
    topic: str, offset: int, fields: dict[str, Any], *, mark: bytes = GOOD, partition: int = 0
) -> Entry:
    headers = {"torture": mark, "ce_id": f"e{topic}{offset}".encode()}
    return Entry(topic, partition, offset, b"", json.dumps(fields).encode(), headers)


def test_a_book_counts_once_takes_back_once_and_parks() -> None:
    book = Book()
    assert book.take(sale(1, 500))
    assert book.take(sale(1, 500))
    assert not book.take(sale(1, 501))
    assert book.take(sale(2, 700))
    assert book.take(reversal(2))
    assert book.take(reversal(2))
    assert book.take(reversal(3))
    assert book.take(reversal(4))
    assert book.take(sale(3, 900))
    content = ("GBP", ANN, "A > B")
    assert book.sales == {
        ("l1", "t1"): (SOLD, FIRST_MS, 500, *content),
        ("l2", "t2"): (REVERSED, FIRST_MS, 700, *content),
        ("l3", "t3"): (REVERSED, FIRST_MS, 900, *content),
        ("l4", "t4"): (PARKED,),
    }
    assert book.prices == {
        ("seller", "GBP", ANN): [500],
        ("category", "GBP", "A > B"): [500],
        ("global", "GBP", ""): [500],
    }


def test_numbers_of_a_seller() -> None:
    # ranks 1, 2, 3 of 4; 1000 lies in 1000..1003, 70,000 in 69,632..70,143
    assert seller_numbers([100, 255, 1_000, 70_000]) == (100, 255, 1_002, 17_839, 4)


@pytest.fixture
def inputs() -> list[Entry]:
    return [
        entry(LISTINGS, 0, {"seller_id": ANN}),
        entry(LISTINGS, 1, {"seller_id": ANN}),
        entry(TRANSACTIONS, 0, sale(1, 500)),
        entry(TRANSACTIONS, 1, {}, mark=BAD),
        entry(TRANSACTIONS, 2, sale(1, 501)),
        entry(TRANSACTIONS, 7, sale(9, 800), mark=STRAY, partition=1),
        entry(TRANSACTIONS, 3, sale(9, 800), mark=STRAY)._replace(
            headers={"torture": STRAY, "ce_id": b"etransactions7"}
        ),
    ]


def letter(topic: str, partition: int, offset: int) -> Entry:
    where = {"topic": topic, "partition": str(partition), "offset": str(offset)}
    headers = {HEADER_PREFIX + name: value.encode() for name, value in where.items()}
    return Entry(DEAD_LETTERS[0], partition, offset, b"", b"", headers)


def test_lost_and_double_are_counted(inputs: list[Entry]) -> None:
    expected = recount(inputs, 2)
    enriched = [e._replace(topic=ENRICHED) for e in inputs if e.topic == LISTINGS]
    letters = [letter(TRANSACTIONS, 0, 1), letter(TRANSACTIONS, 0, 2)]

    def found(enriched: list[Entry], letters: list[Entry]) -> tuple[int, int]:
        records = {ENRICHED: enriched, DEAD_LETTERS[0]: letters, DEAD_LETTERS[1]: []}
        verdict = Verdict()
        answers(records, expected, verdict)
        set_aside(records, expected, verdict)
        sent_home(expected, verdict)
        return verdict.lost, verdict.double

    assert found(enriched, letters) == (0, 0)
    assert found(enriched[1:], letters) == (1, 0)
    assert found([*enriched, enriched[0]], letters) == (0, 1)
    assert found([enriched[0], enriched[0]], letters) == (1, 1)
    assert found([enriched[0], enriched[1]._replace(partition=1)], letters) == (1, 1)
    assert found(enriched, letters[:1]) == (1, 0)
    assert found(enriched, [*letters, letter(TRANSACTIONS, 0, 0)]) == (0, 1)


@pytest.mark.parametrize(("copies", "lost_and_double"), [(0, (1, 0)), (1, (0, 0)), (2, (0, 1))])
def test_a_stray_has_to_come_home_once(
    inputs: list[Entry], copies: int, lost_and_double: tuple[int, int]
) -> None:
    verdict = Verdict()
    sent_home(recount(inputs[:-1] + inputs[-1:] * copies, 2), verdict)
    assert (verdict.lost, verdict.double) == lost_and_double


def shown(count: int, price: int = 0) -> Entry:
    numbers = dict.fromkeys(("q1", "q2", "q3", "mean"), price)
    seller = {**numbers, "count": count, "source": "seller" if count else "global"}
    fields = {"listing_id": "x", "seller_id": ANN}
    return entry(ENRICHED, 0, {**fields, "statistics": {"currency": "GBP", "seller": seller}})


def test_a_sellers_numbers_must_have_been_so_at_one_moment_and_never_go_back() -> None:
    sales = [entry(TRANSACTIONS, number, sale(number, 100)) for number in range(3)]

    def problems(*enriched: Entry) -> int:
        verdict = Verdict()
        sellers_as_they_stood(sales, enriched, verdict)
        return len(verdict.problems)

    assert problems(shown(0), shown(2, 100), shown(2, 100), shown(3, 100)) == 0
    assert problems(shown(2, 100), shown(1, 100)) == 1
    assert problems(shown(4, 100)) == 1
    assert problems(shown(2, 101)) == 1


def test_parts_have_to_be_what_was_counted(inputs: list[Entry]) -> None:
    expected = recount(inputs, 2)
    histogram = PriceHistogram()
    histogram.add_many([500, 800])
    keys = [ScopeKey.category("GBP", "A > B").to_bytes(), ScopeKey.overall("GBP").to_bytes()]
    parts = [Entry("", 0, at, key, histogram.to_bytes(), {}) for at, key in enumerate(keys)]
    assert wrong_parts(parts, expected) == []
    assert len(wrong_parts(parts[:1], expected)) == 1
    assert len(wrong_parts([*parts, parts[0]._replace(partition=1)], expected)) == 1
    histogram.add(1)
    assert len(wrong_parts([*parts, parts[0]._replace(value=histogram.to_bytes())], expected)) == 1


def test_a_verdict_is_good_only_when_nothing_is_wrong() -> None:
    assert Verdict().good
    assert not any(
        replace(Verdict(), **wrong).good
        for wrong in ({"lost": 1}, {"double": 1}, {"state_equal": False}, {"problems": ["x"]})
    )


def test_a_store_with_another_state_is_found(inputs: list[Entry], tmp_path: Path) -> None:
    """The store of a worker that counted one sale more than the recount, and its changelog."""

    expected = recount([e for e in inputs if e.partition == 0], 1)

    def counted(folder: Path, *sales: dict[str, Any]) -> list[Entry]:
        store = PartitionStore.open(folder, 0, options=RocksDBOptions())
        for fields in sales:
            store.apply_sale(ItemSold.model_validate(fields))
        store.set_position(TRANSACTIONS, 3)
        changes = store.changes()
        store.commit(len(changes))
        store.close()
        return [Entry("", 0, at, key, value, {}) for at, (key, value) in enumerate(changes)]

    def problems(changelog: list[Entry], folder: Path) -> int:
        verdict = Verdict()
        states(changelog, expected, [folder], verdict)
        assert verdict.state_equal == (not verdict.problems)
        return len(verdict.problems)

    right, wrong = tmp_path / "right" / "0", tmp_path / "wrong" / "0"
    of_right = counted(right, sale(1, 500), sale(9, 800))
    of_wrong = counted(wrong, sale(1, 500), sale(9, 800), sale(2, 100))
    assert problems(of_right, right) == 0
    assert problems(of_right, wrong) > 0
    assert problems(of_wrong, wrong) > 0
