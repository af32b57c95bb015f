"""The data of a grid: made once, put into files that all processes map, and named by content."""

import hashlib
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from models.errors import ModelsError
from models.evaluation.oracle import OracleRow
from models.training_data import TrainingData


@dataclass(frozen=True, slots=True)
class Prepared:
    """A training's data, ready to be sent to another process: without the columns themselves.

    Attributes:
        data: `rows` and the features of `photos` are empty.
        file: holds `rows`, an .npy file.
        oracle: the truth of each listing by its id, where it is known.
        digest: SHA-256 of all that a training and its measures depend on.
    """

    data: TrainingData
    file: Path
    oracle: Mapping[str, OracleRow] | None
    digest: str

    def open(self) -> TrainingData:
        """Return the data with its columns mapped from the file, which is read as they are used.

        Raises:
            ModelsError: the file is gone.
        """
        try:
            # np.asarray: no subclass of the array, which others would have to know
            rows = np.asarray(np.load(self.file, mmap_mode="r"))
        except (OSError, ValueError) as error:
            raise ModelsError(
                f"{self.file} cannot be read ({error}): run the command again"
            ) from None
        features = rows[:, : self.data.photos.features.shape[1]]
        return replace(self.data, rows=rows, photos=replace(self.data.photos, features=features))


def prepare(data: TrainingData, oracle: Mapping[str, OracleRow] | None, folder: Path) -> Prepared:
    """Write the columns of the data to a file of the folder, unless it is there.

    Raises:
        ModelsError: the folder cannot be written.
    """
    digest = _digest(data, oracle)
    file = folder / f"{digest[:32]}.npy"
    if not file.exists():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=folder)
            unfinished = Path(name)
            try:
                with os.fdopen(handle, "wb") as stream:
                    np.save(stream, data.rows)
                unfinished.replace(file)
            except OSError:
                unfinished.unlink(missing_ok=True)
                raise
        except OSError as error:
            raise ModelsError(f"{folder} cannot be written: {error.strerror}") from None
    width = data.photos.features.shape[1]
    photos = replace(data.photos, features=np.empty((0, width), np.float32))
    emptied = replace(data, rows=data.rows[:0].copy(), photos=photos)
    return Prepared(emptied, file, oracle, digest)


def _digest(data: TrainingData, oracle: Mapping[str, OracleRow] | None) -> str:
    digest = hashlib.sha256()
    split = data.split
    arrays = [data.rows, data.log_prices, data.photos.sound, data.train, data.validation]
    arrays += [split.train, split.validation, split.test]
    for values in arrays:
        digest.update(f"{values.dtype.str}{values.shape}".encode())
        digest.update(np.ascontiguousarray(values).data)
    digest.update(repr([(row.listing_id, row.category) for row in data.listings]).encode())
    digest.update(repr((data.vocabulary, data.photos.features.shape)).encode())
    if oracle:
        digest.update(repr(sorted((name, repr(row)) for name, row in oracle.items())).encode())
    return digest.hexdigest()
