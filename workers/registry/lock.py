"""A lock that lies in the registry and expires: of several jobs one wins, and a dead one loses.

    URL/locks/NAME-00000007.json    the seventh holder of the lock

To take the lock is to create the next number, which both a folder (a link to a whole file) and S3
(a put with `If-None-Match: *`) let one alone do. The highest number holds it until its holder
writes that it is done, or stops renewing it. Numbers are never used again before the highest is
gone, see docs/decisions/0065. Clocks of the machines must agree to a fraction of `LIFE_S`.
"""

import json
import os
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

import structlog
from fsspec.implementations.local import LocalFileSystem

from workers.errors import WorkersError
from workers.object_storage import open_storage, storage_errors

log = structlog.get_logger(__name__)

LIFE_S = 120.0  # of a lock that is not renewed: how long a killed job keeps others out
_RENEWALS = 4  # in that time, so that a store may fail to answer twice


class LockedError(WorkersError):
    """Another job holds the lock; a later try may pass."""


class RegistryLock:
    """Held for the length of a `with` block and renewed by a thread meanwhile.

    Args:
        url: of the registry, a folder or an address that fsspec knows.
        name: of the lock, letters and digits.
        life_s: seconds after which a lock that was not renewed is free.
        clock: seconds since 1970, for others to compare.

    Raises:
        ConfigurationError: nothing reaches that address.
    """

    def __init__(
        self,
        url: str,
        name: str,
        *,
        life_s: float = LIFE_S,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._files, root = open_storage(url, setting="SECONDSIGHT_MODEL_REGISTRY")
        self._folder = f"{root}/locks"
        self._name = name
        self._life_s = life_s
        self._clock = clock
        self._holder = f"{socket.gethostname()}-{os.getpid()}-{uuid4().hex[:8]}"
        self._number = 0
        self._until = 0.0
        self._done = threading.Event()

    def __enter__(self) -> Self:
        """Take the lock.

        Raises:
            LockedError: another job holds it.
            WorkersError: the registry cannot be read or written.
        """
        with storage_errors(f"the registry's lock in {self._folder} cannot be taken"):
            self._take()
        self._done.clear()
        self._thread = threading.Thread(target=self._renew, name="lock", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._done.set()
        self._thread.join()
        try:
            with storage_errors("the registry's lock cannot be given back"):
                if self._highest() == self._number:
                    self._write(self._content(0.0))
        except WorkersError as failure:  # it expires, and what was done under it is done
            log.warning("lock not given back", error=str(failure), free_after_s=self._life_s)

    def check(self) -> None:
        """Make sure that the lock is still held; to be asked before what must not happen twice.

        Raises:
            LockedError: it expired, or another job has it now.
            WorkersError: the registry cannot be read.
        """
        with storage_errors("the registry's lock cannot be read"):
            highest = self._highest()
        if highest != self._number or self._clock() >= self._until:
            raise LockedError(
                f"this job lost the lock {self._name!r}: it could not renew it within "
                f"{self._life_s:.0f} s, or another job took it; nothing was published"
            )

    def _take(self) -> None:
        number = self._highest()
        if number:
            self._refuse_if_held(number)
        self._files.makedirs(self._folder, exist_ok=True)
        until = self._clock() + self._life_s
        if not self._create(number + 1, self._content(until)):
            raise LockedError(f"another job took the lock {self._name!r} at this moment")
        self._number, self._until = number + 1, until
        # Only now: whoever listed before an even higher number came, and created one that was
        # cleared away since, must see it.
        if self._highest() != self._number:
            self._files.rm_file(self._path(self._number))
            raise LockedError(f"another job took the lock {self._name!r} at this moment")
        for other in self._numbers():
            if other < self._number:
                self._remove(other)

    def _refuse_if_held(self, number: int) -> None:
        held = self._read(number)
        until = float(held.get("until", 0.0))
        if until > self._clock():
            raise LockedError(
                f"another job ({held.get('holder')}) holds the lock {self._name!r}; unless it goes "
                f"on, it is free in {until - self._clock():.0f} s"
            )

    def _create(self, number: int, content: bytes) -> bool:
        """Create a number, whole, unless it is there; say whether it was created."""
        path = self._path(number)
        if isinstance(self._files, LocalFileSystem):
            whole = self._unnamed(content)
            try:
                os.link(whole, path)
            except FileExistsError:
                return False
            finally:
                whole.unlink()
            return True
        try:
            self._files.pipe_file(path, content, mode="create")
        except FileExistsError:
            return False
        except OSError:
            if self._files.exists(path):  # S3 says that a precondition failed
                return False
            raise
        return True

    def _write(self, content: bytes) -> None:
        """Replace what this job's number says, so that no reader sees half of it."""
        path = self._path(self._number)
        if isinstance(self._files, LocalFileSystem):
            self._unnamed(content).replace(path)
        else:
            self._files.pipe_file(path, content)

    def _unnamed(self, content: bytes) -> Path:
        path = Path(f"{self._folder}/.{self._holder}")
        path.write_bytes(content)
        return path

    def _renew(self) -> None:
        while not self._done.wait(self._life_s / _RENEWALS):
            until = self._clock() + self._life_s
            try:
                with storage_errors("the registry's lock cannot be renewed"):
                    if self._highest() != self._number or self._clock() >= self._until:
                        return  # lost; `check` says so
                    self._write(self._content(until))
            except WorkersError as error:
                log.warning("lock not renewed", error=str(error))
                continue
            self._until = until

    def _content(self, until: float) -> bytes:
        return json.dumps({"holder": self._holder, "until": until}).encode()

    def _read(self, number: int) -> dict[str, Any]:
        try:
            found = json.loads(self._files.cat_file(self._path(number)))
        except FileNotFoundError:  # cleared away by a later holder
            raise LockedError(f"another job took the lock {self._name!r} at this moment") from None
        except ValueError:
            return {}  # no job writes half of it
        return found if isinstance(found, dict) else {}

    def _remove(self, number: int) -> None:
        with suppress(FileNotFoundError):
            self._files.rm_file(self._path(number))

    def _path(self, number: int) -> str:
        return f"{self._folder}/{self._name}-{number:08d}.json"

    def _highest(self) -> int:
        return max(self._numbers(), default=0)

    def _numbers(self) -> list[int]:
        try:
            paths = self._files.ls(self._folder, detail=False)
        except FileNotFoundError:
            return []
        names = [path.rstrip("/").rpartition("/")[2] for path in paths]
        middles = [
            name.removeprefix(f"{self._name}-").removesuffix(".json")
            for name in names
            if name.startswith(f"{self._name}-") and name.endswith(".json")
        ]
        return [int(middle) for middle in middles if middle.isdecimal()]
