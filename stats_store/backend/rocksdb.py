"""Entries in RocksDB, one column family by first byte of the key."""

import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Self

from rocksdict import AccessType, Checkpoint, Rdict, WriteBatch, WriteOptions

from stats_store.backend.options import RocksDBOptions
from stats_store.changelog import Change, Family
from stats_store.errors import (
    StoreClosedError,
    StoreLockedError,
    StoreMismatchError,
    StoreUnusableError,
)

_COLUMN_FAMILIES = {family.value[0]: family.name.lower() for family in Family}
_FLUSHING = ("rocksdb.num-immutable-mem-table", "rocksdb.mem-table-flush-pending")
_FLUSH_PATIENCE_S = 30.0
_RESTORE = "move the folder away, and the state is restored from the changelog"


class RocksDBBackend:
    """Keeps entries in a folder.

    The write-ahead log is not synced at each write: a killed process loses nothing, a machine
    that crashes loses the last writes whole, and the changelog has them.
    """

    def __init__(self, database: Rdict, folder: Path) -> None:
        self._database = database
        self._folder = folder
        self._maps = {
            byte: database.get_column_family(name) for byte, name in _COLUMN_FAMILIES.items()
        }
        self._handles = {
            byte: database.get_column_family_handle(name) for byte, name in _COLUMN_FAMILIES.items()
        }
        self._write_options = WriteOptions()
        self._copying = threading.Lock()

    @classmethod
    def open(cls, folder: Path, options: RocksDBOptions, first: Iterable[Change]) -> Self:
        """Open the entries in a folder, which is created with the entries `first` if need be.

        Raises:
            StoreLockedError: the folder is open already, here or in another process.
            StoreMismatchError: the folder holds something else.
            StoreUnusableError: the folder cannot be read or is damaged. In each case nothing
                in it was changed.
        """
        if not folder.is_dir() or not any(folder.iterdir()):
            cls._create(folder, options, first)
        if not (folder / "CURRENT").is_file():
            raise _no_store(folder)
        try:
            found = set(Rdict.list_cf(str(folder)))
        except Exception as error:
            raise _unusable(folder, error) from error
        if found != {"default", *_COLUMN_FAMILIES.values()}:
            raise _no_store(folder)
        return cls(_open(folder, options), folder)

    @classmethod
    def _create(cls, folder: Path, options: RocksDBOptions, first: Iterable[Change]) -> None:
        # Made beside its place and renamed, so that a crash leaves no half-made store in it;
        # what a crash has left there is made complete.
        unfinished = folder.with_name(folder.name + ".unfinished")
        try:
            unfinished.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _not_created(folder, error) from error
        backend = cls(_open(unfinished, options), unfinished)
        try:
            backend.write(first)
            backend._database.flush_wal(sync=True)
        finally:
            backend.close()
        try:
            unfinished.rename(folder)
        except OSError as error:
            raise _not_created(folder, error) from error

    def get(self, key: bytes) -> bytes | None:
        """Return the value of a key, None where there is none."""
        try:
            value: bytes | None = self._maps[key[0]].get(key)
        except Exception as error:
            raise _unusable(self._folder, error) from error
        return value

    def get_many(self, keys: Sequence[bytes]) -> Sequence[bytes | None]:
        """Return the value of each of keys of one column family, None where there is none."""
        if not keys:
            return []
        try:
            values: list[bytes | None] = self._maps[keys[0][0]].get(list(keys)) or []
        except Exception as error:
            raise _unusable(self._folder, error) from error
        return values

    def scan(self, prefix: bytes) -> list[tuple[bytes, bytes]]:
        """Return the entries whose key starts with `prefix`, in key order."""
        found: list[tuple[bytes, bytes]] = []
        try:
            cursor = self._maps[prefix[0]].iter()
            cursor.seek(prefix)
            while cursor.valid():
                key = cursor.key()
                if not key.startswith(prefix):
                    break
                found.append((key, cursor.value()))
                cursor.next()
            cursor.status()
        except Exception as error:
            raise _unusable(self._folder, error) from error
        return found

    def scan_from(self, start: bytes, *, limit: int) -> list[tuple[bytes, bytes]]:
        """Return at most `limit` entries of the family of `start`, from that key on, in order."""
        found: list[tuple[bytes, bytes]] = []
        try:
            cursor = self._maps[start[0]].iter()
            cursor.seek(start)
            while cursor.valid() and len(found) < limit:
                found.append((cursor.key(), cursor.value()))
                cursor.next()
            cursor.status()
        except Exception as error:
            raise _unusable(self._folder, error) from error
        return found

    def write(self, changes: Iterable[Change]) -> None:
        """Apply changes in one WriteBatch."""
        batch = WriteBatch(raw_mode=True)
        handles = self._handles
        for key, value in changes:
            if value is None:
                batch.delete(key, handles[key[0]])
            else:
                batch.put(key, value, handles[key[0]])
        try:
            self._database.write(batch, self._write_options)
        except Exception as error:
            raise _unusable(self._folder, error) from error

    def copy_to(self, folder: Path) -> None:
        """Write all entries as of one moment to a new folder, by links where it is near.

        May be called from another thread; `close` waits for it.

        Raises:
            StoreClosedError: it was closed before.
            StoreUnusableError: the copy cannot be written.
        """
        with self._copying:
            if not self._maps:
                raise StoreClosedError(f"{self._folder} was closed before it could be copied")
            try:
                self._flush()
                Checkpoint(self._database).create_checkpoint(str(folder))
            except Exception as error:
                raise _unusable(self._folder, error) from error

    def _flush(self) -> None:
        # Making a checkpoint flushes too, but lets no other thread run meanwhile: 0.1 s with a
        # full write buffer. What this leaves to it takes 0.04 s.
        for each in self._maps.values():
            each.flush(wait=False)
        deadline = time.monotonic() + _FLUSH_PATIENCE_S
        while time.monotonic() < deadline and any(
            each.property_int_value(name) for each in self._maps.values() for name in _FLUSHING
        ):
            time.sleep(0.005)

    @staticmethod
    def peek(folder: Path, key: bytes) -> bytes | None:
        """Return the value of a key in a folder that nobody has open, without changing it.

        Raises:
            StoreUnusableError: it is damaged or no store.
        """
        options = RocksDBOptions().to_rocksdict()
        families = dict.fromkeys(_COLUMN_FAMILIES.values(), options)
        try:
            database = Rdict(
                str(folder),
                options,
                column_families=families,
                access_type=AccessType.read_only(),
            )
            value: bytes | None = database.get_column_family(_COLUMN_FAMILIES[key[0]]).get(key)
            database.close()
        except Exception as error:
            raise _unusable(folder, error) from error
        return value

    def close(self) -> None:
        """Flush the info log, release the lock."""
        with self._copying:
            # The lock is held as long as anything refers to the database.
            self._maps.clear()
            self._handles.clear()
            self._database.close()


