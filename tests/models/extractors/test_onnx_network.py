"""What the GPU's runtime reads from exported networks, against ONNX Runtime on the same files."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
import torchvision
from onnx import helper

from models.errors import BundleError
from models.extractors.lite2 import Lite2
from models.extractors.onnx_network import OnnxNetwork
from models.extractors.onnx_runtime import OnnxExtractor, export_onnx
from models.extractors.tasks.network import SideBySide

CPU = torch.device("cpu")
SIZE = 64  # pixels; less work than the networks' own


def resnet() -> torch.nn.Module:
    """ResNet-18 with drawn weights and norms, whose operations are those of ResNet-50."""
    with torch.random.fork_rng():
        torch.manual_seed(5)
        network = torchvision.models.resnet18()
        network.fc = torch.nn.Identity()
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                for buffer, low, high in (("mean", -0.2, 0.2), ("var", 0.5, 1.5)):
                    torch.nn.init.uniform_(module.get_buffer(f"running_{buffer}"), low, high)
    drawn: torch.nn.Module = network.eval().requires_grad_(False)
    return drawn


def tuned() -> torch.nn.Module:
    """Lite2 and, as a task's features, a layer behind it: all that a bundle of tasks has."""
    with torch.random.fork_rng():
        torch.manual_seed(6)
        neck = torch.nn.Sequential(torch.nn.Linear(Lite2.width, 8), torch.nn.ReLU())
    both = SideBySide(Lite2().build(), [torch.nn.Identity(), neck])
    return both.eval().requires_grad_(False)


@pytest.fixture(scope="module", params=[resnet, tuned])
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("networks") / "network.onnx"
    export_onnx(request.param(), SIZE, path)
    return path


@pytest.mark.parametrize(
    ("precision", "tolerance"), [(torch.float32, 1e-4), (torch.bfloat16, 1e-1)]
)
def test_features_are_those_of_onnx_runtime(
    exported: Path, precision: torch.dtype, tolerance: float
) -> None:
    pixels = np.random.default_rng(0).normal(size=(3, 3, SIZE, SIZE)).astype(np.float32)
    expected = OnnxExtractor(exported, threads=1).features(pixels)
    network = OnnxNetwork(exported, CPU, precision)
    with torch.inference_mode():
        found = network(torch.from_numpy(pixels).to(precision))
    assert found.dtype is torch.float32
    off = np.linalg.norm(found.numpy() - expected, axis=1) / np.linalg.norm(expected, axis=1)
    assert off.max() <= tolerance
    if precision is torch.bfloat16:
        assert off.min() > 1e-4  # the convolutions do have fewer digits


def write_graph(path: Path, nodes: list[Any], **constants: Any) -> Path:
    pixels, features = (
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["n", 3, 8, 8])
        for name in ("pixels", "features")
    )
    values = [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "drawn", [pixels], [features], initializer=values)
    path.write_bytes(helper.make_model(graph).SerializeToString())
    return path


def test_an_activation_that_is_read_twice_stays_until_then(tmp_path: Path) -> None:
    path = write_graph(
        tmp_path / "n.onnx",
        [
            helper.make_node("Relu", ["pixels"], ["positive"]),
            helper.make_node("Clip", ["positive", "low", "high"], ["clipped"]),
            helper.make_node("Add", ["clipped", "positive"], ["features"]),
        ],
        low=np.float32(0.5),
        high=np.float32(1.0),
    )
    pixels = torch.linspace(-2, 2, 3 * 64).reshape(1, 3, 8, 8)
    positive = np.maximum(pixels.numpy(), 0)
    expected = np.clip(positive, 0.5, 1) + positive
    found = OnnxNetwork(path, CPU, torch.float32)(pixels)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_an_unknown_operation_is_named(tmp_path: Path) -> None:
    nodes = [helper.make_node("Gelu", ["pixels"], ["features"])]
    with pytest.raises(BundleError, match=r"runs on the CPU only: its operation 'Gelu' is not"):
        OnnxNetwork(write_graph(tmp_path / "n.onnx", nodes), CPU, torch.float32)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.9999])
def test_a_truncated_file_is_refused(exported: Path, tmp_path: Path, share: float) -> None:
    content = exported.read_bytes()
    path = tmp_path / "cut.onnx"
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(BundleError, match="is not an exported network"):
        OnnxNetwork(path, CPU, torch.float32)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="cannot be read: No such file"):
        OnnxNetwork(tmp_path / "absent.onnx", CPU, torch.float32)
