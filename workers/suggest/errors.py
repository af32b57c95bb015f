"""Why a photo could not be had. Both lead to the re-upload reason `unavailable`."""

from workers.errors import WorkersError


class FetchRefusedError(WorkersError):
    """The photo may not be fetched, or is not there: another try gives the same."""


class FetchFailedError(WorkersError):
    """The photo could not be fetched this time: another try may pass."""
