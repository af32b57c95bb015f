"""What a photo may cost before it is decoded."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class ImageLimits:
    """Bounds on one photo, all checked on its header. An image breaking one is refused.

    Of an animated image the first frame is the photo; the others are never decoded.

    Attributes:
        max_bytes: size of the encoded file. Phones write 2 to 12 MB; 20 MiB leaves room for a
            screenshot or a scan saved as PNG.
        max_pixels: width x height. The full mode of a phone with 50 megapixels gives
            8160 x 6144 = 50.1 million; at 3 bytes each that is 153 MB while it is being decoded.
        min_side: shorter side in pixels. Below it are spacers and tracking pixels, no photos.
        max_aspect: longer side over shorter side. Panoramas end near 8, screenshots of a whole page
            near 15. A strip of 64 x 796,000 keeps max_pixels, yet whatever scales photos by their
            shorter side would not shrink it.
        max_blocks: segments, chunks or sub-blocks of metadata. Cameras write under 100 and
            editors some hundreds. A file made of millions of tiny ones keeps a decoder busy for
            minutes (it appends them one by one), so it counts as an attack.
        max_scans: scans of a progressive JPEG. Encoders write about 10. Every scan visits all
            coefficients however few bytes it has: without a bound 20 MB could cost hours, with it
            the worst file takes 4 s.
    """

    max_bytes: int = 20 * 1024 * 1024
    max_pixels: int = 51_000_000
    min_side: int = 8
    max_aspect: int = 20
    max_blocks: int = 20_000
    max_scans: int = 64


DEFAULT_LIMITS = ImageLimits()
