from __future__ import annotations

import base64
from collections.abc import Callable
from html.parser import HTMLParser
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from workers.demo.outcomes import Outcome, outcomes, reasons
from workers.demo.page import bar, card, spread, thumbnail, write_page

if TYPE_CHECKING:
    from tests.workers.demo.conftest import Logs

HOSTILE = "</title><script>alert(1)</script>\"'><img src=x onerror=alert(2)> {{ 7 * 7 }}"


class Reader(HTMLParser):
    """Collects the tags and texts of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture
def statistics(scope: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    each = scope("global", 10, 10, 10, 10, 1)
    return {"currency": "GBP", "seller": each, "category": each, "overall": each}


@pytest.fixture
def shown(logs: Logs, statistics: dict[str, Any], tmp_path: Path) -> list[Outcome]:
    Image.new("RGB", (900, 600), "teal").save(tmp_path / "a photo.png")
    priced = logs.listing(
        "priced", at=1, title=HOSTILE, category=HOSTILE, uri=(tmp_path / "a photo.png").as_uri()
    )
    logs.price(priced, statistics, 1000)
    logs.sale("priced", 1250, at=2)
    asked = logs.listing("asked", at=1, uri=(tmp_path / "gone.png").as_uri())
    logs.reupload(asked, hint=HOSTILE)
    return outcomes(logs.topics)


def written(shown: list[Outcome], path: Path, problems: tuple[str, ...] = ()) -> Reader:
    write_page(
        path,
        shown,
        dataset=HOSTILE,
        facts=[("lost", "0")],
        reasons=reasons(shown),
        problems=problems,
    )
    reader = Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    return reader


def test_hostile_text_is_text(shown: list[Outcome], tmp_path: Path) -> None:
    page = written(shown, tmp_path / "page.html", problems=(HOSTILE,))

    names = [tag for tag, _ in page.tags]
    assert "script" not in names
    assert all(not name.startswith("on") for _, attrs in page.tags for name in attrs)
    # in the head, the introduction, a problem, a title, a category and a hint
    assert page.text.count(HOSTILE) == 6
    sources = [attrs["src"] or "" for tag, attrs in page.tags if tag == "img"]
    assert len(sources) == 1
    assert sources[0].startswith("data:image/jpeg;base64,")


def test_the_page_needs_nothing_else(shown: list[Outcome], tmp_path: Path) -> None:
    page = written(shown, tmp_path / "page.html")

    assert not [tag for tag, _ in page.tags if tag in ("script", "link", "iframe", "object")]
    assert "url(" not in (tmp_path / "page.html").read_text(encoding="utf-8")
    policy = [attrs for tag, attrs in page.tags if tag == "meta" and "http-equiv" in attrs]
    assert "default-src 'none'" in (policy[0]["content"] or "")


def test_it_shows_price_range_sale_and_reason(shown: list[Outcome], tmp_path: Path) -> None:
    page = written(shown, tmp_path / "page.html")

    for text in ("10.00 GBP", "5.00 GBP to 20.00 GBP", "sold for 12.50 GBP (-20 %)"):
        assert text in page.text
    for text in ("too dark: 1", "no readable photo", "too dark"):
        assert text in page.text
    assert "check found something wrong" not in page.text
    assert "check found something wrong" in written(shown, tmp_path / "p.html", ("bad",)).text


def test_a_thumbnail_is_small(tmp_path: Path) -> None:
    Image.new("RGB", (900, 600), "teal").save(tmp_path / "large.png")

    uri = thumbnail((tmp_path / "large.png").as_uri())

    assert uri is not None
    with Image.open(BytesIO(base64.b64decode(uri.partition(",")[2]))) as image:
        assert image.format == "JPEG"
        assert image.size == (260, 173)


@pytest.mark.parametrize(
    "uri",
    [
        "file:///nowhere/at/all.jpg",
        "https://photos.example/1.jpg",
        "data:image/jpeg;base64,!!!",
        "data:image/jpeg;base64,AAAA",
    ],
)
def test_what_is_no_photo_has_no_thumbnail(uri: str) -> None:
    assert thumbnail(uri) is None


@given(
    low=st.integers(1, 10**6), up=st.integers(0, 10**6), more=st.integers(0, 10**6),
    sold=st.none() | st.integers(1, 10**7),
)  # fmt: skip
def test_all_marks_lie_on_the_bar_in_their_order(
    low: int, up: int, more: int, sold: int | None
) -> None:
    class Answer:
        low_minor, price_minor, high_minor = low, low + up, low + up + more

    marks = bar(Answer, sold)  # type: ignore[arg-type]  # only its three prices are looked at

    assert 0 <= marks.low <= marks.price <= marks.high <= 100
    if sold is None:
        assert marks.sold is None
    else:
        assert marks.sold is not None
        assert 0 <= marks.sold <= 100
        if sold > low + up + more:
            assert marks.sold >= marks.high


@given(st.integers(0, 200), st.integers(1, 60))
def test_a_sample_is_spread_over_all(length: int, number: int) -> None:
    chosen = spread(range(length), number)

    assert len(chosen) == min(length, number)
    assert chosen == sorted(set(chosen))
    gaps = [later - earlier for earlier, later in pairwise(chosen)]
    assert not gaps or max(gaps) - min(gaps) <= 1


def test_a_card_without_title_has_the_id(logs: Logs, statistics: dict[str, Any]) -> None:
    logs.price(logs.listing("bare", at=1), statistics, 1000)

    shown = card(outcomes(logs.topics)[0])

    assert (shown.title, shown.sold, shown.off, shown.photo) == ("bare", None, "", None)
