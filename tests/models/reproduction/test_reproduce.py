import json
import multiprocessing
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from models.bundle.manifest import RuleName
from models.errors import ModelsError, TrainingError
from models.extractors.tasks.network import NECK_WIDTH
from models.head_training import TrainedHeads, train_heads
from models.joint.losses import ThresholdLoss
from models.joint.trainer import Plan
from models.reproduction.cell import Outcome, without_warm_up
from models.reproduction.grid import Cell, FeatureSet, Setting
from models.reproduction.measures import Measures
from models.reproduction.reproduce import Reproduction
from models.training_data import TrainingData

Run = Callable[..., Reproduction]


def outcome(male: float) -> Outcome:
    """Made-up measures."""
    errors = dict.fromkeys(("rmsle", "aurc", "male_all", "r2_all"), 0.5)
    shares = dict.fromkeys(("within_20", "range_coverage"), 0.8)
    measures = Measures(
        listings=100, positives=50, share=0.5, male=male, oracle_male=None, **errors, **shares
    )
    return Outcome(measures=measures, error=None, seconds=1.0)


def cells_in(out: Path) -> dict[str, int]:
    """The files of cells and when each was written."""
    return {path.name: path.stat().st_mtime_ns for path in (out / "cells").iterdir()}


def test_every_cell_is_a_file_that_says_what_it_is(made: Any, short: Plan) -> None:
    said = [json.loads(path.read_text()) for path in (made.out / "cells").iterdir()]
    assert {(one["rule"], tuple(one["plan"]["epochs"]), one["seed"]) for one in said} == {
        (rule.value, epochs, seed)
        for rule in RuleName
        for epochs in (short.epochs, without_warm_up(short).epochs)
        for seed in (0, 1)
    }
    assert made.found.trained == len(said) == 8
    assert not (made.out / "data").exists()


def test_a_folder_of_data_that_was_there_before_stays(
    run: Run, recorder: Any, tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "listings.csv").write_text("mine")
    run(tmp_path, recorder)
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["listings.csv"]


def test_table_one_counts_the_parts(made: Any, data: TrainingData) -> None:
    table = made.found.tables[0]
    rows = {name: [cell.mean for cell in cells] for name, cells in table.rows}
    split = data.split
    assert rows["Home"] == rows["total"] == [len(split.train), len(split.validation), 16]
    used = rows["of these, sound photo and rational price"]
    assert used[:2] == [len(data.train), len(data.validation)]
    assert used[2] == sum(np.isfinite(data.log_prices[item]) for item in split.test)


def test_figures_are_those_of_the_predictions(made: Any, data: TrainingData, short: Plan) -> None:
    cell = Cell(Setting(rule=RuleName.THRESHOLD, warm_up=False, kernel=False), 0)
    plan = without_warm_up(short)
    assert plan.epochs == (0, 0, 7, 2)
    heads = train_heads(data, ThresholdLoss(epsilon=0.5), plan, 0, lambda *_: None)
    test = data.split.test
    with torch.inference_mode():
        found = heads.network(torch.from_numpy(data.rows[test]))
    prices, scores = (values.numpy() for values in found)
    accepted = (scores >= 0) & data.photos.sound[test]
    errors = np.abs(prices - data.log_prices[test])[accepted & ~np.isnan(data.log_prices[test])]
    measures = made.told.outcomes[cell].measures
    assert measures.positives == accepted.sum()
    assert measures.male == pytest.approx(errors.mean(), rel=1e-4)
    assert measures.rmsle == pytest.approx(np.sqrt((errors**2).mean()), rel=1e-4)

    table = made.found.tables[1]
    row = dict(table.rows)["threshold, without warm-up"]
    male = row[table.header[1:].index("MALE")]
    of_seeds = [made.told.outcomes[Cell(cell.setting, seed)].measures.male for seed in (0, 1)]
    assert male.runs == tuple(of_seeds)
    lead = np.mean(of_seeds) - np.mean(
        [
            made.told.outcomes[Cell(replace(cell.setting, warm_up=True), s)].measures.male
            for s in (0, 1)
        ]
    )
    sentence = next(one for one in table.sentences if "MALE (threshold rule)" in one)
    assert f": {'yes' if lead > 0 else 'no'}, by {abs(lead):.3f} ±" in sentence


def test_a_second_run_trains_nothing(made: Any, run: Run, recorder: Any) -> None:
    before = cells_in(made.out)
    pages = {path.name: path.read_bytes() for path in made.out.glob("results.*")}
    found = run(made.out, recorder, tables=(1, 5), seeds=2)
    assert (found.trained, found.known, recorder.left) == (0, 8, [])
    assert cells_in(made.out) == before
    assert {path.name: path.read_bytes() for path in made.out.glob("results.*")} == pages
    assert len(pages) == 3


@pytest.mark.parametrize("changed", [{"quick": True}, {"paper_gate": True}, {"limit": 150}])
def test_other_plans_and_data_are_other_cells(
    made: Any, run: Run, recorder: Any, changed: dict[str, Any]
) -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    recorder.on_begin = stop
    with pytest.raises(KeyboardInterrupt):
        run(made.out, recorder, **changed)
    assert len(recorder.left) == 4


