"""The two networks with the scaling of their input and output: what a bundle holds as weights."""

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from models.joint.heads import HIDDEN, Head
from models.joint.kernel import COLUMNS, ERROR, PRICE, KernelColumns
from models.joint.scales import CLIP, MIN_STD, STATISTICS_MIN_STD

# Of the columns for levels of the category path, which are 0 or 1. Unit variance would blow up
# the rare ones; 0.2 makes a level weigh as much as a few image features.
LEVEL_STD = 0.2

# Of the score at the start, in which f_cls is a sigmoid: neither flat nor all or nothing.
GATE_SPREAD = 2.0


class JointNetwork(nn.Module):
    """f_reg and f_cls over raw inputs.

    Raw columns are scaled to zero mean and unit variance over the training part; a column that
    is not known (NaN) takes the mean, so 0. The price network learns around `target_mean`. It
    may be several heads, `prices`, whose mean it is: see `Plan.members` of the trainer.

    With a `kernel` its two columns come before the raw ones, and the heads begin as them: the price
    network with its price, the classification network with its expected error.

    Args:
        width: columns of the raw input.
        kernel: fitted, or None as in the paper.
        members: heads of the price network; 1 is the paper's form.
        hidden: widths of the hidden layers.
        dropout: see `Head`.
        input_dropout: see `Head`.

    Shapes: input `[N, width]`; output log price `[N]` (natural, whole currency units) and score
    `[N]` (f_cls is its sigmoid).
    """

    mean: Tensor
    std: Tensor
    target_mean: Tensor

    def __init__(
        self,
        width: int,
        *,
        kernel: KernelColumns | None = None,
        members: int = 1,
        hidden: Sequence[int] = HIDDEN,
        dropout: float = 0.0,
        input_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.kernel = kernel
        self.width = width
        if kernel is not None:
            width += COLUMNS

        def head(column: int) -> Head:
            return Head(
                width,
                hidden=hidden,
                dropout=dropout,
                input_dropout=input_dropout,
                begins_as=None if kernel is None else column,
            )

        self.prices = nn.ModuleList(head(PRICE) for _ in range(members))
        self.gate = head(ERROR)
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("std", torch.ones(width))
        self.register_buffer("target_mean", torch.zeros(()))

    def fit_scaling(
        self,
        inputs: npt.NDArray[np.float32],
        target_mean: float,
        *,
        statistics: int = 0,
        levels: int = 0,
    ) -> None:
        """Take mean and standard deviation of the columns of the training part `[N, C]`.

        With a kernel, C is width + 2: see `columns`. The last `levels` columns are those of the
        category path, the `statistics` ones before them those of sold prices.
        """
        known = np.isfinite(inputs)
        count = np.maximum(known.sum(axis=0), 1)
        mean = np.where(known, inputs, 0).sum(axis=0, dtype=np.float64) / count
        squares = np.where(known, (inputs - mean) ** 2, 0).sum(axis=0, dtype=np.float64) / count
        std = np.maximum(np.sqrt(squares), MIN_STD)
        first = len(std) - levels - statistics
        std[first:] = np.maximum(std[first:], STATISTICS_MIN_STD)
        std[len(std) - levels :] = LEVEL_STD
        self.mean.copy_(torch.from_numpy(mean))
        self.std.copy_(torch.from_numpy(std))
        self.target_mean.fill_(target_mean)
        if self.kernel is not None:
            for member in self.prices:
                cast(Head, member).begin(weight=float(std[PRICE]))
            self.gate.begin(weight=-GATE_SPREAD)

    def columns(self, inputs: Tensor) -> Tensor:
        """Return what `scale` takes, `[N, C]`, for raw rows `[N, width]` of new items."""
        return inputs if self.kernel is None else torch.cat([self.kernel(inputs), inputs], dim=1)

    def scale(self, inputs: Tensor) -> Tensor:
        """Return the columns `[N, C]` as the two heads read them."""
        known = torch.where(torch.isnan(inputs), self.mean, inputs)
        return ((known - self.mean) / self.std).clamp(-CLIP, CLIP)

    def heads(self, scaled: Tensor) -> tuple[Tensor, Tensor]:
        """Return centred log price and score `[N]` for scaled columns."""
        return self.member_prices(scaled).mean(dim=0), self.gate(scaled)

    def member_prices(self, scaled: Tensor) -> Tensor:
        """Return the centred log price of each member `[members, N]` for scaled columns."""
        return torch.stack([head(scaled) for head in self.prices])

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:  # noqa: D102
        return self.of_columns(self.columns(inputs))

    def of_columns(self, columns: Tensor) -> tuple[Tensor, Tensor]:
        """Return log price and score `[N]` for what `columns` gives `[N, C]`."""
        price, score = self.heads(self.scale(columns))
        return price + self.target_mean, score

    def save(self, path: Path) -> None:
        """Write weights and scaling as safetensors."""
        save_file({name: value.contiguous() for name, value in self.state_dict().items()}, path)

    @classmethod
    def load(cls, path: Path) -> "JointNetwork":
        """Read what `save` wrote; the widths are those of the weights."""
        state = load_file(path)
        gate = [value for name, value in sorted(state.items()) if name.startswith("gate.")]
        shapes = [value.shape for value in gate if value.ndim == 2]
        members = {name.split(".")[1] for name in state if name.startswith("prices.")}
        of_kernel = {
            name.removeprefix("kernel."): value
            for name, value in state.items()
            if name.startswith("kernel.")
        }
        network = cls(
            shapes[0][1] - (COLUMNS if of_kernel else 0),
            kernel=KernelColumns.like(of_kernel) if of_kernel else None,
            members=len(members),
            hidden=[shape[0] for shape in shapes[:-1]],
        )
        network.load_state_dict(state)
        return network.eval()
