import base64
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.suggest.data_uri import read_data_uri
from workers.suggest.errors import FetchRefusedError


@given(st.binary(max_size=200))
def test_reads_what_was_written(data: bytes) -> None:
    coded = base64.b64encode(data).decode()

    assert read_data_uri(f"data:image/png;base64,{coded}") == data
    assert read_data_uri(f"DATA:;BASE64,{coded.rstrip('=')}") == data
    assert read_data_uri(f"data:image/png;base64,{quote(coded, safe='')}") == data
    assert read_data_uri(f"data:,{quote(data, safe='')}") == data


def test_parameters_before_base64_are_allowed() -> None:
    assert read_data_uri("data:text/plain;charset=utf-8;base64,aGk=") == b"hi"
    assert read_data_uri("data:text/plain;charset=utf-8,aGk=") == b"aGk="


@pytest.mark.parametrize(
    "uri",
    [
        "data:",
        "data:image/png;base64",
        "data:image/png;base64,a",
        "data:image/png;base64,aGk=aGk=",
        "data:image/png;base64,a-_b",
        "data:image/png;base64,été=",
        "data:image/png;base64,aG k=",
        "data:image/png," + "x" * (256 * 1024),
    ],
)
def test_refuses_what_is_malformed_or_too_long(uri: str) -> None:
    with pytest.raises(FetchRefusedError):
        read_data_uri(uri)