def test_ctrl_c_loses_only_what_runs(
    run: Run, recorder: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("models.reproduction.processes.run_cell", lambda *_: outcome(0.4))

    def stop_after_two(cell: Cell) -> None:
        if len(recorder.outcomes) == 2:
            raise KeyboardInterrupt

    recorder.on_done = stop_after_two
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, recorder)
    before = cells_in(tmp_path)
    assert len(before) == 2
    assert not list(tmp_path.glob("results.*"))
    (damaged,) = list((tmp_path / "cells").iterdir())[:1]
    damaged.write_text(damaged.read_text()[:-20])
    recorder.outcomes.clear()
    recorder.on_done = lambda _: None
    found = run(tmp_path, recorder)
    assert (found.trained, found.known) == (3, 1)
    assert len(cells_in(tmp_path)) == 4


def test_a_killed_process_is_told_and_loses_only_its_cell(
    made: Any, run: Run, recorder: Any, tmp_path: Path
) -> None:
    def kill(cell: Cell) -> None:
        for process in multiprocessing.active_children():
            os.kill(process.pid or 0, signal.SIGKILL)

    recorder.on_done = kill
    with pytest.raises(TrainingError, match="ended with code -9"):
        run(tmp_path, recorder, jobs=2)
    assert multiprocessing.active_children() == []
    kept = len(cells_in(tmp_path))
    assert 1 <= kept < 4
    # of one thread or of all there are: the same but for the last bits of sums
    for cell, there in recorder.outcomes.items():
        here = made.told.outcomes[cell].measures
        assert there.measures.male == pytest.approx(here.male, abs=0.01)
    recorder.on_done = lambda _: None
    found = run(tmp_path, recorder)
    assert (found.trained, found.known) == (4 - kept, kept)


def test_a_training_that_collapses_is_a_row_with_its_error(
    run: Run, recorder: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def collapse(data: TrainingData, loss: object, plan: Plan, *rest: Any) -> TrainedHeads:
        if not plan.epochs[0]:
            raise TrainingError("the classification network ended at a trivial answer")
        return train_heads(data, loss, plan, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr("models.reproduction.cell.train_heads", collapse)
    found = run(tmp_path, recorder)
    assert found.failed == 2
    (table,) = found.tables
    ended = "without warm-up, seed 0: the classification network ended at a trivial answer"
    assert table.remarks == [f"percentile, {ended}", f"threshold, {ended}"]
    texts = {row[0]: row[1] for row in table.texts()}
    assert texts["percentile, without warm-up"] == "–"
    assert texts["percentile, with warm-up"] != "–"
    assert f"threshold, {ended}" in (tmp_path / "results.html").read_text(encoding="utf-8")
    again = run(tmp_path, recorder)
    assert (again.trained, again.failed) == (0, 2)


def test_extractors_that_cannot_be_trained_are_rows_with_their_error(
    made: Any, run: Run, recorder: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked = []

    def no_labels(*_: Any, seed: int, **options: Any) -> Any:
        asked.append((seed, options))
        return None, {}

    monkeypatch.setattr("models.reproduction.features.train_features", no_labels)
    found = run(made.out, recorder, tables=(4,))
    (table,) = found.tables
    texts = {row[0]: row[1:] for row in table.texts()}
    assert texts["percentile, MSTFE"][0] == "–"
    assert texts["percentile, pretrained"][0] != "–"
    assert found.trained == 0  # the pretrained ones are those of Table 5
    assert len(table.remarks) == 4
    assert "no task has labels enough" in table.remarks[0]


def test_each_set_of_features_reaches_its_cells(
    run: Run, recorder: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    widths = {}

    def look(cell: Cell, data: TrainingData, *_: Any) -> Outcome:
        features = data.photos.features
        assert np.array_equal(data.rows[:, : features.shape[1]], features)
        widths[cell.setting.features] = features.shape[1]
        male = {FeatureSet.STFE: 0.42, FeatureSet.MSTFE: 0.40}.get(cell.setting.features, 0.41)
        return outcome(male)

    monkeypatch.setattr("models.reproduction.processes.run_cell", look)
    found = run(tmp_path / "out", recorder, tables=(4,))
    # of the tasks only the category has labels here
    assert widths == {
        FeatureSet.PRETRAINED: 12,
        FeatureSet.STFE: NECK_WIDTH,
        FeatureSet.MSTFE: NECK_WIDTH,
    }
    assert any("price extractor" in stage for stage in recorder.stages)
    assert any("category extractor" in stage for stage in recorder.stages)
    (table,) = found.tables
    assert (
        "MSTFE ahead of STFE in MALE (percentile rule): yes, by 0.020 in a single run "
        "(the paper: yes, by 0.014)."
    ) in table.sentences
    assert (
        "MSTFE ahead of the pretrained in MALE (threshold rule): yes, by 0.010 in a single run."
    ) in table.sentences


def test_a_folder_that_cannot_be_made(run: Run, recorder: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(ModelsError, match="cannot be written"):
        run(tmp_path / "file", recorder)
    assert recorder.stages == []
