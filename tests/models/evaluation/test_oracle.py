import math
import re
from pathlib import Path

import pytest

from models.errors import DatasetError
from models.evaluation.oracle import read_oracle

HEADER = "listing_id,oracle_price,noise_sigma,photo_fault,irrational\n"


def test_the_truth_is_read_by_listing(tmp_path: Path) -> None:
    (tmp_path / "oracle.csv").write_text(
        HEADER + "a,20.5,0.1600,,0\nb,3,0.3700,blurred,1\nc,7,0.2000,,0\n"
    )
    found = read_oracle(tmp_path)
    assert found is not None
    assert found["a"].log_price == pytest.approx(math.log(20.5))
    assert found["b"].faulty
    # by noise, a fault last
    assert sorted(found, key=lambda name: -found[name].score) == ["a", "c", "b"]


def test_what_a_photo_is_worth_is_known_of_newer_markets_only(tmp_path: Path) -> None:
    newer = HEADER.replace("irrational", "irrational,photo_log_price")
    (tmp_path / "oracle.csv").write_text(newer + "a,20.5,0.16,,0,-3.125\nb,3,0.37,,0,\n")
    found = read_oracle(tmp_path)
    assert found is not None
    assert [found[name].photo_log_price for name in "ab"] == [-3.125, None]
    (tmp_path / "oracle.csv").write_text(HEADER + "a,20.5,0.16,,0\n")
    found = read_oracle(tmp_path)
    assert found is not None
    assert found["a"].photo_log_price is None


def test_a_dataset_without_a_truth(tmp_path: Path) -> None:
    assert read_oracle(tmp_path) is None


@pytest.mark.parametrize(
    "content",
    [
        b"listing_id,oracle_price\na,3\n",
        HEADER.encode() + b"a,0,0.2,,0\n",
        HEADER.encode() + b"a,dear,0.2,,0\n",
        HEADER.encode() + b"a,3\n",
        HEADER.replace("irrational", "irrational,photo_log_price").encode() + b"a,3,0.2,,0,nan\n",
        b"\xff\xfe",
    ],
)
def test_a_truth_that_cannot_be_read_is_said(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "oracle.csv").write_bytes(content)
    with pytest.raises(DatasetError, match=re.escape(str(tmp_path / "oracle.csv"))) as caught:
        read_oracle(tmp_path)
    assert caught.value.exit_code == 3
