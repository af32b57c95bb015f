from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from models.bundle.folder import new_bundle_folder, write_manifest
from models.bundle.manifest import ImageNetwork, Manifest, Rule, Source, statistics_schema_sha256
from models.bundle.snapshot import SalesSnapshot
from models.dataset.cleaning import PriceLimits
from models.extractors.preprocessing import Preprocessing
from models.joint.ranges import RangeTable

SIZE = 8


def _save(path: Path, nodes: list[Any], inputs: Any, *outputs: Any, **constants: Any) -> None:
    values = [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, path.stem, [inputs], list(outputs), initializer=values)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    path.write_bytes(model.SerializeToString())


def _tensor(name: str, *shape: int | str) -> Any:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape))


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that prices every sound photo at exp(3) = 20.09 pounds, give or take a factor 2."""
    target = tmp_path_factory.mktemp("bundles") / "one-price"
    with new_bundle_folder(target) as folder:
        _save(
            folder / "backbone.onnx",
            [
                helper.make_node("GlobalAveragePool", ["pixels"], ["pooled"]),
                helper.make_node("Flatten", ["pooled"], ["features"]),
            ],
            _tensor("pixels", "n", 3, SIZE, SIZE),
            _tensor("features", "n", 3),
        )
        _save(
            folder / "heads.onnx",
            [
                helper.make_node("Gather", ["inputs", "first"], ["column"], axis=1),
                helper.make_node("Mul", ["column", "zero"], ["zeros"]),
                helper.make_node("Add", ["zeros", "three"], ["log_prices"]),
                helper.make_node("Add", ["zeros", "three"], ["scores"]),
            ],
            _tensor("inputs", "n", 3 + 16),
            _tensor("log_prices", "n"),
            _tensor("scores", "n"),
            first=np.int64(0),
            zero=np.float32(0),
            three=np.float32(3),
        )
        SalesSnapshot("GBP").save(folder / "histograms.safetensors")
        network = ImageNetwork(
            name="price", backbone="mean", fingerprint="mean", width=3, file="backbone.onnx"
        )
        write_manifest(
            folder,
            Manifest(
                model_version="",
                currency="GBP",
                image_networks=(network,),
                preprocessing=Preprocessing(
                    size=SIZE, mean=(0, 0, 0), std=(255, 255, 255), resample="bilinear"
                ),
                category_levels=(),
                inputs=3 + 16,
                statistics_schema_sha256=statistics_schema_sha256(),
                target_mean=0.0,
                price_limits=PriceLimits(1, 10**9),
                rule=Rule(name="percentile", delta=0.1, score_threshold=0.0, score_scale=1.0),
                ranges=RangeTable(probability=0.8, pooled=float(np.log(2)), by_category={}),
                source=Source(dataset="none", listings=1, sales=0, train=1, validation=0, test=0),
                training={},
                metrics={},
                files={},
            ),
        )
    return target
