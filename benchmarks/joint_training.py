"""Joint training on resident features, beside a plain torch loop over a DataLoader.

One run, items of the paper's width (8208 columns) and its batch (4096) drawn at random, both
networks of Fig. 5, Eq. 1, AdamW. Three loops take turns, the median of their epochs counts:

- ours: the features on the device as one tensor, `models.joint.step` (captured on a GPU);
- plain: TensorDataset, DataLoader (shuffled; without workers or with two, whichever is faster
  here), `nn.Sequential`, autocast in the type that ours multiplies in;
- plain, float32: the same as one writes it without a thought of types.

`times_dataloader` is ours against plain, `times_dataloader_float32` against the last.
`share_of_matmul` is the rate of the multiplications that a step cannot do without (forward,
gradients of the weights, gradients of the hidden layers: none of the input) over the rate of the
same products alone, in the same type and at the same shapes, measured between the epochs.

On a GPU it also projects the paper's schedule: 1700 + 850 + 3400 + 1700 epochs of 892,414 items,
1.67 million steps. Their features are 14.6 GB in bfloat16; weights, moments and a batch 0.6 GB.

    python benchmarks/joint_training.py [--items N] [--width D] [--batch B] [--repetitions R]
"""

import argparse
import json
import math
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from models.joint.losses import PercentileLoss
from models.joint.network import JointNetwork
from models.joint.step import Items, Step, mixed_precision, multiplied_in, resident
from models.joint.trainer import PAPER

PAPER_ITEMS = 892_414
LAYERS = (1024, 256, 1)
RATE = 5e-4


@dataclass(frozen=True)
class Shape:
    """Rows, their columns, and rows a batch."""

    items: int
    width: int
    batch: int


def clock(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def seconds(run: Callable[[], None], device: torch.device) -> float:
    started = clock(device)
    run()
    return clock(device) - started


def ours(rows: Tensor, prices: Tensor, shape: Shape, device: torch.device) -> Callable[[], None]:
    network = JointNetwork(shape.width).to(device)
    optimizer = torch.optim.AdamW(
        network.parameters(),
        lr=RATE,
        weight_decay=0.0,
        fused=True,
        capturable=device.type == "cuda",
    )
    items = Items(
        resident(network, rows, device),
        prices.to(device),
        torch.zeros(len(rows), dtype=torch.int64, device=device),
    )
    step = Step(
        network,
        items,
        PercentileLoss(delta=0.5),
        optimizer,
        warm_up=False,
        batch_size=shape.batch,
        captured=True,
    )

    def epoch() -> None:
        for batch in torch.split(torch.randperm(len(rows), device=device), shape.batch):
            step(batch)
        step.take_sums()

    return epoch


def plain_head(width: int) -> nn.Module:
    return nn.Sequential(
        nn.Linear(width, 1024), nn.ReLU(), nn.Linear(1024, 256), nn.ReLU(), nn.Linear(256, 1)
    )


def plain(
    rows: Tensor, prices: Tensor, shape: Shape, device: torch.device, *, mixed: bool, workers: int
) -> Callable[[], None]:
    loader = DataLoader(
        TensorDataset(rows, prices),
        batch_size=shape.batch,
        shuffle=True,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=device.type == "cuda",
    )
    price_network = plain_head(shape.width).to(device)
    gate = plain_head(shape.width).to(device)
    parameters = [*price_network.parameters(), *gate.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=RATE, weight_decay=0.0)
    loss = PercentileLoss(delta=0.5)

    def epoch() -> None:
        total = 0.0
        for some_rows, some_prices in loader:
            inputs = some_rows.to(device, non_blocking=True)
            targets = some_prices.to(device, non_blocking=True)
            if mixed:
                with mixed_precision(device):
                    found, scores = price_network(inputs), gate(inputs)
            else:
                found, scores = price_network(inputs), gate(inputs)
            value = loss(found.squeeze(-1).float(), scores.squeeze(-1).float(), targets)
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            total += value.item()

    return epoch


def products(shape: Shape, device: torch.device) -> tuple[Callable[[], None], float]:
    """Return the products of one step of both networks, and their operations."""
    type_ = multiplied_in(device)

    def matrix(rows: int, columns: int) -> Tensor:
        return torch.randn(rows, columns, device=device).to(type_)

    pairs, operations, width = [], 0.0, shape.width
    for number, size in enumerate(LAYERS):
        activations, weights = matrix(shape.batch, width), matrix(size, width)
        pairs += [(activations, weights.t()), (matrix(size, shape.batch), activations)]
        if number:  # the input itself needs no gradient
            pairs.append((matrix(shape.batch, size), weights))
        operations += 2 * shape.batch * width * size * (3 if number else 2)
        width = size

    def run() -> None:
        for left, right in pairs * 2:
            left @ right

    return run, operations * 2


def main() -> None:
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # as the command does; for all loops alike
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--items", type=int, default=65_536 if device.type == "cuda" else 8_192)
    parser.add_argument("--width", type=int, default=8_208)
    parser.add_argument("--batch", type=int, default=PAPER.batch_size)
    parser.add_argument("--repetitions", type=int, default=5)
    options = parser.parse_args()
    shape = Shape(options.items, options.width, options.batch)
    torch.manual_seed(0)
    rows, prices = torch.randn(shape.items, shape.width), torch.randn(shape.items)

    alone, operations = products(shape, device)
    runs: dict[str, Callable[[], None]] = {
        "ours": ours(rows, prices, shape, device),
        "plain, no workers": plain(rows, prices, shape, device, mixed=True, workers=0),
        "plain, two workers": plain(rows, prices, shape, device, mixed=True, workers=2),
        "plain, float32": plain(rows, prices, shape, device, mixed=False, workers=0),
        "products alone": alone,
    }
    for run in runs.values():
        run()
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(options.repetitions):
        for name, run in runs.items():
            taken[name].append(seconds(run, device))
    steps = math.ceil(shape.items / shape.batch)
    median = {name: statistics.median(values) for name, values in taken.items()}
    for name in runs:
        of_step = median[name] / (1 if name == "products alone" else steps)
        print(
            f"{name:20} {1e3 * of_step:8.1f} ms a step, {operations / of_step / 1e9:10,.0f} "
            "billion operations a second"
        )
    peer = min(median["plain, no workers"], median["plain, two workers"])
    step = median["ours"] / steps
    result = {
        "times_dataloader": round(peer / median["ours"], 2),
        "times_dataloader_float32": round(median["plain, float32"] / median["ours"], 2),
        "share_of_matmul": round(median["products alone"] / step, 3),
        "device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu",
        "type": str(multiplied_in(device)).removeprefix("torch."),
        "threads": torch.get_num_threads(),
    }
    if device.type == "cuda":
        whole = sum(PAPER.epochs) * math.ceil(PAPER_ITEMS / PAPER.batch_size) * step
        result["paper_schedule_minutes"] = round(whole / 60, 1)
        print(f"the paper's schedule, from the time of a step: {whole / 60:.1f} minutes")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
