from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from models.extractors.preprocessing import Preprocessing
from models.extractors.protocol import Pixels


class TinyBackbone:
    """A small fixed convolution behind the backbone protocol; counts how often it is built."""

    name = "tiny"
    width = 6
    preprocessing = Preprocessing(
        size=16, mean=(127.0, 127.0, 127.0), std=(128.0, 128.0, 128.0), resample="bilinear"
    )
    input_size = preprocessing.size
    fingerprint = "tiny-1"

    def __init__(self) -> None:
        self.built = 0

    def preprocess(self, image: Image.Image) -> Pixels:
        return self.preprocessing(image)

    def build(self) -> torch.nn.Module:
        self.built += 1
        torch.manual_seed(3)
        return torch.nn.Sequential(
            torch.nn.Conv2d(3, self.width, 3, stride=2),
            torch.nn.BatchNorm2d(self.width),
            torch.nn.ReLU6(),
            torch.nn.AdaptiveAvgPool2d(1),
            torch.nn.Flatten(),
        ).eval()


@pytest.fixture
def tiny() -> TinyBackbone:
    return TinyBackbone()


@pytest.fixture
def tiny_pixels() -> Pixels:
    return np.random.default_rng(0).normal(size=(5, 3, 16, 16)).astype(np.float32)


@pytest.fixture
def write_photos(tmp_path: Path) -> Callable[..., list[Path]]:
    def write(count: int, **options: Any) -> list[Path]:
        folder = tmp_path / "photos"
        folder.mkdir()
        paths = []
        for index in range(count):
            pixels = np.random.default_rng(index).integers(0, 255, (100, 120, 3), np.uint8)
            paths.append(folder / f"{index}.png")
            Image.fromarray(pixels).save(paths[-1], **options)
        return paths

    return write
