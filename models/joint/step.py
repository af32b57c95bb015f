"""One step of joint training, on tensors that stay where they are."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from models.joint.losses import PercentileLoss, ThresholdLoss
from models.joint.network import JointNetwork

_ROWS = 8192  # scaled or judged at once: 270 MB in float32 at 8208 columns
_EAGER_STEPS = 3  # before a capture; cuBLAS and the optimizer then have all they allocate


def multiplied_in(device: torch.device) -> torch.dtype:
    """Return the type in which a device multiplies: bfloat16 where it has units for it.

    On a CPU these are AMX tiles: 1,100 billion operations a second and core, where float32 does
    186. Weights, losses and the optimizer are float32 everywhere.
    """
    if device.type == "cuda" or torch.cpu.get_capabilities().get("amx_bf16"):
        return torch.bfloat16
    return torch.float32


def mixed_precision(device: torch.device) -> AbstractContextManager[object]:
    """Multiply matrices inside as `multiplied_in` says."""
    if multiplied_in(device) is torch.float32:
        return nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)


def resident(network: JointNetwork, rows: Tensor, device: torch.device) -> Tensor:
    """Return raw rows `[N, width]` scaled, on the device, in the type that it multiplies.

    Some rows at a time: the whole of the paper's 892,414 rows is 14.6 GB so, and would be five
    times as much on the way if it were scaled in one go.
    """
    made = torch.empty(rows.shape, dtype=multiplied_in(device), device=device)
    for part, scaled in zip(torch.split(rows, _ROWS), torch.split(made, _ROWS), strict=True):
        scaled.copy_(network.scale(part.to(device)))
    return made


def coverage(network: JointNetwork, inputs: Tensor) -> float:
    """Return the share of the scaled inputs `[N, width]` that the gate of an eval network opens."""
    qualified = torch.zeros((), device=inputs.device)
    with torch.inference_mode(), mixed_precision(inputs.device):
        for part in torch.split(inputs, _ROWS):
            qualified += (network.gate(part) >= 0).sum()
    return qualified.item() / len(inputs)


@dataclass(frozen=True, slots=True)
class Items:
    """What is trained on.

    Attributes:
        inputs: scaled columns `[N, width]`.
        prices: natural log around the training mean `[N]`.
        left_out_by: number of the member that does not train on the item `[N]`.
    """

    inputs: Tensor
    prices: Tensor
    left_out_by: Tensor


class Step:
    """Trains on one batch after another, at one objective and learning rate.

    On a GPU the first steps run as they are written, then one is captured as a CUDA graph and
    replayed: at 4096 items the processor would take as long to launch a step's 150 kernels as
    the GPU to run them. Not captured are an epoch's last batch, which is smaller, several
    members, whose shares of a batch vary, and a beta that follows the errors.
    """

    def __init__(
        self,
        network: JointNetwork,
        items: Items,
        loss: PercentileLoss | ThresholdLoss,
        optimizer: torch.optim.Optimizer,
        *,
        warm_up: bool,
        batch_size: int,
        captured: bool,
    ) -> None:
        """Allocate the batch `[batch_size, width]`; `captured` asks for the graph on a GPU."""
        device = items.inputs.device
        self._network, self._items = network, items
        self._loss, self._optimizer, self._warm_up = loss, optimizer, warm_up
        # filled anew by each step: fresh memory costs a CPU more than the rows themselves
        self._inputs = items.inputs.new_empty(batch_size, items.inputs.shape[1])
        self._batch = torch.zeros(batch_size, dtype=torch.int64, device=device)
        self._sums = torch.zeros(2, device=device)
        self._captured = captured and device.type == "cuda"
        self._eager_steps = 0
        self._graph: torch.cuda.CUDAGraph | None = None

    def __call__(self, batch: Tensor) -> None:
        """Train on the items of these numbers `[B]`."""
        if not self._captured or len(batch) < len(self._batch):
            self._train(batch)
            return
        self._batch.copy_(batch)
        if self._graph is None and self._eager_steps < _EAGER_STEPS:
            self._eager_steps += 1
            side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                self._train(self._batch)
            torch.cuda.current_stream().wait_stream(side)
            return
        if self._graph is None:
            self._graph = torch.cuda.CUDAGraph()
            self._optimizer.zero_grad(set_to_none=True)  # the gradients then lie in its memory
            with torch.cuda.graph(self._graph):
                self._train(self._batch)
        self._graph.replay()

    def take_sums(self) -> tuple[float, float]:
        """Return sums since the last call: losses of batches, squared errors the gate was shown.

        Waits for the device.
        """
        losses, squares = self._sums.tolist()
        self._sums.zero_()
        return losses, squares

    def _train(self, batch: Tensor) -> None:
        inputs = self._inputs[: len(batch)]
        torch.index_select(self._items.inputs, 0, batch, out=inputs)
        value, errors = batch_loss(
            self._network,
            inputs,
            self._items.prices[batch],
            self._items.left_out_by[batch],
            self._loss,
            warm_up=self._warm_up,
        )
        self._optimizer.zero_grad(set_to_none=True)
        value.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        self._sums += torch.stack([value.detach(), (errors.detach() ** 2).sum()])


def batch_loss(
    network: JointNetwork,
    inputs: Tensor,
    prices: Tensor,
    left_out: Tensor,
    loss: PercentileLoss | ThresholdLoss,
    *,
    warm_up: bool,
) -> tuple[Tensor, Tensor]:
    """Return the loss of a batch of B items, and the errors `[B]` that the gate was shown."""
    with mixed_precision(inputs.device):
        members = network.member_prices(inputs)
        scores = network.gate(inputs)
    members, scores = members.float(), scores.float()
    count = len(members)
    if count == 1:
        value: Tensor = loss(members[0], scores, prices, warm_up=warm_up)
        return value, prices - members[0]
    # the gate learns from the member that has not seen the item, without dropout
    network.prices.eval()
    judged = torch.empty_like(prices)
    with torch.no_grad(), mixed_precision(inputs.device):
        for number, head in enumerate(network.prices):
            judged[left_out == number] = head(inputs[left_out == number]).to(judged.dtype)
    network.prices.train()
    of_gate: Tensor = loss(judged, scores, prices, warm_up=warm_up)
    # and each member from the items of C_1 = 1 that it does not leave out: the first term of Eq. 1
    qualified = torch.ones_like(prices) if warm_up else (scores >= 0).to(prices.dtype)
    trains = left_out != torch.arange(count, device=left_out.device)[:, None]
    of_members = (trains * qualified * (prices - members) ** 2).mean(dim=1).sum()
    return of_gate + of_members * count / (count - 1), prices - judged
