from typing import Any

import pytest
import torch

from models.extractors.tasks.network import NECK_WIDTH, Depth, SideBySide, TaskNetwork, split


@pytest.mark.parametrize("depth", Depth)
def test_trunk_and_tail_are_the_backbone(stages: Any, depth: Depth) -> None:
    pixels = torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    trunk, tail = split(stages, depth)
    torch.testing.assert_close(tail(trunk(pixels)), stages.build()(pixels))
    assert bool(list(trunk.parameters())) == (depth is not Depth.ALL)
    assert bool(list(tail.parameters())) == (depth is not Depth.FROZEN)


def test_a_frozen_backbone_gets_a_layer_of_the_task_s_own(stages: Any) -> None:
    network = TaskNetwork(split(stages, Depth.FROZEN)[1], 8, 5, depth=Depth.FROZEN)
    assert network.width == NECK_WIDTH
    features = network.cut(torch.randn(2, 8))
    assert features.shape == (2, NECK_WIDTH)
    assert (features >= 0).all()
    torch.testing.assert_close(network(torch.zeros(2, 8)).shape, torch.Size([2, 5]))
    assert network.pretrained == []


@pytest.mark.parametrize("depth", [Depth.LAST, Depth.ALL])
def test_statistics_of_batch_norm_stay_and_weights_are_tuned(stages: Any, depth: Depth) -> None:
    trunk, tail = split(stages, depth)
    network = TaskNetwork(tail, 8, 5, depth=depth)
    before = {name: value.clone() for name, value in network.named_buffers()}
    network.prepare_training()
    network(trunk(torch.randn(64, 3, 16, 16)))
    assert network.training
    for name, value in network.named_buffers():
        assert torch.equal(before[name], value)
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_features_stand_side_by_side_and_the_trunk_runs_once() -> None:
    class Counted(torch.nn.Module):
        calls = 0

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            self.calls += 1
            return pixels.mean(dim=(2, 3))

    trunk, first, second = Counted(), torch.nn.Linear(3, 2), torch.nn.Linear(3, 4)
    pixels = torch.randn(5, 3, 4, 4)
    features = SideBySide(trunk, [second, first])(pixels)
    assert trunk.calls == 1
    means = pixels.mean(dim=(2, 3))
    torch.testing.assert_close(features[:, :4], second(means))
    torch.testing.assert_close(features[:, 4:], first(means))
