"""Examples are written whole, read once each, and the newest of a listing counts."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.image import ImageReference
from schemas.statistics import Scope, ScopeStatistics, Statistics
from workers.errors import ConfigurationError, WorkersError
from workers.examples.example import Decision, Example, Outcome, from_table, to_table
from workers.examples.store import ExampleStore

START = datetime(2026, 3, 1, tzinfo=UTC)


def scope(count: int, source: Scope) -> ScopeStatistics:
    return ScopeStatistics(q1=100, q2=200, q3=300, mean=210, count=count, source=source)


STATISTICS = Statistics(
    currency="GBP",
    seller=scope(0, Scope.CATEGORY),
    category=scope(7, Scope.CATEGORY),
    overall=scope(9, Scope.GLOBAL),
)


def example(
    listing: str = "l1", *, revision: int = 3, days: float = 0.0, **changed: object
) -> Example:
    fields: dict[str, object] = {
        "listing_id": listing,
        "revision": revision,
        "known_at": START + timedelta(days=days),
        "seller_id": "s1",
        "category": "Clothing > Shoes",
        "currency": "GBP",
        "images": (
            ImageReference(uri="https://photos.example/1.jpg", sha256="0" * 64),
            ImageReference(uri="https://photos.example/2.jpg", size_bytes=12),
        ),
        "brand": "Acme",
        "attributes": ("red", "new"),
        "specifications": {"size": "42", "colour": "red"},
        "listed_at": START - timedelta(days=1, microseconds=1),
        "statistics": STATISTICS,
        "decision": Decision.PRICE,
        "suggested_minor": 250,
        "low_minor": 200,
        "high_minor": 300,
        "confidence": 0.75,
        "model_version": "m1",
        "outcome": Outcome.SOLD,
        "sold_minor": 240,
        "transaction_id": "t1",
        "sold_at": START,
    }
    return Example.model_validate(fields | changed)


def test_every_column_comes_back() -> None:
    bare = example(
        "l2",
        brand=None,
        attributes=(),
        specifications={},
        decision=Decision.REUPLOAD,
        suggested_minor=None,
        low_minor=None,
        high_minor=None,
        confidence=None,
        reasons=("blurred", "too_dark"),
        model_version=None,
        control=True,
        outcome=Outcome.CENSORED,
        sold_minor=None,
        transaction_id=None,
        sold_at=None,
    )
    assert from_table(to_table([example(), bare])) == [example(), bare]


def test_parts_lie_by_the_date_when_they_became_known(tmp_path: Path) -> None:
    store = ExampleStore(str(tmp_path))
    paths = store.append([example("a", days=0), example("b", days=2.5), example("c", days=2)])
    assert [Path(path).parent.name for path in paths] == ["date=2026-03-01", "date=2026-03-03"]
    assert pq.read_table(paths[1]).column("listing_id").to_pylist() == ["b", "c"]
    found = store.read(START + timedelta(days=1))
    assert [one.listing_id for one in found.examples] == ["c", "b"]
    assert found.parts == 1
    assert not [
        path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".parquet"
    ]


def test_what_was_taken_back_after_the_window_is_no_sale_of_it(tmp_path: Path) -> None:
    store = ExampleStore(str(tmp_path))
    store.append([example("kept"), example("taken back")])
    store.append([example("taken back", revision=4, days=9, outcome=Outcome.REVERSED)])
    window = store.read(START, START + timedelta(days=5))
    assert [one.listing_id for one in window.examples] == ["kept"]
    whole = store.read(START)
    assert {one.listing_id: one.outcome for one in whole.examples} == {
        "kept": Outcome.SOLD,
        "taken back": Outcome.REVERSED,
    }


_WRITTEN = st.lists(
    st.lists(st.tuples(st.integers(0, 5), st.integers(1, 4)), max_size=6), max_size=6
)


@settings(max_examples=25, deadline=None)
@given(_WRITTEN, st.booleans())
def test_of_each_listing_the_highest_revision_counts_in_any_order(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[tuple[int, int]]], compact: bool
) -> None:
    store = ExampleStore(str(tmp_path_factory.mktemp("examples")))
    newest: dict[str, int] = {}
    for batch in batches:  # a revision lies on a day of its own
        store.append([example(f"l{n}", revision=r, days=r) for n, r in batch])
        for n, r in batch:
            newest[f"l{n}"] = max(r, newest.get(f"l{n}", 0))
    if compact:
        for day in range(1, 5):
            store.compact((START + timedelta(days=day)).date())
    found = store.read(START).examples
    assert {one.listing_id: one.revision for one in found} == newest


def test_a_damaged_part_is_named_and_the_others_are_read(tmp_path: Path) -> None:
    store = ExampleStore(str(tmp_path))
    good, torn, foreign = (store.append([example(name)])[0] for name in ("a", "b", "c"))
    Path(torn).write_bytes(Path(torn).read_bytes()[:-20])
    pq.write_table(pq.read_table(good).replace_schema_metadata({}), foreign)
    found = store.read(START)
    assert [one.listing_id for one in found.examples] == ["a"]
    assert len(found.damaged) == 2
    assert any(torn in sentence for sentence in found.damaged)
    assert any(foreign in sentence and "format" in sentence for sentence in found.damaged)


def test_a_part_that_is_compacted_while_it_is_read_is_read_in_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, other = ExampleStore(str(tmp_path)), ExampleStore(str(tmp_path))
    for name in ("a", "b", "c"):
        store.append([example(name)])
    read = store._read
    compacted: list[int] = []

    def compacting(path: str) -> object:
        if not compacted:
            compacted.append(other.compact(START.date()))
        return read(path)

    monkeypatch.setattr(store, "_read", compacting)
    assert [one.listing_id for one in store.read(START).examples] == ["a", "b", "c"]
    assert compacted == [3]


def test_compaction_makes_one_part_of_many(tmp_path: Path) -> None:
    store = ExampleStore(str(tmp_path))
    for revision in (2, 3, 1):
        store.append([example("a", revision=revision)])
    assert store.compact(START.date()) == 3
    (part,) = tmp_path.rglob("*.parquet")
    assert pq.read_table(part).column("revision").to_pylist() == [3]
    assert store.compact(START.date()) == 1
    assert store.compact(date(2020, 1, 1)) == 0


def test_nothing_written_is_an_empty_window(tmp_path: Path) -> None:
    assert ExampleStore(str(tmp_path / "never")).read(START).examples == []


def test_a_storage_that_cannot_be_used_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(WorkersError, match="cannot be written"):
        ExampleStore(str(tmp_path / "file")).append([example()])
    with pytest.raises(ConfigurationError, match="SECONDSIGHT_EXAMPLES_URL"):
        ExampleStore("nowhere://examples")
