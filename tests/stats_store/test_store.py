import struct
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from schemas.sale import ItemSold, SaleReversed
from stats_store.errors import CorruptRecordError, SaleConflictError
from stats_store.histogram import PriceHistogram
from stats_store.partials import RemoteParts
from stats_store.sales import ReversalOutcome, SaleOutcome, SaleRecord, SaleState
from stats_store.scope import ScopeKey
from stats_store.store import PartitionStore

OpenStore = Callable[[], PartitionStore]

AT = datetime(2024, 5, 1, 12, 0, 0, 250_000, tzinfo=UTC)
AT_MS = 1_714_564_800_250
SALE = ItemSold(
    listing_id="boots-1",
    transaction_id="t-1",
    seller_id="anna",
    category="Shoes > Boots",
    currency="GBP",
    price_minor=4_500,
    sold_at=AT,
)
REVERSAL = SaleReversed(
    listing_id="boots-1", transaction_id="t-1", seller_id="anna", reversed_at=AT
)
ANNA = ScopeKey.seller("GBP", "anna")
ALL = ScopeKey.overall("GBP")


@pytest.fixture
def store(open_store: OpenStore) -> PartitionStore:
    return open_store()


def count(store: PartitionStore, key: ScopeKey = ALL) -> int:
    histogram = store.histogram(key)
    return 0 if histogram is None else histogram.count


def commit(store: PartitionStore, position: int) -> list[tuple[bytes, bytes | None]]:
    changes = store.changes()
    store.commit(position)
    return changes


def histogram_of(*values: int) -> PriceHistogram:
    histogram = PriceHistogram()
    histogram.add_many(values)
    return histogram


def test_a_sale_counts_in_three_scopes_and_once(store: PartitionStore) -> None:
    assert store.apply_sale(SALE) is SaleOutcome.COUNTED
    assert store.apply_sale(SALE) is SaleOutcome.DUPLICATE
    commit(store, 1)
    assert store.apply_sale(SALE) is SaleOutcome.DUPLICATE
    for key in (ANNA, ScopeKey.category("GBP", "Shoes > Boots"), ALL):
        histogram = store.histogram(key)
        assert histogram is not None
        assert (histogram.count, histogram.sum) == (1, 4_500)


def test_one_payment_for_two_listings_is_two_sales(store: PartitionStore) -> None:
    other = SALE.model_copy(update={"listing_id": "boots-2"})
    assert store.apply_sale(other) is SaleOutcome.COUNTED
    assert store.apply_sale(SALE) is SaleOutcome.COUNTED
    assert store.apply_reversal(REVERSAL) is ReversalOutcome.TAKEN_BACK
    assert count(store) == 1


@pytest.mark.parametrize("committed", [True, False])
@pytest.mark.parametrize(
    "change",
    [
        {"price_minor": 4_501},
        {"seller_id": "bert"},
        {"currency": "EUR"},
        {"sold_at": AT + timedelta(milliseconds=1)},
    ],
)
def test_the_same_ids_with_other_content_are_a_conflict(
    store: PartitionStore, change: dict[str, object], committed: bool
) -> None:
    store.apply_sale(SALE)
    before = commit(store, 1) if committed else store.changes()
    with pytest.raises(SaleConflictError, match="t-1"):
        store.apply_sale(SALE.model_copy(update=change))
    assert store.changes() == ([] if committed else before)
    assert count(store) == 1


def test_a_reversal_takes_back_what_was_sold_whoever_it_names(store: PartitionStore) -> None:
    store.apply_sale(SALE)
    wrong_seller = REVERSAL.model_copy(update={"seller_id": "bert"})
    assert store.apply_reversal(wrong_seller) is ReversalOutcome.TAKEN_BACK
    assert count(store, ANNA) == 0
    assert store.apply_reversal(REVERSAL) is ReversalOutcome.DUPLICATE
    assert store.apply_sale(SALE) is SaleOutcome.DUPLICATE
    assert count(store) == 0


def test_a_reversal_before_its_sale_waits_and_annuls_it(store: PartitionStore) -> None:
    assert store.apply_reversal(REVERSAL) is ReversalOutcome.PARKED
    assert store.apply_reversal(REVERSAL) is ReversalOutcome.DUPLICATE
    commit(store, 1)
    assert store.sales_of("boots-1") == [SaleRecord(SaleState.PARKED, 0)]
    assert store.apply_sale(SALE) is SaleOutcome.ANNULLED
    assert store.apply_sale(SALE) is SaleOutcome.DUPLICATE
    assert store.apply_reversal(REVERSAL) is ReversalOutcome.DUPLICATE
    assert count(store) == 0
    with pytest.raises(SaleConflictError):
        store.apply_sale(SALE.model_copy(update={"price_minor": 1}))


