"""What the stats worker does with a batch apart from its results: positions and counts."""

from schemas.topics import LISTING_CREATED, TRANSACTIONS
from stats_store.scope import ScopeKey
from tests.workers.stats.events import Events
from tests.workers.stats.partitions import Partitions, record_of

events = Events()


def test_a_record_that_cannot_be_processed_does_not_come_again() -> None:
    one = Partitions()
    one.commit(one.processor.process([record_of(events.sale(0, 0, 100), 0, topic=TRANSACTIONS)]))
    poison = record_of(events.sale(1, 1, 100), 1, topic=TRANSACTIONS)

    def reopened() -> dict[str, int]:
        one.processor.revoked(0)
        return dict(one.processor.assigned(0))

    written = one.processor.skip(poison)
    assert [each.key for each in written] == [b"mposition/" + TRANSACTIONS.encode()]
    one.processor.aborted()  # the transaction of its dead letter did not stand
    assert reopened() == {TRANSACTIONS: 1}

    one.commit(one.processor.skip(poison))
    assert reopened() == {TRANSACTIONS: 2}
    assert one.processor.process([poison]) == []  # from another place, all the same
    counted = one.open(0).histogram(ScopeKey.overall("GBP"))
    assert counted is not None
    assert counted.count == 1


def test_what_is_counted_is_what_was_committed() -> None:
    one = Partitions()

    def counted(outcome: str) -> float | None:
        return one.registry.get_sample_value("secondsight_sales_total", {"outcome": outcome})

    def enriched() -> float | None:
        return one.registry.get_sample_value("secondsight_listings_enriched_total")

    payments = [
        *(events.sale(0, 0, 100), events.sale(0, 0, 100), events.sale(1, 1, 100)),
        *(events.reversal(1, 2), events.reversal(2, 3)),
    ]
    batch = [record_of(made, at, topic=TRANSACTIONS) for at, made in enumerate(payments)]
    batch.append(record_of(events.listing("new", 4), 0, topic=LISTING_CREATED))
    one.processor.process(batch)
    one.processor.aborted()
    assert counted("counted") is None
    assert enriched() == 0
    one.commit(one.processor.process(batch))
    assert [counted(name) for name in ("counted", "duplicate", "parked")] == [2, 1, 1]
    assert counted("taken_back") == 1
    assert enriched() == 1
