"""The errors of workers and commands, each with the exit code it ends a command with."""

DONE = 0
FAILED = 1
WRONG_USAGE = 2
BAD_DATA = 3


class WorkersError(Exception):
    """Root of every error that this package raises on purpose. A retry may help."""

    exit_code = FAILED


class ConfigurationError(WorkersError):
    """A setting, a topic or a model bundle is not as it must be; a retry will not help."""

    exit_code = BAD_DATA


class BadDataError(WorkersError):
    """The input cannot be used as it is; a retry will not help."""

    exit_code = BAD_DATA
