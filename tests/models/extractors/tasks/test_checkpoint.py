from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from models.errors import ModelsError
from models.extractors.tasks.checkpoint import (
    Checkpoint,
    Progress,
    read_checkpoint,
    write_checkpoint,
)


@pytest.fixture
def checkpoint() -> Checkpoint:
    return Checkpoint(
        Progress(epochs=3, best=0.25, best_epoch=2),
        {"last.weight": torch.arange(6.0).reshape(2, 3)},
        {"last.weight": torch.ones(2, 3)},
        {0: {"step": torch.tensor(7.0), "exp_avg": torch.full((2, 3), 0.5)}},
    )


def test_a_checkpoint_comes_back_as_it_was(tmp_path: Path, checkpoint: Checkpoint) -> None:
    path = tmp_path / "new" / "state.safetensors"
    assert read_checkpoint(path) is None
    write_checkpoint(path, checkpoint)
    found = Checkpoint.from_bytes(read_checkpoint(path) or b"")
    assert found.progress == checkpoint.progress
    torch.testing.assert_close(found.network, checkpoint.network)
    torch.testing.assert_close(found.best, checkpoint.best)
    torch.testing.assert_close(found.optimizer, checkpoint.optimizer)
    # tensors for whoever looks, nothing that runs
    with safe_open(path, "pt") as tensors:
        assert "optimizer/0/exp_avg" in tensors.keys()  # noqa: SIM118 - it is no dict


def test_a_failed_write_leaves_the_older_one(
    tmp_path: Path, checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "state.safetensors"
    write_checkpoint(path, checkpoint)
    before = path.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(ModelsError, match="cannot be written: No space left"):
        write_checkpoint(path, Checkpoint(Progress(epochs=4), {}, {}, {}))
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    assert path.read_bytes() == before
