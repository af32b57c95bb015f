"""The page as a reader sees it: parsed, and compared with the evaluation that it is of."""

import base64
import csv
import json
import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from PIL import Image

from models.bundle.folder import read_bundle
from models.dataset.reader import read_dataset
from models.errors import DatasetError
from models.evaluation.evaluate import Evaluation, evaluate
from models.evaluation.reliability import reliability
from models.pricer import Pricer
from models.report.page import report_page
from schemas.dataset import LISTING_COLUMNS
from schemas.suggestion import ReuploadReason

Change = Callable[[int, dict[str, str]], None]

HOSTILE = "</title><script>alert(1)</script>\"'><img src=x onerror=alert(2)> {{ 7 * 7 }} $\\frac{"
SECTIONS = [
    "figure-3",
    "figure-6",
    "figure-7",
    "risk-coverage",
    "reliability",
    "ranges",
    "best",
    "worst",
    "gate",
    "tables",
]


class Reader(HTMLParser):
    """Collects the tags of a page, and the texts and images of each of its sections."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.sections: dict[str, str] = {"": ""}
        self.images: dict[str, list[str]] = {"": []}
        self.rows: list[list[str]] = []
        self._open = [""]
        self._cell = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "section":
            name = dict(attrs)["id"] or ""
            assert name not in self.sections
            self._open.append(name)
            self.sections[name], self.images[name] = "", []
        elif tag == "img":
            for name in self._open:
                self.images[name].append(dict(attrs)["src"] or "")
        elif tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
            self._cell = True

    def handle_endtag(self, tag: str) -> None:
        if tag == "section":
            self._open.pop()
        self._cell = self._cell and tag not in ("td", "th")
        if tag in ("dt", "dd"):
            self.sections[""] += " "

    def handle_data(self, data: str) -> None:
        for name in self._open:
            self.sections[name] += data
        if self._cell:
            self.rows[-1][-1] += data.strip()

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", self.sections[""])


def hint(reason: ReuploadReason) -> str:
    return f"hint for {reason.value}"


@pytest.fixture(scope="module")
def pricer(bundle_folder: Path) -> Pricer:
    return Pricer.load(bundle_folder, threads=1)


@pytest.fixture(scope="module")
def made(pricer: Pricer) -> Callable[..., str]:
    """The page of a dataset folder."""

    def make(folder: Path, *, all_listings: bool = False) -> str:
        return report_page(
            pricer, read_dataset(folder), seller_hint=hint, all_listings=all_listings
        )

    return make


@pytest.fixture(scope="module")
def unseen_page(made: Callable[..., str], unseen_market: Any) -> str:
    return made(unseen_market.folder)


@pytest.fixture(scope="module")
def unseen(pricer: Pricer, unseen_market: Any) -> Evaluation:
    return evaluate(pricer, read_dataset(unseen_market.folder))


def rewritten(source: Path, target: Path, change: Change, keep: int | None = None) -> Path:
    """Copy a dataset, its first rows passed through `change(number, row)`."""
    shutil.copytree(source, target)
    with (source / "listings.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))[:keep]
    for number, row in enumerate(rows):
        change(number, row)
    with (target / "listings.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, LISTING_COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    return target


def test_the_sections_come_in_their_order(unseen_page: str) -> None:
    page = Reader(unseen_page)

    names = [name for name in page.sections if name and not name.startswith("reason-")]
    assert names == SECTIONS
    links = [attrs["href"] for tag, attrs in page.tags if tag == "a"]
    assert links == [f"#{name}" for name in SECTIONS]
    assert "trained on this dataset" not in page.text


def test_the_numbers_are_those_of_the_evaluation(unseen_page: str, unseen: Evaluation) -> None:
    page, metrics = Reader(unseen_page), unseen.metrics
    found = {row[0]: row[1:] for row in page.rows}
    accepted = sum(
        p.accepted and sold is not None
        for p, sold in zip(unseen.predictions, unseen.sold_minor, strict=True)
    )
    for name, count, errors in (
        ("answered", accepted, metrics.accepted_only),
        ("all", metrics.priced, metrics.all),
    ):
        assert errors.male is not None
        assert errors.within_20 is not None
        assert errors.within_x2 is not None
        assert found[name] == [
            str(count),
            f"{errors.male:.3f}",
            f"{errors.rmsle:.3f}",
            f"{errors.r2:.3f}",
            f"{100 * errors.within_20:.1f} %",
            f"{100 * errors.within_x2:.1f} %",
        ]
    head = page.text[: page.text.index("Of the dataset's 100 prices")]
    assert metrics.interval.coverage is not None
    assert f"answered with a price {100 * metrics.coverage:.1f} %" in head
    assert f"{metrics.accepted} of 100 listings; 60.0 % were asked for" in head
    assert f"mean error (MALE) {metrics.accepted_only.male:.3f}" in head
    assert f"range holds the sold price {100 * metrics.interval.coverage:.1f} %" in head
    refused = [
        abs(np.log(p.estimate.price_minor / sold))
        for p, sold in zip(unseen.predictions, unseen.sold_minor, strict=True)
        if p.estimate and sold and not p.accepted
    ]
    assert found["refused"][:2] == [str(len(refused)), f"{np.mean(refused):.3f}"]
    assert f"would have been {np.mean(refused):.3f}" in page.sections["gate"]


def test_the_examples_are_what_was_answered(
    unseen_page: str, unseen: Evaluation, unseen_market: Any
) -> None:
    page = Reader(unseen_page)
    by_id = {p.listing_id: p for p in unseen.predictions}
    sold = dict(zip(by_id, unseen.sold_minor, strict=True))
    for section, accepted in (("figure-6", True), ("figure-7", False)):
        shown = re.findall(r"unseen-\d+", page.sections[section])
        assert len(shown) == 12
        assert all(by_id[name].accepted is accepted for name in shown)
        assert len(page.images[section]) == 12
        for name in shown:
            estimate = by_id[name].estimate
            assert estimate is not None
            assert f"{estimate.price_minor / 100:.2f} GBP" in page.sections[section]
            if sold[name] is not None:
                assert f"{unseen_market.prices[name]:.2f} GBP" in page.sections[section]


def test_best_and_worst_are_ranked_by_log_error(unseen_page: str, unseen: Evaluation) -> None:
    page = Reader(unseen_page)
    errors = {
        p.listing_id: abs(np.log(p.estimate.price_minor / sold))
        for p, sold in zip(unseen.predictions, unseen.sold_minor, strict=True)
        if p.accepted and p.estimate and sold
    }
    ranked = sorted(errors, key=lambda name: errors[name])
    assert re.findall(r"unseen-\d+", page.sections["best"]) == ranked[:6]
    assert re.findall(r"unseen-\d+", page.sections["worst"]) == ranked[:-7:-1]


def test_the_curves_are_of_the_scores_and_the_confidences(
    unseen_page: str, unseen: Evaluation, pricer: Pricer
) -> None:
    page = Reader(unseen_page)
    errors, scores, confidences = np.transpose(
        [
            (abs(np.log(p.estimate.price_minor / sold)), p.estimate.score, p.estimate.confidence)
            for p, sold in zip(unseen.predictions, unseen.sold_minor, strict=True)
            if p.estimate and sold
        ]
    )
    risk = np.cumsum(errors[np.argsort(-scores)]) / np.arange(1, len(errors) + 1)
    assert f"(AURC) {risk.mean():.3f}" in page.sections["risk-coverage"]
    accepted = scores >= pricer.bundle.manifest.rule.score_threshold
    assert f"answers {100 * accepted.mean():.1f} %" in page.sections["risk-coverage"]
    assert f"a mean error of {errors[accepted].mean():.3f}" in page.sections["risk-coverage"]

    epsilon = pricer.bundle.manifest.confidence.epsilon
    assert f"within a factor of {np.exp(epsilon):.2f} of" in page.sections["reliability"]
    curve = reliability(confidences, errors <= epsilon)  # all photos are sound
    assert f"off by {100 * curve.error:.1f} points (ECE)" in page.sections["reliability"]


def test_the_ranges_are_drawn_by_category(unseen_page: str, unseen: Evaluation) -> None:
    page, interval = Reader(unseen_page), unseen.metrics.interval
    assert interval.coverage is not None
    assert f"holds that of {100 * interval.coverage:.1f} %" in page.sections["ranges"]
    assert "Made to hold the sold price of 80.0 %" in page.sections["ranges"]
    (uri,) = page.images["ranges"]
    svg = base64.b64decode(uri.partition(",")[2]).decode()
    assert f"all ({interval.count})" in svg
    assert list(interval.by_category) == ["Home"]
    assert f"Home ({interval.by_category['Home'].count})" in svg


def test_an_oracle_is_drawn_and_the_regret_told(
    made: Callable[..., str], pricer: Pricer, unseen_market: Any, tmp_path: Path
) -> None:
    def remember(number: int, row: dict[str, str]) -> None:
        truths.append((row["listing_id"], float(row["price"]) * 1.02, 0.1 + number / 1000, "", 0))

    truths: list[tuple[str, float, float, str, int]] = []
    folder = rewritten(unseen_market.folder, tmp_path / "d", remember)
    with (folder / "oracle.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(("listing_id", "oracle_price", "noise_sigma", "photo_fault", "irrational"))
        writer.writerows(truths)
    male = evaluate(pricer, read_dataset(folder)).metrics.accepted_only.male
    assert male is not None
    page = Reader(made(folder))

    # the oracle is always a factor of 1.02 off
    assert f"is {male - np.log(1.02):.3f} above" in page.sections["risk-coverage"]
    assert ["MALE of the oracle on the listings answered", "0.020"] in page.rows
    (uri,) = page.images["risk-coverage"]
    assert ">oracle<" in base64.b64decode(uri.partition(",")[2]).decode()


def test_it_needs_nothing_else_and_is_the_same_each_time(
    unseen_page: str, made: Callable[..., str], unseen_market: Any
) -> None:
    page = Reader(unseen_page)

    for tag, attrs in page.tags:
        assert tag not in ("script", "link", "iframe", "object", "base")
        assert all(not name.startswith("on") for name in attrs)
        assert (attrs.get("src") or "data:").startswith("data:")
        assert (attrs.get("href") or "#").startswith("#")
    assert "url(" not in unseen_page
    policy = next(attrs for tag, attrs in page.tags if "http-equiv" in attrs)
    assert "default-src 'none'" in (policy["content"] or "")
    assert made(unseen_market.folder) == unseen_page
    assert len(unseen_page) < 3e6


def test_figures_are_images_of_their_own(unseen_page: str) -> None:
    page = Reader(unseen_page)

    drawn = [uri for uri in page.images[""] if uri.startswith("data:image/svg+xml;base64,")]
    assert len(drawn) == 5
    words = ("price in GBP", "logarithmic scale", "as it is set", "confidence = truth", "nominal")
    for uri, word in zip(drawn, words, strict=True):
        svg = base64.b64decode(uri.partition(",")[2]).decode()
        assert ET.fromstring(svg).tag.endswith("}svg")  # noqa: S314 - drawn here
        assert "<metadata" not in svg
        assert not re.search(r'href="(?!#)', svg)
        assert word in svg


def test_hostile_text_is_text(made: Callable[..., str], unseen_market: Any, tmp_path: Path) -> None:
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
    page = Reader(made(folder))

    assert "script" not in [tag for tag, _ in page.tags]
    assert all(not name.startswith("on") for _, attrs in page.tags for name in attrs)
    assert "{{ 7 * 7 }}" in page.text
    assert page.sections["figure-6"].count(HOSTILE) == 24  # a name and a category each


def test_of_the_dataset_trained_on_only_the_part_kept_apart_is_shown(
    made: Callable[..., str], market: Any, bundle_folder: Path
) -> None:
    manifest = read_bundle(bundle_folder).manifest
    metrics: Any = manifest.metrics
    page = Reader(made(market.folder))

    found = {row[0]: row[1:] for row in page.rows}
    assert found["listings of this report"] == [str(manifest.source.test)]
    assert found["all"][:2] == [str(metrics["priced"]), f"{metrics['all']['male']:.3f}"]
    assert found["answered"][1] == f"{metrics['accepted_only']['male']:.3f}"
    assert f"{metrics['accepted']} of {manifest.source.test} listings" in page.text
    assert "kept apart from training" in page.text
    assert "answered listings have a price to compare with: each share" in page.text

    whole = Reader(made(market.folder, all_listings=True))
    found = {row[0]: row[1:] for row in whole.rows}
    assert found["listings of this report"] == ["300"]
    assert "the listings that it learnt from are among those shown" in whole.text


def test_a_dataset_of_that_name_with_other_listings_is_warned_of(
    made: Callable[..., str], market: Any, tmp_path: Path
) -> None:
    def dearer(number: int, row: dict[str, str]) -> None:
        row["price"] = f"{float(row['price']) * 1.01:.2f}"

    changed = rewritten(market.folder, tmp_path / "changed", dearer)
    fewer = rewritten(market.folder, tmp_path / "fewer", lambda number, row: None, keep=200)
    for folder, count in ((changed, 300), (fewer, 200)):
        page = Reader(made(folder))
        assert "which of these listings it learnt from cannot be told" in page.text
        assert ["listings of this report", str(count)] in page.rows


def test_what_is_refused_is_counted_by_reason(
    made: Callable[..., str], pricer: Pricer, unseen_market: Any, tmp_path: Path
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
    page = Reader(made(folder))

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
    made: Callable[..., str], unseen_market: Any, tmp_path: Path
) -> None:
    few = rewritten(unseen_market.folder, tmp_path / "few", lambda number, row: None, keep=2)
    page = Reader(made(few))

    assert [name for name in page.sections if name in ("figure-3", "figure-6", "tables")]
    assert "There are 2 prices to go by: too few to draw" in page.sections["figure-3"]
    assert not [uri for uri in page.images[""] if "svg" in uri]
    assert "too few to rank" in page.sections["best"]


def test_thumbnails_are_small_and_tell_nothing_but_pixels(
    made: Callable[..., str], unseen_market: Any, tmp_path: Path
) -> None:
    def enlarge(number: int, row: dict[str, str]) -> None:
        with Image.open(unseen_market.folder / row["image"]) as image:
            large = image.resize((900, 600), Image.Resampling.NEAREST)
        exif = Image.Exif()
        exif[0x010E] = "a secret place"
        large.save(tmp_path / "d" / row["image"], exif=exif)

    folder = rewritten(unseen_market.folder, tmp_path / "d", enlarge, keep=40)
    page = Reader(made(folder))

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
    made: Callable[..., str], unseen_market: Any, tmp_path: Path
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
