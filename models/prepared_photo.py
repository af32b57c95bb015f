"""One photo from bytes to what a network takes. Needs neither a network nor its runtime."""

from dataclasses import dataclass

from models.extractors.preprocessing import Preprocessing
from models.extractors.protocol import Squashed
from models.images.decode import decode_image
from models.images.faults import Fault, judge
from models.images.limits import DEFAULT_LIMITS, ImageLimits


@dataclass(frozen=True, slots=True, eq=False)
class PreparedPhoto:
    """A photo at the size that a network takes, uint8 `[S, S, 3]`, and its faults, worst first."""

    pixels: Squashed
    faults: tuple[Fault, ...]


def prepare_photo(
    data: bytes, preprocessing: Preprocessing, limits: ImageLimits = DEFAULT_LIMITS
) -> PreparedPhoto:
    """Decode, judge and scale one photo; most of the time the interpreter lock is free.

    Raises:
        UnreadableImageError: the bytes are no photo or break a limit.
    """
    image = decode_image(data, limits)
    return PreparedPhoto(preprocessing.squash(image), judge(image))
