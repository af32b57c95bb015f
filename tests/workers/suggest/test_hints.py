import json
from pathlib import Path

import pytest

from schemas.suggestion import Reason, ReuploadReason
from workers.errors import ConfigurationError
from workers.suggest import hints
from workers.suggest.hints import ENGLISH, hint_for, load_hints

SHIPPED = sorted(Path(hints.__file__).with_name("hint_texts").glob("*.json"))


@pytest.mark.parametrize("catalogue", SHIPPED, ids=lambda path: path.stem)
def test_every_reason_has_a_hint_that_fits_the_event(catalogue: Path) -> None:
    own = json.loads(catalogue.read_text(encoding="utf-8"))
    loaded = load_hints(catalogue.stem)

    assert own.keys() == {code.value for code in ReuploadReason}  # none is borrowed from English
    assert len(set(own.values())) == len(ReuploadReason)
    for code, hint in loaded.items():
        assert hint == own[code.value]
        assert Reason(code=code, hint=hint).hint == hint
        assert hint[0].isupper()
        assert hint.endswith(".")


def test_languages_differ() -> None:
    assert {path.stem for path in SHIPPED} >= {"en", "de"}
    german = load_hints("de")
    assert all(german[code] != ENGLISH[code] == hint_for(code) for code in ReuploadReason)


def write(folder: Path, language: str, content: object) -> None:
    (folder / f"{language}.json").write_text(json.dumps(content), encoding="utf-8")


def test_a_language_of_the_operators_own_falls_back_to_english(tmp_path: Path) -> None:
    write(tmp_path, "pt-BR", {"blurred": "Esta foto está tremida.", "too_dark": "Escura demais."})

    found = load_hints("pt-BR", tmp_path)
    assert found == {
        **ENGLISH,
        ReuploadReason.BLURRED: "Esta foto está tremida.",
        ReuploadReason.TOO_DARK: "Escura demais.",
    }
    assert load_hints("de", tmp_path) == load_hints("de")


def test_an_operator_may_reword_a_sentence_of_what_is_shipped(tmp_path: Path) -> None:
    write(tmp_path, "de", {"blurred": "Verwackelt!"})

    assert load_hints("de", tmp_path) == {
        **load_hints("de"),
        ReuploadReason.BLURRED: "Verwackelt!",
    }


def test_a_language_without_a_catalogue_is_refused_with_those_that_are_there(
    tmp_path: Path,
) -> None:
    write(tmp_path, "pt-BR", {})

    with pytest.raises(ConfigurationError, match=r"HINT_LANGUAGE=fr: .*there are: de, en, pt-BR"):
        load_hints("fr", tmp_path)
    for name in ("", "../en", "/etc/passwd", "en.json", "e", "en/../de"):
        with pytest.raises(ConfigurationError, match="is no language"):
            load_hints(name, tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        [],
        "blurred",
        {"blury": "A reason that there is not."},
        {"blurred": ""},
        {"blurred": 7},
        {"blurred": None},
        {"blurred": "x" * 513},
    ],
)
def test_a_catalogue_that_is_none_is_refused_by_its_name(tmp_path: Path, content: object) -> None:
    write(tmp_path, "fr", content)

    with pytest.raises(ConfigurationError, match=r"fr\.json"):
        load_hints("fr", tmp_path)


def test_a_file_that_is_no_json_is_refused(tmp_path: Path) -> None:
    for content in (b"{", b"\xff\xfe", b""):
        (tmp_path / "fr.json").write_bytes(content)
        with pytest.raises(ConfigurationError, match=r"fr\.json"):
            load_hints("fr", tmp_path)
