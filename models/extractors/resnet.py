"""ResNet-50 (the paper, section 3.2) and ResNet-18 from torchvision, pretrained on ImageNet."""

import hashlib
import os
from functools import cached_property
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from PIL import Image

from models.extractors.errors import WeightsMissingError
from models.extractors.preprocessing import Preprocessing
from models.extractors.protocol import Pixels

if TYPE_CHECKING:
    import torch

WEIGHTS_ENTRY_POINTS = "secondsight.weights"
"""Group of entry points: a package that brings weights names a function without arguments, under
the backbone's name, that returns the path of the file."""


class _ResNet:
    """A residual network of torchvision, cut before its last layer.

    Weights are a state dict in the names of torchvision, as `.pth` or `.safetensors`; those of
    the classifier are left out. They are looked for, in this order, at the path given, at the
    path in the environment, in a package, and in the cache of the torchvision hub.
    """

    name: ClassVar[str]
    width: ClassVar[int]
    preprocessing = Preprocessing(
        size=224, mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375), resample="bilinear"
    )
    input_size = preprocessing.size

    def __init__(self, weights: Path | None = None) -> None:
        self._given = weights

    @cached_property
    def fingerprint(self) -> str:
        """Names weights and preprocessing: equal fingerprints give equal features.

        Raises:
            WeightsMissingError: the weights are not on this machine.
        """
        digest = hashlib.sha256(self._weights_file().read_bytes()).hexdigest()
        return f"{self.name}-{digest[:16]}-{self.preprocessing.fingerprint}"

    def preprocess(self, image: Image.Image) -> Pixels:
        """Turn an upright RGB image of any size into float32 of shape [3, 224, 224]."""
        return self.preprocessing(image)

    def build(self) -> "torch.nn.Module":
        """Return the network without its classifier, in eval mode, on the CPU.

        Raises:
            WeightsMissingError: the weights are not on this machine, or are another network's.
        """
        import torch
        import torchvision

        path = self._weights_file()
        network = torchvision.models.get_model(self.name, weights=None)
        network.fc = torch.nn.Identity()
        state = {
            key: value for key, value in _read_state(path).items() if not key.startswith("fc.")
        }
        try:
            network.load_state_dict(state)
        except RuntimeError as error:
            raise WeightsMissingError(f"{path} has no weights of {self.name}: {error}") from None
        module: torch.nn.Module = network.eval().requires_grad_(False)
        return module

    def split(self) -> "tuple[torch.nn.Module, torch.nn.Module]":
        """Return all up to the third group of blocks, and the fourth, averaged over the image.

        Raises:
            WeightsMissingError: the weights are not on this machine, or are another network's.
        """
        import torch

        parts = dict(self.build().named_children())
        tail = [parts.pop(name) for name in ("layer4", "avgpool")]
        del parts["fc"]
        trunk = torch.nn.Sequential(*parts.values()).eval()
        return trunk, torch.nn.Sequential(*tail, torch.nn.Flatten()).eval()

    @property
    def _variable(self) -> str:
        return f"SECONDSIGHT_{self.name.upper()}_WEIGHTS"

    def _weights_file(self) -> Path:
        named = self._given or os.environ.get(self._variable)
        if named:
            path = Path(named)
            if not path.is_file():
                raise WeightsMissingError(f"the weights of {self.name} are not at {path}")
            return path
        for brought in entry_points(group=WEIGHTS_ENTRY_POINTS, name=self.name):
            return Path(brought.load()())
        # of several files the last by name: there is no telling which is better
        cached = sorted(_hub_folder().glob(f"{self.name}-*.pth"))
        if cached:
            return cached[-1]
        raise WeightsMissingError(
            f"the weights of {self.name} are not on this machine. Bring them in one of three ways: "
            f"set {self._variable} to the path of a state dict (.pth or .safetensors); install a "
            f"package with an entry point {self.name!r} in the group {WEIGHTS_ENTRY_POINTS!r}; or "
            f"put torchvision's file {self.name}-*.pth into {_hub_folder()}. Or choose the "
            "backbone lite2, whose weights come with the installation."
        )


class ResNet18(_ResNet):
    """512 features from 224 x 224 pixels."""

    name = "resnet18"
    width = 512


class ResNet50(_ResNet):
    """2048 features from 224 x 224 pixels: the extractor of the paper."""

    name = "resnet50"
    width = 2048


def _hub_folder() -> Path:
    # as torch.hub.get_dir, which would need torch
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("TORCH_HOME") or cache / "torch") / "hub" / "checkpoints"


def _read_state(path: Path) -> "dict[str, torch.Tensor]":
    import pickle

    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        # weights_only: the file is a pickle, and only tensors may come out of it
        state: dict[str, torch.Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError, SafetensorError) as error:
        raise WeightsMissingError(f"{path} cannot be read as weights: {error}") from None
    return state
