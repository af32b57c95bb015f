import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from models.errors import DatasetError
from models.images.faults import THRESHOLDS, THRESHOLDS_FILE
from models.images.fitting import choose, main, try_out
from models.images.spoiling import SPOILINGS
from schemas.suggestion import ReuploadReason

Render = Callable[..., Image.Image]
MEASURED = (
    ReuploadReason.BLURRED,
    ReuploadReason.TOO_DARK,
    ReuploadReason.TOO_BRIGHT,
    ReuploadReason.LOW_RESOLUTION,
)


def group(*values: float) -> np.ndarray:
    return np.array(values, np.float64)


def test_what_lies_apart_is_parted_in_the_middle() -> None:
    assert choose([group(8, 9, 10)], [group(1, 2), group(3, 4)], budget=0.1) == 6.0


def test_both_shares_are_kept_small() -> None:
    """From 3.5 to 5.5 never more than one in five is missed or refused; beyond, two in five are."""
    sound, spoiled = group(4, 5.5, 6, 8, 9), group(1, 2, 3, 3.5, 5)
    lowest, highest = (3.5 + 4) / 2, (5 + 5.5) / 2
    assert choose([sound], [spoiled], budget=0.5) == (lowest + highest) / 2


def test_the_budget_comes_first_and_the_worst_dataset_counts() -> None:
    sound, spoiled = group(4, 6, 7, 8, 9), group(1, 2, 3, 3.5, 5)
    assert choose([sound], [spoiled], budget=0.1) == 3.75
    assert choose([sound, group(2.5, 9)], [spoiled], budget=0.4) == 2.25
    assert choose([group(1, 2)], [group(3, 4)], budget=0.1) == 1.0  # no threshold is of use


levels = st.lists(st.integers(0, 30), min_size=1, max_size=12)


@given(st.lists(levels, min_size=1, max_size=3), levels, st.floats(0, 1))
def test_never_over_budget_and_no_better_threshold(
    sound: list[list[int]], spoiled: list[int], budget: float
) -> None:
    def shares(threshold: float) -> tuple[float, float]:
        refused = max(sum(value < threshold for value in part) / len(part) for part in sound)
        return refused, sum(value >= threshold for value in spoiled) / len(spoiled)

    arrays = [np.array(part, np.float64) for part in sound]
    chosen = shares(choose(arrays, [np.array(spoiled, np.float64)], budget))
    assert chosen[0] <= budget
    allowed = [found for found in map(shares, np.arange(-0.5, 30)) if found[0] <= budget]
    assert max(chosen) <= min(max(found) for found in allowed) + 1e-9


def write_dataset(
    folder: Path, photos: Sequence[tuple[Image.Image, ...]], planted: str = ""
) -> None:
    (folder / "images").mkdir(parents=True)
    about = {"name": folder.name, "currency": "GBP", "listings": len(photos), "sales": 0}
    (folder / "dataset.json").write_text(json.dumps(about))
    with (folder / "listings.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(
            "listing_id,seller_id,category,image,price,currency,listed_at,sold_at,brand,"
            "attributes,specifications,title".split(",")
        )
        for number, images in enumerate(photos):
            names = [f"images/{number}-{which}.png" for which in range(len(images))]
            for name, image in zip(names, images, strict=True):
                image.save(folder / name)
            writer.writerow([f"l{number}", "", "Things", ";".join(names), "", *[""] * 7])
    if planted:
        (folder / "oracle.csv").write_text(f"listing_id,photo_fault\n{planted},blurred\nl0,\n")


def test_tried_are_sound_photos_only(tmp_path: Path, render: Render) -> None:
    photos: list[tuple[Image.Image, ...]] = [(render(160, 120, seed=seed),) for seed in range(4)]
    photos.append((render(160, 120, seed=8), render(160, 120, seed=9)))
    write_dataset(tmp_path / "some", photos, planted="l2")
    (tmp_path / "some/images/3-0.png").write_bytes(b"no photo")
    trial = try_out(tmp_path / "some", photos=10)
    assert len(trial.sound) == 2  # one is planted, one unreadable, two belong together
    assert {len(spoiled) for spoiled in trial.spoiled.values()} == {2}
    with pytest.raises(DatasetError, match="fewer than two photos"):
        try_out(tmp_path / "some", photos=1)


def test_thresholds_are_written_and_what_they_catch_is_printed(
    tmp_path: Path, render: Render, capsys: pytest.CaptureFixture[str]
) -> None:
    write_dataset(tmp_path / "rooms", [(render(240, 180, seed=seed),) for seed in range(12)])
    out = tmp_path / "thresholds.json"
    main(["--dataset", str(tmp_path / "rooms"), "--out", str(out), "--budget", "0"])
    found = json.loads(out.read_text())
    assert found["photos"] == {"rooms": 12}
    assert 0.3 < found["thresholds"]["blurred"] < 0.95
    assert 30 < found["thresholds"]["too_dark"] < 200
    assert 150 < found["thresholds"]["too_bright"] < 240
    # all of one size: half way from the largest thumbnail to it
    thumbnail, sound = 66 * 0.75**0.5, 240 * 0.75**0.5
    assert found["thresholds"]["low_resolution"] == pytest.approx((thumbnail + sound) / 2, abs=3)
    rows = dict(line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines()[2:])
    assert float(rows.pop("sound photos sent back")) == 0.0
    assert len(rows) == len(SPOILINGS)
    assert all(float(share) >= 80 for share in rows.values())


def test_no_dataset_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--dataset", str(tmp_path / "none"), "--out", str(tmp_path / "thresholds.json")])
    assert ended.value.code == 3
    assert str(tmp_path / "none") in capsys.readouterr().err


def test_the_thresholds_in_use_are_those_of_the_table() -> None:
    table = json.loads(THRESHOLDS_FILE.read_text())
    assert {ReuploadReason(code): value for code, value in table["thresholds"].items()} == (
        THRESHOLDS
    )
    assert set(THRESHOLDS) == set(MEASURED)
    assert sum(table["photos"].values()) > 1000
