import numpy as np
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
