"""The errors of the models: one root, so that a caller can catch the package.

`exit_code` is what a command ends with: 3 says that a retry with the same input will not help.
"""

from typing import ClassVar


class ModelsError(Exception):
    """Root of every error that this package raises on purpose."""

    exit_code: ClassVar[int] = 1


class DatasetError(ModelsError):
    """A dataset folder cannot be used; the message names the file and, where known, the line."""

    exit_code = 3


class BundleError(ModelsError):
    """A model bundle is incomplete, altered or made for other inputs."""

    exit_code = 3


class UnreadableImageError(ModelsError):
    """The bytes of a photo cannot be decoded, or break a limit; an answer, not a crash."""


class TrainingError(ModelsError):
    """A training run cannot go on: too little data, a loss that is not finite, a failed guard."""
