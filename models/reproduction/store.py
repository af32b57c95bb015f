"""The outcomes of a grid on disk: one file for each cell, there whole or not at all."""

import hashlib
import json
import os
import tempfile
from pathlib import Path

from pydantic import ValidationError

from models.errors import ModelsError
from models.reproduction.cell import Conditions, Outcome, described
from models.reproduction.grid import Cell

FORMAT = 2  # raise it when a cell of the same configuration is measured in another way


class CellStore:
    """Reads and writes outcomes; any number of processes may do so at once.

    A cell's file is named by a hash of its configuration and of its data, so one that was made
    of another dataset or plan is not found, and is left in peace.
    """

    def __init__(self, folder: Path, conditions: Conditions) -> None:
        """Use a folder, made when it is first written to."""
        self._folder = folder
        self._conditions = conditions

    def path(self, cell: Cell, digest: str) -> Path:
        """Return where the outcome of a cell lies, whose data have that digest."""
        said = {**described(cell, self._conditions), "data": digest, "format": FORMAT}
        name = hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:24]
        return self._folder / f"{name}.json"

    def read(self, cell: Cell, digest: str) -> Outcome | None:
        """Return the outcome of a cell; None where there is none that is whole."""
        try:
            said = json.loads(self.path(cell, digest).read_bytes())
            return Outcome.model_validate(said["outcome"])
        except (OSError, ValueError, KeyError, TypeError, ValidationError):
            return None

    def write(self, cell: Cell, digest: str, outcome: Outcome) -> None:
        """Keep the outcome of a cell, with its configuration for whoever looks.

        Raises:
            ModelsError: the folder cannot be written.
        """
        path = self.path(cell, digest)
        said = {
            **described(cell, self._conditions),
            "data": digest,
            "outcome": outcome.model_dump(mode="json"),
        }
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self._folder)
            unfinished = Path(name)
            try:
                with os.fdopen(handle, "w", encoding="utf-8") as file:
                    json.dump(said, file, indent=1)
                unfinished.chmod(0o644)  # it is made private
                unfinished.replace(path)
            except OSError:
                unfinished.unlink(missing_ok=True)
                raise
        except OSError as error:
            raise ModelsError(f"{self._folder} cannot be written: {error.strerror}") from None
