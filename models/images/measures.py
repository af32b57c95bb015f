"""What is measured on a photo to tell whether it serves: four numbers, one for each fault.

Everything but the size is measured on a grey copy whose shorter side has 64 pixels: the same
photo gives the same numbers at any resolution, noise and JPEG blocks average out, and fine
texture, which a blurred photo and a smooth thing both lack, does not count.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_GREY_SIDE = 64
_GREY_LONGEST = 20 * _GREY_SIDE  # a longer strip is squeezed, so that its cost has a bound

_BRIGHTEST = 95  # percentile; a lamp or a window in a dark room covers less than a twentieth

# A dark thing cut out on white is in order, even if it covers but a fiftieth of the photo. Few
# burnt out photos have anything that dark left: 2 in 100 at 20 times the light.
_DARKEST = 2  # percentile
_DARK_LEFT = 50.0
_DARKEST_WEIGHT = 0.05  # of the glare; without it a photo washed out to a light grey is sound

_LINE = 9  # pixels; longer than the blur to be found, shorter than the distance between edges
_STRONG = 80  # percentile: judged is the fifth of the lines with the most contrast ...
_STRONG_LEAST = 16  # ... but none with less, where light falls off, or noise is all there is
_STRONG_SHARE = 0.01  # of all lines; a direction with fewer has no edges to judge
_SHARPEST = 90  # percentile: it is enough that a tenth is in focus, the ground behind need not be
_DIRECTIONS = ((0, 1), (1, 0), (1, 1), (1, -1))  # rows and columns to go for one step


@dataclass(frozen=True, slots=True)
class Measures:
    """The measures of one photo.

    Attributes:
        size: sqrt(width * height), pixels.
        brightest: grey level, 0 to 255, that only the brightest twentieth exceeds.
        glare: mean grey level, 0 to 255, in which the level of the darkest fiftieth counts for
            a twentieth; 0 where something dark is left to see.
        sharpness: in 0 to 1, how much of the contrast along short lines the steepest step from
            one pixel to the next makes up: 1 for an edge that falls between two pixels, 1/8 for
            an even slope. Of the four directions of lines the worst counts, since a shaken camera
            blurs along one. 0 where there are no edges at all.
    """

    size: float
    brightest: float
    glare: float
    sharpness: float


def measure(image: Image.Image) -> Measures:
    """Measure an upright RGB photo; 1 to 2 ms for a million pixels."""
    grey = _grey(image)
    darkest, brightest = np.percentile(grey, [_DARKEST, _BRIGHTEST])
    return Measures(
        size=float((image.width * image.height) ** 0.5),
        brightest=float(brightest),
        glare=_glare(float(grey.mean()), float(darkest)),
        sharpness=_sharpness(grey),
    )


def _glare(mean: float, darkest: float) -> float:
    if darkest < _DARK_LEFT:
        return 0.0
    return (1 - _DARKEST_WEIGHT) * mean + _DARKEST_WEIGHT * darkest


def _grey(image: Image.Image) -> NDArray[np.int16]:
    factor = max(1.0, min(image.size) / _GREY_SIDE)
    width, height = (min(round(side / factor), _GREY_LONGEST) for side in image.size)
    grey = image.convert("L").resize((width, height), Image.Resampling.BOX)
    return np.asarray(grey, dtype=np.int16)


def _sharpness(grey: NDArray[np.int16]) -> float:
    found = [
        _sharpness_along(grey, down, right)
        for down, right in _DIRECTIONS
        if grey.shape[0] > down * (_LINE - 1) and grey.shape[1] > abs(right) * (_LINE - 1)
    ]
    if not found:
        return 1.0  # too small to tell, and refused for that
    return min((sharpness for sharpness in found if sharpness is not None), default=0.0)


def _sharpness_along(grey: NDArray[np.int16], down: int, right: int) -> float | None:
    """Return the sharpness along one direction; None where there is no edge to judge it by."""
    if right < 0:
        grey, right = grey[:, ::-1], -right
    height, width = (
        side - step * (_LINE - 1) for side, step in zip(grey.shape, (down, right), strict=True)
    )
    # entry [y, x] of the n-th is the n-th pixel of the line that begins at [y, x]
    pixels = [
        grey[n * down : n * down + height, n * right : n * right + width] for n in range(_LINE)
    ]
    lightest = darkest = pixels[0]
    steepest = np.zeros_like(lightest)
    for here, there in pairwise(pixels):
        lightest, darkest = np.maximum(lightest, there), np.minimum(darkest, there)
        steepest = np.maximum(steepest, np.abs(there - here))
    contrast = lightest - darkest
    strong = contrast >= max(_STRONG_LEAST, np.percentile(contrast, _STRONG))
    if np.count_nonzero(strong) < _STRONG_SHARE * strong.size:
        return None
    return float(np.percentile(steepest[strong] / contrast[strong], _SHARPEST))
