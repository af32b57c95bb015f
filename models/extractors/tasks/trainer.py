"""Training of one task's network: the tail of a backbone on the labels that listings have."""

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from models.errors import TrainingError
from models.extractors.ahead import ahead
from models.extractors.tasks.checkpoint import (
    Checkpoint,
    Progress,
    clone,
    optimizer_state,
    read_checkpoint,
    restore_optimizer,
    write_checkpoint,
)
from models.extractors.tasks.labels import Labels, known_entries
from models.extractors.tasks.losses import TASK_LOSSES
from models.extractors.tasks.metrics import Outputs, headline, task_metrics
from models.extractors.tasks.network import TaskNetwork
from models.extractors.tasks.ranks import Ranks
from models.extractors.tasks.samples import Samples

Indices = npt.NDArray[np.int64]
OnStep = Callable[[int, int], None]
"""Told of steps done and steps in all."""

_WARM_UP = 0.1  # share of the steps over which the learning rate rises
_BATCHES_AHEAD = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskPlan:
    """How a task is trained.

    Attributes:
        epochs: at most; fewer when the validation part gets no better.
        batch_size: photos a step, over all processes.
        micro_batch: photos at once in one process; a larger share of a step is added up.
        learning_rate: of the tail, at its highest.
        last_rate: of the new last layer, and of all when the tail is frozen.
        weight_decay: of matrices and kernels.
        patience: epochs without a better validation part before it ends.
    """

    epochs: int = 8
    batch_size: int = 64
    micro_batch: int = 64
    learning_rate: float = 3e-4
    last_rate: float = 1e-3
    weight_decay: float = 0.05
    patience: int = 3


@dataclass(frozen=True, slots=True)
class Photos:
    """P photos, each a sample with the labels of its listing.

    Attributes:
        samples: their input.
        listing: `[P]` which listing each is of.
    """

    samples: Samples
    listing: Indices

    def of(self, listings: npt.NDArray[np.bool_]) -> Indices:
        """Return the photos of those listings, given as bool `[N]`."""
        return np.flatnonzero(listings[self.listing])


def train_task(
    network: TaskNetwork,
    photos: Photos,
    labels: Labels,
    train: Indices,
    validation: Indices,
    *,
    plan: TaskPlan,
    seed: int,
    ranks: Ranks,
    checkpoint: Path,
    on_step: OnStep = lambda done, total: None,  # noqa: ARG005
) -> Progress:
    """Train a network on a task and leave it in eval mode on the CPU with its best weights.

    The best weights are those after the epoch with the best measure of the validation part, the
    last ones where that part has no label. A run that was killed goes on from its last epoch, and
    ends with the weights of one that was not; one that had finished is not run again. Several
    processes each take their share of every batch, and the first one writes.

    Args:
        network: as it begins, the same in all processes.
        photos: of all listings.
        labels: of all listings.
        train: listings to train on.
        validation: listings to choose the best weights by.
        plan: how.
        seed: of batches and changes of photos.
        ranks: the processes of this training.
        checkpoint: file for the state; whoever names it sees to it that it is of this very
            training.
        on_step: told of progress, in the first process.

    Raises:
        TrainingError: the loss is not finite any more.
        ModelsError: the checkpoint cannot be read or written.
    """
    run = _Run(network, photos, labels, plan, seed, ranks)
    run.restore(ranks.from_first(lambda: read_checkpoint(checkpoint)))
    train_photos = photos.of(_listed(train, labels.known))
    steps = math.ceil(len(train_photos) / plan.batch_size)
    total = plan.epochs * steps

    def told(done: int) -> None:
        if ranks.first:
            on_step(done, total)

    while not run.progress.finished:
        epoch = run.progress.epochs
        run.epoch(train_photos, steps, total, told)
        run.judge(ranks.from_first(lambda: run.measure(validation)), epoch + 1)
        if ranks.first:
            write_checkpoint(checkpoint, run.checkpoint())
    told(total)
    network.load_state_dict(run.best)
    network.cpu().eval()
    return run.progress


