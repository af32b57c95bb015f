"""The stores of statistics that lie in a data folder, read beside the worker that writes them."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from schemas.topics import LISTING_CREATED, TRANSACTIONS
from stats_store.reading import StoreReader
from stats_store.store import PartitionStore
from workers.errors import ConfigurationError

_INPUTS = (TRANSACTIONS, LISTING_CREATED)


@dataclass(frozen=True, slots=True)
class StateAge:
    """How far a partition's state has come: offsets to be read next, and when it was written."""

    partition: int
    changelog_position: int
    positions: dict[str, int]
    written_at: datetime


@dataclass(frozen=True, slots=True)
class FoundStore:
    """A partition's store as it was when it was opened, and the currencies of its sales."""

    store: PartitionStore
    currencies: Sequence[str]
    age: StateAge


def store_folder(data_dir: Path, partition: int) -> Path:
    """Return the folder of a partition's store."""
    return stores_folder(data_dir) / str(partition)


def stores_folder(data_dir: Path) -> Path:
    """Return the folder of all stores of statistics in a data folder."""
    return data_dir / "stats"


@contextmanager
def stores_in(data_dir: Path) -> Iterator[list[FoundStore]]:
    """Give the stores in a data folder in order of partition, to be read within the block.

    Raises:
        ConfigurationError: there are none.
        StatsStoreError: one of them is damaged, foreign or of another format.
    """
    folder = stores_folder(data_dir)
    partitions = sorted(int(each.name) for each in _subfolders(folder) if each.name.isdecimal())
    if not partitions:
        raise ConfigurationError(
            f"{folder} holds no statistics; name the data folder of a stats worker with "
            "--data-dir or SECONDSIGHT_DATA_DIR"
        )
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(TemporaryDirectory(prefix="secondsight-inspect-")))
        found = []
        for partition in partitions:
            reader = stack.enter_context(
                StoreReader(folder / str(partition), partition, own_folder=scratch / str(partition))
            )
            store = reader.view()
            age = _age(store, _last_written(folder / str(partition)))
            found.append(FoundStore(store, reader.currencies(), age))
        yield found


def _age(store: PartitionStore, written_at: datetime) -> StateAge:
    positions = {topic: store.position(topic) for topic in _INPUTS}
    return StateAge(
        partition=store.partition,
        changelog_position=store.changelog_position,
        positions={topic: at for topic, at in positions.items() if at is not None},
        written_at=written_at,
    )


def _subfolders(folder: Path) -> list[Path]:
    try:
        return [each for each in folder.iterdir() if each.is_dir()]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ConfigurationError(f"{folder} cannot be read: {error.strerror}") from None


def _last_written(folder: Path) -> datetime:
    """Return when the newest write-ahead log was last written to."""
    times = [folder.stat().st_mtime]
    for log in folder.glob("*.log"):
        try:
            times.append(log.stat().st_mtime)
        except FileNotFoundError:
            continue  # flushed meanwhile; a newer one took its place
    return datetime.fromtimestamp(max(times), UTC)
