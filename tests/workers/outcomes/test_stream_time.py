"""How far the events of a partition have come."""

from workers.outcomes.stream_time import StreamTime


def start() -> StreamTime:
    times = StreamTime(("a", "b"), idle=5)
    times.assigned(0)
    return times


def test_it_is_not_known_before_every_input_was_heard_or_waited_for() -> None:
    times = start()
    assert times.reached(0) is None
    times.observe(0, "a", 100)
    assert times.reached(0) is None
    times.observe(0, "b", 40)
    assert times.reached(0) == 40


def test_an_input_that_is_read_to_its_end_holds_nothing_back() -> None:
    times = start()
    times.observe(0, "a", 100)
    times.waited(4.9)
    assert times.reached(0) is None
    times.observe(0, "a", 120)
    times.waited(0.2)
    assert times.reached(0) == 120
    times.observe(0, "b", 50)  # it brings records again, but time does not go back
    assert times.reached(0) == 120
    times.observe(0, "a", 200)
    assert times.reached(0) == 120
    times.observe(0, "b", 150)
    assert times.reached(0) == 150


def test_with_all_inputs_at_their_ends_the_latest_event_counts() -> None:
    times = start()
    times.observe(0, "a", 100)
    times.observe(0, "b", 60)
    times.observe(0, "a", 90)
    assert times.reached(0) == 60
    times.waited(5)
    assert times.reached(0) == 100


def test_without_any_event_there_is_no_time() -> None:
    times = start()
    times.waited(100)
    assert times.reached(0) is None


def test_partitions_have_times_of_their_own_and_begin_anew() -> None:
    times = start()
    times.assigned(1)
    for topic in ("a", "b"):
        times.observe(0, topic, 100)
        times.observe(1, topic, 7)
    assert (times.reached(0), times.reached(1)) == (100, 7)
    times.revoked(0)
    times.assigned(0)
    assert (times.reached(0), times.reached(1)) == (None, 7)
