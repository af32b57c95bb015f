"""The bound that a perfect reader of photos sets, in data, trainings and sentences."""

import csv
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.dataset.reader import read_dataset
from models.evaluation.oracle import OracleRow
from models.joint.trainer import Plan
from models.reproduction.cell import Conditions, Outcome, run_cell
from models.reproduction.grid import Cell, FeatureSet, Setting, settings_of
from models.reproduction.measures import Measures
from models.reproduction.perfect import perfectly_read, photo_worth
from models.reproduction.reproduce import Grid, reproduce
from models.reproduction.tables import baselines_table
from models.training_data import TrainingData

BOUND = Setting(features=FeatureSet.PERFECT)


def truth(worth: float | None) -> OracleRow:
    return OracleRow(log_price=3.0, noise_sigma=0.2, faulty=False, photo_log_price=worth)


def outcome(male: float) -> Outcome:
    """Made-up measures beside an oracle of 0.15."""
    others = dict.fromkeys(("rmsle", "within_20", "range_coverage", "aurc"), 0.5)
    measures = Measures(
        listings=100,
        positives=50,
        share=0.5,
        male=male,
        male_all=0.5,
        r2_all=0.5,
        oracle_male=0.15,
        **others,
    )
    return Outcome(measures=measures, error=None, seconds=1.0)


def test_the_worth_is_known_of_all_listings_or_not_at_all(data: TrainingData) -> None:
    listings = data.listings[:2]
    first, second = (listing.listing_id for listing in listings)
    found = photo_worth(listings, {second: truth(-1.5), first: truth(4.25)})
    assert found is not None
    assert found.tolist() == [[4.25], [-1.5]]
    assert photo_worth(listings, {first: truth(4.25), second: truth(None)}) is None
    assert photo_worth(listings, {first: truth(4.25)}) is None
    assert photo_worth(listings, None) is None


def test_the_worth_takes_the_place_of_the_features_alone(data: TrainingData) -> None:
    width = data.photos.features.shape[1]
    worth = np.arange(len(data.listings), dtype=np.float32)[:, None]
    found = perfectly_read(data, worth)
    assert found.rows.shape == (len(worth), data.rows.shape[1] - width + 1)
    assert np.array_equal(found.rows[:, :1], worth)
    assert np.array_equal(found.rows[:, 1:], data.rows[:, width:], equal_nan=True)
    assert np.array_equal(found.photos.features, worth)
    assert found.split is data.split


def test_networks_that_read_the_price_itself_are_nearly_right(
    data: TrainingData, short: Plan
) -> None:
    """A photo that is worth what the thing sold for leaves little to miss."""
    sold = np.nan_to_num(data.log_prices, nan=3.0)
    plan = replace(short, epochs=(2, 1, 1, 1), landmarks=1000)
    conditions = Conditions(plan=plan, network_plan=short, paper_gate=False)
    found = run_cell(Cell(BOUND, 0), perfectly_read(data, sold[:, None]), None, conditions)
    assert found.measures is not None
    assert found.measures.male_all is not None
    assert found.measures.male_all < 0.3 * np.std(sold[data.train])


@pytest.mark.parametrize("known", [True, False])
def test_the_row_is_there_where_the_truth_is(
    known: bool,
    write_market: Callable[..., Any],
    backbone: Any,
    recorder: Any,
    short: Plan,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    folder = write_market(tmp_path / "market", count=160, seed=4, timed=False).folder
    dataset = read_dataset(folder)
    columns = ["listing_id", "oracle_price", "noise_sigma", "photo_fault", "photo_log_price"]
    with (folder / "oracle.csv").open("w", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(columns if known else columns[:-1])
        for number, listing in enumerate(dataset.listings):
            row = [listing.listing_id, 20, 0.2, "", number / 8]
            table.writerow(row if known else row[:-1])
    columns_of = {}

    def look(cell: Cell, data: TrainingData, *_: Any) -> Outcome:
        columns_of[cell.setting] = np.array(data.rows)
        return outcome(0.21 if cell.setting == BOUND else 0.35)

    monkeypatch.setattr("models.reproduction.processes.run_cell", look)
    wanted = Grid(tables=(6,), seeds=1, plan=short)
    out = tmp_path / "out"
    found = reproduce(dataset, out, backbone=backbone, wanted=wanted, cache=None, watch=recorder)
    names = [name for name, _ in found.tables[0].rows]
    page = (out / "results.md").read_text()
    assert ("perfect reading of the photo" in names) == known
    assert ("in place of the image features" in page) == known
    assert len(names) == 9 + known
    assert (BOUND in columns_of) == known
    if known:
        assert columns_of[BOUND][:, 0].tolist() == [number / 8 for number in range(160)]
        assert np.array_equal(
            columns_of[BOUND][:, 1:], columns_of[Setting()][:, backbone.width :], equal_nan=True
        )


def test_the_page_says_how_far_the_bound_is_from_the_oracle() -> None:
    outcomes = {setting: [outcome(0.4), outcome(0.4)] for setting in settings_of(6)}
    outcomes[Setting()] = [outcome(0.35), outcome(0.37)]
    outcomes[BOUND] = [outcome(0.21), outcome(0.20)]
    sentences = baselines_table(outcomes).sentences
    deviation = math.sqrt(2 * 0.015**2)  # of differences 0.14 and 0.17
    assert (
        f"Perfect reading of the photo ahead of joint in MALE: yes, by 0.155 ± {deviation:.3f}."
    ) in sentences
    (distance,) = (one for one in sentences if "less that of the oracle" in one)
    assert "perfect reading of the photo 0.055 ± 0.007, joint 0.210 ± 0.014." in distance
    assert not any("Joint ahead of perfect" in one for one in sentences)
