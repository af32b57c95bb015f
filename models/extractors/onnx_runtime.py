"""The CPU runtime: a backbone exported to ONNX once, then run without torch."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as ort_state

from models.errors import BundleError
from models.extractors.errors import ExportError
from models.extractors.protocol import Features, Pixels

if TYPE_CHECKING:
    import torch

EXPORT_TOLERANCE = 1e-4  # of the largest feature; other summation orders stay below 1e-5

# onnxruntime's errors have no common root but Exception
LOAD_ERRORS = (
    ort_state.EPFail,
    ort_state.Fail,
    ort_state.InvalidArgument,
    ort_state.InvalidGraph,
    ort_state.InvalidProtobuf,
    ort_state.NoModel,
    ort_state.NoSuchFile,
    ort_state.NotImplemented,
    ort_state.RuntimeException,
)


def export_onnx(module: "torch.nn.Module", size: int, path: Path) -> None:
    """Write a network as one ONNX file with a free batch size, and check the file against it.

    Args:
        module: maps [N, 3, size, size] to [N, width], in eval mode, on the CPU.
        size: side of the input in pixels.
        path: file to write; its folder exists.

    Raises:
        ExportError: the written network gives other features than the module.
    """
    import torch  # here, because a process that only serves must not load it

    generator = torch.Generator().manual_seed(0)
    # 2, because an example of one photo would freeze the batch size to one
    example = torch.randn(2, 3, size, size, generator=generator)
    torch.onnx.export(
        module,
        (example,),
        path,
        dynamo=True,
        verbose=False,
        external_data=False,
        input_names=["pixels"],
        output_names=["features"],
        dynamic_shapes=({0: torch.export.Dim.DYNAMIC},),
    )
    # another batch size than the example's, so that a frozen one shows
    probe = torch.randn(3, 3, size, size, generator=generator)
    with torch.inference_mode():
        expected = module(probe).numpy()
    found = OnnxExtractor(path).features(probe.numpy())
    error = float(np.abs(found - expected).max() / max(np.abs(expected).max(), 1e-12))
    if not error <= EXPORT_TOLERANCE:
        path.unlink()
        raise ExportError(f"the exported network differs from the original by {error:.1e}")


class OnnxExtractor:
    """An exported backbone on the CPU. One session serves any number of threads.

    Attributes:
        width: number of features of a photo.
    """

    def __init__(self, path: Path, threads: int | None = None) -> None:
        """Load the file.

        Args:
            path: written by `export_onnx`.
            threads: cores that one call uses; all that this process may use by default.

        Raises:
            BundleError: the file is missing or is not such a network.
        """
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads or len(os.sched_getaffinity(0))
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
        # idle workers would otherwise spin on the cores that decode the next photos
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        try:
            self._session = ort.InferenceSession(
                path.read_bytes(), options, providers=["CPUExecutionProvider"]
            )
            (source,), (result,) = self._session.get_inputs(), self._session.get_outputs()
            _, _, _, self._size = source.shape
            _, self.width = result.shape
        except OSError as error:
            raise BundleError(f"{path} cannot be read: {error.strerror}") from None
        except (RuntimeError, ValueError, *LOAD_ERRORS) as error:
            raise BundleError(f"{path} is not an exported network: {error}") from None
        self._input = source.name

    def features(self, pixels: Pixels) -> Features:
        """Map preprocessed photos [N, 3, S, S] float32 to features [N, width]; N may be 0.

        Raises:
            ValueError: the shape is another one.
        """
        if pixels.shape[1:] != (3, self._size, self._size):
            raise ValueError(f"expected [N, 3, {self._size}, {self._size}], got {pixels.shape}")
        if not len(pixels):
            return np.empty((0, self.width), np.float32)
        (features,) = self._session.run(None, {self._input: np.ascontiguousarray(pixels)})
        return np.asarray(features)
