"""`secondsight outcomes`: the outcomes worker."""

from workers.runtime.settings import Settings


def outcomes() -> None:
    """Score suggestions by what things sold for, and write training examples, until SIGTERM.

    Needs Kafka with its topics (`secondsight topics`) and SECONDSIGHT_EXAMPLES_URL.
    """
    from workers.outcomes.worker import run_outcomes

    run_outcomes(Settings())
