"""The photos of listings as training and evaluation see them: the same choice as serving."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.dataset.rows import ListingRow
from models.extractors.cache import FeatureCache
from models.extractors.extraction import extract
from models.extractors.protocol import Backbone, Extractor, Features
from schemas.suggestion import ReuploadReason


@dataclass(frozen=True, slots=True)
class ListingPhotos:
    """What the photos of N listings give.

    Attributes:
        features: `[N, width]`, the mean over the sound photos of a listing, else over its
            readable ones; zeros where there is none.
        readable: bool `[N]`, at least one photo could be read.
        sound: bool `[N]`, at least one photo has no fault. The others are asked for a new photo
            without a look at the price.
        reasons: the worst fault found in each listing's photos, None where there is no fault.
        digests: SHA-256 of the photo files of each listing.
    """

    features: Features
    readable: npt.NDArray[np.bool_]
    sound: npt.NDArray[np.bool_]
    reasons: list[ReuploadReason | None]
    digests: list[tuple[str, ...]]


def look_at_photos(
    listings: Sequence[ListingRow],
    backbone: Backbone,
    *,
    extractor: Extractor | None = None,
    cache: FeatureCache | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> ListingPhotos:
    """Read, judge and extract the photos of listings; the arguments are those of `extract`.

    A listing without photos counts as one whose photo cannot be had (`unavailable`).

    Raises:
        WeightsMissingError: the backbone cannot be built.
        ModelsError: the cache cannot be written.
    """
    paths = [path for listing in listings for path in listing.images]
    found = extract(paths, backbone, extractor=extractor, cache=cache, progress=progress)
    features = np.zeros((len(listings), backbone.width), np.float32)
    readable = np.zeros(len(listings), np.bool_)
    sound = np.zeros(len(listings), np.bool_)
    reasons: list[ReuploadReason | None] = []
    digests = []
    start = 0
    for item, listing in enumerate(listings):
        photos = range(start, start + len(listing.images))
        start = photos.stop
        legible = [photo for photo in photos if found.readable[photo]]
        faultless = [photo for photo in legible if not found.faults[photo]]
        readable[item], sound[item] = bool(legible), bool(faultless)
        if legible:
            features[item] = found.features[faultless or legible].mean(axis=0)
        faults = [fault for photo in photos for fault in found.faults[photo]]
        worst = max(faults, key=lambda fault: fault.weight, default=None)
        if worst is not None:
            reasons.append(worst.code)
        else:
            reasons.append(None if listing.images else ReuploadReason.UNAVAILABLE)
        digests.append(tuple(_digest(listing, found.readable[photos.start : photos.stop])))
    return ListingPhotos(features, readable, sound, reasons, digests)


def _digest(listing: ListingRow, readable: npt.NDArray[np.bool_]) -> list[str]:
    return [
        hashlib.sha256(path.read_bytes()).hexdigest()
        for path, legible in zip(listing.images, readable, strict=True)
        if legible
    ]
