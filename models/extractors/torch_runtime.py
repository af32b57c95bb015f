"""The torch runtime: the same features on a GPU, or plainly on the CPU."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import numpy as np
import torch

from models.extractors.protocol import Features, Pixels

_SWITCHES = threading.Lock()  # they are the process's, so calls take turns


@contextmanager
def _full_precision() -> Iterator[None]:
    """Multiply float32 as float32: by default torch rounds to TF32's 10 bits in convolutions."""
    convolutions, matrices = torch.backends.cudnn, torch.backends.cuda.matmul
    with _SWITCHES:
        before = convolutions.allow_tf32, matrices.allow_tf32
        convolutions.allow_tf32 = matrices.allow_tf32 = False
        try:
            yield
        finally:
            convolutions.allow_tf32, matrices.allow_tf32 = before


class TorchExtractor:
    """A backbone on one device, in channels-last layout, which tensor cores want.

    May be called from several threads; in float32 they take turns.
    """

    def __init__(
        self,
        module: torch.nn.Module,
        *,
        device: str = "cpu",
        precision: torch.dtype = torch.float32,
    ) -> None:
        """Move the network to the device.

        Args:
            module: maps [N, 3, S, S] to [N, width], in eval mode; belongs to the extractor now.
            device: `cpu`, `cuda` or `cuda:1`.
            precision: of the multiplications. float32 is meant in full, without TF32. bfloat16 is
                several times as fast on a GPU but features then differ in the third digit: not
                for features that are kept.
        """
        self._device = torch.device(device)
        self._precision = precision
        self._module = module.to(self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def on_device(self, pixels: Pixels) -> torch.Tensor:
        """Map photos [N, 3, S, S] to features [N, width] float32 that stay on the device."""
        batch = torch.from_numpy(np.ascontiguousarray(pixels))
        if self._device.type == "cuda":
            batch = batch.pin_memory()  # else the copy would wait for the device
        batch = batch.to(self._device, non_blocking=True).to(memory_format=torch.channels_last)
        reduced = self._precision is not torch.float32
        with (
            torch.inference_mode(),
            nullcontext() if reduced else _full_precision(),
            torch.autocast(self._device.type, dtype=self._precision, enabled=reduced),
        ):
            features: torch.Tensor = self._module(batch)
        return features.float()

    def features(self, pixels: Pixels) -> Features:
        """Map photos [N, 3, S, S] to features [N, width]; N may be 0."""
        return np.asarray(self.on_device(pixels).cpu().numpy(), dtype=np.float32)
