"""Dropout from random bytes."""

import torch
from torch import Tensor, nn

_LEVELS = 256


class Dropout(nn.Module):
    """Sets a share of the numbers to zero in training, and scales the others up for it.

    As `torch.nn.Dropout`, but the share is rounded to 1/256, so that one draw of 64 random bits
    decides on eight numbers: on a CPU torch's takes 20 times as long for its mask, a fifth of a
    training step on small data. The scale is that of the rounded share, so the mean is right.

    Args:
        share: in [0, 1).
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self._dropped = round(share * _LEVELS)

    def forward(self, numbers: Tensor) -> Tensor:  # noqa: D102
        if not self.training or not self._dropped:
            return numbers
        draws = torch.empty(-(-numbers.numel() // 8), dtype=torch.int64, device=numbers.device)
        draws.random_(-(2**63), None)  # all 64 bits
        kept = draws.view(torch.uint8)[: numbers.numel()] >= self._dropped
        if numbers.ndim == 2 and not numbers.is_contiguous():  # a `ColumnLinear` made it
            kept = kept.view(numbers.shape[::-1]).t()
        else:
            kept = kept.view(numbers.shape)
        return numbers * kept * (_LEVELS / (_LEVELS - self._dropped))

    def extra_repr(self) -> str:  # noqa: D102
        return f"share={self._dropped / _LEVELS}"
