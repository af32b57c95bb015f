import pytest

from models.reproduction.directions import CANNOT_BE_TOLD, ahead, higher, near, rises, spans
from models.reproduction.figure import Kind

AT = (0.3, 0.5, 0.7)
PAPER = (0.35, 0.40, 0.45)


def test_a_measure_that_rises_at_every_step() -> None:
    said = rises("MALE", "delta", AT, [(0.30, 0.32), (0.36, 0.35), (0.40, 0.44)], PAPER)
    # differences .10 and .12: mean .11, deviation .0141
    assert said == (
        "MALE rises with delta: yes, at every step, by 0.110 ± 0.014 from 0.3 to 0.7 "
        "(the paper: it rises by 0.100)."
    )


def test_a_step_down_is_said_with_its_noise() -> None:
    said = rises("MALE", "delta", AT, [(0.30, 0.32), (0.29, 0.32), (0.40, 0.44)], PAPER)
    # differences -.01 and 0 are .005 ± .0071: less than two standard errors, .01
    assert said.startswith(
        "MALE rises with delta: not at every step, it falls by 0.005 ± 0.007, which is within "
        "the noise, from 0.3 to 0.5, but rises by 0.110 ± 0.014 from 0.3 to 0.7"
    )


def test_a_measure_that_falls() -> None:
    said = rises("MALE", "delta", AT, [(0.5,), (0.6,), (0.4,)], PAPER)
    assert said.startswith(
        "MALE rises with delta: no, it falls by 0.100 in a single run from 0.3 to 0.7"
    )


def test_runs_are_paired_by_seed_and_those_without_a_value_left_out() -> None:
    said = ahead("A", "B", "MALE", (0.4, None, 0.6), (0.5, 0.1, 0.72))
    # .10 and .12; the second seed would turn it round
    assert said == "A ahead of B in MALE: yes, by 0.110 ± 0.014."


def test_behind_is_no() -> None:
    said = ahead("MSTFE", "STFE", "MALE", (0.41,), (0.40,), paper=0.0144)
    assert said == (
        "MSTFE ahead of STFE in MALE: no, by 0.010 in a single run (the paper: yes, by 0.014)."
    )


def test_higher_looks_the_other_way() -> None:
    assert higher("A", "B", "share", (0.6,), (0.5,)).startswith("A above B in share: yes, by 0.100")
    assert higher("A", "B", "share", (0.4,), (0.5,)).startswith("A above B in share: no, by 0.100")


@pytest.mark.parametrize("runs", [[(None,), (0.1,), (0.2,)], [(0.1,), (None,), (0.2,)]])
def test_nothing_is_claimed_without_figures(runs: list[tuple[float | None, ...]]) -> None:
    assert CANNOT_BE_TOLD in rises("MALE", "delta", AT, runs, PAPER)
    assert CANNOT_BE_TOLD in near("share", AT, runs, PAPER)
    assert CANNOT_BE_TOLD in ahead("A", "B", "MALE", runs[0], runs[1])


def test_near_tells_the_largest_miss_of_the_means() -> None:
    said = near("The share", AT, [(0.28, 0.34), (0.48, 0.49), (0.70, 0.70)], PAPER)
    # means .31, .485, .70; the paper's are .25 off at the most
    assert said == "The share is the one asked for: within 1.5 points (the paper: within 25.0)."


def test_spans_are_of_means() -> None:
    assert spans(Kind.SHARE, [(0.7, 0.8), (0.9, None)]) == "75.0 % to 90.0 %"
    assert spans(Kind.ERROR, [(None,)]) is None
