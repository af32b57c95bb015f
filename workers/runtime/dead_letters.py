"""Dead letters: what cannot be processed is set aside whole, and too much of it is an alarm."""

from collections import deque
from datetime import UTC, datetime

from schemas.dead_letter import DeadLetter, attempts_before, dead_letter_topic
from workers.errors import WorkersError
from workers.runtime.processing import Output, Rejected


class DeadLetterLimitError(WorkersError):
    """So many records fail that the fault is probably here, not in them."""


class DeadLetters:
    """Counts dead letters, and stops the worker when they become too many.

    A limit as a share of the last `window` records: bad code or a wrong deployment halts after
    `max_ratio * window` records instead of emptying a topic into its dead-letter topic.

    Args:
        max_ratio: highest share of rejected records, 0 to 1.
        window: how many of the last records the share is taken over.
    """

    def __init__(self, *, max_ratio: float, window: int) -> None:
        self._max_ratio = max_ratio
        self._window = window
        self._batches: deque[tuple[int, int]] = deque()  # processed, rejected

    def check(self, processed: int, rejected: int) -> None:
        """Refuse a batch that would take the share over its limit. Changes nothing.

        Raises:
            DeadLetterLimitError: more than `max_ratio` of the last records fail, and more than
                `max_ratio * window`.
        """
        recent = [*self._batches, (processed, rejected)]
        seen, bad = (sum(counts) for counts in zip(*recent, strict=True))
        if bad > self._max_ratio * max(self._window, seen):
            raise DeadLetterLimitError(
                f"{bad} of the last {seen} records were rejected; the limit is "
                f"{self._max_ratio:.0%} of {max(self._window, seen)}. Nothing of this batch was "
                f"committed. Look at the first of them in the dead-letter topics, "
                f"mend the cause, or raise SECONDSIGHT_DEAD_LETTER_MAX_RATIO"
            )

    def count(self, processed: int, rejected: int) -> None:
        """Take a committed batch into the share, and let go of those beyond the window."""
        self._batches.append((processed, rejected))
        beyond = sum(batch[0] for batch in self._batches) - self._window
        while beyond >= self._batches[0][0]:
            beyond -= self._batches.popleft()[0]
            if not self._batches:
                break


def dead_letter(rejected: Rejected, *, attempt: int) -> Output:
    """Return the dead letter: key, value and headers as they were, and what failed."""
    record = rejected.record
    failed_at = datetime.now(UTC)
    letter = DeadLetter(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        stage=rejected.stage,
        error_class=type(rejected.error).__name__,
        message=str(rejected.error) or type(rejected.error).__name__,
        attempt=attempts_before(record.headers) + attempt,
        failed_at=failed_at,
    )
    key, value, headers = letter.set_aside(record.key, record.value, record.headers)
    return Output(
        topic=dead_letter_topic(record.topic),
        partition=record.partition,
        key=key,
        value=value,
        headers=headers,
        # Of now, not of the record: retention counts from it, and an old record's letter
        # would be deleted before anybody read it.
        timestamp_ms=int(failed_at.timestamp() * 1000),
    )
