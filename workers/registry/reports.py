"""Reports of retrainings and requests for one, which lie in the registry beside the models.

URL/reports/2026-01-31T120000Z-NAME.json
URL/requests/NAME.json
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from workers.object_storage import open_storage, storage_errors

_TIME = "%Y-%m-%dT%H%M%SZ"


class RetrainRecords:
    """Keeps reports and reads requests.

    Args:
        url: of the registry, a folder or an address that fsspec knows.

    Raises:
        ConfigurationError: nothing reaches that address.
    """

    def __init__(self, url: str) -> None:
        self._files, root = open_storage(url, setting="SECONDSIGHT_MODEL_REGISTRY")
        self._reports, self._requests = f"{root}/reports", f"{root}/requests"

    def write_report(self, at: datetime, name: str, report: Mapping[str, Any]) -> str:
        """Keep the report of a retraining; returns its address.

        Args:
            at: when the retraining began, UTC.
            name: of the challenger, or why there is none.
            report: JSON.

        Raises:
            WorkersError: the registry cannot be written.
        """
        path = f"{self._reports}/{at.astimezone(UTC).strftime(_TIME)}-{name}.json"
        with storage_errors(f"{path} cannot be written"):
            self._files.makedirs(self._reports, exist_ok=True)
            self._files.pipe_file(path, (json.dumps(report, indent=2) + "\n").encode())
        return str(self._files.unstrip_protocol(path))

    def last_at(self) -> datetime | None:
        """Return when the last retraining that came to a verdict began; None before the first.

        Raises:
            WorkersError: the registry cannot be read.
        """
        moments = [
            datetime.strptime(name[:18], _TIME).replace(tzinfo=UTC)
            for path in self._listed(self._reports)
            if len(name := path.rpartition("/")[2]) > 18
        ]
        return max(moments, default=None)

    def write_request(self, name: str, request: Mapping[str, Any]) -> None:
        """Ask for a retraining before the next one is due; a request of one name replaces it.

        Raises:
            WorkersError: the registry cannot be written.
        """
        path = f"{self._requests}/{name}.json"
        with storage_errors(f"{path} cannot be written"):
            self._files.makedirs(self._requests, exist_ok=True)
            self._files.pipe_file(path, (json.dumps(request) + "\n").encode())

    def requests(self) -> list[str]:
        """Return the names of the requests that no retraining has answered yet.

        Raises:
            WorkersError: the registry cannot be read.
        """
        names = [path.rpartition("/")[2] for path in self._listed(self._requests)]
        return sorted(name.removesuffix(".json") for name in names if name.endswith(".json"))

    def answer_requests(self, names: list[str]) -> None:
        """Take requests away, since a retraining that began after them is done.

        Raises:
            WorkersError: the registry cannot be written.
        """
        with storage_errors(f"{self._requests} cannot be written"):
            for name in names:
                self._files.rm_file(f"{self._requests}/{name}.json")

    def _listed(self, folder: str) -> list[str]:
        with storage_errors(f"{folder} cannot be read"):
            try:
                return [str(path) for path in self._files.ls(folder, detail=False)]
            except FileNotFoundError:
                return []
