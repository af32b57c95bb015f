"""The network of one task, and several of them cut and side by side over one trunk (Fig. 4)."""

from collections.abc import Sequence
from enum import StrEnum

import torch
from torch import Tensor, nn

from models.extractors.protocol import DivisibleBackbone

NECK_WIDTH = 256


class Depth(StrEnum):
    """How much of a backbone a task tunes."""

    FROZEN = "frozen"  # nothing; the task's features come from a small layer of its own
    LAST = "last"  # the last stage
    ALL = "all"  # everything, as in the paper


def split(backbone: DivisibleBackbone, depth: Depth) -> tuple[nn.Module, nn.Module]:
    """Return a backbone as a trunk that stays as it is, and a tail that a task tunes.

    Raises:
        WeightsMissingError: the weights are not on this machine.
    """
    if depth is Depth.LAST:
        return backbone.split()
    if depth is Depth.ALL:
        return nn.Identity(), backbone.build()
    return backbone.build(), nn.Identity()


class TaskNetwork(nn.Module):
    """The tail of a backbone and the layer that answers the task's question.

    Shapes: `[N, ...]` activations of the trunk in, `[N, K]` outputs out. `cut` is what is kept
    after training, all but the last layer (3.2): it maps to `[N, width]`. `pretrained` are the
    parameters that come from the backbone.
    """

    def __init__(self, tail: nn.Module, width: int, outputs: int, *, depth: Depth) -> None:
        """Begin with the backbone's weights and a new last layer, drawn by torch's seed.

        Args:
            tail: belongs to the network now.
            width: features that the tail gives.
            outputs: classes, values, or 1.
            depth: what the tail is from.
        """
        super().__init__()
        self.pretrained = list(tail.parameters())
        if depth is Depth.FROZEN:
            tail = nn.Sequential(tail, nn.Linear(width, NECK_WIDTH), nn.ReLU())
            width = NECK_WIDTH
        self.width = width
        self.cut = tail.requires_grad_(True)
        self.last = nn.Linear(width, outputs)

    def forward(self, activations: Tensor) -> Tensor:
        """Return the outputs."""
        outputs: Tensor = self.last(self.cut(activations))
        return outputs

    def prepare_training(self) -> None:
        """Set training mode, but keep the pretrained batch-norm statistics.

        A batch says less about them than ImageNet did, and a process of several sees but a share.
        """
        self.train()
        for module in self.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()


class SideBySide(nn.Module):
    """Cut networks over one trunk, which runs once: `[N, 3, S, S]` to `[N, sum of widths]`."""

    def __init__(self, trunk: nn.Module, cuts: Sequence[nn.Module]) -> None:
        """Take the parts in the order of their features."""
        super().__init__()
        self.trunk = trunk
        self.cuts = nn.ModuleList(cuts)
        self.eval().requires_grad_(False)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return the features."""
        activations = self.trunk(pixels)
        return torch.cat([cut(activations) for cut in self.cuts], dim=1)
