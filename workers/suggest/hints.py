"""What a seller is told beside each machine-readable reason, in the language of the operator."""

import json
import re
from collections.abc import Mapping
from pathlib import Path

from schemas.suggestion import Reason, ReuploadReason
from workers.errors import ConfigurationError

Hints = Mapping[ReuploadReason, str]
"""A sentence for every reason."""

_SHIPPED = Path(__file__).with_name("hint_texts")
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}([_-][A-Za-z0-9]{2,8})*")  # as BCP 47 tags are formed


def load_hints(language: str, folder: Path | None = None) -> Hints:
    """Return the hints in a language; a sentence that it lacks is the English one.

    Args:
        language: names the catalogue, `de` or `pt-BR`.
        folder: of the operator's own catalogues, `LANGUAGE.json`; their sentences come before
            those of the catalogue of this language that is shipped, if there is one.

    Raises:
        ConfigurationError: there is no catalogue of that language, or one holds anything but
            sentences by reason.
    """
    if not _LANGUAGE.fullmatch(language):
        raise ConfigurationError(f"SECONDSIGHT_HINT_LANGUAGE={language}: is no language, as in de")
    folders = [_SHIPPED] if folder is None else [_SHIPPED, folder]
    found = [path for each in folders if (path := each / f"{language}.json").is_file()]
    if not found:
        known = sorted({path.stem for each in folders for path in each.glob("*.json")})
        raise ConfigurationError(
            f"SECONDSIGHT_HINT_LANGUAGE={language}: there is no {language}.json in "
            f"{' or '.join(map(str, folders))}; there are: {', '.join(known)}"
        )
    hints = _read(_SHIPPED / "en.json")
    for path in found:
        hints |= _read(path)
    return hints


def _read(path: Path) -> dict[ReuploadReason, str]:
    try:
        sentences = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(sentences, dict):
            raise ValueError("is no JSON object")
        # An event holds no other hint than a reason does.
        return {
            (code := ReuploadReason(name)): Reason(code=code, hint=sentence).hint
            for name, sentence in sentences.items()
        }
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"hints cannot be read from {path}: {error}") from error


ENGLISH = load_hints("en")


def hint_for(code: ReuploadReason) -> str:
    """Return the English sentence for sellers that goes with a reason."""
    return ENGLISH[code]