def test_sales_of_a_listing_are_found_durable_or_not(store: PartitionStore) -> None:
    store.apply_sale(SALE.model_copy(update={"transaction_id": "t-2"}))
    store.apply_sale(SALE.model_copy(update={"listing_id": "boots-10"}))
    commit(store, 1)
    store.apply_sale(SALE)
    store.apply_reversal(REVERSAL.model_copy(update={"transaction_id": "t-2"}))
    content = (AT_MS, 4_500, "GBP", "anna", "Shoes > Boots")
    assert store.sales_of("boots-1") == [
        SaleRecord(SaleState.SOLD, *content),
        SaleRecord(SaleState.REVERSED, *content),
    ]


def test_a_listing_does_not_see_its_own_sale_wherever_it_was_counted(
    store: PartitionStore,
) -> None:
    store.apply_sale(SALE)
    store.apply_sale(
        SALE.model_copy(update={"listing_id": "x", "price_minor": 90, "category": "Hats"})
    )
    found = store.listing_histograms(
        listing_id="boots-1", seller_id="anna", category="Hats", currency="GBP"
    )
    sums = [None if histogram is None else histogram.sum for histogram in found]
    assert sums == [90, 90, 90]
    assert count(store) == 2


def test_other_partitions_add_to_category_and_overall_only(store: PartitionStore) -> None:
    remote = RemoteParts()
    category = ScopeKey.category("GBP", "Shoes > Boots")
    remote.apply(0, category.to_bytes(), histogram_of(100, 200).to_bytes())
    remote.apply(1, ALL.to_bytes(), histogram_of(300).to_bytes())
    own = histogram_of(4_500).to_bytes()
    remote.apply(store.partition, ALL.to_bytes(), own)  # published before: not to count twice
    store.apply_sale(SALE)

    def sums(listing_id: str) -> list[int | None]:
        found = store.listing_histograms(
            listing_id=listing_id,
            seller_id="anna",
            category="Shoes > Boots",
            currency="GBP",
            remote=remote,
        )
        return [None if histogram is None else histogram.sum for histogram in found]

    assert sums("another") == [4_500, 4_800, 4_800]
    assert sums("boots-1") == [0, 300, 300]
    assert count(store) == 1


def test_currencies_are_kept_apart(store: PartitionStore) -> None:
    store.apply_sale(SALE)
    store.apply_sale(SALE.model_copy(update={"listing_id": "y", "currency": "EUR"}))
    assert count(store, ALL) == count(store, ScopeKey.overall("EUR")) == 1


def test_changes_are_complete_and_empty_after_the_commit(store: PartitionStore) -> None:
    store.apply_sale(SALE)
    store.set_position("transactions", 7)
    store.set_position("listing.created", 2)
    (rules, _), (pack, packed), *rest = store.changes()
    assert rules == b"mrules"
    assert sorted(key for key, _ in rest) == [
        b"hcGBPShoes > Boots",
        b"hgGBP",
        b"hsGBPanna",
        b"mday",
        b"mposition/listing.created",
        b"mposition/transactions",
    ]
    assert pack[:1] == b"b"
    assert b"sboots-1\0t-1" in (packed or b"")
    store.commit(6)
    assert store.changes() == []
    assert store.changelog_position == 6
    assert (store.position("transactions"), store.position("other")) == (7, None)


def test_a_batch_the_changelog_has_not_seen_is_not_committed(store: PartitionStore) -> None:
    store.changes()
    store.apply_sale(SALE)
    with pytest.raises(RuntimeError):
        store.commit(1)


def test_a_histogram_that_lost_its_last_price_is_written_empty(store: PartitionStore) -> None:
    store.apply_sale(SALE)
    commit(store, 1)
    store.apply_reversal(REVERSAL)
    empty = PriceHistogram().to_bytes()
    assert [value for key, value in store.changes() if key[:1] == b"h"] == [empty] * 3


def test_rollback_returns_to_what_is_durable(store: PartitionStore) -> None:
    store.apply_sale(SALE)
    store.set_position("transactions", 1)
    commit(store, 5)
    store.apply_reversal(REVERSAL)
    store.set_position("transactions", 2)
    store.rollback()
    assert store.changes() == []
    assert (count(store), store.position("transactions")) == (1, 1)
    assert store.sales_of("boots-1")[0].state is SaleState.SOLD
    assert store.apply_reversal(REVERSAL) is ReversalOutcome.TAKEN_BACK


