"""What a photo shows, on disk: with its features, its faults and its perceptual hash."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.errors import ModelsError
from models.extractors.cache import checked, with_checksum, write_whole
from models.extractors.protocol import Features
from models.images.faults import THRESHOLDS_FILE, Fault
from schemas.suggestion import ReuploadReason

_VERSION = b"1"  # of this format, and of what faults and hashes are computed from
_JUDGED = hashlib.sha256(_VERSION + THRESHOLDS_FILE.read_bytes()).hexdigest()


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """All that training takes from one photo.

    Attributes:
        features: float32 `[width]`; None where the photo is unreadable.
        faults: worst first; `unreadable` alone for one that is.
        hash: perceptual, 64 bits; 0 where unreadable.
    """

    features: Features | None
    faults: tuple[Fault, ...]
    hash: int


class LookCache:
    """Looks by image network and photo, one file each, so that no photo is decoded twice.

    Safe for any number of threads and processes: a file appears under its name only when it is
    whole; a damaged one counts as absent, and so does one made by other fault thresholds.
    """

    def __init__(self, folder: Path) -> None:
        """Use a folder; it is made when the first look is kept, and may be deleted at any time."""
        self._folder = folder

    def get(self, fingerprint: str, digest: str) -> Look | None:
        """Return the look at a photo, or None where there is none.

        Args:
            fingerprint: of the image network.
            digest: SHA-256 of the photo's bytes, hexadecimal.
        """
        try:
            content = checked(self._path(fingerprint, digest).read_bytes())
        except OSError:
            return None
        if content is None:
            return None
        about, _, values = content.partition(b"\n")
        found = json.loads(about)
        return Look(
            np.frombuffer(values, "<f4").astype(np.float32) if values else None,
            tuple(Fault(ReuploadReason(code), weight) for code, weight in found["faults"]),
            found["hash"],
        )

    def put(self, fingerprint: str, digest: str, look: Look) -> None:
        """Keep the look at a photo.

        Raises:
            ModelsError: the folder cannot be written.
        """
        about = {
            "faults": [(fault.code.value, fault.weight) for fault in look.faults],
            "hash": look.hash,
        }
        values = b"" if look.features is None else look.features.astype("<f4").tobytes()
        content = with_checksum(json.dumps(about).encode() + b"\n" + values)
        try:
            write_whole(self._path(fingerprint, digest), content)
        except OSError as error:
            raise ModelsError(
                f"the looks at photos in {self._folder} cannot be written: {error.strerror}"
            ) from None

    def _path(self, fingerprint: str, digest: str) -> Path:
        network = hashlib.sha256(f"{fingerprint} {_JUDGED}".encode()).hexdigest()[:16]
        return self._folder / network / digest[:2] / f"{digest[2:]}.look"
