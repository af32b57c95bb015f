"""Which device image networks run on, found without torch where there is no GPU."""

import ctypes
import re

from models.extractors.errors import DeviceError

DEVICE = re.compile(r"auto|cpu|cuda(:\d{1,2})?", re.ASCII)
"""What may be asked for."""


def choose_device(asked: str) -> str | None:
    """Return a GPU as torch names it, such as `cuda:0`, or None for the CPU.

    torch is imported (seconds, some hundred MB) only where a GPU is asked for by name, or `auto`
    finds NVIDIA's driver.

    Args:
        asked: `cpu`; `cuda`, the first GPU; `cuda:N`; or `auto`, the first GPU if torch sees one,
            else the CPU.

    Raises:
        DeviceError: `asked` is none of these, or a GPU that torch does not see.
    """
    if not DEVICE.fullmatch(asked):
        raise DeviceError(f"{asked!r} is no device: write auto, cpu, cuda or cuda:N")
    if asked == "cpu" or (asked == "auto" and not _driver_is_there()):
        return None
    import torch

    number = int(asked.partition(":")[2] or 0)
    seen = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if number < seen:
        return f"cuda:{number}"
    if asked == "auto":
        return None
    built = f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "without CUDA"
    raise DeviceError(
        f"device {asked} was asked for, but torch {torch.__version__}, {built}, sees "
        f"{seen or 'no'} GPU{'' if seen == 1 else 's'} here: check the driver (nvidia-smi) and "
        "CUDA_VISIBLE_DEVICES, or ask for cpu or auto"
    )


def _driver_is_there() -> bool:
    """Tell whether NVIDIA's driver can be loaded, as torch would have to."""
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True
