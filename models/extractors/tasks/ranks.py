"""The processes of one training: one alone, or several that `torchrun` started."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist

Found = TypeVar("Found")

# The others wait while the first one reads photos; of a million that takes hours.
_PATIENCE = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Ranks:
    """This process among those of the training.

    Attributes:
        rank: number of this process; the first, 0, writes and reports.
        count: how many there are.
        device: where this process trains.
    """

    rank: int
    count: int
    device: torch.device

    @property
    def first(self) -> bool:
        """Whether this is the process that writes and reports."""
        return self.rank == 0

    def from_first(self, find: Callable[[], Found]) -> Found:
        """Return in every process what `find` gives in the first; elsewhere it is not called."""
        if self.count == 1:
            return find()
        box: list[Any] = [find() if self.first else None]
        dist.broadcast_object_list(box, src=0)
        found: Found = box[0]
        return found


def alone() -> Ranks:
    """Return one process on its own, on a GPU if there is one."""
    return Ranks(0, 1, torch.device("cuda" if torch.cuda.is_available() else "cpu"))


@contextmanager
def training_ranks() -> Iterator[Ranks]:
    """Join the processes that torchrun started: over NCCL on GPUs, over gloo on CPUs.

    Without torchrun's variables in the environment this process is alone.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield alone()
        return
    on_gpu = torch.cuda.is_available()
    device = torch.device("cuda", int(os.environ["LOCAL_RANK"])) if on_gpu else torch.device("cpu")
    if on_gpu:
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if on_gpu else "gloo", timeout=_PATIENCE)
    try:
        yield Ranks(dist.get_rank(), count, device)
    finally:
        dist.destroy_process_group()
