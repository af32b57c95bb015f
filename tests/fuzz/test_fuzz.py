"""A small run, and that a run sees every kind of crash: each target here misbehaves in one way."""

import ctypes
import os
import threading
from collections import Counter

import pytest

from schemas.errors import EventError
from schemas.listing import ListingEnriched
from tests.fuzz import seeds
from tests.fuzz.inputs import KINDS, Input, make_input
from tests.fuzz.run import MEMORY_MB, run
from tests.fuzz.target import try_input

BAD = 3  # the number at which the targets below misbehave


def raises(given: Input) -> bool:
    if given.number == BAD:
        raise ZeroDivisionError("a decoder's own error")
    return True


def exits(given: Input) -> bool:
    if given.number == BAD:
        os._exit(7)
    return True


def reads_address_zero(given: Input) -> bool:
    if given.number == BAD:
        ctypes.string_at(0)
    return True


def hangs(given: Input) -> bool:
    if given.number == BAD:
        threading.Event().wait()
    return True


def takes_memory(given: Input) -> bool:
    if given.number == BAD:
        bytearray(os.urandom(1)) * 600_000_000
    return True


def takes_all_memory(given: Input) -> bool:
    if given.number == BAD:
        bytearray(64 << 30)
    return True


@pytest.mark.parametrize(
    ("target", "told"),
    [
        (raises, "a decoder's own error"),
        (exits, "exit code 7"),
        (reads_address_zero, "exit code -11"),
        (takes_memory, "over the bound of 500 MB"),
        (takes_all_memory, "MemoryError"),
    ],
)
def test_a_crash_is_counted_and_the_others_run_on(target: object, told: str) -> None:
    result = run(seed=1, numbers=range(6), target=target, limit_mb=500)  # type: ignore[arg-type]

    assert list(result.crashes) == [BAD]
    assert told in result.crashes[BAD]
    assert result.inputs == 6
    assert sum(result.read.values()) + (target is not takes_memory) == 6


def test_a_hang_is_a_crash() -> None:
    result = run(seed=1, numbers=range(5), target=hangs, hang_s=2.0)

    assert {number: "no end" in crash for number, crash in result.crashes.items()} == {BAD: True}
    assert result.inputs == 5


def test_memory_is_that_of_the_children_alone() -> None:
    ours = bytearray(b"x") * 600_000_000

    result = run(seed=1, numbers=range(1))
    assert 20 < result.peak_mb < len(ours) / 2e6


def test_four_hundred_inputs_crash_nothing() -> None:
    result = run(seed=1, numbers=range(400))

    assert result.crashes == {}
    assert result.inputs == 400
    assert result.kinds == Counter({kind: 400 // len(KINDS) for kind in KINDS})
    assert 0 < result.peak_mb < MEMORY_MB
    # Both outcomes occur, or the mutations would be too many or too few to find anything.
    assert 50 < sum(result.read.values()) < 350


@pytest.mark.parametrize("kind", seeds.images())
def test_seeds_are_read(kind: str) -> None:
    assert try_input(Input(0, kind, seeds.images()[kind]))


@pytest.mark.parametrize("kind", seeds.events())
def test_events_to_begin_with_are_read(kind: str) -> None:
    headers, value = seeds.events()[kind]

    assert try_input(Input(0, kind, value, headers))
    assert not try_input(Input(0, kind, None, headers))


def test_what_plain_reading_takes_and_the_contract_does_not_is_a_crash(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    headers, value = seeds.events()["item.sold"]
    monkeypatch.setattr("tests.fuzz.target._ACCEPTED", (ListingEnriched,))

    with pytest.raises(AssertionError):
        try_input(Input(0, "item.sold", value, headers))


def test_an_error_that_tells_too_much_is_a_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    def decode(*_: object) -> None:
        raise EventError("x" * 5_000)

    monkeypatch.setattr("schemas.cloudevents.decode", decode)
    headers, value = seeds.events()["item.sold"]

    with pytest.raises(AssertionError, match="too long"):
        try_input(Input(0, "item.sold", value, headers))


def test_the_same_seed_and_number_give_the_same_input() -> None:
    first = [make_input(7, number) for number in range(60)]

    assert [make_input(7, number) for number in reversed(range(60))] == first[::-1]
    assert len({given.value for given in first} - {None}) > 50
    assert [make_input(8, number) for number in range(60)] != first
