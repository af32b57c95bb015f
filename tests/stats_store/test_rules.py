"""Windows, caps, corrections, refunds in part and forgetting, one by one."""

from datetime import UTC, datetime

import pytest

from stats_store.errors import LateSaleError, SaleConflictError, StoreMismatchError
from stats_store.partials import DAY_NAME, RemoteParts
from stats_store.rules import Rules
from stats_store.sales import ReversalOutcome, SaleOutcome, SaleState
from tests.stats_store.logs import ALL, ANNA, START_DAY, A, B, Log, encoded, prices, reversal, sale


def test_a_sale_leaves_the_window_as_later_days_come() -> None:
    store = Log(Rules(window_days=7)).store
    store.apply_sale(sale("l1", day=0, price=100))
    store.apply_sale(sale("l2", day=6, price=200))
    assert prices(store, ALL) == encoded(100, 200)
    store.apply_sale(sale("l3", day=7, price=300))
    assert prices(store, ALL) == prices(store, A) == prices(store, ANNA) == encoded(200, 300)


def test_a_late_sale_counts_on_its_own_day_or_not_at_all() -> None:
    store = Log(Rules(window_days=7)).store
    store.apply_sale(sale("l1", day=10, price=100))
    assert store.apply_sale(sale("l2", day=4, price=200)) is SaleOutcome.COUNTED
    assert store.apply_sale(sale("l3", day=3, price=300)) is SaleOutcome.COUNTED
    assert prices(store, ALL) == encoded(100, 200)
    assert store.apply_sale(sale("l3", day=3, price=300)) is SaleOutcome.DUPLICATE
    assert store.apply_reversal(reversal("l3")) is ReversalOutcome.TAKEN_BACK
    assert store.apply_reversal(reversal("l2")) is ReversalOutcome.TAKEN_BACK
    assert prices(store, ALL) == encoded(100)


def test_days_that_have_left_the_window_are_deleted_here_and_in_the_changelog() -> None:
    log = Log(Rules(window_days=2))
    for day in range(20):
        log.store.apply_sale(sale(f"l{day}", day=day))
        log.commit()
    log.store.advance(START_DAY + 40)
    log.commit()
    log.commit()
    assert [key for key in log.entries if key.startswith(b"h")] == []
    latest = {key: value for _, key, value in log.changelog}
    assert {value for key, value in latest.items() if key.startswith(b"h")} == {None}


def test_a_quiet_partition_hears_of_the_day_from_the_others() -> None:
    busy, quiet = Log(Rules(window_days=7)), Log(Rules(window_days=7))
    quiet.store.apply_sale(sale("l1", day=0))
    quiet.commit()
    busy.store.apply_sale(sale("l2", day=30))
    busy.commit()
    parts = RemoteParts()
    for name, value in busy.published.items():
        parts.apply(1, name, value)
    assert parts.latest_day == START_DAY + 30
    quiet.store.advance(parts.latest_day)
    assert prices(quiet.store, ALL) == encoded()
    assert dict(quiet.store.take_unpublished_parts())[b"gGBP"] == encoded()
    assert DAY_NAME in busy.published


def test_of_each_seller_only_so_many_sales_move_the_prices_of_others() -> None:
    store = Log(Rules(seller_cap=2)).store
    for number, price in enumerate((100, 200, 9_000, 9_000)):
        store.apply_sale(sale(f"l{number}", price=price))
    store.apply_sale(sale("other", seller="bert", price=300))
    assert prices(store, ANNA) == encoded(100, 200, 9_000, 9_000)
    assert prices(store, A) == prices(store, ALL) == encoded(100, 200, 300)
    store.apply_reversal(reversal("l3"))
    assert prices(store, ANNA) == encoded(100, 200, 9_000)
    assert prices(store, ALL) == encoded(100, 200, 300)
    store.apply_reversal(reversal("l0"))
    assert prices(store, ALL) == encoded(200, 300)


def test_the_same_sale_in_another_category_is_a_correction() -> None:
    log = Log(Rules())
    log.store.apply_sale(sale(category="A"))
    log.commit()
    assert log.store.apply_sale(sale(category="B")) is SaleOutcome.CORRECTED
    assert (prices(log.store, A), prices(log.store, B)) == (encoded(), encoded(1000))
    assert prices(log.store, ALL) == encoded(1000)
    log.commit()
    # late copies of either
    assert log.store.apply_sale(sale(category="A")) is SaleOutcome.DUPLICATE
    assert log.store.apply_sale(sale(category="B")) is SaleOutcome.DUPLICATE
    with pytest.raises(SaleConflictError):
        log.store.apply_sale(sale(category="A", price=1001))
    log.store.apply_reversal(reversal())
    assert prices(log.store, ALL) == prices(log.store, B) == encoded()


