"""How far the events of a partition have come in time: the least of its inputs.

A replay reads one input far ahead of another; what is not sold by the time of the one may be about
to be sold in the other. So an input that still brings records holds the time back.
"""

from collections.abc import Sequence


class StreamTime:
    """The time of each partition's events; it only goes up.

    Args:
        inputs: the topics.
        idle: seconds without any record, spent waiting for records, after which an input that
            brings none counts as read to its end.
    """

    def __init__(self, inputs: Sequence[str], *, idle: float) -> None:
        self._inputs = inputs
        self._idle = idle
        self._latest: dict[tuple[int, str], float] = {}
        self._waited = 0.0  # in all
        self._heard: dict[tuple[int, str], float] = {}  # what `waited` was then
        self._reached: dict[int, float] = {}

    def assigned(self, partition: int) -> None:
        """Begin with a partition: all of its inputs may hold it back."""
        for topic in self._inputs:
            self._heard[partition, topic] = self._waited
            self._latest.pop((partition, topic), None)
        self._reached.pop(partition, None)

    def revoked(self, partition: int) -> None:
        """Forget a partition."""
        self._reached.pop(partition, None)
        for topic in self._inputs:
            self._heard.pop((partition, topic), None)
            self._latest.pop((partition, topic), None)

    def waited(self, seconds: float) -> None:
        """Note that no input had a record for so long."""
        self._waited += seconds

    def observe(self, partition: int, topic: str, at: float) -> None:
        """Note the time of a record, in seconds since 1970."""
        place = partition, topic
        self._heard[place] = self._waited
        self._latest[place] = max(at, self._latest.get(place, at))

    def reached(self, partition: int) -> float | None:
        """Return the time that all inputs have come to, or None while that is not known."""
        places = [(partition, topic) for topic in self._inputs]
        active = [p for p in places if self._waited - self._heard.get(p, 0.0) < self._idle]
        if any(place not in self._latest for place in active):
            return self._reached.get(partition)
        if active:
            now = min(self._latest[place] for place in active)
        elif known := [self._latest[place] for place in places if place in self._latest]:
            now = max(known)
        else:
            return self._reached.get(partition)
        self._reached[partition] = max(now, self._reached.get(partition, now))
        return self._reached[partition]