def test_parts_taken_in_an_aborted_batch_are_taken_again(store: PartitionStore) -> None:
    store.apply_sale(SALE)
    commit(store, 1)  # not taken in this batch
    one = histogram_of(4_500).to_bytes()
    expected = [(b"cGBPShoes > Boots", one), (b"gGBP", one)]
    store.set_position("transactions", 1)
    assert store.has_unpublished_parts
    assert store.take_unpublished_parts() == expected
    assert not store.has_unpublished_parts
    assert store.take_unpublished_parts() == []
    store.rollback()
    assert store.has_unpublished_parts
    assert store.take_unpublished_parts() == expected
    commit(store, 2)
    store.rollback()
    assert store.take_unpublished_parts() == []


def test_reconciling_publishes_what_differs(store: PartitionStore) -> None:
    store.apply_sale(SALE)
    commit(store, 1)
    store.take_unpublished_parts()
    one = histogram_of(4_500).to_bytes()
    stale = {b"cGBPShoes > Boots": histogram_of(1).to_bytes(), b"gGBP": one, b"cGBPGone": one}
    store.reconcile_parts(stale)
    store.rollback()  # what differs was so before the batch
    empty = PriceHistogram().to_bytes()
    assert store.take_unpublished_parts() == [(b"cGBPGone", empty), (b"cGBPShoes > Boots", one)]


def test_restore_leaves_out_what_is_in_the_store(open_store: OpenStore) -> None:
    store = open_store()
    store.apply_sale(SALE)
    changes = commit(store, 10)
    stale = [(offset, key, b"never read") for offset, (key, _) in enumerate(changes)]
    assert store.restore(stale) == 0
    assert count(store) == 1
    assert store.changelog_position == 10


def test_restore_applies_tombstones_and_stores_the_position(open_store: OpenStore) -> None:
    store = open_store()
    store.apply_sale(SALE)
    store.set_position("transactions", 4)
    changes = commit(store, 10)
    assert count(store, ANNA) == 1
    assert store.restore([(11, b"hsGBPanna", None), (15, b"sboots-1\0t-1", None)]) == 2
    assert store.changelog_position == 16
    assert (count(store, ANNA), count(store)) == (0, 1)
    assert store.sales_of("boots-1") == []
    store.close()
    store = open_store()
    assert (store.changelog_position, store.position("transactions")) == (16, 4)
    assert len(changes) == 7  # the sale, three histograms, the position, the rules, the day


def test_restore_forgets_what_was_not_committed(store: PartitionStore) -> None:
    store.apply_sale(SALE)
    store.restore([(0, b"hgGBP", histogram_of(7).to_bytes())])
    assert store.changes() == []
    assert (count(store), count(store, ANNA)) == (1, 0)


@pytest.mark.parametrize(
    "foreign",
    [
        (b"", b"x"),
        (b"zGBP", b"x"),
        (b"mpartition", b"\7"),
        (b"mchangelog", b"\7"),
        (b"mposition/transactions", b"\3" + bytes(8)),  # another format version
        (b"mposition/transactions", b""),
    ],
)
def test_restore_refuses_foreign_records_whole(
    store: PartitionStore, foreign: tuple[bytes, bytes]
) -> None:
    good = (0, b"hgGBP", histogram_of(7).to_bytes())
    with pytest.raises(CorruptRecordError):
        store.restore([good, (1, *foreign)])
    assert (count(store), store.changelog_position) == (0, 0)


def test_an_empty_part_that_was_never_published_need_not_be(store: PartitionStore) -> None:
    store.apply_sale(SALE)
    store.apply_reversal(REVERSAL)
    store.take_unpublished_parts()
    commit(store, 1)
    store.reconcile_parts({})
    assert store.take_unpublished_parts() == []


def test_a_store_of_the_first_format_is_taken_over(open_store: OpenStore) -> None:
    """There the sales had records of their own in the changelog, and in the store as now."""
    store = open_store()
    store.apply_sale(SALE)
    store.rollback()
    key = b"sboots-1\0t-1"
    value = b"s" + struct.pack("<qq3s", 4_500, AT_MS, b"GBP") + b"anna\0Shoes > Boots"
    one = histogram_of(4_500).to_bytes()
    position = b"\1" + (9).to_bytes(8, "little")
    old = [(b"hgGBP", one), (b"mposition/transactions", position), (key, value)]
    assert store.restore((offset, *entry) for offset, entry in enumerate(old)) == 3
    store._backend.write([(b"mformat", (1).to_bytes(8, "little"))])
    store.close()

    store = open_store()

    assert (count(store), store.position("transactions")) == (1, 9)
    assert store.apply_sale(SALE) is SaleOutcome.DUPLICATE
    assert store._backend.get(b"mformat") == (2).to_bytes(8, "little")
