"""The page of data that are hostile, few, bad, or those of training."""

import base64
import json
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from models.bundle.folder import read_bundle
from models.dataset.reader import read_dataset
from models.errors import DatasetError
from models.evaluation.evaluate import evaluate
from models.pricer import Pricer
from schemas.suggestion import ReuploadReason

HOSTILE = "</title><script>alert(1)</script>\"'><img src=x onerror=alert(2)> {{ 7 * 7 }} $\\frac{"


def test_hostile_text_is_text(
    made: Callable[..., str], unseen_market: Any, tmp_path: Path, read: Any, rewritten: Any
) -> None:
    def change(number: int, row: dict[str, str]) -> None:
        file = "<script>alert(3)<img src=x onerror=alert(4)>.jpg"
        if number == 0:
            (tmp_path / "d" / "images" / file).write_bytes(b"no photo")
            row["image"] = f"images/{file}"
        row["listing_id"] = f"{number}{HOSTILE}"
        row["title"] = HOSTILE if number % 2 else ""
        row["category"] = HOSTILE
        row["brand"] = row["attributes"] = row["seller_id"] = HOSTILE
        row["specifications"] = f"a={HOSTILE}".replace(";", ",")

    folder = rewritten(unseen_market.folder, tmp_path / "d", change)
    (folder / "dataset.json").write_text(json.dumps({"name": HOSTILE, "currency": "GBP"}))
    page = read(made(folder))

    assert "script" not in [tag for tag, _ in page.tags]
    assert all(not name.startswith("on") for _, attrs in page.tags for name in attrs)
    assert "{{ 7 * 7 }}" in page.text
    assert page.sections["figure-6"].count(HOSTILE) == 24  # a name and a category each


def test_of_the_dataset_trained_on_only_the_part_kept_apart_is_shown(
    made: Callable[..., str], market: Any, bundle_folder: Path, read: Any
) -> None:
    manifest = read_bundle(bundle_folder).manifest
    metrics: Any = manifest.metrics
    page = read(made(market.folder))

    found = {row[0]: row[1:] for row in page.rows}
    assert found["listings of this report"] == [str(manifest.source.test)]
    assert found["all"][:2] == [str(metrics["priced"]), f"{metrics['all']['male']:.3f}"]
    assert found["answered"][1] == f"{metrics['accepted_only']['male']:.3f}"
    assert f"{metrics['accepted']} of {manifest.source.test} listings" in page.text
    assert "kept apart from training" in page.text
    assert "answered listings have a price to compare with: each share" in page.text

    whole = read(made(market.folder, all_listings=True))
    found = {row[0]: row[1:] for row in whole.rows}
    assert found["listings of this report"] == ["300"]
    assert "the listings that it learnt from are among those shown" in whole.text


def test_a_dataset_of_that_name_with_other_listings_is_warned_of(
    made: Callable[..., str], market: Any, tmp_path: Path, read: Any, rewritten: Any
) -> None:
    def dearer(number: int, row: dict[str, str]) -> None:
        row["price"] = f"{float(row['price']) * 1.01:.2f}"

    changed = rewritten(market.folder, tmp_path / "changed", dearer)
    fewer = rewritten(market.folder, tmp_path / "fewer", lambda number, row: None, keep=200)
    for folder, count in ((changed, 300), (fewer, 200)):
        page = read(made(folder))
        assert "which of these listings it learnt from cannot be told" in page.text
        assert ["listings of this report", str(count)] in page.rows


def test_what_is_refused_is_counted_by_reason(
    made: Callable[..., str],
    pricer: Pricer,
    unseen_market: Any,
    tmp_path: Path,
    read: Any,
    rewritten: Any,
) -> None:
    def spoil(number: int, row: dict[str, str]) -> None:
        if number < 3:
            row["image"] = "images/none.jpg"
        elif number < 10:
            shape = (96, 96, 3)
            dark = np.random.default_rng(number).integers(0, 20, shape, dtype=np.uint8)
            Image.fromarray(dark).save(tmp_path / "d" / row["image"])

    folder = rewritten(unseen_market.folder, tmp_path / "d", spoil)
    predictions = evaluate(pricer, read_dataset(folder)).predictions
    page = read(made(folder))

    refused = [p.reason for p in predictions if p.reason is not None]
    assert f"{len(refused)} of 100 listings ({len(refused)}.0 %)" in page.sections["gate"]
    for reason, photos in (("unreadable", 0), ("too_dark", 4), ("inadequate_information", 4)):
        count = refused.count(ReuploadReason(reason))
        section = page.sections[f"reason-{reason}"]
        assert f"{reason.replace('_', ' ')}: {count} (" in section
        assert f"hint for {reason}" in section
        assert len(page.images[f"reason-{reason}"]) == photos
    assert refused.count(ReuploadReason.TOO_DARK) == 7
    assert "no photo that can be read" in page.sections["reason-unreadable"]
    order = [name for name in page.sections if name.startswith("reason-")]
    assert order == ["reason-inadequate_information", "reason-too_dark", "reason-unreadable"]


def test_a_handful_of_listings_says_so(
    made: Callable[..., str], unseen_market: Any, tmp_path: Path, read: Any, rewritten: Any
) -> None:
    few = rewritten(unseen_market.folder, tmp_path / "few", lambda number, row: None, keep=2)
    page = read(made(few))

    assert [name for name in page.sections if name in ("figure-3", "figure-6", "tables")]
    assert "There are 2 prices to go by: too few to draw" in page.sections["figure-3"]
    assert not [uri for uri in page.images[""] if "svg" in uri]
    assert "too few to rank" in page.sections["best"]


def test_thumbnails_are_small_and_tell_nothing_but_pixels(
    made: Callable[..., str], unseen_market: Any, tmp_path: Path, read: Any, rewritten: Any
) -> None:
    def enlarge(number: int, row: dict[str, str]) -> None:
        with Image.open(unseen_market.folder / row["image"]) as image:
            large = image.resize((900, 600), Image.Resampling.NEAREST)
        exif = Image.Exif()
        exif[0x010E] = "a secret place"
        large.save(tmp_path / "d" / row["image"], exif=exif)

    folder = rewritten(unseen_market.folder, tmp_path / "d", enlarge, keep=40)
    page = read(made(folder))

    photos = [uri for uri in page.images[""] if uri.startswith("data:image/jpeg;base64,")]
    assert len(photos) > 10
    for uri in photos:
        content = base64.b64decode(uri.partition(",")[2])
        assert b"secret" not in content
        with Image.open(BytesIO(content)) as image:
            assert image.format == "JPEG"
            assert max(image.size) == 256
            assert not image.getexif()


def test_what_cannot_be_reported_on_is_an_error(
    made: Callable[..., str], unseen_market: Any, tmp_path: Path, rewritten: Any
) -> None:
    def priceless(number: int, row: dict[str, str]) -> None:
        row["price"] = ""

    def photoless(number: int, row: dict[str, str]) -> None:
        row["image"] = ""

    def absurd(number: int, row: dict[str, str]) -> None:
        row["price"] = "7777777"

    for name, change, message in (
        ("priceless", priceless, "no listing has a price in GBP that is rational"),
        ("absurd", absurd, "no listing has a price in GBP that is rational"),
        ("photoless", photoless, "not one photo can be read"),
    ):
        folder = rewritten(unseen_market.folder, tmp_path / name, change)
        with pytest.raises(DatasetError, match=message):
            made(folder)
