"""How many dead letters are too many."""

import pytest

from workers.runtime.dead_letters import DeadLetterLimitError, DeadLetters


def test_a_share_of_the_window_may_fail_and_no_more() -> None:
    letters = DeadLetters(max_ratio=0.1, window=1_000)
    letters.check(100, 100)  # at the start, too: bad code stops after 100 records
    with pytest.raises(DeadLetterLimitError, match="101 of the last 101 records"):
        letters.check(101, 101)


def test_batches_add_up_within_the_window() -> None:
    letters = DeadLetters(max_ratio=0.1, window=1_000)
    letters.count(500, 60)
    letters.check(500, 40)
    with pytest.raises(DeadLetterLimitError):
        letters.check(500, 41)


def test_what_lies_beyond_the_window_is_forgotten() -> None:
    letters = DeadLetters(max_ratio=0.1, window=1_000)
    letters.count(500, 100)
    letters.count(1_000, 0)
    letters.check(500, 100)


def test_a_batch_larger_than_the_window_is_judged_by_its_own_share() -> None:
    letters = DeadLetters(max_ratio=0.1, window=1_000)
    letters.check(5_000, 101)  # 2 %
    letters.count(5_000, 101)
    letters.check(5_000, 500)
    with pytest.raises(DeadLetterLimitError):
        letters.check(5_000, 1_000)
