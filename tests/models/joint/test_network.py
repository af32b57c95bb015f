from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
import torch

from models.extractors.errors import ExportError
from models.joint.export import export_heads
from models.joint.heads import Head
from models.joint.network import LEVEL_STD, JointNetwork
from models.joint.scales import CLIP, MIN_STD, STATISTICS_MIN_STD


def test_head_has_the_layers_of_fig_5() -> None:
    shapes = [tuple(p.shape) for p in Head(8208).parameters() if p.ndim == 2]
    assert shapes == [(1024, 8208), (256, 1024), (1, 256)]


def test_the_two_networks_share_no_weights() -> None:
    network = JointNetwork(5)
    prices = {id(p) for p in network.prices.parameters()}
    assert prices.isdisjoint(id(p) for p in network.gate.parameters())
    assert [p.shape for p in network.prices.parameters()] == [
        p.shape for p in network.gate.parameters()
    ]


def test_scaling_by_hand() -> None:
    rows = np.array([[1.0, 7.0, 3.0, np.nan, 0.0], [3.0, 7.0, 7.0, 4.0, 1.0]], dtype=np.float32)
    network = JointNetwork(5)
    network.fit_scaling(rows, 2.5, statistics=2, levels=1)
    assert network.mean.tolist() == [2.0, 7.0, 5.0, 4.0, 0.5]
    assert network.std.tolist() == pytest.approx([1.0, MIN_STD, 2.0, STATISTICS_MIN_STD, LEVEL_STD])
    scaled = network.scale(
        torch.tensor([[4.0, 7.01, 6.0, torch.nan, 1.0], [1e9, -1e9, 5.0, 4.3, 0.0]])
    )
    assert scaled.tolist() == [
        pytest.approx([2.0, 0.2, 0.5, 0.0, 2.5], abs=1e-4),
        # a statistic that stood still in training and then moves a little stays little
        pytest.approx([CLIP, -CLIP, 0.0, 0.3, -2.5], abs=1e-4),
    ]


def test_price_is_the_mean_of_the_members_around_the_target_mean() -> None:
    network = JointNetwork(3, members=2).eval()
    network.fit_scaling(np.zeros((2, 3), np.float32), 1.25)
    rows = torch.randn(4, 3)
    prices, scores = network(rows)
    scaled = network.scale(rows)
    expected = network.member_prices(scaled).sum(dim=0) / 2 + 1.25
    assert torch.allclose(prices, expected)
    assert torch.equal(scores, network.gate(scaled))


@pytest.mark.parametrize("members", [1, 3])
def test_saved_and_loaded_it_gives_the_same_numbers(tmp_path: Path, members: int) -> None:
    network = JointNetwork(6, members=members, dropout=0.5, input_dropout=0.5).eval()
    network.fit_scaling(np.random.default_rng(0).normal(size=(9, 6)).astype(np.float32), 3.0)
    network.save(tmp_path / "heads.safetensors")
    loaded = JointNetwork.load(tmp_path / "heads.safetensors")
    rows = torch.randn(5, 6)
    for ours, theirs in zip(network(rows), loaded(rows), strict=True):
        assert torch.equal(ours, theirs)


def test_exported_heads_take_any_number_of_rows_and_unknown_columns(tmp_path: Path) -> None:
    network = JointNetwork(6, members=2).eval()
    network.fit_scaling(np.random.default_rng(0).normal(size=(9, 6)).astype(np.float32), 3.0)
    export_heads(network, tmp_path / "heads.onnx")
    session = ort.InferenceSession(tmp_path / "heads.onnx")
    for count in (1, 2, 7):
        rows = torch.randn(count, 6)
        rows[0, 3] = torch.nan
        with torch.inference_mode():
            expected = network(rows)
        found = session.run(None, {"inputs": rows.numpy()})
        for ours, theirs in zip(expected, found, strict=True):
            assert theirs == pytest.approx(ours.numpy(), abs=1e-4)


def test_an_export_that_differs_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = torch.onnx.export

    def damaged(network: JointNetwork, *args: Any, **options: Any) -> None:
        written(JointNetwork(6).eval(), *args, **options)  # other weights

    monkeypatch.setattr(torch.onnx, "export", damaged)
    with pytest.raises(ExportError, match="differ from the trained ones"):
        export_heads(JointNetwork(6).eval(), tmp_path / "heads.onnx")
    assert not (tmp_path / "heads.onnx").exists()
