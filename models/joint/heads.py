"""The two feed-forward networks of Fig. 5: one class, two instances, no shared weights."""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from models.joint.dropout import Dropout

HIDDEN = (1024, 256)  # the widths in Fig. 5


class ColumnLinear(nn.Linear):
    """A linear layer `[N, in] -> [N, out]` whose output lies in memory as `[out, N]`.

    The gradient of the weights is then a product of two matrices as they lie in memory. With items
    in rows the first is transposed, and bfloat16 on a CPU takes nearly twice as long for it.
    """

    def forward(self, items: Tensor) -> Tensor:  # noqa: D102
        return torch.addmm(self.bias[:, None], self.weight, items.t()).t()


class Head(nn.Module):
    """`in -> 1024 -> 256 -> 1` with ReLU between: the price (f_reg) or the score s of f_cls.

    Both return the bare number; f_cls of the paper is `sigmoid(s)`, which the losses apply
    themselves because the cross-entropy is stable only on `s`.

    Args:
        width: columns of the input.
        hidden: widths of the hidden layers.
        dropout: share of hidden units left out in each training step (0 is the paper's form).
        input_dropout: share of input columns left out in each training step.
        begins_as: number of a column that the output begins as: the column times a weight, which
            is learnt, is added to the layers, whose last one begins with zeros. None in the paper.

    Shapes: input `[N, width]`, output `[N]`.
    """

    def __init__(
        self,
        width: int,
        *,
        hidden: Sequence[int] = HIDDEN,
        dropout: float = 0.0,
        input_dropout: float = 0.0,
        begins_as: int | None = None,
    ) -> None:
        layers: list[nn.Module] = [Dropout(input_dropout)]
        for size in hidden:
            layers += [ColumnLinear(width, size), nn.ReLU(), Dropout(dropout)]
            width = size
        layers.append(ColumnLinear(width, 1))
        super().__init__()
        self.layers = nn.Sequential(*layers)
        self._column = begins_as
        if begins_as is not None:
            self.weight = nn.Parameter(torch.zeros(()))

    def begin(self, *, weight: float) -> None:
        """Set the output to `weight` times the column that it begins as."""
        last = cast(nn.Linear, self.layers[-1])
        with torch.no_grad():
            self.weight.fill_(weight)
            last.weight.zero_()
            last.bias.zero_()

    def forward(self, inputs: Tensor) -> Tensor:  # noqa: D102
        output: Tensor = self.layers(inputs).squeeze(-1)
        if self._column is None:
            return output
        return output + self.weight * inputs[:, self._column]
