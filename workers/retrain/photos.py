"""The photos of examples: looked at once, fetched only for that, kept by their SHA-256."""

import asyncio
import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog

from models.dataset.photos import ListingPhotos, photos_of
from models.dataset.rows import ListingRow
from models.dataset.splits import Indices
from models.errors import ModelsError
from models.extractors.cache import write_whole
from models.extractors.extraction import extract, looks_of
from models.extractors.looks import Look, LookCache
from models.image_networks import ImageNetworks
from schemas.image import ImageReference
from workers.errors import WorkersError
from workers.examples.example import Example
from workers.retrain.rows import to_row
from workers.suggest.errors import FetchFailedError, FetchRefusedError
from workers.suggest.fetch import Fetcher, host_of
from workers.suggest.slots import Slots

log = structlog.get_logger(__name__)

Progress = Callable[[int, int], None]

_AT_ONCE = 512  # photos between two writes of the cache: what a kill costs
MAX_GONE_SHARE = 0.5  # of the listings; more says that the photos' host is down, not that they went


@dataclass(frozen=True, slots=True)
class Pictured:
    """Examples of whose photos at least one was had, and what these show; all `[N]`."""

    examples: list[Example]
    listings: list[ListingRow]
    photos: ListingPhotos

    def take(self, items: Indices) -> "Pictured":
        """Return some of them, by place and in that order."""
        return Pictured(
            [self.examples[item] for item in items],
            [self.listings[item] for item in items],
            self.photos.take(items),
        )


