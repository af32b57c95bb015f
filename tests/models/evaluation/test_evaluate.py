import csv
import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.bundle.folder import Bundle, read_bundle
from models.bundle.manifest import DataWindow
from models.bundle.snapshot import SalesSnapshot
from models.dataset.cleaning import PriceLimits
from models.dataset.reader import read_dataset
from models.dataset.rows import Dataset, ListingRow
from models.errors import DatasetError, ModelsError
from models.evaluation.evaluate import evaluate
from models.evaluation.history import statistics_for
from models.evaluation.prediction import write_predictions
from models.pricer import Pricer
from schemas.dataset import LISTING_COLUMNS
from schemas.statistics import Scope
from schemas.suggestion import ReuploadReason

START = datetime(2026, 5, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def pricer(bundle_folder: Path) -> Pricer:
    return Pricer.load(bundle_folder, threads=1)


def rewrite(source: Path, target: Path, change: Any) -> Path:
    """Copy a dataset with each row passed through `change(number, row)`."""
    shutil.copytree(source, target)
    with (source / "listings.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    for number, row in enumerate(rows):
        change(number, row)
    with (target / "listings.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, LISTING_COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    return target


def test_listings_never_seen_are_priced_well(pricer: Pricer, unseen_market: Any) -> None:
    found = evaluate(pricer, read_dataset(unseen_market.folder))
    metrics = found.metrics
    assert metrics.listings == 100
    assert metrics.accepted_only.male is not None
    assert metrics.accepted_only.male < 0.25
    assert metrics.interval.coverage == pytest.approx(0.8, abs=0.15)
    assert metrics.coverage == pytest.approx(0.6, abs=0.15)
    # against the file, computed anew
    prices = [unseen_market.prices[p.listing_id] for p in found.predictions]
    limits = pricer.bundle.manifest.price_limits
    errors = [
        abs(np.log(p.estimate.price_minor / 100 / price))
        for p, price in zip(found.predictions, prices, strict=True)
        if p.estimate and limits.contain(round(price * 100))
    ]
    assert metrics.priced == len(errors)
    assert metrics.all.male == pytest.approx(np.mean(errors))


def test_predictions_do_not_depend_on_the_prices(
    pricer: Pricer, unseen_market: Any, tmp_path: Path
) -> None:
    def hide(number: int, row: dict[str, str]) -> None:
        row["price"] = "" if number % 2 else "77777"

    hidden = rewrite(unseen_market.folder, tmp_path / "hidden", hide)
    open_eyes = evaluate(pricer, read_dataset(unseen_market.folder))
    blind = evaluate(pricer, read_dataset(hidden))
    assert blind.predictions == open_eyes.predictions
    assert blind.metrics.priced == 0  # 77777 is not rational
    assert blind.metrics.listings == 100
    measured = evaluate(pricer, read_dataset(hidden), limits=PriceLimits(1, 10**9)).metrics
    assert measured.priced == 50


def test_bad_photos_are_asked_for_again(pricer: Pricer, unseen_market: Any, tmp_path: Path) -> None:
    def spoil(number: int, row: dict[str, str]) -> None:
        if number == 1:
            row["image"] = "images/none.jpg"
        if number == 2:
            row["image"] = ""
        if number == 3:
            row["image"] = "images/none.jpg;images/3.jpg"

    folder = rewrite(unseen_market.folder, tmp_path / "spoilt", spoil)
    (folder / "images" / "0.jpg").write_bytes(b"not a photo")
    found = evaluate(pricer, read_dataset(folder)).predictions
    whole = evaluate(pricer, read_dataset(unseen_market.folder)).predictions
    for number in (0, 1):
        assert found[number].reason is ReuploadReason.UNREADABLE
        assert found[number].estimate is None
    assert found[2].reason is ReuploadReason.UNAVAILABLE
    assert found[3].estimate == whole[3].estimate  # the sound photo counts, the other does not
    if found[3].reason is not None:
        assert found[3].reason is ReuploadReason.UNREADABLE
    assert found[4:] == whole[4:]


def test_the_file_of_predictions(pricer: Pricer, unseen_market: Any, tmp_path: Path) -> None:
    folder = tmp_path / "d"
    shutil.copytree(unseen_market.folder, folder)
    (folder / "images" / "0.jpg").write_bytes(b"not a photo")
    found = evaluate(pricer, read_dataset(folder)).predictions
    write_predictions(tmp_path / "p.csv", found, "GBP")
    with (tmp_path / "p.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == [
        "listing_id",
        "decision",
        "price",
        "low",
        "high",
        "confidence",
        "reason",
    ]
    assert list(rows[0].values()) == ["unseen-0", "reupload", "", "", "", "", "unreadable"]
    refused = 0
    confidence: dict[bool, list[float]] = {True: [], False: []}
    for row, prediction in zip(rows[1:], found[1:], strict=True):
        assert prediction.estimate is not None
        assert round(float(row["price"]) * 100) == prediction.estimate.price_minor
        assert float(row["low"]) <= float(row["price"]) <= float(row["high"])
        accepted = row["decision"] == "price"
        assert row["reason"] == ("" if accepted else "inadequate_information")
        confidence[accepted].append(float(row["confidence"]))
        refused += not accepted
    assert 0 < refused < 99
    assert 0 <= max(confidence[False]) <= min(confidence[True]) <= 1
    with pytest.raises(ModelsError, match="cannot be written"):
        write_predictions(tmp_path, found, "GBP")


def test_beside_a_truth_the_regret_is_told(
    pricer: Pricer, unseen_market: Any, tmp_path: Path
) -> None:
    folder = rewrite(unseen_market.folder, tmp_path / "simulated", lambda *_: None)
    # an oracle that is always 10 % too high
    lines = [f"{name},{1.1 * price},0.1,,0" for name, price in unseen_market.prices.items()]
    header = "listing_id,oracle_price,noise_sigma,photo_fault,irrational"
    (folder / "oracle.csv").write_text("\n".join([header, *lines, ""]))
    found = evaluate(pricer, read_dataset(folder)).metrics
    assert found.oracle is not None
    assert found.oracle.accepted == found.interval.count
    assert found.oracle.male == pytest.approx(found.accepted_only.male)
    assert found.oracle.male_same == pytest.approx(np.log(1.1))
    assert found.oracle.male_best == pytest.approx(np.log(1.1))


def test_what_the_scores_and_the_confidence_are_worth_is_measured_with_the_listings_own(
    pricer: Pricer, unseen_market: Any
) -> None:
    found = evaluate(pricer, read_dataset(unseen_market.folder))
    limits = pricer.bundle.manifest.price_limits
    rows = [
        (abs(np.log(p.estimate.price_minor / 100 / price)), p.estimate.score, p.estimate.confidence)
        for p in found.predictions
        if p.estimate and limits.contain(round((price := unseen_market.prices[p.listing_id]) * 100))
    ]
    errors, scores, confidence = np.array(rows).T
    risk = np.cumsum(errors[np.argsort(-scores)]) / np.arange(1, len(errors) + 1)
    assert found.metrics.risk_coverage.male_area == pytest.approx(risk.mean(), rel=1e-6)
    bins = found.metrics.confidence.bins
    assert sum(b.confidence * b.count for b in bins) == pytest.approx(confidence.sum())
    hits = (errors <= found.metrics.confidence.epsilon).sum()
    assert sum(b.frequency * b.count for b in bins) == pytest.approx(hits)
    assert set(found.metrics.interval.by_category) == {"Home"}


def test_a_dataset_of_another_currency(pricer: Pricer, unseen_market: Any, tmp_path: Path) -> None:
    folder = rewrite(
        unseen_market.folder, tmp_path / "usd", lambda _, row: row.update(currency="USD")
    )
    with pytest.raises(DatasetError, match="prices in USD; the bundle prices in GBP"):
        evaluate(pricer, read_dataset(folder))


def test_a_dataset_of_sales_alone(pricer: Pricer, tmp_path: Path) -> None:
    (tmp_path / "dataset.json").write_text(json.dumps({"name": "s", "currency": "GBP"}))
    (tmp_path / "sales.csv").write_text(
        "transaction_id,listing_id,seller_id,category,price,currency,sold_at\n"
        "t,l,s,c,5,GBP,2026-01-01T00:00:00Z\n"
    )
    with pytest.raises(DatasetError, match="has no listings"):
        evaluate(pricer, read_dataset(tmp_path))


def test_within_the_data_of_the_bundle_its_snapshot_is_never_seen(
    bundle_folder: Path, unseen_market: Any, tmp_path: Path
) -> None:
    def sold_later(_: int, row: dict[str, str]) -> None:
        row.update(listed_at=START.isoformat(), sold_at=(START + timedelta(days=1)).isoformat())

    folder = rewrite(unseen_market.folder, tmp_path / "timed", sold_later)
    bundle = dated(bundle_folder, 9)
    empty = replace(bundle, snapshot=SalesSnapshot("GBP"))
    found, expected = (
        evaluate(Pricer(of, threads=1), read_dataset(folder)).predictions for of in (bundle, empty)
    )
    assert found == expected


def listing(number: int, *, listed: int | None, sold: int | None, price: int = 1000) -> ListingRow:
    return ListingRow(
        listing_id=f"l{number}",
        seller_id="s",
        category="c",
        images=(),
        price_minor=price,
        currency="GBP",
        listed_at=None if listed is None else START + timedelta(days=listed),
        sold_at=None if sold is None else START + timedelta(days=sold),
        brand=None,
        attributes=(),
        specifications={},
        title=None,
    )


def dated(bundle_folder: Path, end: int | None) -> Bundle:
    """The bundle, as if its data had ended `end` days after START."""
    bundle = read_bundle(bundle_folder)
    window = None
    if end is not None:
        window = DataWindow(start=START - timedelta(days=99), end=START + timedelta(days=end))
    source = bundle.manifest.source.model_copy(update={"window": window})
    return replace(bundle, manifest=bundle.manifest.model_copy(update={"source": source}))


def history(bundle: Bundle, *listings: ListingRow) -> list[tuple[Scope, int]]:
    dataset = Dataset("d", "GBP", Path("d"), list(listings), [], [])
    return [(s.overall.source, s.overall.count) for s in statistics_for(dataset, bundle)]


def test_without_times_the_snapshot_alone_is_seen(bundle_folder: Path) -> None:
    bundle = dated(bundle_folder, None)
    snapshot = (Scope.GLOBAL, bundle.snapshot.overall.count)
    assert history(bundle, listing(1, listed=None, sold=None)) == [snapshot]
    # times of listing without times of sale say nothing about what was known
    assert history(bundle, listing(1, listed=1, sold=None)) == [snapshot]


def test_after_the_data_of_the_bundle_its_snapshot_and_the_sales_since_are_seen(
    bundle_folder: Path,
) -> None:
    bundle = dated(bundle_folder, 0)
    count = bundle.snapshot.overall.count
    found = history(
        bundle,
        listing(1, listed=1, sold=2),
        listing(2, listed=3, sold=4),
        listing(3, listed=5, sold=6),
        listing(4, listed=None, sold=7),
    )
    assert found == [(Scope.GLOBAL, count + n) for n in (0, 1, 2, 0)]
    assert bundle.snapshot.overall.count == count  # it is not changed


@pytest.mark.parametrize("end", [9, None])
def test_within_the_data_of_the_bundle_only_sales_of_the_dataset_before_it_are_seen(
    bundle_folder: Path, end: int | None
) -> None:
    found = history(
        dated(bundle_folder, end),
        listing(1, listed=1, sold=2),
        listing(2, listed=3, sold=4),
        listing(3, listed=5, sold=6),
    )
    assert found == [(Scope.NONE, 0), (Scope.GLOBAL, 1), (Scope.GLOBAL, 2)]
