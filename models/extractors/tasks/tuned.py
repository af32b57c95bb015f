"""A backbone whose features are those of several trained tasks, side by side (MSTFE)."""

import copy
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image
from torch import nn

from models.extractors.preprocessing import Preprocessing
from models.extractors.protocol import DivisibleBackbone, Pixels
from models.extractors.tasks.network import SideBySide

BASE = "base"
"""Name of the part that is the backbone as it was pretrained."""


@dataclass(frozen=True, slots=True)
class Part:
    """Some neighbouring columns of the features: what they are from, and how many they are."""

    name: str
    width: int


class TunedBackbone:
    """Several cut networks over one trunk, behind the backbone protocol.

    Attributes:
        name: names the tasks, such as `lite2-base-category-brand`.
        width: features of a photo, of all parts together.
        parts: in the order of their columns.
        input_size: side of the input in pixels.
        preprocessing: the backbone's.
        fingerprint: names all weights and the preprocessing.
    """

    def __init__(
        self,
        backbone: DivisibleBackbone,
        trunk: nn.Module,
        parts: Sequence[tuple[Part, nn.Module]],
    ) -> None:
        """Take a trunk of the backbone and the networks behind it, in eval mode, on the CPU."""
        self.parts = tuple(part for part, _ in parts)
        self.name = "-".join((backbone.name, *(part.name for part in self.parts)))
        self.width = sum(part.width for part in self.parts)
        self.preprocessing: Preprocessing = backbone.preprocessing
        self.input_size = backbone.input_size
        self._network = SideBySide(trunk, [network for _, network in parts])
        digest = hashlib.sha256(backbone.fingerprint.encode())
        for name, value in sorted(self._network.state_dict().items()):
            digest.update(name.encode() + value.numpy().tobytes())
        weights = digest.hexdigest()[:16]
        self.fingerprint = f"{self.name}-{weights}-{self.preprocessing.fingerprint}"

    def preprocess(self, image: Image.Image) -> Pixels:
        """Turn an upright RGB image of any size into float32 of shape [3, S, S]."""
        return self.preprocessing(image)

    def build(self) -> nn.Module:
        """Return a copy of the network in eval mode on the CPU, [N, 3, S, S] to [N, width]."""
        return copy.deepcopy(self._network)
