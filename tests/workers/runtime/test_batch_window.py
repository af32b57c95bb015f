"""How long a batch waits, by a clock of the test's own."""

from workers.runtime.batch_window import AT_HAND_S, FILL_S, BatchWindow

WAIT = 0.02


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_worker_that_keeps_up_waits_from_the_first_arrival() -> None:
    clock = Clock()
    window = BatchWindow(wait=WAIT, clock=clock)
    assert (window.seconds_left(), window.over()) == (WAIT, False)  # nothing is there
    window.open()
    clock.now += 0.015
    window.open()  # more arrives; it is the first record that counts
    window.polled(WAIT, full=True)  # it came in while the poll waited for it
    assert (round(window.seconds_left(), 6), window.over()) == (0.005, False)
    clock.now += 0.006
    assert (window.seconds_left(), window.over()) == (0.0, True)
    window.close()
    window.open()
    assert (window.seconds_left(), window.over()) == (WAIT, False)


def test_a_worker_that_is_behind_fills_its_batch_for_a_while() -> None:
    clock = Clock()
    window = BatchWindow(wait=WAIT, clock=clock)
    window.open()
    clock.now += 2 * WAIT
    window.polled(AT_HAND_S, full=True)
    assert not window.over()
    window.polled(AT_HAND_S, full=False)  # that was all
    assert window.over()
    window.polled(AT_HAND_S, full=True)
    clock.now += FILL_S
    assert window.over()


def test_who_is_told_to_wait_longer_waits_longer() -> None:
    clock = Clock()
    window = BatchWindow(wait=2 * FILL_S, clock=clock)
    window.open()
    window.polled(AT_HAND_S, full=True)
    clock.now += 1.5 * FILL_S
    assert not window.over()
