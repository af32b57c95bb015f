"""Photos that were cut off while they were uploaded, at every tenth byte."""

import numpy as np
import pytest
from PIL import Image

from models.errors import UnreadableImageError
from models.images.decode import decode_image
from tests.fuzz.seeds import images


def decoded(data: bytes) -> Image.Image | None:
    try:
        return decode_image(data)
    except UnreadableImageError:
        return None


@pytest.mark.parametrize("kind", images())
def test_a_photo_cut_off_is_refused_or_lacks_nothing(kind: str) -> None:
    data = images()[kind]
    whole = np.asarray(decode_image(data))
    readable = []
    for end in range(0, len(data), 10):
        image = decoded(data[:end])
        if image is not None:
            readable.append(end)
            np.testing.assert_array_equal(np.asarray(image), whole)
    # Only what follows the pixels may be missing: checksums, the further frames, another picture.
    if kind in ("jpeg-multi", "png-animated", "gif-animated"):
        assert min(readable) > len(data) // 4
    else:
        assert len(readable) <= 3
        assert all(end > len(data) - 40 for end in readable)
