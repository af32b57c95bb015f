"""The folder that a demo writes into."""

import shutil
from pathlib import Path

from workers.errors import ConfigurationError

MARKER = ".secondsight-demo"


def prepare_folder(out: Path) -> None:
    """Make the folder, or empty it of what an earlier demo left.

    Raises:
        ConfigurationError: it holds something else, or cannot be written.
    """
    marker = out / MARKER
    try:
        if out.exists() and not (out.is_dir() and (marker.exists() or not any(out.iterdir()))):
            raise ConfigurationError(f"{out} exists and is not of a demo: name another folder")
        out.mkdir(parents=True, exist_ok=True)
        for path in out.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif path != marker:
                path.unlink()
        marker.touch()
        (out / "logs").mkdir()
    except OSError as error:
        raise ConfigurationError(f"{out} cannot be written: {error.strerror}") from None
