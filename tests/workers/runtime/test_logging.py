import json
import logging
import sys
import threading
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from workers.runtime.logging import LIBRDKAFKA, about, configure
from workers.runtime.processing import Record

RECORD = Record("transactions", 3, 41, 0, b"seller", b"{}", [])


@pytest.fixture(autouse=True)
def logging_left_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level, hook = root.handlers, root.level, threading.excepthook
    yield
    root.handlers = handlers
    root.setLevel(level)
    threading.excepthook = hook
    logging.captureWarnings(False)
    structlog.reset_defaults()


def logged(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    out, err = capsys.readouterr()
    assert out == ""
    return [json.loads(line) for line in err.splitlines()]


def test_a_line_is_one_json_object_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    configure(worker="stats")
    structlog.get_logger("some.module").info("applied", sales=3, share=0.5)
    (line,) = logged(capsys)
    assert line.pop("time").endswith("Z")
    assert line == {
        "event": "applied",
        "sales": 3,
        "share": 0.5,
        "worker": "stats",
        "level": "info",
        "logger": "some.module",
    }


def test_a_record_is_bound_inside_the_with_only(capsys: pytest.CaptureFixture[str]) -> None:
    configure()
    log = structlog.get_logger()
    with about(RECORD, event_id="e-1", model_version="m-2"):
        log.warning("inside")
    log.warning("outside")
    inside, outside = logged(capsys)
    assert {key: inside[key] for key in ("topic", "partition", "offset", "event_id")} == {
        "topic": "transactions",
        "partition": 3,
        "offset": 41,
        "event_id": "e-1",
    }
    assert inside["model_version"] == "m-2"
    assert "topic" not in outside


def test_what_logs_through_the_standard_library_takes_the_same_way(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure(worker="suggest")
    with about(RECORD):
        logging.getLogger(LIBRDKAFKA).warning("broker %s is down", "one:9092")
    warnings.warn("this is old", stacklevel=1)
    kafka, warning = logged(capsys)
    assert kafka["event"] == "broker one:9092 is down"
    assert (kafka["logger"], kafka["worker"], kafka["offset"]) == (LIBRDKAFKA, "suggest", 41)
    assert "this is old" in warning["event"]


def test_the_level_holds_for_both_ways(capsys: pytest.CaptureFixture[str]) -> None:
    configure(level="warning")
    structlog.get_logger().info("no")
    logging.getLogger("aiohttp").info("no")
    structlog.get_logger().error("yes")
    assert [line["event"] for line in logged(capsys)] == ["yes"]


def test_hostile_text_stays_in_its_line_and_is_cut(capsys: pytest.CaptureFixture[str]) -> None:
    configure(form="console")
    hostile = "x\n2026-01-01 [error] forged\x1b[2J\x9b\u2028\ud800"
    structlog.get_logger().info(hostile, title=hostile, text="y" * 100_000, raw=b"z" * 100_000)
    err = capsys.readouterr().err
    assert len(err.splitlines()) == 1
    assert "\x1b[2J" not in err
    assert "\\n2026-01-01" in err
    assert len(err) < 10_000


def test_any_value_can_be_logged(capsys: pytest.CaptureFixture[str]) -> None:
    configure()
    endless: list[object] = []
    endless.append(endless)
    structlog.get_logger().info(
        "odd",
        nan=float("nan"),
        huge=10**5_000,
        many=list(range(10_000)),
        deep={"a": {"b": {"c": {"d": 1}}}},
        endless=endless,
        thing=object,
    )
    (line,) = logged(capsys)
    assert line["nan"] == "nan"
    assert line["many"] == list(range(50))
    assert line["deep"] == {"a": {"b": {"c": "{'d': 1}"}}}
    assert line["thing"] == "<class 'object'>"
    assert len(line["huge"]) < 1_100


def test_an_exception_is_logged_with_its_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    configure()
    try:
        raise KeyError("price\x1b[2J")
    except KeyError:
        structlog.get_logger().exception("failed")
    (line,) = logged(capsys)
    assert line["exception"].startswith("Traceback")
    assert "KeyError" in line["exception"]
    assert "\x1b" not in line["exception"]


def test_a_thread_that_dies_is_logged(capsys: pytest.CaptureFixture[str]) -> None:
    configure()
    thread = threading.Thread(target=lambda: [][0])
    thread.start()
    thread.join()
    (line,) = logged(capsys)
    assert line["level"] == "error"
    assert "IndexError" in line["exception"]


def test_lines_go_to_whatever_stderr_is_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Display:
        written = ""

        def write(self, text: str) -> int:
            self.written += text
            return len(text)

        def flush(self) -> None: ...

    configure()
    display = Display()
    monkeypatch.setattr(sys, "stderr", display)
    structlog.get_logger().info("shown")
    assert json.loads(display.written)["event"] == "shown"
