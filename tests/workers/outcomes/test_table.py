"""The table's own store: order of keys, and how far it is said to go."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import rocksdict
from faust.types import TP

from workers.outcomes.ledger import Change, Subject, due_before, due_change, facts_of, listings_of
from workers.outcomes.table import TableLedger


class Table:
    """What a Faust table is to the ledger: a RocksDB a partition, and a position in each."""

    changelog_topic_name = "changelog"

    def __init__(self, folder: Path) -> None:
        self.data = self
        self.dbs = {
            number: rocksdict.Rdict(str(folder / str(number)), rocksdict.Options(raw_mode=True))
            for number in range(2)
        }
        self.positions: dict[int, int] = {}

    def _db_for_partition(self, partition: int) -> Any:
        return self.dbs[partition]

    def persisted_offset(self, place: TP) -> int | None:
        assert place.topic == "changelog"
        return self.positions.get(place.partition)

    def set_persisted_offset(self, place: TP, offset: int) -> None:
        self.positions[place.partition] = offset


@pytest.fixture
def table(tmp_path: Path) -> Iterator[Table]:
    table = Table(tmp_path)
    yield table
    for db in table.dbs.values():
        db.close()


def test_facts_of_a_listing_are_found_and_no_others(table: Table) -> None:
    ledger = TableLedger(table)
    one, longer, other = Subject("s", "l"), Subject("s", "l2"), Subject("s2", "l")
    ledger.write(
        [
            *(Change(0, subject.prefix + b"a", b"1") for subject in (one, longer, other)),
            Change(0, one.prefix + b"b", b"2"),
            Change(1, one.prefix + b"c", b"3"),
            Change(0, b"__faust\0offset__", b"17"),
        ]
    )
    assert facts_of(ledger, 0, one) == {b"a": b"1", b"b": b"2"}
    assert facts_of(ledger, 1, one) == {b"c": b"3"}
    assert facts_of(ledger, 0, Subject("s", "none")) == {}
    ledger.write([Change(0, one.prefix + b"a", None)])
    assert facts_of(ledger, 0, one) == {b"b": b"2"}


def test_listings_are_found_by_the_day_on_which_they_are_due(table: Table) -> None:
    ledger = TableLedger(table)
    subjects = {day: Subject("säller", f"l{day}") for day in (3, 300, 70_000)}
    ledger.write([due_change(0, day, subject) for day, subject in subjects.items()])
    ledger.write([Change(0, Subject("s", "x").prefix + b"l", b"1")])
    assert [due.subject for due in due_before(ledger, 0, 300)] == [subjects[3]]
    assert {due.day: due.subject for due in due_before(ledger, 0, 70_001)} == subjects
    assert listings_of(ledger, 0) == 3
    for due in list(due_before(ledger, 0, 301)):
        ledger.write([Change(0, due.key, None)])
    assert listings_of(ledger, 0) == 1


def test_the_store_goes_only_as_far_as_nobody_else_has_written(table: Table) -> None:
    ledger = TableLedger(table)
    ledger.assigned(0)
    ledger.acknowledged(0, [0, 1, 2])
    assert table.positions == {0: 2}
    ledger.acknowledged(0, [5, 6])  # a successor has written 3 and 4
    ledger.acknowledged(0, [7])
    assert table.positions == {0: 2}
    ledger.revoked(0)
    ledger.acknowledged(0, [3])  # not ours any more
    assert table.positions == {0: 2}
    ledger.assigned(0)  # Faust has read 3 to 7
    table.positions[0] = 7
    ledger.assigned(0)
    ledger.acknowledged(0, [8, 10])  # another's between them
    assert table.positions == {0: 7}
