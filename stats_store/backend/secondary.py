"""Entries of a RocksDB that another process, or another thread, writes meanwhile; to be read."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Self

from rocksdict import AccessType, Rdict

from stats_store.backend.options import RocksDBOptions
from stats_store.backend.rocksdb import RocksDBBackend
from stats_store.changelog import Change, Family
from stats_store.errors import StoreMismatchError, StoreUnusableError

_FAMILIES = tuple(family.name.lower() for family in Family)
# While a database is opened or followed its writer may drop a file that was just named to us.
_TRIES = 5


class SecondaryBackend:
    """Reads what is in a folder, beside the one that writes it.

    It takes no lock there, and all that it writes there is the library's own note on how keys are
    encoded (`rocksdict-config.json`), with what was in it. What it shows is what was written when
    it was opened, or at the last `catch_up`. The files that it reads keep their place on the disk
    until it is closed, though their writer may have dropped them.

    Each call may raise StoreUnusableError when an entry cannot be read.
    """

    def __init__(self, database: Rdict, folder: Path) -> None:
        self._database = database
        self._folder = folder
        self._entries = RocksDBBackend(database, folder)

    @classmethod
    def open(cls, folder: Path, options: RocksDBOptions, *, own_folder: Path) -> Self:
        """Open the entries in a folder.

        Args:
            folder: the one that is written by another.
            options: memory of RocksDB.
            own_folder: for what this reader writes, and no other; made if need be.

        Raises:
            StoreMismatchError: the folder holds something else.
            StoreUnusableError: the folder cannot be read.
        """
        if not (folder / "CURRENT").is_file():
            raise StoreMismatchError(f"{folder} is not a store of statistics")
        set_up = options.to_rocksdict()
        set_up.create_if_missing(False)
        set_up.create_missing_column_families(False)
        families = dict.fromkeys(_FAMILIES, set_up)
        access = AccessType.secondary(str(own_folder))
        for tries_left in reversed(range(_TRIES)):
            try:
                found = set(Rdict.list_cf(str(folder)))
                if found == {"default", *_FAMILIES}:
                    return cls(Rdict(str(folder), set_up, families, access), folder)
                break
            except Exception as error:
                if not tries_left:
                    raise _unreadable(folder, error) from error
        raise StoreMismatchError(f"{folder} is damaged or is not a store of statistics")

    def catch_up(self) -> None:
        """Show what has been written up to now.

        Raises:
            StoreUnusableError: it cannot be followed; it may be opened anew.
        """
        try:
            self._database.try_catch_up_with_primary()
        except Exception as error:
            raise _unreadable(self._folder, error) from error

    def get(self, key: bytes) -> bytes | None:
        """Return the value of a key, None where there is none."""
        return self._entries.get(key)

    def get_many(self, keys: Sequence[bytes]) -> Sequence[bytes | None]:
        """Return the value of each of keys of one column family, None where there is none."""
        return self._entries.get_many(keys)

    def scan(self, prefix: bytes) -> list[tuple[bytes, bytes]]:
        """Return the entries whose key starts with `prefix`, in key order."""
        return self._entries.scan(prefix)

    def scan_from(self, start: bytes, *, limit: int) -> list[tuple[bytes, bytes]]:
        """Return at most `limit` entries of the family of `start`, from that key on, in order."""
        return self._entries.scan_from(start, limit=limit)

    def write(self, changes: Iterable[Change]) -> None:  # noqa: ARG002 - none is written
        """Refuse: a store of an older format is brought up to date by the worker alone.

        Raises:
            StoreUnusableError: always.
        """
        raise StoreUnusableError(
            f"{self._folder} is only read here, and its format is older: start the stats worker "
            "of this release on it once"
        )

    def close(self) -> None:
        """Release the files. Nothing may be called after it."""
        self._entries.close()


def _unreadable(folder: Path, error: Exception) -> StoreUnusableError:
    return StoreUnusableError(f"{folder} cannot be read ({' '.join(str(error).split())})")
