"""Faults of a photo that are bad enough to ask the seller for another one.

Everything but the size is measured on a grey copy whose shorter side has 64 pixels: the same
photo gives the same answer at any resolution, noise and JPEG blocks average out, and fine
texture, which a blurred photo and a smooth thing both lack, does not count.

The thresholds come from 10,823 real photos (Gumtree, second-hand clothes, Flipkart; 224 to 256
pixels) that are to pass, and from the same photos spoiled: Gaussian blur with a radius of 4 % of
the shorter side, brightness x 0.08, brightness x 20 (what is a tenth as bright as white is white
then), scaled to 32 pixels. `docs/decisions/0022-photo-faults.md` has the table.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from schemas.suggestion import ReuploadReason

_GREY_SIDE = 64
_GREY_LONGEST = 20 * _GREY_SIDE  # a longer strip is squeezed, so that its cost has a bound

# The share of the gradient energy that survives a second blurring (0 sharp, 1 already blurred).
# Sound photos: 99 % below 0.28. Blurred by 4 %: 99 % above 0.40.
_BLURRED = 0.30
_REBLUR = 5  # pixels of the box filter; at 7 small blurs escape, at 3 noise passes for sharpness
_QUIET_AXIS = 0.1  # of the other axis' energy: stripes have no edges along themselves to judge
_NO_EDGES = 1.0  # mean squared difference of neighbours; below it there is but sensor noise

# The brightest twentieth, of 255. Of the sound photos, black coats on black ground among them, the
# darkest has 57 and 99.9 % have 73; photos at x 0.08 end at 20. A lamp or a window in a dark room
# covers less than a twentieth.
_DARK = 45.0
_DARK_PERCENTILE = 95

# Washed out: not even the darkest twentieth is darker than this. White on white has shadows.
_PALE = 210.0
_PALE_PERCENTILE = 5
# Burnt out: three quarters are without detail, and the rest is no dark thing cut out on white.
_BURNT = 250.0  # JPEG leaves a few levels of noise in pure white
_BURNT_PERCENTILE = 25
_BURNT_LEAVES = 120.0

# sqrt(width * height). The smallest sound photo has 88 (30 x 256); networks see 224 or 260.
_LOW_RESOLUTION = 80.0


@dataclass(frozen=True)
class Fault:
    """Why to ask for another photo; `weight` in (0, 1], 1 where nothing can be seen at all."""

    code: ReuploadReason
    weight: float


def judge(image: Image.Image) -> tuple[Fault, ...]:
    """Return the severe faults of an upright RGB photo, worst first; none for a sound photo.

    Sharpness is judged only where there is light to see it by.
    """
    faults = []
    size = (image.width * image.height) ** 0.5
    if size < _LOW_RESOLUTION:
        faults.append(
            _fault(ReuploadReason.LOW_RESOLUTION, _LOW_RESOLUTION - size, _LOW_RESOLUTION)
        )
    grey = _grey(image)
    darkest, burnt, brightest = np.percentile(
        grey, [_PALE_PERCENTILE, _BURNT_PERCENTILE, _DARK_PERCENTILE]
    )
    if brightest < _DARK:
        faults.append(_fault(ReuploadReason.TOO_DARK, _DARK - brightest, _DARK))
    elif darkest > _PALE or (burnt >= _BURNT and darkest > _BURNT_LEAVES):
        faults.append(
            _fault(ReuploadReason.TOO_BRIGHT, darkest - _BURNT_LEAVES, 255 - _BURNT_LEAVES)
        )
    else:
        blur = _blur(grey)
        if blur > _BLURRED:
            faults.append(_fault(ReuploadReason.BLURRED, blur - _BLURRED, 1 - _BLURRED))
    return tuple(sorted(faults, key=lambda fault: -fault.weight))


def _fault(code: ReuploadReason, excess: float, most: float) -> Fault:
    return Fault(code, weight=float(np.clip(excess / most, 0.01, 1.0)))


def _grey(image: Image.Image) -> NDArray[np.float32]:
    factor = max(1.0, min(image.size) / _GREY_SIDE)
    width, height = (min(round(side / factor), _GREY_LONGEST) for side in image.size)
    grey = image.convert("L").resize((width, height), Image.Resampling.BOX)
    return np.asarray(grey, dtype=np.float32)


def _blur(grey: NDArray[np.float32]) -> float:
    """Blur in 0 to 1 after Crete et al. 2007, with squared differences so that noise counts less.

    The worse of the two axes, since a shaken camera blurs along one.
    """
    energies, blurs = np.transpose([_blur_along(grey), _blur_along(grey.T)])
    if energies.max() < _NO_EDGES:
        return 1.0
    return float(blurs[energies >= _QUIET_AXIS * energies.max()].max())


def _blur_along(grey: NDArray[np.float32]) -> tuple[float, float]:
    """Return energy and blur of the differences between neighbouring columns."""
    sharp = np.diff(grey, axis=1) ** 2
    padded = np.pad(grey, ((0, 0), (_REBLUR // 2, _REBLUR // 2)), mode="edge")
    again = np.lib.stride_tricks.sliding_window_view(padded, _REBLUR, axis=1).mean(axis=-1)
    lost = np.maximum(0.0, sharp - np.diff(again, axis=1) ** 2)
    energy = float(sharp.mean())
    return energy, 1.0 - float(lost.mean()) / energy if energy else 1.0
