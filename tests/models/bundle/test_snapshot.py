from pathlib import Path

import pytest

from models.bundle.snapshot import SalesSnapshot
from models.errors import BundleError
from schemas.statistics import Scope
from stats_store.histogram import PriceHistogram


def histogram(*prices: int) -> PriceHistogram:
    made = PriceHistogram()
    made.add_many(prices)
    return made


def test_it_comes_back_as_it_was_written(tmp_path: Path) -> None:
    categories = {"A > B": histogram(5, 7), "global": histogram(9), "Ü / x": histogram(1)}
    SalesSnapshot("GBP", histogram(5, 7, 9, 1), categories).save(tmp_path / "s")
    found = SalesSnapshot.load(tmp_path / "s", "GBP")
    assert found.overall.to_bytes() == histogram(1, 5, 7, 9).to_bytes()
    assert {name: h.to_bytes() for name, h in found.categories.items()} == {
        name: h.to_bytes() for name, h in categories.items()
    }


def test_equal_snapshots_give_equal_files(tmp_path: Path) -> None:
    SalesSnapshot("GBP", histogram(5, 7), {"a": histogram(5), "b": histogram(7)}).save(
        tmp_path / "one"
    )
    SalesSnapshot("GBP", histogram(7, 5), {"b": histogram(7), "a": histogram(5)}).save(
        tmp_path / "two"
    )
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_statistics_of_a_new_seller() -> None:
    snapshot = SalesSnapshot("GBP", histogram(5, 7, 9), {"a": histogram(5)})
    known = snapshot.statistics("a")
    assert (known.category.q2, known.category.count) == (5, 1)
    assert (known.seller.source, known.seller.count) == (Scope.CATEGORY, 0)
    for unknown in ("b", None):
        assert snapshot.statistics(unknown).category.source is Scope.GLOBAL
        assert snapshot.statistics(unknown).category.q2 == 7
    assert SalesSnapshot("GBP").statistics("a").overall.source is Scope.NONE


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\x02" + bytes(7) + b"{}"])
def test_what_is_no_snapshot_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "s").write_bytes(content)
    with pytest.raises(BundleError, match="not a snapshot"):
        SalesSnapshot.load(tmp_path / "s", "GBP")