def test_a_refund_in_part_leaves_the_rest_counted() -> None:
    log = Log(Rules())
    log.store.apply_sale(sale(price=1000))
    log.commit()
    part = ReversalOutcome.TAKEN_BACK_IN_PART
    assert log.store.apply_reversal(reversal(refunded=300)) is part
    assert prices(log.store, ALL) == encoded(700)
    log.commit()
    assert log.store.apply_reversal(reversal(refunded=300)) is ReversalOutcome.DUPLICATE
    assert log.store.apply_reversal(reversal(refunded=200)) is ReversalOutcome.DUPLICATE
    assert log.store.apply_reversal(reversal(refunded=400)) is part  # 400 in all
    assert prices(log.store, ALL) == encoded(600)
    assert log.store.apply_sale(sale(price=1000)) is SaleOutcome.DUPLICATE
    assert log.store.apply_reversal(reversal(refunded=1000)) is ReversalOutcome.TAKEN_BACK
    assert prices(log.store, ALL) == encoded()
    assert log.store.sales_of("l")[0].state is SaleState.REVERSED


def test_a_refund_in_part_may_come_before_its_sale() -> None:
    store = Log(Rules()).store
    assert store.apply_reversal(reversal(refunded=300)) is ReversalOutcome.PARKED
    assert store.apply_reversal(reversal(refunded=400)) is ReversalOutcome.DUPLICATE
    assert store.apply_sale(sale(price=1000)) is SaleOutcome.COUNTED
    assert prices(store, ALL) == encoded(600)


def test_a_listing_does_not_see_what_is_left_of_its_own_refunded_sale() -> None:
    store = Log(Rules()).store
    store.apply_sale(sale("l1", price=1000))
    store.apply_sale(sale("l2", price=500))
    store.apply_reversal(reversal("l1", refunded=300))
    seen = store.listing_histograms(listing_id="l1", seller_id="anna", category="A", currency="GBP")
    assert [each and each.to_bytes() for each in seen] == [encoded(500)] * 3


def test_a_reversal_that_waits_too_long_is_let_go() -> None:
    log = Log(Rules(parked_days=30))
    log.store.apply_sale(sale("l0", day=0))
    long_ago = reversal("l1", day=-1000)  # it waits since it came, whenever it was made
    assert log.store.apply_reversal(long_ago) is ReversalOutcome.PARKED
    log.commit()
    assert log.store.apply_reversal(long_ago) is ReversalOutcome.DUPLICATE
    log.commit()
    assert log.store.parked_reversals == 1
    log.store.apply_sale(sale("l2", day=30))
    log.commit()
    assert (log.store.parked_reversals, log.store.take_expired_reversals()) == (1, 0)
    log.store.apply_sale(sale("l3", day=31))
    log.commit()
    assert (log.store.parked_reversals, log.store.take_expired_reversals()) == (0, 1)
    assert log.store.take_expired_reversals() == 0
    assert log.store.sales_of("l1") == []
    assert log.rebuilt().sales_of("l1") == []
    assert log.store.apply_sale(sale("l1", day=0)) is SaleOutcome.COUNTED


def test_a_sale_older_than_sales_are_remembered_is_refused() -> None:
    log = Log(Rules(sale_days=10, parked_days=10))
    log.store.apply_sale(sale("l1", day=0))
    log.commit()
    log.store.apply_sale(sale("l2", day=9))
    log.commit()
    assert log.store.apply_sale(sale("l1", day=0)) is SaleOutcome.DUPLICATE
    log.store.apply_sale(sale("l3", day=10))
    log.commit()
    with pytest.raises(LateSaleError, match="not remembered"):
        log.store.apply_sale(sale("l1", day=0))
    assert log.store.sales_of("l1") == []  # forgotten, but it still counts
    assert prices(log.store, ALL) == encoded(1000, 1000, 1000)


