import ctypes
import subprocess
import sys
from typing import Any

import pytest
import torch

from models.extractors.devices import choose_device
from models.extractors.errors import DeviceError


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes the driver and torch say that there are so many GPUs; None: there is no driver."""

    def pretend(count: int | None) -> None:
        def load(name: str, *_: Any, **__: Any) -> None:
            assert name == "libcuda.so.1"
            if count is None:
                raise OSError(name)

        monkeypatch.setattr(ctypes, "CDLL", load)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: bool(count))
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count or 0)

    return pretend


@pytest.mark.parametrize(
    ("asked", "count", "chosen"),
    [
        ("cpu", None, None),
        ("cpu", 2, None),
        ("auto", None, None),
        ("auto", 0, None),  # a driver without a GPU, or too old for this torch
        ("auto", 1, "cuda:0"),
        ("auto", 2, "cuda:0"),
        ("cuda", 1, "cuda:0"),
        ("cuda:0", 1, "cuda:0"),
        ("cuda:1", 2, "cuda:1"),
        ("cuda:12", 13, "cuda:12"),
    ],
)
def test_what_is_chosen(gpus: Any, asked: str, count: int | None, chosen: str | None) -> None:
    gpus(count)
    assert choose_device(asked) == chosen


@pytest.mark.parametrize(
    ("asked", "count", "said"),
    [
        ("cuda", None, "device cuda was asked for, but torch .* sees no GPUs here: check the"),
        ("cuda:0", 0, "device cuda:0 was asked for, .* sees no GPUs here"),
        ("cuda:1", 1, "device cuda:1 was asked for, .* sees 1 GPU here"),
        ("cuda:2", 2, "sees 2 GPUs here"),
    ],
)
def test_a_gpu_that_is_not_there(gpus: Any, asked: str, count: int | None, said: str) -> None:
    gpus(count)
    with pytest.raises(DeviceError, match=said):
        choose_device(asked)


@pytest.mark.parametrize(
    "asked", ["", "gpu", "cuda:", "cuda:-1", "cuda:x", "Auto", "cpu:0", "cpu\n"]
)
def test_what_is_no_device(asked: str) -> None:
    with pytest.raises(DeviceError, match="write auto, cpu, cuda or cuda:N"):
        choose_device(asked)


def test_without_a_driver_torch_is_not_imported() -> None:
    program = """
import ctypes, sys
def none(*_, **__): raise OSError
ctypes.CDLL = none
from models.extractors.devices import choose_device
print(choose_device("auto"), choose_device("cpu"), "torch" in sys.modules)
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert ended.stdout.split() == ["None", "None", "False"]
