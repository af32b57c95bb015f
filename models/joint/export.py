"""`heads.onnx`: the two networks for the CPU runtime, checked against torch."""

from pathlib import Path

import numpy as np
import onnxruntime as ort
import torch

from models.extractors.errors import ExportError
from models.joint.network import JointNetwork

TOLERANCE = 1e-4  # in natural log of price, a hundredth of a per cent; also of the score


def export_heads(network: JointNetwork, path: Path) -> None:
    """Write the network as one ONNX file with a free batch size, and check it against torch.

    Inputs `inputs` `[N, width]`; outputs `price` `[N]` (natural log, whole units), `score` `[N]`.

    Raises:
        ExportError: the written network gives other numbers.
    """
    width = network.width
    mean, std = network.mean[-width:], network.std[-width:]
    generator = torch.Generator().manual_seed(0)

    def rows(count: int) -> torch.Tensor:
        drawn = torch.randn(count, width, generator=generator) * std + mean
        drawn[0, -1] = torch.nan  # a column that is not known
        return drawn

    network.eval()
    torch.onnx.export(
        network,
        (rows(2),),
        path,
        dynamo=True,
        verbose=False,
        external_data=False,
        input_names=["inputs"],
        output_names=["price", "score"],
        dynamic_shapes=({0: torch.export.Dim.DYNAMIC},),
    )
    probe = rows(5)
    with torch.inference_mode():
        expected = [output.numpy() for output in network(probe)]
    session = ort.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    found = session.run(["price", "score"], {"inputs": probe.numpy()})
    for ours, theirs in zip(expected, found, strict=True):
        error = float(np.abs(ours - theirs).max())
        if not error <= TOLERANCE * max(1.0, float(np.abs(ours).max())):
            path.unlink()
            raise ExportError(f"the exported heads differ from the trained ones by {error:.1e}")
