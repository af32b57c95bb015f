"""What the gate says, and why."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Check:
    """One question to a challenger.

    Attributes:
        name: of the question.
        passed: whether the answer lets it through.
        says: the answer, for people.
        figures: the answer in numbers.
    """

    name: str
    passed: bool
    says: str
    figures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Verdict:
    """All checks; a challenger is published if each of them lets it through."""

    checks: tuple[Check, ...]

    @property
    def publish(self) -> bool:
        """Whether the challenger takes the champion's place."""
        return bool(self.checks) and all(check.passed for check in self.checks)

    def report(self) -> str:
        """Return the verdict for people, a line a check."""
        lines = [
            f"{'ok ' if check.passed else 'NO '} {check.name}: {check.says}"
            for check in self.checks
        ]
        return "\n".join(lines)