@torch.inference_mode()
def answer(
    network: TaskNetwork, photos: Photos, listings: Indices, device: torch.device, batch: int = 64
) -> Outputs:
    """Return what a network says of listings, `[M, K]`: the mean over the photos of each.

    A listing without a photo gets zeros.
    """
    network.eval()
    row = np.full(int(max(photos.listing.max(initial=-1), listings.max(initial=-1))) + 1, -1)
    row[listings] = np.arange(len(listings))
    chosen = np.flatnonzero(row[photos.listing] >= 0)
    total = np.zeros((len(listings), network.last.out_features), np.float32)
    shards = [chosen[start : start + batch] for start in range(0, len(chosen), batch)]
    for shard, values in zip(shards, _inputs(photos.samples, shards, None, device), strict=True):
        with _mixed_precision(device):
            outputs = network(values)
        np.add.at(total, row[photos.listing[shard]], outputs.float().cpu().numpy())
    count = np.bincount(row[photos.listing[chosen]], minlength=len(listings))
    total /= np.maximum(count, 1)[:, None]
    return total


class _Run:
    """The state of a training: network, optimizer, and how far they are."""

    def __init__(
        self,
        network: TaskNetwork,
        photos: Photos,
        labels: Labels,
        plan: TaskPlan,
        seed: int,
        ranks: Ranks,
    ) -> None:
        self._photos, self._labels, self._plan = photos, labels, plan
        self._seed, self._ranks, self._device = seed, ranks, ranks.device
        self._network = network.to(ranks.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._optimizer = _optimizer(network, plan)
        if ranks.device.type == "cuda":
            network.compile()
        self._module: nn.Module = network
        if ranks.count > 1:
            # each process has the same statistics from the backbone: there is nothing to send
            self._module = DistributedDataParallel(network, broadcast_buffers=False)
        self._targets = torch.from_numpy(labels.targets)
        self._known = known_entries(labels.targets)
        self.best = clone(network.state_dict())
        self.progress = Progress(finished=plan.epochs == 0)

    def restore(self, content: bytes | None) -> None:
        """Go on from a checkpoint, if there is one."""
        if content is None:
            return
        found = Checkpoint.from_bytes(content)
        self.progress, self.best = found.progress, found.best
        if not found.progress.finished:
            self._network.load_state_dict(found.network)
            restore_optimizer(self._optimizer, found.optimizer)

    def checkpoint(self) -> Checkpoint:
        if self.progress.finished:
            return Checkpoint(self.progress, {}, self.best, {})
        return Checkpoint(
            self.progress, self._network.state_dict(), self.best, optimizer_state(self._optimizer)
        )

    def epoch(
        self, train_photos: Indices, steps: int, total: int, told: Callable[[int], None]
    ) -> None:
        """Train on every photo once."""
        number = self.progress.epochs
        draw = np.random.default_rng([self._seed, number])
        batches = np.array_split(draw.permutation(train_photos), steps)
        parts = [self._parts(batch) for batch in batches]
        inputs = _inputs(
            self._photos.samples,
            [part for of_batch in parts for part in of_batch],
            (self._seed, number),
            self._device,
        )
        self._network.prepare_training()
        sum_of_losses = torch.zeros((), device=self._device)
        for step, (batch, of_batch) in enumerate(zip(batches, parts, strict=True)):
            self._set_rate(number * steps + step, total)
            known = int(self._known[self._photos.listing[batch]].sum())
            for index, part in enumerate(of_batch):
                last = index + 1 == len(of_batch)
                with self._alone() if not last else nullcontext():
                    sum_of_losses += self._backward(part, next(inputs), known)
            self._optimizer.step()
            self._optimizer.zero_grad(set_to_none=True)
            told(number * steps + step + 1)
        if not math.isfinite(sum_of_losses.item()):
            raise self._diverged()

    def measure(self, validation: Indices) -> float | None:
        """Return the measure of the validation part, None where it has no label."""
        items = validation[self._labels.known[validation]]
        outputs = answer(self._network, self._photos, items, self._device, self._plan.micro_batch)
        if not np.isfinite(outputs).all():
            raise self._diverged()
        return headline(task_metrics(self._labels, outputs, items))

    def judge(self, measure: float | None, epochs: int) -> None:
        """Remember the weights if they are the best so far, and see whether more are needed."""
        best, best_epoch = self.progress.best, self.progress.best_epoch
        if measure is None or best is None or measure > best:
            best, best_epoch = measure, epochs
            self.best = clone(self._network.state_dict())
        finished = epochs >= self._plan.epochs or epochs - best_epoch >= self._plan.patience
        self.progress = Progress(epochs, best, best_epoch, finished)

    def _diverged(self) -> TrainingError:
        return TrainingError(
            f"the {self._labels.task} extractor is not finite any more: look at the photos' labels"
        )

    def _parts(self, batch: Indices) -> list[Indices]:
        """Return this process's share of a batch, in micro-batches."""
        share = batch[self._ranks.rank :: self._ranks.count]
        return np.array_split(share, math.ceil(len(share) / self._plan.micro_batch))

    def _backward(self, part: Indices, values: Tensor, known: int) -> Tensor:
        targets = self._targets[self._photos.listing[part]].to(self._device)
        with _mixed_precision(self._device):
            outputs = self._module(values)
        loss = TASK_LOSSES[self._labels.task](outputs, targets, known)
        # the gradients of the processes are averaged, but the shares are to add up
        (loss * self._ranks.count).backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    def _alone(self) -> AbstractContextManager[object]:
        """Keep the gradients of a micro-batch here until the step's last one."""
        if isinstance(self._module, DistributedDataParallel):
            return self._module.no_sync()
        return nullcontext()

    def _set_rate(self, step: int, total: int) -> None:
        """Rise over the first steps, then fall along a cosine to 0."""
        rising = max(1, round(_WARM_UP * total))
        if step < rising:
            share = (step + 1) / rising
        else:
            share = 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, total - rising)))
        for group in self._optimizer.param_groups:
            group["lr"] = group["highest"] * share


