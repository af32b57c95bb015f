from collections.abc import Iterator

import numpy as np
import pytest
import torch

from models.extractors.protocol import Backbone, Pixels
from models.extractors.torch_runtime import TorchExtractor


def test_on_the_cpu_it_is_the_module(tiny: Backbone, tiny_pixels: Pixels) -> None:
    with torch.inference_mode():
        expected = tiny.build()(torch.from_numpy(tiny_pixels)).numpy()
    extractor = TorchExtractor(tiny.build())
    np.testing.assert_allclose(extractor.features(tiny_pixels), expected, atol=1e-6)
    np.testing.assert_allclose(extractor.features(tiny_pixels[::2]), expected[::2], atol=1e-6)
    assert extractor.features(tiny_pixels[:0]).shape == (0, 6)


def test_reduced_precision_is_near_and_comes_back_whole(
    tiny: Backbone, tiny_pixels: Pixels
) -> None:
    exact = TorchExtractor(tiny.build()).features(tiny_pixels)
    near = TorchExtractor(tiny.build(), precision=torch.bfloat16).features(tiny_pixels)
    assert near.dtype == np.float32
    assert not np.array_equal(near, exact)
    np.testing.assert_allclose(near, exact, atol=0.03)


def test_features_can_stay_on_the_device(tiny: Backbone, tiny_pixels: Pixels) -> None:
    kept = TorchExtractor(tiny.build()).on_device(tiny_pixels)
    assert isinstance(kept, torch.Tensor)
    assert not kept.requires_grad


class Switches(torch.nn.Module):
    """Notes whether float32 may be rounded to TF32 while the network runs."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[bool, bool]] = []

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        self.seen.append(switches())
        if len(self.seen) == 2:
            raise ValueError("the network fails")
        return batch.mean((2, 3))


def switches() -> tuple[bool, bool]:
    return torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32


def switch(convolutions: bool, matrices: bool) -> None:
    torch.backends.cudnn.allow_tf32 = convolutions
    torch.backends.cuda.matmul.allow_tf32 = matrices


@pytest.fixture
def switched_back() -> Iterator[None]:
    before = switches()
    yield
    switch(*before)


@pytest.mark.usefixtures("switched_back")
@pytest.mark.parametrize("allowed", [(True, True), (True, False), (False, True)])
def test_float32_is_full_while_it_runs_and_as_it_was_afterwards(
    tiny_pixels: Pixels, allowed: tuple[bool, bool]
) -> None:
    switch(*allowed)
    module = Switches()
    extractor = TorchExtractor(module)
    extractor.features(tiny_pixels)
    with pytest.raises(ValueError, match="fails"):
        extractor.features(tiny_pixels)
    assert (module.seen, switches()) == ([(False, False)] * 2, allowed)
