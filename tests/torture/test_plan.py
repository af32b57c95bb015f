"""The plan and the stream of a run: the same for the same seed, and complete."""

from collections import Counter
from itertools import islice

import pytest

from schemas.partitioner import partition_for
from tests.torture.plan import QUIET, Kind, plan
from tests.torture.steps import AT_COMMIT
from tests.torture.stream import BAD, MARK, STRAY, Stream


def test_the_same_seed_plans_the_same_faults_and_another_seed_others() -> None:
    assert plan(kills=50, seed=7) == plan(kills=50, seed=7)
    assert plan(kills=50, seed=7) != plan(kills=50, seed=8)


@pytest.mark.parametrize("kills", [1, 2, 19, 200])
def test_it_has_as_many_kills_as_were_asked_for(kills: int) -> None:
    for seed in range(5):
        assert sum(fault.kind.kills for fault in plan(kills=kills, seed=seed)) == kills


def test_two_hundred_kills_have_every_step_and_every_fault_many_times() -> None:
    faults = plan(kills=200, seed=7)
    steps = Counter(fault.step for fault in faults if fault.kind is Kind.AT_STEP)
    assert all(steps[step] >= 9 for step in AT_COMMIT)
    kinds = Counter(fault.kind for fault in faults)
    assert all(kinds[kind] >= 9 for kind in (Kind.IN_REVOKE, Kind.IN_ASSIGN, Kind.BROKER))
    assert all(kinds[kind] >= 2 for kind in QUIET)


def test_the_same_seed_gives_the_same_stream() -> None:
    first, second = (list(islice(Stream(7, 4), 2_000)) for _ in range(2))
    assert first == second
    assert first != list(islice(Stream(8, 4), 2_000))


def test_the_stream_has_all_that_goes_wrong_and_says_what_is_bad_or_astray() -> None:
    records = list(islice(Stream(7, 4), 5_000))
    marks = Counter(dict(record.headers)[MARK] for record in records)
    assert min(marks[BAD], marks[STRAY]) > 50
    for record in records:
        home = partition_for(record.key, 4)
        astray = record.partition not in (None, home)
        assert astray == (dict(record.headers)[MARK] == STRAY)
    contents = Counter(record.value for record in records)
    assert contents.most_common(1)[0][1] > 1  # repeated sales
