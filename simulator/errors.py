"""The errors of the simulator: one root, so that a caller can catch the package."""

from typing import ClassVar


class SimulatorError(Exception):
    """Root of every error that this package raises on purpose.

    `exit_code` is what a command ends with: 3, since the same call would fail again.
    """

    exit_code: ClassVar[int] = 3
