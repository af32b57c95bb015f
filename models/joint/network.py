"""The two networks with the scaling of their input and output: what a bundle holds as weights."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from models.joint.heads import HIDDEN, Head

MIN_STD = 0.05  # of the image features
# Of the 16 statistics, which are logs of prices and counts. Those over all sales hardly move in
# training, and without times not at all, but live they go on with every sale: scaled to unit
# variance, a mean that falls by a quarter was 50 standard deviations off, and R2 on the live part
# of Gumtree -0.7 instead of 0.4. With leave-one-out the listing's own price shows in them, too.
STATISTICS_MIN_STD = 1.0
CLIP = 5.0  # in standard deviations: one absurd price in a small category's mean stays bounded


# Of the columns for levels of the category path, which are 0 or 1. Unit variance would blow up
# the rare ones; 0.2 makes a level weigh as much as a few image features.
LEVEL_STD = 0.2


class JointNetwork(nn.Module):
    """f_reg and f_cls over raw inputs.

    Raw columns are scaled to zero mean and unit variance over the training part; a column that
    is not known (NaN) takes the mean, so 0. The price network learns around `target_mean`. It
    may be several heads, `prices`, whose mean it is: see `Plan.members` of the trainer.

    Args:
        width: columns of the input.
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
        members: int = 1,
        hidden: Sequence[int] = HIDDEN,
        dropout: float = 0.0,
        input_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.prices = nn.ModuleList(
            Head(width, hidden=hidden, dropout=dropout, input_dropout=input_dropout)
            for _ in range(members)
        )
        self.gate = Head(width, hidden=hidden, dropout=dropout, input_dropout=input_dropout)
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
        """Take mean and standard deviation of the columns of the training part `[N, width]`.

        The last `levels` columns are those of the category path, the `statistics` ones before
        them those of sold prices.
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

    def scale(self, inputs: Tensor) -> Tensor:
        """Return the scaled columns `[N, width]` that the two heads read."""
        known = torch.where(torch.isnan(inputs), self.mean, inputs)
        return ((known - self.mean) / self.std).clamp(-CLIP, CLIP)

    def heads(self, scaled: Tensor) -> tuple[Tensor, Tensor]:
        """Return centred log price and score `[N]` for scaled columns."""
        return self.member_prices(scaled).mean(dim=0), self.gate(scaled)

    def member_prices(self, scaled: Tensor) -> Tensor:
        """Return the centred log price of each member `[members, N]` for scaled columns."""
        return torch.stack([head(scaled) for head in self.prices])

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:  # noqa: D102
        price, score = self.heads(self.scale(inputs))
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
        network = cls(
            shapes[0][1], members=len(members), hidden=[shape[0] for shape in shapes[:-1]]
        )
        network.load_state_dict(state)
        return network.eval()
