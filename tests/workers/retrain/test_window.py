"""Which examples are learnt from, which are set aside, and when there are too few."""

from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.statistics import Scope, Statistics
from tests.workers.retrain.conftest import START, make_example, scope
from workers.errors import BadDataError
from workers.examples.example import Example, Outcome
from workers.examples.store import ExampleStore
from workers.retrain.parts import divide
from workers.retrain.rows import served_statistics, to_row
from workers.retrain.window import Window, read_window

NOW = START + timedelta(days=400)


def known(number: int, days_ago: float, **changed: object) -> Example:
    at = NOW - timedelta(days=days_ago)
    fields = {"known_at": at, "listed_at": at - timedelta(days=1), **changed}
    return make_example(number, **fields)


def read(
    folder: Path,
    *,
    currency: str | None = None,
    floor: int = 3,
    days: int = 30,
    seller_share: float = 0.0,
) -> Window:
    return read_window(
        ExampleStore(str(folder)),
        now=NOW,
        days=days,
        floor=floor,
        seller_share=seller_share,
        max_ahead=timedelta(minutes=10),
        currency=currency,
    )


def names(examples: object) -> set[str]:
    return {each.listing_id for each in examples}  # type: ignore[attr-defined]


def test_the_last_days_and_a_floor_of_older_ones_of_rare_categories(tmp_path: Path) -> None:
    common = [known(n, days_ago=n, category="common") for n in range(5)]
    old_common = [known(10 + n, days_ago=31 + n, category="common") for n in range(3)]
    rare = [known(20, days_ago=3, category="rare")]
    old_rare = [known(30 + n, days_ago=40 + 10 * n, category="rare") for n in range(4)]
    gone = [known(40, days_ago=45, category="gone"), known(41, days_ago=121, category="gone")]
    ExampleStore(str(tmp_path)).append([*common, *old_common, *rare, *old_rare, *gone])

    window = read(tmp_path)

    # of the rare one the two newest older ones fill up to three; what is 121 days old is too old
    expected = names([*common, *rare, *old_rare[:2], gone[0]])
    assert names(window.examples) == expected
    assert (window.older, window.parts, window.categories) == (3, 13, 3)  # a part a date
    times = [each.listed_at for each in window.examples]
    assert times == sorted(times)


def test_a_seller_who_sells_to_himself_teaches_no_more_than_his_share(tmp_path: Path) -> None:
    honest = [known(n, days_ago=3, seller_id=f"s{n}") for n in range(400)]
    fakes = [known(1_000 + n, days_ago=1 + n / 100, seller_id="bob") for n in range(1_000)]
    few = [known(5_000 + n, days_ago=2, seller_id="bob", category="B") for n in range(20)]
    ExampleStore(str(tmp_path)).append([*honest, *fakes, *few])

    window = read(tmp_path, seller_share=0.1)

    assert names(window.examples) == names([*honest, *fakes[:40], *few])  # the newest 10 % of 400
    assert window.crowded == 960
    assert len(read(tmp_path, seller_share=0.0).examples) == 1_420


def test_nor_does_he_fill_up_a_rare_category_with_older_ones(tmp_path: Path) -> None:
    rare = [known(1, days_ago=3, seller_id="anna")]
    older = [known(10 + n, days_ago=40 + n / 10, seller_id="bob") for n in range(100)]
    ExampleStore(str(tmp_path)).append([*rare, *older])
    window = read(tmp_path, floor=80, seller_share=0.1)
    assert names(window.examples) == names([*rare, *older[:20]])  # the newest twenty, as always
    assert window.older == 20


