"""The photos of listings as training and evaluation see them: the same choice as serving."""

import hashlib
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import numpy.typing as npt

from models.dataset.near_duplicates import look_alikes
from models.dataset.rows import ListingRow
from models.extractors.cache import FeatureCache
from models.extractors.extraction import extract, looks_of
from models.extractors.looks import Look
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
        digests: SHA-256 of the readable photo files of each listing.
        faultless: the photo files of each listing that have no fault.
        hashes: perceptual hashes of the photos of each listing that have no fault. What is too
            dark or blurred to see looks like all that is.
    """

    features: Features
    readable: npt.NDArray[np.bool_]
    sound: npt.NDArray[np.bool_]
    reasons: list[ReuploadReason | None]
    digests: list[tuple[str, ...]]
    faultless: list[tuple[Path, ...]]
    hashes: list[tuple[int, ...]]

    def keys(self) -> list[list[Hashable]]:
        """Return what identifies the photos of each listing: photos that look alike share a key.

        A photo is known by its bytes too, as of one with a fault nobody can tell what it shows.
        """
        alike = iter(look_alikes(list(chain.from_iterable(self.hashes))).tolist())
        return [
            [*digests, *(next(alike) for _ in hashes)]
            for digests, hashes in zip(self.digests, self.hashes, strict=True)
        ]

    def take(self, items: npt.NDArray[np.int64]) -> "ListingPhotos":
        """Return what the photos of some of the listings give, by index and in that order."""
        return ListingPhotos(
            self.features[items],
            self.readable[items],
            self.sound[items],
            [self.reasons[item] for item in items],
            [self.digests[item] for item in items],
            [self.faultless[item] for item in items],
            [self.hashes[item] for item in items],
        )


def joined(one: ListingPhotos, other: ListingPhotos) -> ListingPhotos:
    """Return what the photos of both give, those of `one` first."""
    return ListingPhotos(
        np.concatenate([one.features, other.features]),
        np.concatenate([one.readable, other.readable]),
        np.concatenate([one.sound, other.sound]),
        one.reasons + other.reasons,
        one.digests + other.digests,
        one.faultless + other.faultless,
        one.hashes + other.hashes,
    )


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
    digests = [
        hashlib.sha256(path.read_bytes()).hexdigest() if legible else ""
        for path, legible in zip(paths, found.readable, strict=True)
    ]
    return photos_of(listings, looks_of(found), digests, width=backbone.width)


def photos_of(
    listings: Sequence[ListingRow], looks: Sequence[Look], digests: Sequence[str], *, width: int
) -> ListingPhotos:
    """Put together what the photos of listings give.

    Args:
        listings: `[N]`.
        looks: at all their photos, in their order.
        digests: SHA-256 of the same photos; of an unreadable one it is not used.
        width: of the features of a photo.
    """
    features = np.zeros((len(listings), width), np.float32)
    readable = np.zeros(len(listings), np.bool_)
    sound = np.zeros(len(listings), np.bool_)
    reasons: list[ReuploadReason | None] = []
    legible_digests = []
    without_fault = []
    hashes = []
    start = 0
    for item, listing in enumerate(listings):
        photos = range(start, start + len(listing.images))
        start = photos.stop
        legible = [photo for photo in photos if looks[photo].features is not None]
        faultless = [photo for photo in legible if not looks[photo].faults]
        readable[item], sound[item] = bool(legible), bool(faultless)
        if legible:
            of_photos = [looks[photo].features for photo in faultless or legible]
            features[item] = np.stack([each for each in of_photos if each is not None]).mean(axis=0)
        faults = [fault for photo in photos for fault in looks[photo].faults]
        worst = max(faults, key=lambda fault: fault.weight, default=None)
        if worst is not None:
            reasons.append(worst.code)
        else:
            reasons.append(None if listing.images else ReuploadReason.UNAVAILABLE)
        legible_digests.append(tuple(digests[photo] for photo in legible))
        without_fault.append(tuple(listing.images[photo - photos.start] for photo in faultless))
        hashes.append(tuple(looks[photo].hash for photo in faultless))
    return ListingPhotos(features, readable, sound, reasons, legible_digests, without_fault, hashes)