def _open(folder: Path, options: RocksDBOptions) -> Rdict:
    set_up = options.to_rocksdict()
    families = dict.fromkeys(_COLUMN_FAMILIES.values(), set_up)
    try:
        return Rdict(str(folder), set_up, column_families=families)
    except Exception as error:
        raise _unusable(folder, error) from error


def _no_store(folder: Path) -> StoreMismatchError:
    # A damaged manifest lists no column families, so the two cannot be told apart.
    return StoreMismatchError(
        f"{folder} is damaged or is not a store of statistics: if it was one, {_RESTORE}; "
        "otherwise use another folder"
    )


def _not_created(folder: Path, error: OSError) -> StoreUnusableError:
    return StoreUnusableError(f"{folder} cannot be made ({error}); check the path and its rights")


def _unusable(folder: Path, error: Exception) -> StoreUnusableError:
    # The library raises plain Exception; the text is all that tells a lock from the rest.
    text = " ".join(str(error).split())
    if "lock" in text.lower() and "/LOCK" in text:
        return StoreLockedError(
            f"{folder} is in use by another process; stop it, or give this one another folder"
        )
    if "no space" in text.lower():
        return StoreUnusableError(f"no space is left on the disk of {folder}: {text}")
    return StoreUnusableError(f"{folder} cannot be used ({text}); {_RESTORE}")
