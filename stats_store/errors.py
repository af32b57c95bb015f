"""The errors of the statistics: one root, so that a caller can catch the package."""


class StatsStoreError(Exception):
    """Root of every error that this package raises on purpose."""


class EmptyHistogramError(StatsStoreError):
    """A quantile or a mean was asked of a histogram that holds no price."""


class NothingToRemoveError(StatsStoreError):
    """More was to be removed from a histogram than it holds; it was left as it was."""


class CorruptHistogramError(StatsStoreError):
    """Bytes are not an encoded histogram of this format version."""


class CorruptRecordError(StatsStoreError):
    """A key or value of the store, the changelog or the partials is not in our format."""


class SaleRefusedError(StatsStoreError):
    """A sale was not applied, and nothing was changed. `stage` says what refused it."""

    stage: str


class SaleConflictError(SaleRefusedError):
    """A sale has the ids of a known one and other content."""

    stage = "conflict"


class LateSaleError(SaleRefusedError):
    """A sale is older than sales are remembered: it may have been counted."""

    stage = "late"


class CorruptCheckpointError(StatsStoreError):
    """A checkpoint is damaged, cut short, or another one than it is said to be."""


class StoreUnusableError(StatsStoreError):
    """A store on disk cannot be used as it is; nothing in it was changed."""


class StoreLockedError(StoreUnusableError):
    """Another process has the store open."""


class StoreClosedError(StoreUnusableError):
    """The store was closed meanwhile."""


class StoreMismatchError(StoreUnusableError):
    """The store belongs to another partition, program or changelog, or has another format."""

    exit_code = 3  # a retry will not help
