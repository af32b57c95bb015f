from typing import cast

import pytest

from models.pricer import Pricer
from schemas.model import ModelRole
from tests.workers.suggest.conftest import MeanPricer
from workers.suggest.lineup import Lineup

SELLERS = [f"seller-{number}" for number in range(4_000)]


def model(version: str) -> Pricer:
    return cast(Pricer, MeanPricer(version))


LIVE, CANARY, SHADOW = model("live-1"), model("canary-1"), model("shadow-1")


def canaried(lineup: Lineup) -> set[str]:
    return {s for s in SELLERS if lineup.answering(s) == (ModelRole.CANARY, lineup.canary)}


@pytest.mark.parametrize("share", [0.05, 0.5])
def test_a_canary_answers_its_share_of_the_sellers(share: float) -> None:
    chosen = canaried(Lineup(LIVE, CANARY, share, SHADOW))

    # Six standard deviations of a binomial draw.
    assert abs(len(chosen) - share * 4_000) < 6 * (4_000 * share * (1 - share)) ** 0.5
    others = Lineup(LIVE, CANARY, share, SHADOW)
    assert all(others.answering(s) == (ModelRole.LIVE, LIVE) for s in set(SELLERS) - chosen)


def test_a_larger_share_keeps_the_sellers_and_another_canary_has_others() -> None:
    few, more = (canaried(Lineup(LIVE, CANARY, share)) for share in (0.1, 0.3))
    assert few < more
    other = canaried(Lineup(LIVE, model("canary-2"), 0.1))
    assert len(few & other) < len(few) / 2


def test_without_a_canary_and_with_all_sellers() -> None:
    assert not canaried(Lineup(LIVE))
    assert canaried(Lineup(LIVE, CANARY, 1.0)) == set(SELLERS)
    assert Lineup(LIVE).by_role() == {ModelRole.LIVE: LIVE}
    assert Lineup(LIVE, CANARY, 0.1, SHADOW).by_role() == {
        ModelRole.LIVE: LIVE,
        ModelRole.CANARY: CANARY,
        ModelRole.SHADOW: SHADOW,
    }
