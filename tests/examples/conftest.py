from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper

from models.bundle.folder import new_bundle_folder, write_manifest
from models.bundle.manifest import ImageNetwork, Manifest, Rule, Source, statistics_schema_sha256
from models.bundle.snapshot import SalesSnapshot
from models.dataset.cleaning import PriceLimits
from models.extractors.preprocessing import Preprocessing
from models.joint.confidence import Confidence
from models.joint.curve import Curve
from models.joint.export import export_heads
from models.joint.network import JointNetwork
from models.joint.ranges import RangeTable

SIZE = 8


def _tensor(name: str, *shape: int | str) -> Any:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape))


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that prices every sound photo at exp(3) = 20.09 pounds, give or take a factor 2."""
    target = tmp_path_factory.mktemp("bundles") / "one-price"
    with new_bundle_folder(target) as folder:
        graph = helper.make_graph(
            [
                helper.make_node("GlobalAveragePool", ["pixels"], ["pooled"]),
                helper.make_node("Flatten", ["pooled"], ["features"]),
            ],
            "means",
            [_tensor("pixels", "n", 3, SIZE, SIZE)],
            [_tensor("features", "n", 3)],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
        (folder / "backbone.onnx").write_bytes(model.SerializeToString())
        network = JointNetwork(3 + 16, hidden=(2, 2))
        with torch.no_grad():
            for weights in network.parameters():
                weights.zero_()
        network.target_mean.fill_(3.0)
        export_heads(network, folder / "heads.onnx")
        SalesSnapshot("GBP").save(folder / "histograms.safetensors")
        images = ImageNetwork(
            name="price", backbone="mean", fingerprint="mean", width=3, file="backbone.onnx"
        )
        write_manifest(
            folder,
            Manifest(
                model_version="",
                currency="GBP",
                image_networks=(images,),
                preprocessing=Preprocessing(
                    size=SIZE, mean=(0, 0, 0), std=(255, 255, 255), resample="bilinear"
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
                    pooled=2 * float(np.log(2)),
                    by_category={},
                ),
                source=Source(dataset="none", listings=1, sales=0, train=1, validation=0, test=0),
                training={},
                metrics={},
                files={},
            ),
        )
    return target
