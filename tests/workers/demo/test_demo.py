from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient

from models.dataset.cleaning import PriceLimits
from models.joint.trainer import Plan
from workers.cli.main import run
from workers.demo.check import Verdict
from workers.demo.folder import MARKER, prepare_folder
from workers.demo.outcomes import figures
from workers.demo.run import DemoResult
from workers.errors import ConfigurationError

LISTINGS = 240

REPORTED = {
    "listings", "transactions", "suggested", "reuploaded", "dead_lettered", "lost", "doubled",
    "statistics_checked", "statistics_wrong", "male", "coverage", "within_20", "r2",
    "within_range", "stages", "wall_s",
}  # fmt: skip


@pytest.fixture
def signals() -> Iterator[None]:
    """Puts the handler back that the command sets."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def demo(
    kafka: str,
    topic_prefix: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    signals: None,
) -> Callable[..., int]:
    """Runs the command on the session's Kafka with a training of a few steps."""
    monkeypatch.setenv("SECONDSIGHT_KAFKA_BOOTSTRAP_SERVERS", kafka)
    monkeypatch.setenv("SECONDSIGHT_TOPIC_PREFIX", topic_prefix)
    monkeypatch.setattr(
        "models.training.quick_plan",
        lambda _: Plan(epochs=(6, 2, 4, 2), batch_size=64, members=2, beta=None),
    )

    def start(*options: str) -> int:
        return run(["demo", "--out", str(tmp_path / "out"), *options])

    return start


def test_the_whole_loop(
    demo: Callable[..., int],
    kafka: str,
    topic_prefix: str,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    code = demo("--listings", str(LISTINGS))

    captured = capfd.readouterr()
    assert code == 0, captured.err
    found: dict[str, Any] = json.loads(captured.out.splitlines()[-1])
    assert found.keys() >= REPORTED
    # a third is streamed, and four listings are planted
    assert found["listings"] == LISTINGS // 3 + 4
    assert found["dead_lettered"] == 3
    assert found["suggested"] + found["reuploaded"] == found["listings"] - 2
    assert found["statistics_checked"] == found["listings"] - 2
    assert (found["lost"], found["doubled"], found["statistics_wrong"]) == (0, 0, 0)
    assert found["suggested"] > 0
    assert set(found["stages"]) == {
        "data", "kafka", "train", "workers", "history", "live", "stop", "check", "page",
    }  # fmt: skip
    for text in ("Some suggestions", "unreadable", "unavailable"):
        assert text in captured.out
    for text in ("Simulating", "Training", "Answering listings"):
        assert text in captured.err
    page = (tmp_path / "out" / "demo.html").read_text(encoding="utf-8")
    assert page.count('<article class="card">') > 10
    logs = sorted(path.name for path in (tmp_path / "out" / "logs").iterdir())
    assert logs == ["stats.jsonl", "suggest.jsonl"]
    topics = AdminClient({"bootstrap.servers": kafka}).list_topics(timeout=30).topics
    assert not [name for name in topics if name.startswith(topic_prefix)]


def test_what_the_check_finds_ends_the_demo_with_an_error(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    signals: None,
    capfd: pytest.CaptureFixture[str],
) -> None:
    verdict = Verdict(
        listings=9,
        transactions=9,
        suggested=5,
        reuploaded=3,
        dead_lettered=0,
        lost=1,
        doubled=0,
        statistics_checked=9,
        statistics_wrong=0,
        problems=("listing 7 has no answer",),
    )
    result = DemoResult(
        dataset="some",
        verdict=verdict,
        figures=figures([], PriceLimits(1, 2)),
        outcomes=[],
        model_version="m",
        seconds={},
        wall_s=1.0,
    )
    monkeypatch.setattr("workers.cli.demo.run_demo", lambda *_, **__: result)

    code = run(["demo", "--out", str(tmp_path), "--json"])

    captured = capfd.readouterr()
    assert code == 1
    assert json.loads(captured.out)["lost"] == 1
    assert "wrong: listing 7 has no answer" in captured.err
    assert "listing 7 has no answer" in (tmp_path / "demo.html").read_text(encoding="utf-8")


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")

    with pytest.raises(ConfigurationError, match="not of a demo"):
        prepare_folder(tmp_path)

    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_what_an_earlier_demo_left_is_removed(tmp_path: Path) -> None:
    out = tmp_path / "new" / "out"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "kept").touch()
    prepare_folder(out)
    (out / "dataset").mkdir()
    (out / "dataset" / "file").touch()
    (out / "demo.html").touch()
    (out / "link").symlink_to(elsewhere)

    prepare_folder(out)

    assert sorted(path.name for path in out.iterdir()) == [MARKER, "logs"]
    assert (elsewhere / "kept").exists()


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "out").touch()

    with pytest.raises(ConfigurationError, match="name another folder"):
        prepare_folder(tmp_path / "out")
