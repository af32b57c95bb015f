import resource
import runpy
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from models.errors import TrainingError
from models.joint.checkpoint import Checkpoint, digest

# Run as a program it kills itself after an epoch; the tests use the same function.
PROGRAM = """
import os
import signal
import sys
from pathlib import Path

import torch

from models.joint.losses import PercentileLoss
from models.joint.network import JointNetwork
from models.joint.trainer import Plan, train_joint

PLAN = Plan(
    epochs=(3, 1, 3, 1), batch_size=32, dropout=0.3, input_dropout=0.1, members=2, beta=None,
    keep_best=True,
)


def train(checkpoint, *, after=None, plan=PLAN, seed=1):
    draw = torch.Generator().manual_seed(7)
    rows, prices = torch.randn(200, 6, generator=draw), torch.randn(200, generator=draw)
    torch.manual_seed(3)
    network = JointNetwork(
        6, members=plan.members, hidden=(16, 8), dropout=plan.dropout,
        input_dropout=plan.input_dropout,
    )
    told = []

    def progress(name, done, total):
        told.append(done)
        if after is not None:
            after(done)

    train_joint(
        network, rows[:150], prices[:150], rows[150:], prices[150:],
        loss=PercentileLoss(delta=0.6), plan=plan, seed=seed, device=torch.device("cpu"),
        progress=progress, checkpoint=checkpoint, checkpoint_every=0.0,
    )
    return network.state_dict(), told


def kill(done):
    if done == 6:
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    train(Path(sys.argv[1]), after=kill)
"""

Weights = dict[str, torch.Tensor]


class StoppedError(Exception):
    """In place of a kill."""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("program") / "killed.py"
    path.write_text(PROGRAM)
    return path


@pytest.fixture(scope="module")
def names(program: Path) -> dict[str, Any]:
    return runpy.run_path(str(program))


@pytest.fixture(scope="module")
def train(names: dict[str, Any]) -> Callable[..., tuple[Weights, list[int]]]:
    function: Callable[..., tuple[Weights, list[int]]] = names["train"]
    return function


@pytest.fixture(scope="module")
def uninterrupted(train: Callable[..., tuple[Weights, list[int]]]) -> Weights:
    weights, told = train(None)
    assert told == list(range(1, 9))
    return weights


def same(first: Weights, second: Weights) -> bool:
    return all(torch.equal(first[name], second[name]) for name in first)


def stop_after(number: int) -> Callable[[int], None]:
    def stop(done: int) -> None:
        if done == number:
            raise StoppedError

    return stop


def test_a_killed_training_goes_on_to_the_same_weights(
    program: Path, train: Callable[..., Any], uninterrupted: Weights, tmp_path: Path
) -> None:
    checkpoint = tmp_path / "made" / "joint.safetensors"
    killed = subprocess.run([sys.executable, str(program), str(checkpoint)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert checkpoint.is_file()
    weights, told = train(checkpoint)
    assert told == [6, 7, 8]  # the sixth epoch was told, but not written any more
    assert same(weights, uninterrupted)


@pytest.mark.parametrize("epoch", [1, 2, 4, 5, 7, 8])  # the stages meet after 4
def test_it_goes_on_from_any_epoch(
    epoch: int, train: Callable[..., Any], uninterrupted: Weights, tmp_path: Path
) -> None:
    checkpoint = tmp_path / "joint.safetensors"
    with pytest.raises(StoppedError):
        train(checkpoint, after=stop_after(epoch))
    weights, told = train(checkpoint)
    assert told == list(range(epoch, 9))
    assert same(weights, uninterrupted)
    # once done, there is nothing left to train
    assert train(checkpoint)[1] == []


def test_a_checkpoint_of_another_training_is_not_gone_on_from(
    names: dict[str, Any], train: Callable[..., Any], uninterrupted: Weights, tmp_path: Path
) -> None:
    checkpoint = tmp_path / "joint.safetensors"
    for options in ({"seed": 2}, {"plan": replace(names["PLAN"], batch_size=16)}):
        with pytest.raises(StoppedError):
            train(checkpoint, after=stop_after(4), **options)
        weights, told = train(checkpoint)
        assert told == list(range(1, 9))
        assert same(weights, uninterrupted)


@pytest.mark.parametrize("damage", [lambda data: data[:-9], lambda _: b"", lambda _: b"\xff" * 99])
def test_a_damaged_checkpoint_counts_as_absent(damage: Any, tmp_path: Path) -> None:
    path = tmp_path / "some.safetensors"
    checkpoint = Checkpoint(path, identity="a")
    assert checkpoint.read() is None
    checkpoint.write({"x": torch.arange(5)}, {"least": float("inf")})
    tensors, numbers = checkpoint.read() or ({}, {})
    assert tensors["x"].tolist() == [0, 1, 2, 3, 4]
    assert numbers == {"least": float("inf")}
    path.write_bytes(damage(path.read_bytes()))
    assert checkpoint.read() is None


def test_a_checkpoint_that_cannot_be_written_leaves_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "some.safetensors"
    checkpoint = Checkpoint(path, identity="a")
    checkpoint.write({"x": torch.ones(2)}, {})
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))  # as on a disk that is full
    try:
        with pytest.raises(TrainingError, match="cannot be written"):
            checkpoint.write({"x": torch.zeros(100_000)}, {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [file.name for file in tmp_path.iterdir()] == ["some.safetensors"]
    tensors, _ = checkpoint.read() or ({}, {})
    assert tensors["x"].tolist() == [1, 1]


def test_one_is_due_when_the_last_is_old_enough(tmp_path: Path) -> None:
    assert Checkpoint(tmp_path / "x", identity="", every=0.0).is_due()
    assert not Checkpoint(tmp_path / "x", identity="", every=3600.0).is_due()


def test_a_digest_tells_values_types_and_shapes_apart() -> None:
    ones = torch.ones(4)
    found = [
        digest(ones, 1),
        digest(ones, 2),
        digest(ones * 2, 1),
        digest(ones.int(), 1),
        digest(ones.reshape(2, 2), 1),
        digest(ones.bfloat16(), 1),
    ]
    assert len(set(found)) == len(found)
    assert digest(torch.ones(4), 1) == found[0]
