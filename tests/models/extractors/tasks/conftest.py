import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from models.dataset.rows import ListingRow
from models.extractors.preprocessing import Preprocessing
from models.extractors.protocol import Pixels

COLOURS = {"red": (200, 40, 40), "green": (40, 190, 40), "blue": (40, 60, 200)}


class TwoStages:
    """A convolution and a second one, behind the protocol of a backbone that can be divided."""

    name = "stages"
    width = 8
    preprocessing = Preprocessing(
        size=16, mean=(127.0, 127.0, 127.0), std=(128.0, 128.0, 128.0), resample="bilinear"
    )
    input_size = preprocessing.size
    fingerprint = "stages-1"

    def __init__(self) -> None:
        self.built = 0

    def preprocess(self, image: Image.Image) -> Pixels:
        return self.preprocessing(image)

    def build(self) -> torch.nn.Module:
        return torch.nn.Sequential(*self.split())

    def split(self) -> tuple[torch.nn.Module, torch.nn.Module]:
        self.built += 1
        with torch.random.fork_rng():
            torch.manual_seed(3)
            trunk = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3, stride=2), torch.nn.ReLU())
            tail = torch.nn.Sequential(
                torch.nn.Conv2d(4, self.width, 3, stride=2),
                torch.nn.BatchNorm2d(self.width),
                torch.nn.ReLU(),
                torch.nn.AdaptiveAvgPool2d(1),
                torch.nn.Flatten(),
            )
        return trunk.eval().requires_grad_(False), tail.eval().requires_grad_(False)


@pytest.fixture
def stages() -> TwoStages:
    return TwoStages()


@pytest.fixture
def listing() -> Callable[..., ListingRow]:
    """Makes a listing of which nothing is known but what is named."""

    def make(**known: Any) -> ListingRow:
        unknown: dict[str, Any] = dict.fromkeys(ListingRow.__slots__)
        unknown |= {"listing_id": "x", "images": (), "attributes": (), "specifications": {}}
        return ListingRow(**(unknown | known))

    return make


@pytest.fixture
def coloured_photos(tmp_path: Path) -> Callable[[int], list[tuple[str, Path]]]:
    """Writes photos of noise around a colour; gives colour and path of each."""

    def write(count: int) -> list[tuple[str, Path]]:
        folder = tmp_path / "coloured"
        folder.mkdir()
        found = []
        rng = np.random.default_rng(5)
        for number in range(count):
            colour = list(COLOURS)[number % len(COLOURS)]
            pixels = np.clip(rng.normal(COLOURS[colour], 40, (24, 32, 3)), 0, 255)
            path = folder / f"{number}.png"
            Image.fromarray(pixels.astype(np.uint8)).save(path)
            found.append((colour, path))
        return found

    return write


TRAINING = '''
import os, signal, sys
from pathlib import Path
import numpy as np
import torch
from safetensors.torch import save_file
from models.extractors.tasks.labels import Labels, Task
from models.extractors.tasks.network import Depth, TaskNetwork
from models.extractors.tasks.ranks import training_ranks
from models.extractors.tasks.trainer import Photos, TaskPlan, train_task

folder, kill_at = Path(sys.argv[1]), int(sys.argv[2])
torch.set_num_threads(1)


class Arrays:
    """Numbers near one of three centres; a draw moves them."""

    def batch(self, photos, draw):
        centres = np.eye(3)[photos % 3]
        noise = np.stack([np.random.default_rng(int(p)).normal(size=3) for p in photos])
        moved = [np.random.default_rng([*draw, int(p)]).normal(size=3) if draw else np.zeros(3)
                 for p in photos]
        return torch.from_numpy((centres + 0.5 * noise + 0.1 * np.stack(moved)).astype(np.float32))


targets = np.arange(96) % 3
targets[::7] = -1
labels = Labels(Task.BRAND, ("a", "b", "c"), targets)
torch.manual_seed(0)
network = TaskNetwork(torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.Tanh()), 8, 3,
                      depth=Depth.LAST)
plan = TaskPlan(epochs=5, batch_size=16, learning_rate=1e-2, last_rate=1e-2, patience=9)


def on_step(done, total):
    if done == kill_at:
        os.kill(os.getpid(), signal.SIGKILL)


with training_ranks() as ranks:
    told = train_task(network, Photos(Arrays(), np.arange(96)), labels, np.arange(72),
                      np.arange(72, 96), plan=plan, seed=1, ranks=ranks,
                      checkpoint=folder / "state.safetensors", on_step=on_step)
    save_file(network.state_dict(), folder / f"weights-{ranks.rank}.safetensors")
    if ranks.first:
        print(told.epochs, told.best_epoch, told.best)
'''


@pytest.fixture(scope="module")
def training(
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a small training in processes of its own: `training(folder, kill_at=-1, processes=1)`.

    It prints how it went, and writes the weights of each process.
    """
    script = tmp_path_factory.mktemp("script") / "training.py"
    script.write_text(TRAINING)

    def run(folder: Path, *, kill_at: int = -1, processes: int = 1) -> Any:
        launcher = []
        if processes > 1:
            launcher = ["-m", "torch.distributed.run", f"--nproc-per-node={processes}"]
            launcher += ["--rdzv-backend=c10d", "--rdzv-endpoint=127.0.0.1:0"]
        return subprocess.run(
            [sys.executable, *launcher, script, folder, str(kill_at)],
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path.cwd())},
            capture_output=True,
            text=True,
            timeout=120,
        )

    return run
