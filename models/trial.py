"""A bundle tried on one drawn photo before it answers anybody."""

from io import BytesIO

import numpy as np
from PIL import Image

from models.errors import BundleError
from models.pricer import Pricer

_SIDE = 256  # pixels; detail enough that no measure of a photo's faults divides by zero


def try_out(pricer: Pricer) -> None:
    """Price a drawn photo from end to end, as serving does.

    What the checksums cannot tell shows here: weights that are not finite, networks whose widths
    do not fit, a runtime that lacks an operation.

    Raises:
        BundleError: no price comes of it, or one that is none.
    """
    try:
        features = pricer.features([pricer.prepare(_photo())])
        if not np.isfinite(features).all():
            raise BundleError(f"{pricer.version}: the features of a photo are not finite numbers")
        (estimate,) = pricer.estimate(features, [pricer.snapshot_statistics(None)])
    except BundleError:
        raise
    except Exception as error:  # the runtime's own errors have no common root but this
        raise BundleError(f"{pricer.version} cannot price a photo: {error}") from error
    if not np.isfinite([estimate.score, estimate.confidence]).all():
        raise BundleError(f"{pricer.version}: the score of a photo is not a finite number")


def _photo() -> bytes:
    """Draw a photo: shades, edges and noise, the same bytes each time."""
    rows, columns = np.mgrid[0:_SIDE, 0:_SIDE]
    shades = np.stack([rows, columns, (rows // 32 + columns // 32) % 2 * 255], axis=-1)
    noise = np.random.default_rng(0).integers(0, 32, shades.shape)
    file = BytesIO()
    Image.fromarray(np.clip(shades + noise, 0, 255).astype(np.uint8)).save(file, "PNG")
    return file.getvalue()
