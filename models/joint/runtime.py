"""The CPU runtime of the two networks: `heads.onnx` without torch."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from models.errors import BundleError
from models.extractors.onnx_runtime import LOAD_ERRORS
from models.joint.inputs import Rows


class OnnxHeads:
    """Exported heads on the CPU. One session serves any number of threads."""

    def __init__(self, path: Path, width: int) -> None:
        """Load the file.

        Args:
            path: written by `export_heads`.
            width: columns of the input that it must have.

        Raises:
            BundleError: the file is missing or is not such a network.
        """
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1  # millions of multiplications a row: threads only cost
        options.log_severity_level = 3
        try:
            self._session = ort.InferenceSession(
                path.read_bytes(), options, providers=["CPUExecutionProvider"]
            )
            (source,) = self._session.get_inputs()
            _, found = source.shape
        except OSError as error:
            raise BundleError(f"{path} cannot be read: {error.strerror}") from None
        except (RuntimeError, ValueError, *LOAD_ERRORS) as error:
            raise BundleError(f"{path} is not an exported network: {error}") from None
        if found != width:
            raise BundleError(f"{path} reads {found} columns, not {width}")

    def __call__(self, rows: Rows) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Return log prices `[N]` (natural, whole units) and scores `[N]` of rows `[N, width]`."""
        prices, scores = self._session.run(None, {"inputs": rows})
        return prices, scores
