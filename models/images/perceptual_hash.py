"""A number that a photo keeps when it is saved anew: what a repeated photo is known by."""

import imagehash
import numpy as np
from PIL import Image


def perceptual_hash(image: Image.Image) -> int:
    """Return 64 bits: which low frequencies of the grey photo lie above their median (pHash).

    Bits that differ between two photos say how unlike they look. A photo that was compressed
    again, shrunk or given other colours differs in at most 4 from itself; unrelated ones in 32 on
    average. A photo of one plain colour has the hash of every such photo.

    Args:
        image: upright, mode RGB.
    """
    return int.from_bytes(np.packbits(imagehash.phash(image).hash).tobytes())