def _optimizer(network: TaskNetwork, plan: TaskPlan) -> torch.optim.Optimizer:
    pretrained = {id(parameter) for parameter in network.pretrained}
    new = [p for p in network.parameters() if id(p) not in pretrained]
    groups = [
        {
            "params": [p for p in parameters if (p.ndim > 1) == decayed],
            "highest": rate,
            "weight_decay": plan.weight_decay if decayed else 0.0,
        }
        for parameters, rate in ((network.pretrained, plan.learning_rate), (new, plan.last_rate))
        for decayed in (True, False)  # scales, shifts and biases are not pulled to zero
    ]
    return torch.optim.AdamW([group for group in groups if group["params"]], fused=True)


def _inputs(
    samples: Samples, batches: list[Indices], draw: tuple[int, int] | None, device: torch.device
) -> Iterator[Tensor]:
    """Yield the input of each batch on the device, the next ones being made meanwhile."""
    made = ahead(lambda batch: samples.batch(batch, draw), batches, threads=1, limit=_BATCHES_AHEAD)
    for batch in made:
        if device.type == "cuda":
            batch = batch.pin_memory().to(device, non_blocking=True)
        yield batch.to(memory_format=torch.channels_last) if batch.ndim == 4 else batch


def _listed(items: Indices, known: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    chosen = np.zeros(len(known), np.bool_)
    chosen[items] = True
    return chosen & known


def _mixed_precision(device: torch.device) -> AbstractContextManager[object]:
    if device.type == "cuda":
        return torch.autocast("cuda", dtype=torch.bfloat16)
    return nullcontext()
