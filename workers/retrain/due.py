"""Whether a retraining is due, so that a job can be started often and work seldom."""

from collections.abc import Sequence
from datetime import datetime, timedelta


def due(
    *, now: datetime, last: datetime | None, interval: timedelta, requests: Sequence[str]
) -> str | None:
    """Say why a retraining is due, None where it is not.

    Args:
        now: UTC.
        last: when the last one began that came to a verdict; None before the first.
        interval: from one to the next.
        requests: names of unanswered requests for an early one.
    """
    if last is None:
        return "there was none yet"
    if requests:
        return f"asked for: {', '.join(requests)}"
    if now - last >= interval:
        return f"the last was {(now - last).days} days ago"
    return None
