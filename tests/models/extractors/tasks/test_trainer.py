import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from models.errors import ModelsError, TrainingError
from models.extractors.tasks.labels import Labels, Task
from models.extractors.tasks.network import Depth, TaskNetwork
from models.extractors.tasks.ranks import Ranks
from models.extractors.tasks.trainer import Photos, TaskPlan, answer, train_task

ALONE = Ranks(0, 1, torch.device("cpu"))


class Arrays:
    """The rows of an array as the input of photos; remembers what was asked for."""

    def __init__(self, rows: Any) -> None:
        self.rows = torch.as_tensor(np.asarray(rows, np.float32))
        self.asked: list[list[int]] = []

    def batch(self, photos: Any, draw: Any) -> torch.Tensor:
        if draw is not None:
            self.asked.append(photos.tolist())
        return self.rows[photos]


def network(outputs: int, seed: int = 0) -> TaskNetwork:
    torch.manual_seed(seed)
    tail = torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.Tanh())
    return TaskNetwork(tail, 8, outputs, depth=Depth.LAST)


def three_groups(count: int, noise: float = 0.2) -> tuple[Any, Any]:
    labels = np.arange(count) % 3
    return np.eye(3)[labels] + np.random.default_rng(0).normal(size=(count, 3)) * noise, labels


