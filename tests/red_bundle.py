"""Bundles of the smallest networks, whose prices a test can compute."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from models.bundle.folder import new_bundle_folder, write_manifest
from models.bundle.manifest import ImageNetwork, Manifest, Rule, Source, statistics_schema_sha256
from models.bundle.snapshot import SalesSnapshot
from models.dataset.cleaning import PriceLimits
from models.extractors.preprocessing import Preprocessing
from models.joint.confidence import Confidence
from models.joint.curve import Curve
from models.joint.ranges import RangeTable


def _save_graph(
    path: Path, nodes: list[Any], inputs: list[Any], outputs: list[Any], **values: Any
) -> None:
    constants = [onnx.numpy_helper.from_array(value, name) for name, value in values.items()]
    graph = helper.make_graph(nodes, path.stem, inputs, outputs, initializer=constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    path.write_bytes(model.SerializeToString())


def write_red_bundle(target: Path, *, base: float = 3.0, currency: str = "GBP") -> Path:
    """Write a bundle with log price = base + 2 r and score = 10 r - 3; returns its folder.

    r is the mean of the red channel over 256, which for a photo of one red is exact in 32 bits;
    the range is half a unit of log price to each side.
    """
    floats = TensorProto.FLOAT
    with new_bundle_folder(target) as folder:
        _save_graph(
            folder / "backbone.onnx",
            [
                helper.make_node("GlobalAveragePool", ["pixels"], ["pooled"]),
                helper.make_node("Flatten", ["pooled"], ["features"]),
            ],
            [helper.make_tensor_value_info("pixels", floats, ["n", 3, 8, 8])],
            [helper.make_tensor_value_info("features", floats, ["n", 3])],
        )
        _save_graph(
            folder / "heads.onnx",
            [
                helper.make_node("Gather", ["inputs", "first"], ["red"], axis=1),
                helper.make_node("Mul", ["red", "two"], ["rise"]),
                helper.make_node("Add", ["rise", "three"], ["log_prices"]),
                helper.make_node("Mul", ["red", "ten"], ["steep"]),
                helper.make_node("Sub", ["steep", "three"], ["scores"]),
            ],
            [helper.make_tensor_value_info("inputs", floats, ["n", 3 + 16])],
            [
                helper.make_tensor_value_info("log_prices", floats, ["n"]),
                helper.make_tensor_value_info("scores", floats, ["n"]),
            ],
            first=np.int64(0),
            two=np.float32(2),
            three=np.float32(base),
            ten=np.float32(10),
        )
        SalesSnapshot(currency).save(folder / "histograms.safetensors")
        network = ImageNetwork(
            name="price", backbone="red", fingerprint="red", width=3, file="backbone.onnx"
        )
        write_manifest(
            folder,
            Manifest(
                model_version="",
                currency=currency,
                image_networks=(network,),
                preprocessing=Preprocessing(
                    size=8, mean=(0, 0, 0), std=(256, 256, 256), resample="bilinear"
                ),
                category_levels=(),
                inputs=3 + 16,
                statistics_schema_sha256=statistics_schema_sha256(),
                target_mean=0.0,
                price_limits=PriceLimits(1, 10**9),
                rule=Rule(name="percentile", delta=0.1, score_threshold=0.0),
                confidence=Confidence(
                    epsilon=0.5, probability=Curve(at=(-3.0, 5.0), value=(0.0, 1.0))
                ),
                ranges=RangeTable(
                    probability=0.8,
                    spread=Curve(at=(0.0,), value=(0.5,)),
                    pooled=1.0,
                    by_category={},
                ),
                source=Source(dataset="red", listings=1, sales=0, train=1, validation=0, test=0),
                training={},
                metrics={},
                files={},
            ),
        )
    return target
