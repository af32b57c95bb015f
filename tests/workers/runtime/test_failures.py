"""When a worker pauses, and when it gives up."""

import pytest

from workers.runtime.failures import FailureStreak


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def streak(clock: Clock) -> FailureStreak:
    return FailureStreak(give_up_after=90.0, clock=clock)


def test_pauses_grow_to_a_second_and_end_with_a_success(
    streak: FailureStreak, clock: Clock
) -> None:
    assert streak.pause() == 0.0
    pauses = []
    for _ in range(9):
        streak.failed(ValueError())
        pauses.append(streak.pause())
        clock.now += pauses[-1]
        assert streak.pause() == 0.0
    assert pauses == sorted(pauses)
    assert pauses[0] == pytest.approx(0.02)
    assert pauses[-1] == pytest.approx(1.0)
    streak.failed(ValueError())
    streak.succeeded()
    assert streak.pause() == 0.0


def test_the_thousandth_failure_pauses_as_long_as_the_tenth(clock: Clock) -> None:
    streak = FailureStreak(give_up_after=1e9, clock=clock)
    for _ in range(1_100):
        streak.failed(ValueError())
    assert streak.pause() == pytest.approx(1.0)


def test_nothing_but_failures_for_too_long_ends_the_worker(
    streak: FailureStreak, clock: Clock
) -> None:
    for _ in range(9):
        streak.failed(ValueError())
        clock.now += 10.0
    clock.now += 0.5
    with pytest.raises(ValueError, match="the last one"):
        streak.failed(ValueError("the last one"))


def test_a_failure_long_after_another_is_the_first_of_its_row(
    streak: FailureStreak, clock: Clock
) -> None:
    streak.failed(ValueError())
    clock.now += 1_000.0  # a quiet topic, a long restore
    streak.failed(ValueError())
    clock.now += 80.0
    streak.failed(ValueError())
