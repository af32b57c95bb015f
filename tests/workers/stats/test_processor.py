"""What the stats worker does with a batch apart from its results: positions and counts."""

from schemas.topics import TRANSACTIONS
from stats_store.scope import ScopeKey
from tests.workers.stats.partitions import (
    Partitions,
    listing_of,
    record_of,
    reversal_of,
    sale_of,
)
from workers.stats.processor import StatsInput


def test_a_record_that_cannot_be_processed_does_not_come_again() -> None:
    one = Partitions()
    one.commit(one.processor.process([record_of(sale_of(0), 0)]))
    poison = record_of(sale_of(1), 1)
    written = one.processor.skip(poison)
    assert [each.key for each in written] == [b"mposition/" + TRANSACTIONS.encode()]
    one.commit(written)
    one.processor.revoked(0)
    assert one.processor.assigned(0) == {TRANSACTIONS: 2}
    assert one.processor.process([poison]) == []  # from another place, all the same
    counted = one.open(0).histogram(ScopeKey.overall("GBP"))
    assert counted is not None
    assert counted.count == 1


def test_a_skipped_record_whose_transaction_fails_is_not_noted() -> None:
    one = Partitions()
    one.processor.skip(record_of(sale_of(0), 0))
    one.processor.aborted()
    one.processor.revoked(0)
    assert one.processor.assigned(0) == {}


def test_what_is_counted_is_what_was_committed() -> None:
    one = Partitions()

    def counted(outcome: str) -> float | None:
        return one.registry.get_sample_value("secondsight_sales_total", {"outcome": outcome})

    def enriched() -> float | None:
        return one.registry.get_sample_value("secondsight_listings_enriched_total")

    events: list[StatsInput] = [
        *(sale_of(0), sale_of(0), sale_of(1)),
        *(reversal_of(1), reversal_of(2)),
        listing_of(3),
    ]
    batch = [record_of(event, offset) for offset, event in enumerate(events)]
    one.processor.process(batch)
    one.processor.aborted()
    assert counted("counted") is None
    assert enriched() == 0
    one.commit(one.processor.process(batch))
    assert [counted(name) for name in ("counted", "duplicate", "parked")] == [2, 1, 1]
    assert counted("taken_back") == 1
    assert enriched() == 1
