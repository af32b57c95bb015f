"""What the gate lets through, on answers whose errors are planted."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.gate.answers import Answers, Sold
from models.gate.judge import judge
from models.gate.paired import differences, sellers_of
from models.gate.rules import GateRules
from models.gate.verdict import Check, Verdict

N = 2_000
EPSILON = 0.5
WIDTH = 0.5  # half of a range
SPREADS = (0.2, 0.6)  # of the errors of what the gate likes, and of the rest

RULES = GateRules(resamples=500)


def market(seed: int = 1, count: int = N, categories: int = 4) -> Sold:
    rng = np.random.default_rng(seed)
    return Sold(
        log_price=rng.normal(3, 1, count),
        categories=[f"c{n}" for n in rng.integers(0, categories, count)],
        sellers=[f"s{n}" for n in rng.integers(0, max(2, count // 5), count)],
    )


def model(sold: Sold, seed: int, *, worse: float = 1.0) -> Answers:
    """A model with normal errors, that accepts the half of which it rightly is surer."""
    rng = np.random.default_rng(seed)
    sure = rng.random(len(sold)) < 0.5
    spread = np.where(sure, *SPREADS)
    log_price = sold.log_price + worse * spread * rng.normal(size=len(sold))
    # P(|error| <= epsilon) of a normal error
    from scipy.special import erf

    return Answers(
        log_price=log_price,
        log_low=log_price - 1.2816 * spread,
        log_high=log_price + 1.2816 * spread,
        score=np.where(sure, 1.0, -1.0) + 0.1 * rng.normal(size=len(sold)),
        qualified=sure,
        confidence=erf(EPSILON / spread / 2**0.5),
    )


def verdict(
    champion: Answers | None, challenger: Answers, sold: Sold, *further: Check, **changed: object
) -> Verdict:
    arguments: dict[str, object] = {
        "rules": RULES,
        "range_probability": 0.8,
        "epsilon": EPSILON,
        "coverage": 0.5,
        "seed": 5,
    }
    return judge(champion, challenger, sold, further=further, **(arguments | changed))  # type: ignore[arg-type]


def failed(of: Verdict) -> list[str]:
    return [check.name for check in of.checks if not check.passed]


def test_a_better_model_is_published_and_the_worse_one_is_not() -> None:
    sold = market()
    good, bad = model(sold, 2, worse=0.9), model(sold, 3, worse=1.1)
    assert failed(verdict(bad, good, sold)) == []
    assert verdict(bad, good, sold).publish
    back = verdict(good, bad, sold)
    assert not back.publish
    assert "error of all" in failed(back)
    assert "error of the best 50%" in failed(back)
    assert "NO  error of all: " in back.report()


def test_the_same_model_is_not_worse() -> None:
    sold = market()
    same = model(sold, 2)
    found = verdict(same, same, sold)
    assert failed(found) == []
    (check,) = [check for check in found.checks if check.name == "error of all"]
    assert check.figures["bound"] == 0.0
    assert check.figures["champion"] == pytest.approx(
        np.abs(same.log_price - sold.log_price).mean()
    )


def test_the_first_model_is_held_to_absolute_limits() -> None:
    sold = market()
    good = model(sold, 2)
    assert verdict(None, good, sold).publish
    assert verdict(None, good, sold, coverage=None).publish
    overconfident = replace(good, confidence=np.full(N, 0.99))
    assert failed(verdict(None, overconfident, sold)) == ["confidence is calibrated"]


def test_each_way_to_be_bad_is_named() -> None:
    sold = market()
    champion = model(sold, 2)
    nothing = np.zeros(N, np.bool_)
    narrow = 0.2 * (champion.log_high - champion.log_price)
    cases = {
        "answers are plausible": replace(
            champion, log_price=np.where(np.arange(N) == 7, np.nan, champion.log_price)
        ),
        "coverage": replace(champion, qualified=nothing),
        "ranges": replace(
            champion, log_low=champion.log_price - narrow, log_high=champion.log_price + narrow
        ),
        "confidence is calibrated": replace(champion, confidence=1 - champion.confidence),
        "error of the best 50%": replace(champion, score=-champion.score),
    }
    for name, challenger in cases.items():
        assert name in failed(verdict(champion, challenger, sold)), name
    wide = replace(champion, log_low=champion.log_price - 2, log_high=champion.log_price + 2)
    assert failed(verdict(champion, wide, sold)) == ["ranges"]


def test_ranges_that_hold_too_few_prices_are_no_yardstick() -> None:
    """A market that grew uncertain needs wider ranges than those of an overtaken champion."""
    sold = market()
    honest = model(sold, 2)
    half = 0.4 * (honest.log_high - honest.log_price)
    champion = replace(honest, log_low=honest.log_price - half, log_high=honest.log_price + half)
    (check,) = [e for e in verdict(champion, honest, sold).checks if e.name == "ranges"]
    assert check.passed
    # of its 80 % range, normal errors need the width that the honest one has
    assert check.figures["widest"] == pytest.approx(1.25 * check.figures["width"], rel=0.1)
    wide = replace(honest, log_low=honest.log_price - 2, log_high=honest.log_price + 2)
    assert "ranges" in failed(verdict(champion, wide, sold))


def test_what_holds_no_less_than_the_champion_by_now_is_enough() -> None:
    """Ranges and confidence of both were made in a calmer market; none is at fault for it."""
    sold = market()
    calm = model(sold, 2, worse=2.0)
    boast = replace(calm, confidence=np.full(N, 0.95))
    assert {"ranges", "confidence is calibrated"} <= set(failed(verdict(None, boast, sold)))
    assert failed(verdict(boast, boast, sold)) == []
    # a champion that still holds is the yardstick that it was
    assert "ranges" in failed(verdict(model(sold, 3), boast, sold))


def test_all_prices_in_another_currency_are_refused() -> None:
    sold = market()
    champion = model(sold, 2)
    for factor in (100.0, 1.17, 1 / 1.17):
        shift = np.log(factor)
        swapped = replace(
            champion,
            log_price=champion.log_price + shift,
            log_low=champion.log_low + shift,
            log_high=champion.log_high + shift,
        )
        assert "error of the best 50%" in failed(verdict(champion, swapped, sold)), factor


def test_a_category_that_is_ruined_is_in_the_way() -> None:
    sold = market()
    champion = model(sold, 2)
    better = model(sold, 3, worse=0.6)
    ruined = np.array(sold.categories) == "c2"
    shift = np.where(ruined, 0.4, 0.0)
    challenger = replace(
        better,
        log_price=better.log_price + shift,
        log_low=better.log_low + shift,
        log_high=better.log_high + shift,
    )
    found = verdict(champion, challenger, sold)
    assert "categories" in failed(found)
    (check,) = [check for check in found.checks if check.name == "categories"]
    assert "c2 by " in check.says
    assert check.figures["worse"] == 1
    assert check.figures["looked_at"] == 4


def test_a_check_made_elsewhere_counts() -> None:
    sold = market()
    same = model(sold, 2)
    poisoned = Check("poisoning", passed=False, says="moved by 0.3")
    assert failed(verdict(same, same, sold, poisoned)) == ["poisoning"]


@pytest.mark.parametrize("count", [0, 1, 199])
def test_too_few_listings_tell_nothing(count: int) -> None:
    sold = market(count=count)
    same = model(sold, 2)
    assert failed(verdict(same, same, sold)) == ["enough sold listings"]


def test_one_seller_tells_nothing() -> None:
    sold = replace(market(), sellers=["one"] * N)
    same = model(sold, 2)
    assert failed(verdict(same, same, sold)) == ["enough sold listings"]


def test_lengths_and_prices_are_checked() -> None:
    sold = market()
    same = model(sold, 2)
    with pytest.raises(ValueError, match="length"):
        verdict(same, model(market(count=300), 2), sold)
    with pytest.raises(ValueError, match="finite"):
        verdict(same, same, replace(sold, log_price=np.full(N, np.inf)))


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.5, 2.0))
def test_neither_of_two_models_replaces_the_other_as_better_both_ways(
    seed: int, worse: float
) -> None:
    sold = market(seed, count=600)
    one, other = model(sold, seed + 1), model(sold, seed + 2, worse=worse)
    strict = GateRules(resamples=200, margin=-0.001)
    both = [verdict(*pair, sold, rules=strict) for pair in ((one, other), (other, one))]
    assert not all(each.publish for each in both)


def test_false_alarms_and_missed_losses_are_as_rare_as_stated() -> None:
    """Of models that are worse by just the margin 5 % may pass; of equals few are refused."""
    margin, trials = 0.05, 200
    rules = GateRules(resamples=300, margin=margin, confidence=0.95, coverage_tolerance=1.0)
    passed = refused = 0
    for trial in range(trials):
        sold = market(trial, count=400)
        champion = model(sold, 2 * trial + 1)
        error = np.abs(champion.log_price - sold.log_price)
        rng = np.random.default_rng(trial)
        for extra in (margin, 0.0):
            noise = rng.normal(0, 0.1, len(sold))
            worse = error + extra + noise - noise.mean()
            challenger = replace(champion, log_price=sold.log_price + worse)
            found = differences(
                (error, np.ones(400, np.bool_)),
                (np.abs(challenger.log_price - sold.log_price), np.ones(400, np.bool_)),
                sellers_of(sold.sellers),
                resamples=300,
                rng=rng,
            )
            bound = np.quantile(found, rules.confidence)
            if extra:
                passed += bool(bound <= margin)
            else:
                refused += bool(bound > margin)
    assert passed <= 0.12 * trials
    assert refused == 0


def test_the_bootstrap_knows_how_uncertain_a_mean_of_clusters_is() -> None:
    """Against the textbook's standard error of a ratio of sums over clusters."""
    rng = np.random.default_rng(3)
    clusters, size = 300, 4
    shift = np.repeat(rng.normal(0, 1, clusters), size)
    theirs = np.abs(rng.normal(0, 1, clusters * size))
    ours = theirs + 0.3 + shift
    everything = np.ones(clusters * size, np.bool_)
    seller = np.repeat(np.arange(clusters), size)
    drawn = differences((theirs, everything), (ours, everything), seller, resamples=4_000, rng=rng)
    means = (ours - theirs).reshape(clusters, size).mean(axis=1)
    assert drawn.mean() == pytest.approx(means.mean(), abs=0.01)
    assert drawn.std() == pytest.approx(means.std() / clusters**0.5, rel=0.1)


def test_sellers_are_numbered() -> None:
    assert sellers_of(["b", "a", "b", "1"]).tolist() == [2, 1, 2, 0]
