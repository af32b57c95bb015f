"""A retraining as a run of a real MLflow, and the sentence where it is not installed."""

import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from workers.errors import ConfigurationError, WorkersError
from workers.retrain.mlflow_log import EXPERIMENT, check_mlflow, log_to_mlflow
from workers.retrain.report import CheckReport, RetrainReport

AT = datetime(2026, 3, 1, tzinfo=UTC)
REPORT = RetrainReport(
    at=AT,
    published=True,
    model_version="m2",
    parent="m1",
    reason="m2 is published and takes over from m1",
    window_start=AT,
    window_end=AT,
    examples=500,
    older=0,
    sold=450,
    categories=2,
    checks=(
        CheckReport(name="error of the best 50%", passed=True, says="", figures={"bound": 0.01}),
    ),
    metrics={"coverage": 0.5, "all": {"male": 0.25, "by_category": {"A > B": {"male": 9.0}}}},
    code="0.1.0",
    wall_s=12.5,
)


def test_it_is_a_run_with_metrics_tags_and_the_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import tracking

    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    uri = (tmp_path / "runs").as_uri()
    check_mlflow(uri)
    ids = [log_to_mlflow(REPORT, uri), log_to_mlflow(REPORT, uri)]

    client = tracking.MlflowClient(tracking_uri=uri)
    run = client.get_run(ids[0])
    experiment = client.get_experiment_by_name(EXPERIMENT)
    assert experiment is not None
    assert run.info.experiment_id == experiment.experiment_id
    assert (run.info.run_name, run.info.status) == ("m2", "FINISHED")
    assert run.info.end_time - run.info.start_time == 12_500
    assert run.data.metrics == {
        "examples": 500,
        "sold": 450,
        "learnt": 0,
        "held": 0,
        "wall_s": 12.5,
        "held.coverage": 0.5,
        "held.all.male": 0.25,
        "gate.error_of_the_best_50_percent.bound": 0.01,
    }
    assert {"published": "true", "parent": "m1"}.items() <= run.data.tags.items()
    (report,) = tmp_path.rglob(f"{ids[0]}/artifacts/report.json")
    assert RetrainReport.model_validate_json(report.read_text()) == REPORT


def test_a_server_that_does_not_answer_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(WorkersError, match=r"MLflow at http://127\.0\.0\.1:9 cannot be written"):
        log_to_mlflow(REPORT, "http://127.0.0.1:9")


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlflow.tracking", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'secondsight\[mlflow\]'"):
        check_mlflow("http://mlflow.example")
