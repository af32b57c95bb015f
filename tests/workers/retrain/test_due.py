"""When a retraining is due, and how requests for an early one come and go."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from workers.registry.reports import RetrainRecords
from workers.retrain.due import due

NOW = datetime(2026, 3, 1, tzinfo=UTC)
WEEK = timedelta(days=7)


def test_due_is_what_is_old_or_asked_for() -> None:
    def why(last: datetime | None, *requests: str) -> str | None:
        return due(now=NOW, last=last, interval=WEEK, requests=requests)

    assert why(None) == "there was none yet"
    assert why(NOW - WEEK) == "the last was 7 days ago"
    assert why(NOW - WEEK + timedelta(seconds=1)) is None
    assert why(NOW, "drift") == "asked for: drift"


def test_requests_that_came_meanwhile_outlast_the_retraining(tmp_path: Path) -> None:
    records = RetrainRecords(str(tmp_path))
    assert (records.last_at(), records.requests()) == (None, [])
    records.write_request("drift", {"psi": 0.3})
    seen = records.requests()
    records.write_request("later", {})
    records.write_report(NOW, "m1", {"published": False})
    records.write_report(NOW - WEEK, "m0", {"published": True})
    records.answer_requests(seen)
    assert records.requests() == ["later"]
    assert records.last_at() == NOW
    assert sorted(path.name for path in (tmp_path / "reports").iterdir()) == [
        "2026-02-22T000000Z-m0.json",
        "2026-03-01T000000Z-m1.json",
    ]
