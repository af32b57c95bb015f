"""Where bundles lie for all workers: a folder or an object store.

A bundle is `URL/VERSION/` with the files of its folder. `bundle.json` is written last, so a
version without one is half-written; an object store cannot rename, so nothing rests on a rename.
"""

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from models.bundle.checksums import CHECKSUMS_FILE
from models.bundle.folder import MANIFEST_FILE, files_of, read_bundle
from models.errors import BundleError
from workers.object_storage import open_storage, storage_errors

_MANIFEST_MAX_BYTES = 64 * 1024 * 1024  # a manifest has under 1 MiB; a foreign file may have any


class ModelRegistry:
    """Publishes bundles and fetches them. Safe to use from several threads.

    Args:
        url: a folder, or an address that fsspec knows, such as `s3://bucket/models`.

    Raises:
        ConfigurationError: nothing reaches that address.
    """

    def __init__(self, url: str) -> None:
        self._files, self._root = open_storage(url, setting="SECONDSIGHT_MODEL_REGISTRY")

    def publish(self, folder: Path) -> tuple[str, str]:
        """Copy a bundle into the registry, unless it is there.

        Returns:
            Its address, and the SHA-256 of its manifest.

        Raises:
            BundleError: the folder is no whole bundle.
            WorkersError: the registry cannot be written.
        """
        bundle = read_bundle(folder)
        manifest = (folder / MANIFEST_FILE).read_bytes()
        place = f"{self._root}/{bundle.manifest.model_version}"
        uri = str(self._files.unstrip_protocol(place))
        self._place(uri)  # refuses a version that would lie elsewhere
        with storage_errors(f"{place} cannot be written"):
            if not self._is_there(place, manifest):
                self._files.makedirs(place, exist_ok=True)
                for name in (*bundle.manifest.files, CHECKSUMS_FILE):
                    self._files.put_file(str(folder / name), f"{place}/{name}")
                self._files.pipe_file(f"{place}/{MANIFEST_FILE}", manifest)
        return uri, hashlib.sha256(manifest).hexdigest()

    @contextmanager
    def fetched(self, uri: str, *, manifest_sha256: str) -> Iterator[Path]:
        """Give a folder with a copy of a bundle for the length of the block.

        Only files that its manifest names are copied, once that is the one that was announced.
        The files themselves are not compared yet; `read_bundle` does that.

        Raises:
            BundleError: the address lies outside the registry, nothing is there, or another
                bundle than was announced.
            WorkersError: the registry cannot be read now; another try may pass.
        """
        place = self._place(uri)
        with TemporaryDirectory(prefix="secondsight-bundle-") as name:
            folder = Path(name)
            with storage_errors(f"{uri} cannot be read", BundleError):
                try:
                    self._copy(place, folder, manifest_sha256)
                except (FileNotFoundError, FileExistsError, IsADirectoryError) as error:
                    raise BundleError(f"{uri} is no whole bundle: {error}") from error
            yield folder

    def _copy(self, place: str, folder: Path, manifest_sha256: str) -> None:
        with self._files.open(f"{place}/{MANIFEST_FILE}", "rb") as source:
            manifest = source.read(_MANIFEST_MAX_BYTES)
        if hashlib.sha256(manifest).hexdigest() != manifest_sha256:
            raise BundleError(f"{place}: its manifest is not the one that was announced")
        (folder / MANIFEST_FILE).write_bytes(manifest)
        for name in (*files_of(manifest, folder), CHECKSUMS_FILE):
            with (
                self._files.open(f"{place}/{name}", "rb") as source,
                (folder / name).open("xb") as target,
            ):
                shutil.copyfileobj(source, target, 1 << 20)

    def _is_there(self, place: str, manifest: bytes) -> bool:
        try:
            return bool(self._files.cat_file(f"{place}/{MANIFEST_FILE}") == manifest)
        except FileNotFoundError:
            return False

    def _place(self, uri: str) -> str:
        """Return the path of a bundle below the root.

        Whoever may write announcements shall not thereby choose what else a worker reads.
        """
        root = str(self._files.unstrip_protocol(self._root))
        below = uri.rstrip("/").removeprefix(f"{root}/")
        if below == uri.rstrip("/") or not below or "/" in below or below in (".", ".."):
            raise BundleError(f"{uri} does not lie in the registry {root}")
        return f"{self._root}/{below}"
