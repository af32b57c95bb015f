"""An exported network in torch: the GPU runs the very file that the CPU runs.

The export has folded batch norm into the convolutions already. Only the operations that our
backbones are exported as are known; another network is refused rather than guessed at.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import onnx
import torch
from google.protobuf.message import DecodeError
from onnx import numpy_helper
from torch import Tensor
from torch.nn import functional as F

from models.errors import BundleError


class _Step(NamedTuple):
    run: Callable[..., Tensor]
    given: Sequence[str]
    result: str
    used_up: Sequence[str]  # activations that no later step reads: their memory is free again


class OnnxNetwork:
    """Maps pixels `[N, 3, S, S]` of the given precision to features `[N, width]` float32."""

    def __init__(self, path: Path, device: torch.device, precision: torch.dtype) -> None:
        """Read the network and move its weights to the device.

        Args:
            path: written by `models.extractors.onnx_runtime.export_onnx`.
            device: where it runs.
            precision: of the convolutions and of the activations between them. Averages over the
                image and linear layers are float32 always.

        Raises:
            BundleError: the file is missing, is no such network, or has an operation that is not
                known here.
        """
        try:
            graph = onnx.load_model_from_string(path.read_bytes()).graph
            ((self._source,), (self._result,)) = (
                [each.name for each in side] for side in (graph.input, graph.output)
            )
            self._steps = _steps(graph.node, keep=self._result)
            convolved = {
                name for node in graph.node if node.op_type == "Conv" for name in node.input[1:]
            }
            self._constants = {
                each.name: _constant(each, device, precision if each.name in convolved else None)
                for each in graph.initializer
            }
        except OSError as error:
            raise BundleError(f"{path} cannot be read: {error.strerror}") from None
        except (DecodeError, ValueError) as error:
            raise BundleError(f"{path} is not an exported network: {error}") from None
        except KeyError as error:
            raise BundleError(
                f"{path} runs on the CPU only: its operation {error} is not known here"
            ) from None

    def __call__(self, pixels: Tensor) -> Tensor:
        """Return the features."""
        values: dict[str, Any] = {**self._constants, self._source: pixels}
        for step in self._steps:
            values[step.result] = step.run(*(values[name] for name in step.given))
            for name in step.used_up:
                del values[name]
        features: Tensor = values[self._result].float()
        return features


def _steps(nodes: Sequence[Any], *, keep: str) -> list[_Step]:
    last = {name: number for number, node in enumerate(nodes) for name in node.input}
    made = {node.output[0] for node in nodes} - {keep}
    return [
        _Step(
            partial(
                _OPERATIONS[node.op_type],
                **{each.name: onnx.helper.get_attribute_value(each) for each in node.attribute},
            ),
            tuple(node.input),
            node.output[0],
            [name for name in {*node.input} & made if last[name] == number],
        )
        for number, node in enumerate(nodes)
    ]


def _constant(
    value: onnx.TensorProto, device: torch.device, precision: torch.dtype | None
) -> Tensor | list[int] | float:
    """Return weights as a tensor, and numbers and axes as Python's."""
    array = numpy_helper.to_array(value)
    if array.ndim == 0 or array.dtype.kind == "i":
        plain: list[int] | float = array.tolist()
        return plain
    weights = torch.from_numpy(array.copy()).to(device, precision)
    # the layout that tensor cores want
    return weights.contiguous(memory_format=torch.channels_last) if weights.ndim == 4 else weights


# --- operations: inputs by position, attributes by keyword, as ONNX has them ---------------------
# What torch would do differently with an attribute that is ignored here, `check_features` finds.


def _convolution(
    activations: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    pads: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
    group: int,
    **_: Any,
) -> Tensor:
    top, left, bottom, right = pads
    if (top, left) != (bottom, right):  # as TensorFlow pads, whose weights lite2 has
        activations = F.pad(activations, (left, right, top, bottom))
        top = left = 0
    return F.conv2d(activations, weight, bias, strides, (top, left), dilations, group)


def _linear(activations: Tensor, weight: Tensor, bias: Tensor, **_: Any) -> Tensor:
    return F.linear(activations.float(), weight, bias)


def _max_pool(
    activations: Tensor,
    *,
    kernel_shape: list[int],
    strides: list[int],
    pads: list[int],
    **_: Any,
) -> Tensor:
    return F.max_pool2d(activations, kernel_shape, strides, pads[:2])


def _mean(activations: Tensor, axes: Sequence[int], *, keepdims: int = 1, **_: Any) -> Tensor:
    return activations.mean(tuple(axes), keepdim=bool(keepdims), dtype=torch.float32)


def _reshape(activations: Tensor, shape: Sequence[int], **_: Any) -> Tensor:
    return activations.reshape(tuple(shape))


def _concatenate(*activations: Tensor, axis: int) -> Tensor:
    return torch.cat(activations, axis)


_OPERATIONS: dict[str, Callable[..., Tensor]] = {
    "Add": torch.add,
    "Clip": torch.clamp,
    "Concat": _concatenate,
    "Conv": _convolution,
    "Gemm": _linear,
    "MaxPool": _max_pool,
    "ReduceMean": _mean,
    "Relu": torch.relu,
    "Reshape": _reshape,
}
