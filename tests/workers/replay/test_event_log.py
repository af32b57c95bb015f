import gzip
import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.errors import BadDataError
from workers.replay import event_log
from workers.replay.event_log import EventLog, LogWriter
from workers.runtime.processing import Record

payloads = st.one_of(st.none(), st.binary(max_size=40), st.text(max_size=20).map(str.encode))
records = st.builds(
    Record,
    topic=st.sampled_from(["transactions", "listing.created"]),
    partition=st.integers(0, 2**31 - 1),
    offset=st.integers(0, 2**63 - 1),
    timestamp_ms=st.integers(1, 2**63 - 1),
    key=payloads,
    value=payloads,
    headers=st.lists(st.tuples(st.text(max_size=10), payloads), max_size=4),
)
PARTITIONS = {"transactions": 4, "listing.created": 4}


def write(path: Path, *written: Record) -> Path:
    with LogWriter(path, PARTITIONS) as log:
        for record in written:
            log.append(record)
    return path


def record(**changes: Any) -> Record:
    fields: dict[str, Any] = {
        "topic": "transactions",
        "partition": 3,
        "offset": 7,
        "timestamp_ms": 1_772_323_200_000,
        "key": b"s-7",
        "value": b"{}",
        "headers": [],
    }
    return Record(**(fields | changes))


@pytest.mark.parametrize("name", ["log.jsonl", "log.jsonl.gz"])
@given(written=st.lists(records, max_size=5))
def test_what_is_written_is_read(name: str, written: list[Record]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        log = EventLog(write(Path(folder) / name, *written))
        assert log.partitions == PARTITIONS
        assert list(log) == list(enumerate(written, start=2))
        assert list(log) == list(enumerate(written, start=2))  # and once more


def test_a_line_is_what_the_documentation_says(tmp_path: Path) -> None:
    path = write(
        tmp_path / "log.jsonl",
        record(
            key=None,
            value="Möbel\n\u2028".encode(),
            headers=[("ce_id", b"t-501"), ("trace", b"\xff"), ("none", None), ("ce_id", b"")],
        ),
    )
    head, line, end = path.read_bytes().split(b"\n")
    assert json.loads(head) == {"format": "secondsight-log", "version": 1, "partitions": PARTITIONS}
    assert json.loads(line) == {
        "topic": "transactions",
        "partition": 3,
        "offset": 7,
        "timestamp_ms": 1_772_323_200_000,
        "key": None,
        "value": "Möbel\n\u2028",
        "headers": [
            ["ce_id", "t-501"],
            ["trace", {"base64": "/w=="}],
            ["none", None],
            ["ce_id", ""],
        ],
    }
    assert end == b""


def test_a_packed_log_is_gzip_and_equal_logs_are_equal_files(tmp_path: Path) -> None:
    plain = write(tmp_path / "log.jsonl", record())
    packed = write(tmp_path / "log.jsonl.gz", record())
    other = write(tmp_path / "of another name.gz", record())
    assert gzip.decompress(packed.read_bytes()) == plain.read_bytes()
    assert packed.read_bytes() == other.read_bytes()


def line_with(**changes: Any) -> bytes:
    fields = {
        "topic": "transactions",
        "partition": 0,
        "offset": 0,
        "timestamp_ms": 1,
        "key": "k",
        "value": "v",
        "headers": [["a", "b"]],
    } | changes
    return json.dumps({name: x for name, x in fields.items() if x != "left out"}).encode()


def test_the_line_that_the_broken_ones_are_made_of_is_sound(tmp_path: Path) -> None:
    path = write(tmp_path / "log.jsonl")
    path.write_bytes(path.read_bytes() + line_with())  # the end of the last line may be missing
    ((number, read),) = EventLog(path)
    assert (number, read.key, read.headers) == (2, b"k", [("a", b"b")])


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"not JSON", "JSON"),
        (b"", "JSON"),
        (line_with()[:-9], "JSON"),
        (b"\xff\xfe", "JSON"),
        (b"[]", ""),
        (line_with(topic="no such"), "topic"),
        (line_with(topic="models"), "models"),
        (line_with(partition=-1), "partition"),
        (line_with(offset="7"), "offset"),
        (line_with(timestamp_ms=0), "timestamp_ms"),
        (line_with(timestamp_ms=1.5), "timestamp_ms"),
        (line_with(timestamp_ms=2**63), "timestamp_ms"),
        (line_with(key={"base64": "?"}), "key"),
        (line_with(key={"base64": "QQ==", "more": 1}), "key"),
        (line_with(value=7), "value"),
        (line_with(value="left out"), "value"),
        (line_with(headers=[["a"]]), "headers"),
        (line_with(headers={"a": "b"}), "headers"),
        (line_with(note="more"), "note"),
        (line_with(key="K").replace(b'"K"', b'"\\ud800"'), ""),
    ],
)
def test_a_broken_line_is_named(line: bytes, said: str, tmp_path: Path) -> None:
    path = write(tmp_path / "log.jsonl", record())
    path.write_bytes(path.read_bytes() + line + b"\n" + line_with() + b"\n")
    with pytest.raises(BadDataError, match=r"log\.jsonl, line 3: ") as caught:
        list(EventLog(path))
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        line_with() + b"\n",
        b'{"format": "other", "version": 1, "partitions": {}}\n',
        b'{"format": "secondsight-log", "version": 2, "partitions": {}}\n',
        b'{"format": "secondsight-log", "version": 1, "partitions": {"transactions": 0}}\n',
        b"\x89PNG\r\n\x1a\n",
    ],
)
def test_what_is_no_log_is_refused_at_once(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(content)
    with pytest.raises(BadDataError, match=r"log\.jsonl"):
        EventLog(path)


def test_a_file_that_is_not_there_or_not_gzip(tmp_path: Path) -> None:
    with pytest.raises(BadDataError, match="No such file"):
        EventLog(tmp_path / "absent.jsonl")
    (tmp_path / "text.gz").write_text("text")
    with pytest.raises(BadDataError, match=r"text\.gz cannot be read: Not a gzipped file"):
        EventLog(tmp_path / "text.gz")


def test_a_packed_log_that_was_cut_off_says_after_which_line(tmp_path: Path) -> None:
    path = write(tmp_path / "log.gz", *[record(value=bytes([i]) * 40_000) for i in range(9)])
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(BadDataError, match=r"cannot be read after line \d"):
        list(EventLog(path))


def test_a_line_without_end_is_not_read_into_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "log.jsonl", record(value=b"x" * 1_000))
    monkeypatch.setattr(event_log, "MAX_LINE_BYTES", 1_000)
    with pytest.raises(BadDataError, match="line 2 is longer than 1000 bytes"):
        list(EventLog(path))
