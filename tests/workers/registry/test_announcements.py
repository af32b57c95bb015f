from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import cloudevents
from schemas.errors import EventError
from schemas.model import ModelPublished, ModelRole
from workers.registry.announcements import Announcements

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)

versions = st.sampled_from(["a", "b", "c", "d"])
steps = st.lists(st.tuples(versions, st.none() | st.sampled_from([*ModelRole])), max_size=12)


def announcement(version: str, role: ModelRole = ModelRole.LIVE) -> ModelPublished:
    return ModelPublished(
        model_version=version,
        uri=f"file:///models/{version}",
        manifest_sha256="0" * 64,
        backbone="lite2",
        published_at=NOW,
        role=role,
        share=0.25 if role is ModelRole.CANARY else None,
    )


def take(found: Announcements, event: ModelPublished, *, key: bytes | None = None) -> None:
    headers = cloudevents.encode(event, event_id="e", source="/retrain", time=NOW)
    found.take(key or event.model_version.encode(), event.to_bytes(), headers)


@given(steps)
def test_a_role_is_held_by_the_version_announced_for_it_last(
    history: list[tuple[str, ModelRole | None]],
) -> None:
    found = Announcements()
    for version, role in history:
        if role is None:
            found.take(version.encode(), None, None)
        else:
            take(found, announcement(version, role))

    for role in ModelRole:
        # From the end of the history: what was said of a version last is what counts.
        seen: set[str] = set()
        expected = []
        for version, said in reversed(history):
            if version not in seen and said is role:
                expected.append(version)
            seen.add(version)
        assert [event.model_version for event in found.of(role)] == expected


def test_what_compaction_leaves_says_the_same() -> None:
    whole, compacted = Announcements(), Announcements()
    for version in ("a", "b", "a"):
        take(whole, announcement(version))
    for version in ("b", "a"):  # the first of two records of a key is gone
        take(compacted, announcement(version))

    assert whole.all() == compacted.all()


def test_what_is_no_announcement_changes_nothing() -> None:
    found = Announcements()
    take(found, announcement("a"))

    with pytest.raises(EventError, match="key"):
        take(found, announcement("b"), key=b"a")
    with pytest.raises(EventError):
        found.take(b"b", b"{}", [])
    assert found.all() == [announcement("a")]
