"""`secondsight retrain` as it is typed: what it prints, and its exit codes."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.workers.retrain.conftest import PLAN, Shop
from workers.cli import retrain as command
from workers.cli.main import run
from workers.examples.store import ExampleStore
from workers.registry.lock import RegistryLock
from workers.registry.reports import RetrainRecords
from workers.retrain.job import LOCK


@pytest.fixture(autouse=True)
def settings(
    shop: Shop, tmp_path: Path, colour_backbone: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECONDSIGHT_EXAMPLES_URL", str(tmp_path / "examples"))
    monkeypatch.setenv("SECONDSIGHT_MODEL_REGISTRY", str(tmp_path / "registry"))
    monkeypatch.setenv("SECONDSIGHT_RETRAIN_FOLDER", str(tmp_path / "cache"))
    monkeypatch.setenv("SECONDSIGHT_IMAGE_FILE_ROOTS", str(shop.folder))
    monkeypatch.setattr(command, "backbone", lambda _: colour_backbone)
    monkeypatch.setattr("models.retraining.quick_plan", lambda _: PLAN)
    monkeypatch.setattr("signal.signal", lambda *_: None)  # those of the test's process stay


@pytest.fixture
def on_kafka(
    kafka: str,
    topic_prefix: str,
    make_topic: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_topic(f"{topic_prefix}models", config={"cleanup.policy": "compact"})
    monkeypatch.setenv("SECONDSIGHT_KAFKA_BOOTSTRAP_SERVERS", kafka)
    monkeypatch.setenv("SECONDSIGHT_TOPIC_PREFIX", topic_prefix)


def append(shop: Shop, tmp_path: Path) -> None:
    """Write the shop's examples as if the last had become known now."""
    later = datetime.now(UTC) - max(each.known_at for each in shop.examples)
    ExampleStore(str(tmp_path / "examples")).append(
        each.model_copy(
            update={
                "known_at": each.known_at + later,
                "listed_at": each.listed_at + later,
                "sold_at": each.sold_at and each.sold_at + later,
            }
        )
        for each in shop.examples
    )


@pytest.mark.usefixtures("on_kafka")
def test_it_publishes_a_first_model_and_then_nothing_is_due(
    shop: Shop, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    append(shop, tmp_path)
    assert run(["retrain", "--when-due", "--json"]) == 0
    told = capsys.readouterr()
    assert "due: there was none yet" in told.err
    found = json.loads(told.out)
    # a share is asked for that this market does not reach on what was sold: either way is 0
    assert found["model_version"].startswith("colours-percentile-")
    assert (found["examples"], found["sold"], found["held"]) == (500, 450, found["held"])
    assert found["published"] is all(check["passed"] for check in found["checks"])

    assert run(["retrain", "--when-due"]) == 0
    assert capsys.readouterr().out == "no retraining is due\n"
    records = RetrainRecords(str(tmp_path / "registry"))
    records.write_request("drift", {})
    assert run(["retrain", "--when-due", "--window-days", "180"]) == 0
    told = capsys.readouterr()
    assert "due: asked for: drift" in told.err
    assert "learnt from" in told.out
    assert records.requests() == []


@pytest.mark.usefixtures("on_kafka")
def test_what_ends_it_has_a_sentence_and_a_code(
    shop: Shop, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def told(code: int) -> str:
        assert run(["retrain"]) == code
        (line,) = [x for x in capsys.readouterr().err.splitlines() if x.startswith("error: ")]
        return line

    assert "no training example became known" in told(3)
    few = ExampleStore(str(tmp_path / "examples"))
    few.append(
        each.model_copy(update={"known_at": datetime.now(UTC)}) for each in shop.examples[:30]
    )
    assert "27 of the 30 examples in the window were sold: 400 are needed" in told(3)
    with RegistryLock(str(tmp_path / "registry"), LOCK):
        assert "holds the lock 'retrain'" in told(1)
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("SECONDSIGHT_MODEL_REGISTRY", str(tmp_path / "file"))
    assert "cannot be taken" in told(1)
    monkeypatch.delenv("SECONDSIGHT_MODEL_REGISTRY")
    assert "SECONDSIGHT_MODEL_REGISTRY and SECONDSIGHT_EXAMPLES_URL must be set" in told(3)
