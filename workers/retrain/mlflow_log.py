"""Retrainings as runs of MLflow, for those who look for them there."""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import JsonValue

from workers.errors import ConfigurationError, WorkersError
from workers.retrain.report import RetrainReport

EXPERIMENT = "secondsight"


def log_to_mlflow(report: RetrainReport, tracking_uri: str) -> str:
    """Write the report of a retraining as a run of the experiment `secondsight`; return its id.

    Metrics are the challenger's on what it was judged by, and the numbers of the gate's checks;
    tags say which model it was and what came of it; the whole report is an artifact.

    Args:
        report: of the retraining.
        tracking_uri: of the MLflow server, as `MLFLOW_TRACKING_URI` has it.

    Raises:
        ConfigurationError: the package is not installed, or the address is none.
        WorkersError: the server cannot be reached, or refuses.
    """
    client = _client(tracking_uri)
    try:
        found = client.get_experiment_by_name(EXPERIMENT)
        experiment = found.experiment_id if found else client.create_experiment(EXPERIMENT)
        start = round(report.at.timestamp() * 1000)
        run = client.create_run(
            experiment,
            start_time=start,
            run_name=report.model_version or "nothing trained",
            tags=_tags(report),
        ).info.run_id
        for name, value in _metrics(report):
            client.log_metric(run, name, value, timestamp=start)
        client.log_dict(run, report.line(), "report.json")
        client.set_terminated(run, end_time=start + round(report.wall_s * 1000))
    except Exception as error:  # of MLflow, of its HTTP client, of its storages: no common root
        raise WorkersError(f"MLflow at {tracking_uri} cannot be written: {error}") from error
    return str(run)


def check_mlflow(tracking_uri: str) -> None:
    """Make sure, before hours of training, that `log_to_mlflow` can begin.

    Raises:
        ConfigurationError: the package is not installed, or the address is none.
    """
    _client(tracking_uri)


def _client(tracking_uri: str) -> Any:
    try:
        from mlflow.tracking import MlflowClient
    except ImportError:
        raise ConfigurationError(
            "SECONDSIGHT_MLFLOW_TRACKING_URI needs a package that is not installed: "
            "pip install 'secondsight[mlflow]'"
        ) from None
    try:
        return MlflowClient(tracking_uri=tracking_uri)
    except Exception as error:
        raise ConfigurationError(
            f"SECONDSIGHT_MLFLOW_TRACKING_URI={tracking_uri}: {error}"
        ) from error


def _tags(report: RetrainReport) -> dict[str, str]:
    return {
        "published": str(report.published).lower(),
        "model_version": report.model_version or "",
        "parent": report.parent or "",
        "code": report.code,
        "reason": report.reason,
        "began_as": report.began_as,
    }


def _metrics(report: RetrainReport) -> Iterator[tuple[str, float]]:
    for name in ("examples", "sold", "learnt", "held", "wall_s"):
        yield name, float(getattr(report, name))
    yield from _numbers("held", report.metrics)
    for check in report.checks:
        yield from _numbers(f"gate.{check.name.replace(' ', '_')}", dict(check.figures))


def _numbers(prefix: str, values: Mapping[str, JsonValue]) -> Iterator[tuple[str, float]]:
    """Give the numbers of nested objects by dotted names that MLflow allows."""
    for name, value in values.items():
        if name == "by_category":  # category paths are no names of metrics
            continue
        if isinstance(value, Mapping):
            yield from _numbers(f"{prefix}.{name}", value)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield f"{prefix}.{name}".replace("%", "_percent"), float(value)
