import csv
import hashlib
import json
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from models.dataset.reader import read_dataset
from simulator.errors import SimulatorError
from simulator.market import simulate

COUNT = 48


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("market") / "new" / "folder"
    simulate(out, listings=COUNT, seed=5, days=10, start=date(2025, 3, 1), workers=1)
    return out


def test_the_same_bytes_on_two_processes(folder: Path, tmp_path: Path) -> None:
    told: list[int] = []
    written = simulate(
        tmp_path,
        listings=COUNT,
        seed=5,
        days=10,
        start=date(2025, 3, 1),
        workers=2,
        on_progress=told.append,
    )
    assert digests(tmp_path) == digests(folder)
    assert sum(told) == COUNT
    assert len(told) > 1
    assert written.listings == COUNT
    assert written.sales == len(table(folder / "sales.csv"))
    assert written.photos == len(list((folder / "images").iterdir()))


def test_another_seed_is_another_market(folder: Path, tmp_path: Path) -> None:
    simulate(tmp_path, listings=COUNT, seed=6, days=10, start=date(2025, 3, 1), workers=1)
    assert not set(digests(tmp_path).values()) & set(digests(folder).values())


def test_the_reader_takes_every_row(folder: Path) -> None:
    dataset = read_dataset(folder)
    assert (dataset.name, dataset.currency, dataset.skipped) == ("simulated-5", "GBP", [])
    assert len(dataset.listings) == COUNT
    about = json.loads((folder / "dataset.json").read_text())
    assert (about["listings"], about["sales"]) == (COUNT, len(dataset.sales))
    photos = {path for listing in dataset.listings for path in listing.images}
    assert photos == set((folder / "images").iterdir())
    for path in photos:
        with Image.open(path) as image:
            image.load()
            assert image.format == "JPEG"
    listed = [listing.listed_at for listing in dataset.listings]
    assert listed == sorted(listed, key=lambda moment: moment or datetime.min)
    assert all(
        moment and datetime(2025, 3, 1, tzinfo=UTC) <= moment < datetime(2025, 3, 11, tzinfo=UTC)
        for moment in listed
    )
    assert len({listing.seller_id for listing in dataset.listings}) <= COUNT // 15


def test_listings_and_sales_tell_the_same_story(folder: Path) -> None:
    dataset = read_dataset(folder)
    sold = {each.listing_id: each for each in dataset.listings if each.price_minor is not None}
    assert 0 < len(sold) < COUNT
    assert {sale.listing_id for sale in dataset.sales} == set(sold)
    for sale in dataset.sales:
        listing = sold[sale.listing_id]
        assert (sale.price_minor, sale.seller_id, sale.category, sale.currency) == (
            listing.price_minor,
            listing.seller_id,
            listing.category,
            "GBP",
        )
        assert sale.reversed or sale.sold_at == listing.sold_at


def test_the_oracle_is_close_to_what_things_sold_for(folder: Path) -> None:
    listings = table(folder / "listings.csv")
    truth = table(folder / "oracle.csv")
    assert [row["listing_id"] for row in truth] == [row["listing_id"] for row in listings]
    errors = [
        (np.log(float(row["price"])) - np.log(float(true["oracle_price"])))
        / float(true["noise_sigma"])
        for row, true in zip(listings, truth, strict=True)
        if row["price"] and true["irrational"] == "0"
    ]
    assert len(errors) > 30
    assert abs(np.mean(errors)) < 0.5
    assert 0.7 < np.std(errors) < 1.3


def test_what_the_oracle_knows_beyond_the_photo_is_seller_and_category(folder: Path) -> None:
    """The rest of two listings of one seller and kind is the same but for the trend's few days."""
    listings = table(folder / "listings.csv")
    truth = table(folder / "oracle.csv")
    rest: dict[tuple[str, str], list[float]] = {}
    for row, true in zip(listings, truth, strict=True):
        beyond = np.log(float(true["oracle_price"])) - float(true["photo_log_price"])
        # titles are of the true category: "..., a bag by X, worn"
        noun = row["title"].rpartition(", ")[0].partition(" by ")[0].split()[-1]
        rest.setdefault((row["seller_id"], noun), []).append(beyond)
    several = [values for values in rest.values() if len(values) > 1]
    assert len(several) > 5
    # ten days of a trend of 0.2 in sixty, and of a wave of 0.06 either way
    assert max(np.ptp(values) for values in several) < 0.25
    # between sellers it is more: their habits
    assert np.std([np.mean(values) for values in rest.values()]) > 0.05


@pytest.mark.parametrize(("currency", "decimals"), [("JPY", 0), ("KWD", 3), ("VND", 0)])
def test_prices_have_the_decimals_of_their_currency(
    tmp_path: Path, currency: str, decimals: int
) -> None:
    simulate(tmp_path, listings=6, currency=currency, categories=2, workers=1)
    dataset = read_dataset(tmp_path)
    assert dataset.skipped == []
    prices = [row["price"] for row in table(tmp_path / "sales.csv")]
    prices += [row["oracle_price"] for row in table(tmp_path / "oracle.csv")]
    assert {len(price.partition(".")[2]) for price in prices} == {decimals}
    assert all(sale.currency == currency and sale.price_minor >= 1 for sale in dataset.sales)
    assert {row["category"] for row in table(tmp_path / "listings.csv")} <= {
        "Clothing > Shoes",
        "Electronics > Phones",
    }


@pytest.mark.parametrize(("share", "faulty"), [(0.0, 0), (1.0, 8)])
def test_the_share_of_faults(tmp_path: Path, share: float, faulty: int) -> None:
    simulate(tmp_path, listings=8, fault_share=share, workers=1)
    truth = table(tmp_path / "oracle.csv")
    assert sum(row["photo_fault"] != "" for row in truth) == faulty


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(SimulatorError, match="is not empty"):
        simulate(tmp_path, listings=2, workers=1)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
    with pytest.raises(SimulatorError, match="cannot be written") as caught:
        simulate(tmp_path / "mine.txt", listings=2, workers=1)
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"listings": 0}, "listings must be at least 1"),
        ({"sellers": 0}, "sellers must be at least 1"),
        ({"categories": 0}, "categories must be 1 to 16"),
        ({"categories": 17}, "categories must be 1 to 16"),
        ({"seed": -1}, "seed must not be negative"),
        ({"days": 0}, "days must be 1 to"),
        ({"start": date(9999, 12, 31)}, "start must be from"),
        ({"currency": "pounds"}, "'pounds' is not an ISO 4217"),
        ({"fault_share": 1.5}, "fault_share must be 0 to 1"),
        ({"fault_share": float("nan")}, "fault_share must be 0 to 1"),
        ({"workers": 0}, "workers must be at least 1"),
    ],
)
def test_senseless_arguments(tmp_path: Path, options: dict[str, object], sentence: str) -> None:
    with pytest.raises(SimulatorError, match=sentence):
        simulate(tmp_path / "out", **options)  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()
