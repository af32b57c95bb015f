"""Where a training stands, as one file that is whole or not there."""

import hashlib
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from models.errors import TrainingError

EVERY = 300.0  # seconds; what a kill costs at most, beside the epoch that it fell into


class Checkpoint:
    """A file of tensors and numbers, written now and then, read by whoever goes on.

    It is a safetensors file with the numbers as JSON in its header, and takes its name when it
    is on the disk. A file that is damaged, or of another training, counts as absent.
    """

    def __init__(self, path: Path, *, identity: str, every: float = EVERY) -> None:
        """Say where, and of what.

        Args:
            path: the file; its folder is made with it.
            identity: names all that the training depends on, see `digest`.
            every: seconds from one to the next; 0 writes each time it is asked.
        """
        self._path = path
        self._identity = identity
        self._every = every
        self._written = time.monotonic()

    def is_due(self) -> bool:
        """Say whether the last one is old enough."""
        return time.monotonic() - self._written >= self._every

    def read(self) -> tuple[dict[str, Tensor], dict[str, float]] | None:
        """Return tensors, on the CPU, and numbers; or None where there is nothing to go on from."""
        try:
            with safe_open(self._path, framework="pt") as file:
                metadata = file.metadata() or {}
                if metadata.get("identity") != self._identity:
                    return None
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return tensors, json.loads(metadata["numbers"])
        except (OSError, SafetensorError):
            return None

    def write(self, tensors: Mapping[str, Tensor], numbers: Mapping[str, float]) -> None:
        """Replace the file.

        Raises:
            TrainingError: it cannot be written.
        """
        unfinished = self._path.with_suffix(".unfinished")
        metadata = {"identity": self._identity, "numbers": json.dumps(numbers)}
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            plain = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
            save_file(plain, unfinished, metadata)
            with unfinished.open("rb") as file:
                os.fsync(file.fileno())
            unfinished.replace(self._path)
        except (OSError, SafetensorError) as error:
            unfinished.unlink(missing_ok=True)
            raise TrainingError(
                f"the checkpoint {self._path} cannot be written ({error}): make room there, or "
                "name another folder, and train again; it goes on from the checkpoint before"
            ) from None
        self._written = time.monotonic()


def digest(*parts: object) -> str:
    """Return a name of what a training depends on: tensors by their bytes, the rest by its repr."""
    found = hashlib.sha256()
    for part in parts:
        if isinstance(part, Tensor):
            part = part.detach().cpu().contiguous()
            found.update(f"{part.dtype}{tuple(part.shape)}".encode())
            found.update(part.view(-1).view(torch.uint8).numpy().tobytes())
        else:
            found.update(repr(part).encode())
        found.update(b"\0")
    return found.hexdigest()