def test_the_first_day_of_all_is_not_a_forgotten_one() -> None:
    first_sale = sale("l1").model_copy(update={"sold_at": datetime(1970, 1, 1, 12, tzinfo=UTC)})
    log = Log(Rules(sale_days=10, parked_days=10))
    assert log.store.apply_sale(first_sale) is SaleOutcome.COUNTED
    assert log.store.apply_sale(first_sale) is SaleOutcome.DUPLICATE
    log.commit()
    assert prices(log.rebuilt(), ALL) == encoded(1000)


def test_what_is_forgotten_leaves_the_changelog_too() -> None:
    log = Log(Rules(sale_days=10, parked_days=5))
    for day in range(0, 100, 5):
        log.store.apply_sale(sale(f"l{day}", day=day))
        log.commit()
    latest = {key: value for _, key, value in log.changelog if key.startswith(b"b")}
    kept = [value for value in latest.values() if value is not None]
    assert len(latest) >= 20
    assert len(kept) <= 6  # of the last 10 days and the deletions
    rebuilt = log.rebuilt()
    assert rebuilt.apply_sale(sale("l95", day=95)) is SaleOutcome.DUPLICATE
    assert prices(rebuilt, ALL) == prices(log.store, ALL) == encoded(*[1000] * 20)


def test_a_changelog_of_a_window_is_restored_record_by_record() -> None:
    log = Log(Rules(window_days=7, seller_cap=3))
    for number in range(600):
        log.store.apply_sale(sale(f"l{number}", seller=f"s{number}"))
    log.commit()
    assert prices(log.rebuilt(step=1), ALL) == encoded(*[1000] * 600)


def test_a_sale_whose_refund_in_part_came_first_is_under_the_cap_too() -> None:
    store = Log(Rules(seller_cap=1)).store
    for number in range(3):
        store.apply_reversal(reversal(f"l{number}", refunded=1))
        store.apply_sale(sale(f"l{number}"))
    assert prices(store, ANNA) == encoded(999, 999, 999)
    assert prices(store, ALL) == encoded(999)


def test_a_longer_memory_does_not_bring_back_what_was_forgotten() -> None:
    log = Log(Rules(sale_days=10, parked_days=10))
    log.store.apply_sale(sale("l1", day=0))
    log.store.apply_sale(sale("l2", day=30))
    log.commit()
    log.commit()
    log.rules = Rules(sale_days=60, parked_days=10)
    for store in (log.open(log.entries), log.rebuilt()):
        with pytest.raises(LateSaleError):
            store.apply_sale(sale("l1", day=0))


def test_a_category_is_corrected_a_few_times_and_packs_stay_small() -> None:
    log = Log(Rules())
    for name in range(9):
        for number in range(300):
            log.store.apply_sale(sale(f"l{number}", category=f"{name}" + "\U0001f45f" * 500))
    with pytest.raises(SaleConflictError, match="8 times"):
        log.store.apply_sale(sale("l0", category="another"))
    log.commit()
    assert max(len(value or b"") for _, _, value in log.changelog) < 2**20
    assert len(log.rebuilt().sales_of("l7")[0].former_categories) == 8


def test_how_many_wait_is_told_right_and_a_rollback_takes_nothing_for_expired() -> None:
    log = Log(Rules(parked_days=5))
    log.store.apply_sale(sale("l0", day=0))
    for refunded in (1, 2, 3):
        log.store.apply_reversal(reversal("l1", refunded=refunded))
        log.commit()
    assert log.store.parked_reversals == 1
    for _ in range(3):
        log.store.apply_sale(sale("l2", day=20))
        log.store.changes()
        log.store.rollback()
    assert (log.store.parked_reversals, log.store.take_expired_reversals()) == (1, 0)
    log.store.apply_sale(sale("l2", day=20))
    log.commit()
    assert (log.store.parked_reversals, log.store.take_expired_reversals()) == (0, 1)


@pytest.mark.parametrize("other", [Rules(window_days=7), Rules(seller_cap=1)])
def test_state_that_was_counted_by_other_rules_is_refused(other: Rules) -> None:
    log = Log(Rules())
    log.store.apply_sale(sale())
    log.commit()
    log.rules = other
    with pytest.raises(StoreMismatchError, match="SECONDSIGHT_"):
        log.open(log.entries)
    with pytest.raises(StoreMismatchError, match="SECONDSIGHT_"):
        log.rebuilt()