class PhotoShelf:
    """Photos by SHA-256, addresses by what was found there, and looks at photos, in one folder.

    All of it may be deleted at any time; then photos are fetched anew. An address is asked once: a
    photo without a SHA-256 in its reference is the one that was found at the first time.

    Args:
        folder: `photos/`, `addresses/` and `looks/` are below it.
        new_fetcher: gives what fetches photos, by the rules of the suggest worker; called for each
            use, as a fetcher is bound to an event loop.
        at_once: photos that are fetched at once.
        of_a_host: how many of them may be of one host.
    """

    def __init__(
        self,
        folder: Path,
        new_fetcher: Callable[[], Fetcher],
        *,
        at_once: int = 32,
        of_a_host: int = 8,
    ) -> None:
        self._folder = folder
        self._looks = LookCache(folder / "looks")
        self._new_fetcher = new_fetcher
        self._at_once, self._of_a_host = at_once, of_a_host

    def look(
        self, examples: Sequence[Example], images: ImageNetworks, *, progress: Progress
    ) -> Pictured:
        """Look at the photos of examples; one that was looked at before costs a read.

        A photo that cannot be had any more is left out, and so is an example without any: that
        says nothing about what the seller's photo showed.

        Args:
            examples: whose photos.
            images: makes the features.
            progress: called with photos done and photos in all, of those not looked at before.

        Raises:
            WorkersError: more than `MAX_GONE_SHARE` of the examples are without photos.
            ModelsError: the folder cannot be written.
        """
        fingerprint = images.backbone.fingerprint
        looks: dict[str, Look] = {}
        missing = []
        for image in _distinct(examples):
            digest = self._digest(image)
            look = None if digest is None else self._looks.get(fingerprint, digest)
            if digest is None or look is None:
                missing.append(image)
            else:
                looks[digest] = look
        for first in range(0, len(missing), _AT_ONCE):
            progress(first, len(missing))
            new = self._files(missing[first : first + _AT_ONCE])
            found = extract(list(new.values()), images.backbone, extractor=images.extractor)
            for digest, look in zip(new, looks_of(found), strict=True):
                self._looks.put(fingerprint, digest, look)
                looks[digest] = look
        if missing:
            progress(len(missing), len(missing))
        return self._pictured(examples, looks, images.backbone.width)

    def with_files(self, examples: Sequence[Example], *, progress: Progress) -> list[ListingRow]:
        """Return examples with their photos as files, which extractors are trained on.

        Args:
            examples: whose photos are fetched where they are not on the shelf.
            progress: called with photos done and photos in all.

        Raises:
            WorkersError: more than `MAX_GONE_SHARE` of the examples are without photos.
            ModelsError: the folder cannot be written.
        """
        images = _distinct(examples)
        files: dict[str, Path] = {}
        for first in range(0, len(images), _AT_ONCE):
            progress(first, len(images))
            files |= self._files(images[first : first + _AT_ONCE])
        progress(len(images), len(images))
        listings = []
        for example in examples:
            digests = self._digests(example)
            if had := tuple(files[digest] for digest in digests if digest in files):
                listings.append(to_row(example, had))
        _check_gone(len(examples), len(listings))
        return listings

    def _pictured(
        self, examples: Sequence[Example], looks: dict[str, Look], width: int
    ) -> Pictured:
        kept: list[Example] = []
        listings: list[ListingRow] = []
        digests: list[str] = []
        for example in examples:
            had = [digest for digest in self._digests(example) if digest in looks]
            if had:
                kept.append(example)
                listings.append(to_row(example, tuple(self._path(digest) for digest in had)))
                digests += had
        _check_gone(len(examples), len(kept))
        found = [looks[digest] for digest in digests]
        return Pictured(kept, listings, photos_of(listings, found, digests, width=width))

    def _files(self, images: Sequence[ImageReference]) -> dict[str, Path]:
        """Return the files of photos by SHA-256, fetched where they are not there."""
        asyncio.run(self._fetch([image for image in images if not self._is_here(image)]))
        digests = [self._digest(image) for image in images if self._is_here(image)]
        return {digest: self._path(digest) for digest in digests if digest is not None}

    async def _fetch(self, images: Sequence[ImageReference]) -> None:
        if not images:
            return
        slots = Slots(self._at_once, of_a_host=self._of_a_host)
        async with self._new_fetcher() as fetcher:

            async def one(image: ImageReference) -> None:
                try:
                    async with slots.taken(host_of(image.uri)):
                        data = await fetcher.fetch(image)
                except (FetchRefusedError, FetchFailedError) as error:
                    # without the query: it may hold a signature that opens the photo to others
                    shown = image.uri.partition("?")[0][:200]
                    log.info("photo unavailable", uri=shown, error=str(error))
                    return
                self._put(image, data)

            await asyncio.gather(*map(one, images))

    def _put(self, image: ImageReference, data: bytes) -> None:
        digest = hashlib.sha256(data).hexdigest()
        try:
            write_whole(self._path(digest), data)
            if image.sha256 is None:
                write_whole(self._address(image), digest.encode())
        except OSError as error:
            raise ModelsError(f"{self._folder} cannot be written: {error.strerror}") from None

    def _digests(self, example: Example) -> list[str]:
        found = [self._digest(image) for image in example.images]
        return [digest for digest in found if digest is not None]

    def _digest(self, image: ImageReference) -> str | None:
        """Return the SHA-256 of a photo: as its reference has it, or as it was when fetched."""
        if image.sha256 is not None:
            return image.sha256
        try:
            digest = self._address(image).read_text("ascii")
        except (OSError, UnicodeDecodeError):
            return None
        return digest if len(digest) == 64 else None

    def _is_here(self, image: ImageReference) -> bool:
        digest = self._digest(image)
        return digest is not None and self._path(digest).is_file()

    def _path(self, digest: str) -> Path:
        return self._folder / "photos" / digest[:2] / digest[2:]

    def _address(self, image: ImageReference) -> Path:
        name = hashlib.sha256(image.uri.encode()).hexdigest()
        return self._folder / "addresses" / name[:2] / name[2:]


def _distinct(examples: Iterable[Example]) -> list[ImageReference]:
    found = {image.sha256 or image.uri: image for each in examples for image in each.images}
    return list(found.values())


def _check_gone(examples: int, kept: int) -> None:
    if examples and kept < (1 - MAX_GONE_SHARE) * examples:
        raise WorkersError(
            f"the photos of {examples - kept} of {examples} listings cannot be had: are the hosts "
            "and roots of the SECONDSIGHT_IMAGE_ settings those of the suggest worker, and up?"
        )
