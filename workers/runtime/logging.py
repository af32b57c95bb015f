"""Logs on stderr: one JSON object a line, or the readable form for people on a terminal.

Modules log with `structlog.get_logger(__name__)`; what logs through the standard library
(librdkafka, aiohttp) takes the same way. Text from outside is cut and its control characters are
escaped, so that no event can write a log line of its own or flood the disk.
"""

import json
import logging
import math
import re
import sys
import threading
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, Literal

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from workers.runtime.processing import Record

LIBRDKAFKA = "librdkafka"  # the standard logger to hand to clients as `logger=`

_MAX_TEXT = 1_000
_MAX_TRACEBACK = 16_000
_MAX_ITEMS = 50
_MAX_DEPTH = 3
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_CHATTY = ("PIL", "asyncio", "urllib3")  # their debug messages are of no use to operators
# Neither is what these say of every graph that they write, and of every service that they start.
_TALKATIVE = ("onnx_ir", "onnxscript", "aiokafka", "faust", "mode")


class _Stderr:
    """Whatever `sys.stderr` is when a line is written; a progress display may replace it."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()


def configure(
    *,
    level: str = "info",
    form: Literal["auto", "json", "console"] = "auto",
    worker: str | None = None,
) -> None:
    """Send all logs to stderr from `level` on; `worker` is named in every line.

    The form `auto` is `console` on a terminal and `json` elsewhere. May be called again.
    """
    people = form == "console" or (form == "auto" and sys.stderr.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
    ]
    if worker is not None:
        # Context variables stay in their thread; the worker's name holds for all of them.
        shared.append(_Constant("worker", worker))
    render: list[Processor] = [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        structlog.processors.format_exc_info,
        _bound,
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), timestamp_key="time")
        if people
        else structlog.processors.JSONRenderer(serializer=json.dumps),
    ]
    handler = logging.StreamHandler(_Stderr())
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=render)
    )
    number = logging.getLevelNamesMapping()[level.upper()]
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(number)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(max(number, logging.INFO))
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(max(number, logging.WARNING))
    logging.captureWarnings(True)
    threading.excepthook = _log_thread_death
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )


def about(record: Record, **more: str) -> AbstractContextManager[Any]:
    """Bind where a record stands to all that this thread logs inside the `with`.

    `more` is what else is known of it: `event_id`, `model_version`.
    """
    return structlog.contextvars.bound_contextvars(
        topic=record.topic, partition=record.partition, offset=record.offset, **more
    )


class _Constant:
    def __init__(self, name: str, value: str) -> None:
        self._name = name
        self._value = value

    def __call__(self, _: WrappedLogger, __: str, event: EventDict) -> EventDict:
        event.setdefault(self._name, self._value)
        return event


def _bound(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    traceback = event.pop("exception", None)
    bounded = {one_line(str(key)): _plain(value, _MAX_DEPTH) for key, value in event.items()}
    if traceback is not None:
        # The end of a traceback says most; its line breaks are ours.
        lines = str(traceback)[-_MAX_TRACEBACK:].split("\n")
        bounded["exception"] = "\n".join(_CONTROL.sub(_escaped, line) for line in lines)
    return bounded


def _plain(value: object, depth: int) -> object:
    """Turn anything into JSON's types, cut to size."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if abs(value) < 1 << 63 else one_line(hex(value))
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, (bytes, bytearray)):
        return one_line(repr(bytes(value[:_MAX_TEXT])))
    if isinstance(value, Mapping) and depth:
        items = list(value.items())[:_MAX_ITEMS]
        return {one_line(str(key)): _plain(item, depth - 1) for key, item in items}
    if isinstance(value, (list, tuple, set, frozenset)) and depth:
        return [_plain(item, depth - 1) for item in list(value)[:_MAX_ITEMS]]
    return one_line(str(value))


def one_line(text: str) -> str:
    """Cut a text to size and escape what is not printable: breaks, escape sequences, halves."""
    cut = text if len(text) <= _MAX_TEXT else f"{text[:_MAX_TEXT]}... ({len(text)} characters)"
    return _CONTROL.sub(_escaped, cut)


def _escaped(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode("ascii")


def _log_thread_death(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is not None and not isinstance(args.exc_value, SystemExit):
        logging.getLogger(__name__).error(
            "a thread ended with an error",
            exc_info=(args.exc_type, args.exc_value, args.exc_traceback),
        )
