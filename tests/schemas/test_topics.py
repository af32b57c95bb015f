import re

import pytest

from schemas.base import MAX_EVENT_BYTES
from schemas.catalogue import EVENTS
from schemas.dead_letter import MAX_KEPT_BYTES, DeadLetter
from schemas.topics import DEAD_LETTER_TOPICS, TOPICS

CO_PARTITIONED = {
    *("transactions", "listing.created", "listing.enriched", "price.suggested"),
    *("reupload.requested", "suggestion.scored", "stats.changelog", "stats.partials"),
    *("price.shadow", "outcomes.changelog"),
}
DAY_MS = 86_400_000


def test_the_topics_and_where_bad_records_go() -> None:
    assert set(TOPICS) == CO_PARTITIONED | {"models"}
    assert set(DEAD_LETTER_TOPICS) == {
        f"{name}.dead-letter"
        for name in TOPICS
        if name
        not in ("suggestion.scored", "stats.changelog", "stats.partials", "outcomes.changelog")
    }
    for name, spec in [*TOPICS.items(), *DEAD_LETTER_TOPICS.items()]:
        assert spec.name == name
        assert re.fullmatch(r"[a-z.-]{1,100}", name)


def test_every_event_has_its_topic() -> None:
    shadow = TOPICS["price.shadow"].events  # what goes to the app otherwise
    assert shadow == TOPICS["price.suggested"].events + TOPICS["reupload.requested"].events
    own = [spec for name, spec in TOPICS.items() if name != "price.shadow"]
    placed = [event for spec in own for event in spec.events]
    assert len(placed) == len(set(placed))
    assert {*placed, DeadLetter} == set(EVENTS)
    assert {spec.events for spec in DEAD_LETTER_TOPICS.values()} == {(DeadLetter,)}


def test_partitions() -> None:
    assert {name for name, spec in TOPICS.items() if spec.partitions(7) == 7} == CO_PARTITIONED
    assert TOPICS["models"].partitions(7) == 1
    for name, spec in DEAD_LETTER_TOPICS.items():
        assert spec.partitions(7) == TOPICS[name.removesuffix(".dead-letter")].partitions(7)


@pytest.mark.parametrize(
    ("name", "policy", "retention_ms"),
    [
        ("transactions", "delete", -1),
        ("listing.created", "delete", 30 * DAY_MS),
        ("listing.enriched", "delete", 7 * DAY_MS),
        ("price.suggested", "delete", 30 * DAY_MS),
        ("reupload.requested", "delete", 30 * DAY_MS),
        ("price.shadow", "delete", 30 * DAY_MS),
        ("suggestion.scored", "delete", 365 * DAY_MS),
        ("models", "compact", -1),
        ("stats.changelog", "compact", -1),
        ("stats.partials", "compact", -1),
        ("outcomes.changelog", "compact", -1),
        ("models.dead-letter", "delete", 30 * DAY_MS),
        ("transactions.dead-letter", "delete", 30 * DAY_MS),
    ],
)
def test_what_is_kept(name: str, policy: str, retention_ms: int, page: str) -> None:
    config = {**TOPICS, **DEAD_LETTER_TOPICS}[name].config(3)
    assert config["cleanup.policy"] == policy
    assert config["retention.ms"] == str(retention_ms)
    kept = "for ever" if retention_ms == -1 else f"{retention_ms // DAY_MS} days"
    shown = re.sub(r"^.*(?=\.dead-letter$)", "<topic>", name)
    assert re.search(rf"\| `{shown}` \|.*\| {kept} \| {policy} \|", page)


def test_compacted_topics_keep_what_a_late_restore_needs() -> None:
    for spec in TOPICS.values():
        config = spec.config(1)
        assert ("delete.retention.ms" in config) == spec.compacted
        if spec.compacted:
            assert int(config["delete.retention.ms"]) == 7 * DAY_MS
            assert float(config["min.cleanable.dirty.ratio"]) < 0.5


def test_every_event_fits_its_topic_and_every_record_its_dead_letter_topic() -> None:
    headers = 16 * 1024
    for name, spec in TOPICS.items():
        most = int(spec.config(1)["max.message.bytes"])
        assert all(event.max_bytes + headers < most for event in spec.events)
        assert most >= MAX_EVENT_BYTES
        if spec.dead_letters:
            target = DEAD_LETTER_TOPICS[f"{name}.dead-letter"].config(1)["max.message.bytes"]
            assert int(target) >= max(most, MAX_KEPT_BYTES) + headers


@pytest.mark.parametrize(("replicas", "in_step"), [(1, "1"), (2, "1"), (3, "2"), (5, "2")])
def test_writing_goes_on_with_one_broker_down(replicas: int, in_step: str) -> None:
    for spec in (*TOPICS.values(), *DEAD_LETTER_TOPICS.values()):
        assert spec.config(replicas)["min.insync.replicas"] == in_step
