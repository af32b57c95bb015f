"""Faults of a photo that are bad enough to ask the seller for another one.

One measure and one threshold a fault. The thresholds stand in `fault_thresholds.json`; they are
what `python -m models.images.fitting` found on real and simulated photos, sound and spoiled.
`docs/decisions/0022-photo-faults.md` has the figures.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from models.images.measures import Measures, measure
from schemas.suggestion import ReuploadReason

Thresholds = Mapping[ReuploadReason, float]

THRESHOLDS_FILE = Path(__file__).with_name("fault_thresholds.json")
THRESHOLDS: Thresholds = {
    ReuploadReason(code): float(value)
    for code, value in json.loads(THRESHOLDS_FILE.read_text(encoding="utf-8"))["thresholds"].items()
}
"""Too much of `Measures.glare`, or too little of the other measures, is a fault."""


@dataclass(frozen=True)
class Fault:
    """Why to ask for another photo; `weight` in (0, 1], 1 where nothing can be seen at all."""

    code: ReuploadReason
    weight: float


def judge(image: Image.Image) -> tuple[Fault, ...]:
    """Return the severe faults of an upright RGB photo, worst first; none for a sound photo."""
    return faults_of(measure(image), THRESHOLDS)


def faults_of(measures: Measures, thresholds: Thresholds) -> tuple[Fault, ...]:
    """Return the faults that measures amount to, worst first.

    Sharpness is judged only where there is light to see it by.
    """
    found = [Fault(code, weight) for code, weight in _weights(measures, thresholds).items()]
    light = {ReuploadReason.TOO_DARK, ReuploadReason.TOO_BRIGHT}
    if any(fault.code in light for fault in found):
        found = [fault for fault in found if fault.code is not ReuploadReason.BLURRED]
    return tuple(sorted(found, key=lambda fault: -fault.weight))


def _weights(measures: Measures, thresholds: Thresholds) -> dict[ReuploadReason, float]:
    """How far beyond its threshold each measure is, as a share of how far it can be."""
    low = {
        ReuploadReason.LOW_RESOLUTION: measures.size,
        ReuploadReason.TOO_DARK: measures.brightest,
        ReuploadReason.BLURRED: measures.sharpness,
    }
    weights = {code: 1 - value / thresholds[code] for code, value in low.items()}
    bright = thresholds[ReuploadReason.TOO_BRIGHT]
    weights[ReuploadReason.TOO_BRIGHT] = (measures.glare - bright) / (255 - bright)
    return {code: max(0.01, weight) for code, weight in weights.items() if weight > 0}
