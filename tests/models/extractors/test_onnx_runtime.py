from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from models.errors import BundleError
from models.extractors.errors import ExportError
from models.extractors.onnx_runtime import OnnxExtractor, export_onnx
from models.extractors.protocol import Backbone, Pixels


@pytest.fixture
def exported(tiny: Backbone, tmp_path: Path) -> Path:
    path = tmp_path / "tiny.onnx"
    export_onnx(tiny.build(), tiny.input_size, path)
    return path


def test_outputs_are_those_of_torch_at_any_batch_size(
    tiny: Backbone, exported: Path, tiny_pixels: Pixels
) -> None:
    with torch.inference_mode():
        expected = tiny.build()(torch.from_numpy(tiny_pixels)).numpy()
    extractor = OnnxExtractor(exported, threads=1)
    assert extractor.width == 6
    for count in (5, 1, 3, 0):
        found = extractor.features(tiny_pixels[:count])
        assert found.dtype == np.float32
        assert found.shape == (count, 6)
        np.testing.assert_allclose(found, expected[:count], atol=1e-5)


def test_a_strided_view_is_taken_as_it_reads(exported: Path, tiny_pixels: Pixels) -> None:
    extractor = OnnxExtractor(exported, threads=1)
    whole = extractor.features(tiny_pixels)
    # another batch size may add up in another order
    np.testing.assert_allclose(extractor.features(tiny_pixels[::2]), whole[::2], atol=1e-6)


def test_several_threads_share_a_session(exported: Path, tiny_pixels: Pixels) -> None:
    extractor = OnnxExtractor(exported)
    alone = [extractor.features(tiny_pixels[i : i + 1]) for i in range(5)] * 20
    with ThreadPoolExecutor(8) as pool:
        batches = [tiny_pixels[i : i + 1] for i in range(5)] * 20
        for expected, found in zip(alone, pool.map(extractor.features, batches), strict=True):
            np.testing.assert_array_equal(found, expected)


def test_another_shape_is_refused(exported: Path) -> None:
    with pytest.raises(ValueError, match=r"expected \[N, 3, 16, 16\]"):
        OnnxExtractor(exported).features(np.zeros((2, 3, 8, 8), np.float32))


def test_a_network_that_changes_on_the_way_is_refused(tmp_path: Path) -> None:
    class Drifting(torch.nn.Module):
        """Gives another answer each time; the export can keep only one of them."""

        calls = 0

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            self.calls += 1
            return pixels.mean(dim=(2, 3)) + self.calls

    path = tmp_path / "drifting.onnx"
    with pytest.raises(ExportError, match="differs from the original"):
        export_onnx(Drifting().eval(), 8, path)
    assert not path.exists()


@pytest.mark.parametrize("content", [b"", b"not a network", b"\x08\x07" * 500])
def test_a_file_that_is_no_network(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(content)
    with pytest.raises(BundleError, match="is not an exported network"):
        OnnxExtractor(path)


def test_a_damaged_network(exported: Path) -> None:
    exported.write_bytes(exported.read_bytes()[:-200])
    with pytest.raises(BundleError, match="is not an exported network"):
        OnnxExtractor(exported)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="cannot be read: No such file"):
        OnnxExtractor(tmp_path / "absent.onnx")