def test_what_is_ahead_of_the_clock_or_in_another_currency_is_counted_and_left(
    tmp_path: Path,
) -> None:
    ahead = timedelta(minutes=11)
    euro = Statistics(
        currency="EUR",
        seller=scope(100, 0, Scope.CATEGORY),
        category=scope(100, 7, Scope.CATEGORY),
        overall=scope(100, 9, Scope.GLOBAL),
    )
    ExampleStore(str(tmp_path)).append(
        [
            known(0, 1),
            known(1, 1),
            known(2, -5 / 1440),  # five minutes ahead are no skew
            known(3, 1, known_at=NOW + ahead),
            known(4, 1, listed_at=NOW + ahead),
            known(5, 1, currency="EUR", statistics=euro),
            known(6, 1, statistics=euro),  # served with statistics of another currency
        ]
    )
    window = read(tmp_path)
    assert names(window.examples) == {"l0", "l1", "l2"}
    assert (window.currency, window.ahead, window.other_currency) == ("GBP", 2, 2)
    assert names(read(tmp_path, currency="EUR").examples) == {"l5"}


def test_an_empty_window_says_so(tmp_path: Path) -> None:
    with pytest.raises(BadDataError, match="no training example became known in the last 120"):
        read(tmp_path)
    ExampleStore(str(tmp_path)).append([known(0, 50)])
    with pytest.raises(BadDataError, match="GBP became known in the last 30 days"):
        read(tmp_path)
    ExampleStore(str(tmp_path)).append([known(1, 1)])
    with pytest.raises(BadDataError, match="no training example in JPY"):
        read(tmp_path, currency="JPY")


@pytest.mark.parametrize(("whole", "passes"), [(19, True), (18, False)])
def test_one_damaged_part_in_twenty_is_passed_over(
    tmp_path: Path, whole: int, passes: bool
) -> None:
    store = ExampleStore(str(tmp_path))
    for number in range(whole):
        store.append([known(number, number + 1)])
    (path,) = store.append([known(99, 5)])
    Path(path).write_bytes(b"PAR1 and nothing else")
    if passes:
        window = read(tmp_path)
        assert len(window.examples) == whole
        assert "l99" not in names(window.examples)
        assert [path in sentence for sentence in window.damaged] == [True]
    else:
        with pytest.raises(BadDataError, match=f"1 of {whole + 1} parts.*{Path(path).name}"):
            read(tmp_path)


@given(
    sold=st.lists(st.booleans(), max_size=40),
    share=st.floats(0, 1),
    least=st.integers(0, 40),
    champion=st.integers(-1, 40),
)
def test_what_is_judged_on_is_newer_than_all_that_either_model_learnt_from(
    sold: list[bool], share: float, least: int, champion: int
) -> None:
    examples = [
        make_example(number, outcome=Outcome.SOLD if each else Outcome.CENSORED)
        for number, each in enumerate(sold)
    ]
    until = START + timedelta(hours=champion)
    parts = divide(examples, champion_until=until, share=share, least=least)
    assert all(each.outcome is Outcome.SOLD for each in parts.held)
    assert all(each.listed_at > until for each in parts.held)
    assert len(parts.held) + parts.champion_saw == min(
        max(round(sum(sold) * share), least), sum(sold) // 2
    )
    if parts.held:
        assert all(each.listed_at < parts.held[0].listed_at for each in parts.learnt)
        assert len(parts.learnt) == examples.index(parts.held[0])


def test_prices_are_of_what_stays_sold_and_statistics_are_as_served() -> None:
    sold = make_example(0, category="a", sold_minor=1_000)
    refused = make_example(1, category="a", sold_minor=3_000, decision="reupload")
    reversed_ = make_example(2, category="b", outcome=Outcome.REVERSED)
    censored = make_example(3, category="b", outcome=Outcome.CENSORED, sold_minor=None)
    free = make_example(4, category="b", sold_minor=None)
    examples = [sold, refused, reversed_, censored, free]

    rows = [to_row(each, (Path("x"),)) for each in examples]
    assert [row.price_minor for row in rows] == [1_000, 3_000, None, None, None]
    assert [row.sold_at is None for row in rows] == [False, False, True, True, True]

    served = served_statistics(examples, "GBP")
    assert served.statistics == [each.statistics for each in examples]
    assert served.snapshot.overall.count == 2
    assert served.snapshot.statistics("a").category.mean == 2_000
    assert list(served.snapshot.categories) == ["a"]
    assert served.window.start == sold.listed_at
    # the one that was taken back is no sale, so what it was sold at does not count
    assert refused.sold_at is not None
    assert served.window.end == refused.sold_at