def run(net: TaskNetwork, samples: Arrays, labels: Labels, path: Path, **options: Any) -> Any:
    count = len(samples.rows)
    plan: dict[str, Any] = {"epochs": 6, "batch_size": 16, "learning_rate": 2e-2, "last_rate": 2e-2}
    plan |= options.pop("plan", {})
    given = {"train": np.arange(count * 3 // 4), "validation": np.arange(count * 3 // 4, count)}
    return train_task(
        net,
        Photos(samples, options.pop("listing", np.arange(count))),
        labels,
        **(given | options),
        plan=TaskPlan(**plan),
        seed=0,
        ranks=ALONE,
        checkpoint=path / "state.safetensors",
    )


def test_a_task_is_learnt(tmp_path: Path) -> None:
    rows, targets = three_groups(120)
    net = network(3)
    progress = run(net, Arrays(rows), Labels(Task.BRAND, ("a", "b", "c"), targets), tmp_path)
    assert progress.best == 1
    assert progress.finished
    assert not net.training
    with torch.no_grad():
        guessed = net(torch.as_tensor(rows, dtype=torch.float32)).argmax(1).numpy()
    assert (guessed == targets).mean() > 0.95


def test_several_answers_are_learnt_from_the_known_ones(tmp_path: Path) -> None:
    rows, groups = three_groups(120)
    targets = np.eye(3, dtype=np.int8)[groups]
    targets[np.random.default_rng(1).random(targets.shape) < 0.5] = -1
    labels = Labels(Task.ATTRIBUTE, ("a", "b", "c"), targets)
    assert run(network(3), Arrays(rows), labels, tmp_path).best > 0.95


def test_prices_are_learnt(tmp_path: Path) -> None:
    rows, groups = three_groups(120)
    prices = (groups - 1).astype(np.float32)
    prices[::5] = np.nan
    progress = run(
        network(1), Arrays(rows), Labels(Task.PRICE, ("price",), prices), tmp_path,
        plan={"epochs": 20},
    )  # fmt: skip
    assert progress.best > -0.4  # guessing the mean comes to 0.8


def test_only_labelled_photos_of_the_training_part_are_trained_on(tmp_path: Path) -> None:
    rows, targets = three_groups(40)
    targets[[3, 5]] = -1
    samples = Arrays(np.repeat(rows, 2, axis=0))
    labels = Labels(Task.BRAND, ("a", "b", "c"), targets)
    train, validation = np.arange(30), np.arange(30, 40)
    run(
        network(3), samples, labels, tmp_path, plan={"epochs": 1},
        listing=np.repeat(np.arange(40), 2), train=train, validation=validation,
    )  # fmt: skip
    seen = sorted(photo for batch in samples.asked for photo in batch)
    assert seen == [photo for photo in range(60) if photo // 2 not in (3, 5)]


def weights(net: TaskNetwork) -> dict[str, Any]:
    return {name: value.numpy() for name, value in net.state_dict().items()}


def test_micro_batches_add_up_to_the_batch(tmp_path: Path) -> None:
    rows, targets = three_groups(60)
    targets[::4] = -1
    labels = Labels(Task.BRAND, ("a", "b", "c"), targets)
    whole, parts = network(3), network(3)
    for number, (net, micro) in enumerate(((whole, 64), (parts, 5))):
        (tmp_path / str(number)).mkdir()
        run(net, Arrays(rows), labels, tmp_path / str(number), plan={"micro_batch": micro})
    for name, value in weights(whole).items():
        np.testing.assert_allclose(weights(parts)[name], value, rtol=1e-4, atol=1e-5)


def test_the_best_epoch_is_kept_and_it_ends_when_there_is_no_better_one(tmp_path: Path) -> None:
    rows, targets = three_groups(120)
    wrong = targets.copy()
    wrong[90:] = (targets[90:] + 1) % 3  # the better the training, the worse the validation
    net = network(3, seed=4)
    labels = Labels(Task.BRAND, ("a", "b", "c"), wrong)
    samples = Arrays(rows)
    progress = run(net, samples, labels, tmp_path, plan={"epochs": 50, "patience": 2})
    assert progress.epochs == progress.best_epoch + 2 < 50
    outputs = answer(net, Photos(samples, np.arange(120)), np.arange(90, 120), ALONE.device)
    assert (outputs.argmax(1) == wrong[90:]).mean() == pytest.approx(progress.best)


def test_without_a_label_to_validate_with_the_last_epoch_is_kept(tmp_path: Path) -> None:
    rows, targets = three_groups(60)
    targets[45:] = -1
    labels = Labels(Task.BRAND, ("a", "b", "c"), targets)
    progress = run(network(3), Arrays(rows), labels, tmp_path)
    assert (progress.epochs, progress.best_epoch, progress.best) == (6, 6, None)


def test_answers_are_the_mean_over_the_photos_of_a_listing() -> None:
    net = network(2)
    rows = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    with torch.no_grad():
        each = net(torch.from_numpy(rows)).numpy()
    photos = Photos(Arrays(rows), np.array([2, 0, 2, 7, 2]))
    found = answer(net, photos, np.array([2, 5, 0]), ALONE.device, batch=2)
    np.testing.assert_allclose(
        found, [each[[0, 2, 4]].mean(axis=0), [0, 0], each[1]], rtol=1e-5, atol=1e-6
    )


def test_what_is_not_finite_ends_the_training(tmp_path: Path) -> None:
    rows, targets = three_groups(60)
    rows[3] = np.nan
    with pytest.raises(TrainingError, match="brand extractor is not finite"):
        run(network(3), Arrays(rows), Labels(Task.BRAND, ("a", "b", "c"), targets), tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_training_that_was_done_is_not_done_again(tmp_path: Path) -> None:
    rows, targets = three_groups(60)
    labels = Labels(Task.BRAND, ("a", "b", "c"), targets)
    first, again = network(3), network(3, seed=9)
    run(first, Arrays(rows), labels, tmp_path)
    samples = Arrays(rows)
    run(again, samples, labels, tmp_path)
    assert samples.asked == []
    for name, value in weights(first).items():
        np.testing.assert_array_equal(weights(again)[name], value)


@pytest.mark.parametrize("content", [b"", b"x" * 100, b"\x02" + b"\x00" * 7 + b"{}"])
def test_a_file_that_is_no_checkpoint_is_said(tmp_path: Path, content: bytes) -> None:
    rows, targets = three_groups(60)
    (tmp_path / "state.safetensors").write_bytes(content)
    with pytest.raises(ModelsError, match="not a checkpoint"):
        run(network(3), Arrays(rows), Labels(Task.BRAND, ("a", "b", "c"), targets), tmp_path)


@pytest.fixture(scope="module")
def whole(training: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What a training in one process, without an interruption, printed and came to."""
    folder = tmp_path_factory.mktemp("whole")
    done = training(folder)
    assert done.returncode == 0, done.stderr
    return done.stdout, load_file(folder / "weights-0.safetensors")


def test_a_killed_training_goes_on_to_the_same_weights(
    training: Callable[..., Any], whole: Any, tmp_path: Path
) -> None:
    killed = training(tmp_path, kill_at=13)  # in the third epoch of five steps
    assert killed.returncode == -signal.SIGKILL
    assert not list(tmp_path.glob("weights*"))
    resumed = training(tmp_path)
    printed, expected = whole
    assert resumed.stdout == printed
    assert printed.startswith("5 ")
    for name, value in load_file(tmp_path / "weights-0.safetensors").items():
        np.testing.assert_array_equal(value, expected[name])


def test_two_processes_come_to_the_weights_of_one(
    training: Callable[..., Any], whole: Any, tmp_path: Path
) -> None:
    done = training(tmp_path, processes=2)
    assert done.returncode == 0, done.stderr
    _, expected = whole
    for rank in range(2):
        for name, value in load_file(tmp_path / f"weights-{rank}.safetensors").items():
            np.testing.assert_allclose(value, expected[name], rtol=1e-4, atol=1e-5)
