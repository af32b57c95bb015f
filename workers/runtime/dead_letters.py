"""Dead letters: what cannot be processed is set aside whole, and too much of it is an alarm."""

from collections import deque
from datetime import UTC, datetime

from schemas.dead_letter import DeadLetter, attempts_before, dead_letter_topic
from workers.errors import WorkersError
from workers.runtime.processing import Output, Rejected


class DeadLetterLimitError(WorkersError):
    """So many records fail that the fault is probably here, not in them."""


class DeadLetters:
    """Turns rejected records into dead letters, and stops the worker when they become too many.

    A limit as a share of the last `window` records: bad code or a wrong deployment halts after
    `max_ratio * window` records instead of emptying a topic into its dead-letter topic.

    Args:
        max_ratio: highest share of rejected records, 0 to 1.
        window: how many of the last records the share is taken over.
    """

    def __init__(self, *, max_ratio: float, window: int) -> None:
        self._allowed = int(max_ratio * window)
        self._max_ratio = max_ratio
        self._window = window
        self._recent: deque[bool] = deque(maxlen=window)

    def check(self, processed: int, rejected: int) -> None:
        """Refuse a batch that would take the share over its limit. Changes nothing.

        Raises:
            DeadLetterLimitError: more than `max_ratio * window` of the last records fail.
        """
        kept = max(0, self._window - processed)
        bad = sum(list(self._recent)[-kept:] if kept else []) + rejected
        if bad > self._allowed:
            raise DeadLetterLimitError(
                f"{bad} of the last {min(self._window, len(self._recent) + processed)} records "
                f"were rejected; the limit is {self._max_ratio:.0%} of {self._window}. Nothing of "
                f"this batch was committed. Look at the first of them in the dead-letter topics, "
                f"mend the cause, or raise SECONDSIGHT_DEAD_LETTER_MAX_RATIO"
            )

    def count(self, processed: int, rejected: int) -> None:
        """Take a committed batch into the share."""
        self._recent.extend([True] * rejected + [False] * (processed - rejected))

    def output(self, rejected: Rejected, *, attempt: int) -> Output:
        """Return the dead letter: key, value and headers as they were, and what failed."""
        record = rejected.record
        letter = DeadLetter(
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            stage=rejected.stage,
            error_class=type(rejected.error).__name__,
            message=str(rejected.error) or type(rejected.error).__name__,
            attempt=attempts_before(record.headers) + attempt,
            failed_at=datetime.now(UTC),
        )
        key, value, headers = letter.set_aside(record.key, record.value, record.headers)
        return Output(
            topic=dead_letter_topic(record.topic),
            partition=record.partition,
            key=key,
            value=value,
            headers=headers,
            timestamp_ms=record.timestamp_ms,
        )
