"""The state of a task's training on disk: one file, whole or not there, tensors and no pickle."""

import json
import os
import struct
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from models.errors import ModelsError

Tensors = dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a training is.

    Attributes:
        epochs: done.
        best: the best measure of the validation part so far, None where there is none.
        best_epoch: the epoch, from 1, that it is of.
        finished: only the best weights are of interest any more.
    """

    epochs: int = 0
    best: float | None = None
    best_epoch: int = 0
    finished: bool = False


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Weights, the best of them, and the optimizer's moments, after whole epochs.

    No random state belongs to it: each epoch draws from the seed and its own number.
    """

    progress: Progress
    network: Tensors
    best: Tensors
    optimizer: dict[int, Tensors]

    def to_bytes(self) -> bytes:
        """Return safetensors with the progress as JSON in their header."""
        tensors = {f"network/{name}": value for name, value in self.network.items()}
        tensors |= {f"best/{name}": value for name, value in self.best.items()}
        for parameter, state in self.optimizer.items():
            tensors |= {f"optimizer/{parameter}/{name}": value for name, value in state.items()}
        tensors = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
        return bytes(save(tensors, {"progress": json.dumps(asdict(self.progress))}))

    @classmethod
    def from_bytes(cls, content: bytes) -> "Checkpoint":
        """Read what `to_bytes` gave.

        Raises:
            ModelsError: it is something else.
        """
        try:
            tensors = load(content)
            (length,) = struct.unpack("<Q", content[:8])  # of the header, which `load` keeps back
            header = json.loads(content[8 : 8 + length])
            progress = Progress(**json.loads(header["__metadata__"]["progress"]))
            parts: dict[str, Tensors] = {"network": {}, "best": {}}
            optimizer: dict[int, Tensors] = {}
            for name, value in tensors.items():
                part, rest = name.split("/", 1)
                if part == "optimizer":
                    parameter, rest = rest.split("/", 1)
                    optimizer.setdefault(int(parameter), {})[rest] = value
                else:
                    parts[part][rest] = value
        except (SafetensorError, struct.error, KeyError, ValueError, TypeError) as error:
            raise ModelsError(f"not a checkpoint of a training: {error}") from None
        return cls(progress, parts["network"], parts["best"], optimizer)


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Put a checkpoint in the place of an older one, at once.

    Raises:
        ModelsError: it cannot be written; the older one is still there.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, unfinished = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(checkpoint.to_bytes())
                file.flush()
                os.fsync(file.fileno())
            Path(unfinished).replace(path)
        except OSError:
            Path(unfinished).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise ModelsError(f"{path} cannot be written: {error.strerror}") from None


def read_checkpoint(path: Path) -> bytes | None:
    """Return the bytes of a checkpoint, or None where there is none.

    Raises:
        ModelsError: it is there and cannot be read.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ModelsError(f"{path} cannot be read: {error.strerror}") from None


def clone(tensors: Tensors) -> Tensors:
    """Return a copy that training does not change."""
    return {name: value.detach().clone() for name, value in tensors.items()}


def optimizer_state(optimizer: torch.optim.Optimizer) -> dict[int, Tensors]:
    """Return the moments of an optimizer by the number of the parameter."""
    state: dict[int, Tensors] = optimizer.state_dict()["state"]
    return state


def restore_optimizer(optimizer: torch.optim.Optimizer, state: dict[int, Tensors]) -> None:
    """Give an optimizer its moments back; its settings stay as they are."""
    optimizer.load_state_dict(
        {"state": state, "param_groups": optimizer.state_dict()["param_groups"]}
    )
