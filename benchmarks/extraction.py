"""Features of photos a second, beside the plain eager loop over a torchvision network.

One run over simulated photos of 640 x 480 in JPEG, for each backbone; loops take turns, the median
of their passes counts:

- eager: as one writes it. A batch of 32 is opened, scaled and stacked, the network runs on it
  under `no_grad`, with torch's own threads;
- eager, huge pages: the same in a process of its own with THP_MEM_ALLOC_ENABLE=1, so that torch
  asks the kernel for its activations in pages of 2 MB, printed only;
- ours: `models.extractors.extraction.extract`: decoded ahead in threads, judged for faults, sums of
  the files, ONNX Runtime on as many threads as torch has.

`max_difference` is the largest difference of any feature, of the largest of that backbone.
lite2 has its pretrained weights. Those of the others are random here: speed does not depend on the
values, and how well both runtimes agree hardly.

    python benchmarks/extraction.py [--photos N] [--repetitions R] [--backbone NAME ...]
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
import torchvision
from PIL import Image
from safetensors.torch import save_file

from models.dataset.reader import read_dataset
from models.extractors.extraction import extract
from models.extractors.onnx_runtime import OnnxExtractor, export_onnx
from models.extractors.protocol import Backbone, Extractor, Features
from models.extractors.registry import BACKBONE_NAMES, backbone
from models.extractors.resnet import ResNet18, ResNet50
from models.extractors.torch_runtime import TorchExtractor
from simulator.market import simulate

BATCH = 32


def with_weights(name: str, folder: Path) -> Backbone:
    kinds = {"resnet18": ResNet18, "resnet50": ResNet50}
    if name not in kinds:
        return backbone(name)
    path = folder / f"{name}.safetensors"
    if not path.exists():
        torch.manual_seed(0)
        save_file(torchvision.models.get_model(name, weights=None).state_dict(), path)
    return kinds[name](path)


def in_runtime(of: Backbone, folder: Path, threads: int) -> Extractor:
    if torch.cuda.is_available():
        return TorchExtractor(of.build(), device="cuda")
    export_onnx(of.build(), of.input_size, folder / f"{of.name}.onnx")
    return OnnxExtractor(folder / f"{of.name}.onnx", threads)


def eager(photos: list[Path], of: Backbone, network: torch.nn.Module) -> Features:
    found = []
    for first in range(0, len(photos), BATCH):
        images = [Image.open(path).convert("RGB") for path in photos[first : first + BATCH]]
        batch = torch.from_numpy(np.stack([of.preprocess(image) for image in images]))
        with torch.no_grad():
            found.append(network(batch).numpy())
    return np.concatenate(found)


def rate_with_huge_pages(photos: list[Path], name: str, folder: Path) -> float:
    """Run this file as the eager loop alone: the setting must be there when torch starts."""
    command = [sys.executable, __file__, "--eager-alone", name, "--folder", str(folder)]
    done = subprocess.run(
        command,
        input="\n".join(map(str, photos)),
        env={**os.environ, "THP_MEM_ALLOC_ENABLE": "1"},
        check=True,
        capture_output=True,
        text=True,
    )
    return float(done.stdout)


def eager_alone(name: str, folder: Path) -> None:
    photos = [Path(line) for line in sys.stdin.read().split("\n")]
    of = with_weights(name, folder)
    network = of.build()
    eager(photos[:BATCH], of, network)
    started = time.perf_counter()
    eager(photos, of, network)
    print(len(photos) / (time.perf_counter() - started))


def measure(name: str, photos: list[Path], folder: Path, repetitions: int) -> tuple[float, float]:
    """Print the rates of a backbone; return how many times eager ours is, and the difference."""
    of = with_weights(name, folder)
    network, threads = of.build(), torch.get_num_threads()
    extractor = in_runtime(of, folder, threads)
    taken: dict[str, list[float]] = {"eager": [], "ours": []}
    difference = 0.0
    for repetition in range(repetitions + 1):
        started = time.perf_counter()
        expected = eager(photos, of, network)
        between = time.perf_counter()
        found = extract(photos, of, extractor=extractor, threads=threads)
        ended = time.perf_counter()
        largest = float(np.abs(expected).max())
        difference = max(difference, float(np.abs(found.features - expected).max()) / largest)
        if repetition:  # the first pass warms up
            taken["eager"].append(between - started)
            taken["ours"].append(ended - between)
    rates = {loop: len(photos) / statistics.median(seconds) for loop, seconds in taken.items()}
    rates["eager, huge pages"] = rate_with_huge_pages(photos, name, folder)
    for loop, rate in rates.items():
        print(f"{name:10} {loop:18} {rate:7.1f} photos a second")
    return rates["ours"] / rates["eager"], difference


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=int, default=128)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--backbone", nargs="+", choices=BACKBONE_NAMES, default=BACKBONE_NAMES)
    parser.add_argument("--eager-alone", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.eager_alone:
        eager_alone(options.eager_alone, options.folder)
        return
    with tempfile.TemporaryDirectory() as folder:
        simulate(Path(folder) / "market", listings=options.photos, fault_share=0.0)
        listings = read_dataset(Path(folder) / "market").listings
        photos = [image for listing in listings for image in listing.images][: options.photos]
        found = {
            name: measure(name, photos, Path(folder), options.repetitions)
            for name in options.backbone
        }
    print(
        json.dumps(
            {
                "times_eager": {name: round(times, 2) for name, (times, _) in found.items()},
                "max_difference": max(difference for _, difference in found.values()),
                "threads": torch.get_num_threads(),
                "device": "cuda" if torch.cuda.is_available() else "cpu",
            }
        )
    )


if __name__ == "__main__":
    main()
