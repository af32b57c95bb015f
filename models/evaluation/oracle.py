"""Regret to one who knows the price law: `oracle.csv`, which the simulator writes."""

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from models.errors import DatasetError
from models.evaluation.risk_coverage import risk_coverage

ORACLE_FILE = "oracle.csv"

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class OracleRow:
    """What is true of a listing; prices are natural logs of whole units.

    Attributes:
        log_price: median of what it can sell for.
        noise_sigma: standard deviation around that.
        faulty: no photo of it is sound.
        photo_log_price: what its visible qualities alone are worth, without seller and day; None
            where the file does not say, as of older markets.
    """

    log_price: float
    noise_sigma: float
    faulty: bool
    photo_log_price: float | None = None

    @property
    def score(self) -> float:
        """By which the oracle accepts: the least noise first, a photo with a fault last."""
        return -math.inf if self.faulty else -self.noise_sigma


class OracleRegret(BaseModel):
    """Mean absolute log errors of us and of the oracle, over accepted listings with a price.

    `male_same` is the oracle's on the `accepted` listings that we accepted, `male_best` its own
    on as many listings, those that it would rather accept. The regrets are `male` less these.
    """

    model_config = ConfigDict(frozen=True)

    accepted: int
    male: float
    male_same: float
    male_best: float
    regret_same: float
    regret_best: float


def read_oracle(folder: Path) -> dict[str, OracleRow] | None:
    """Return the truth of each listing of a dataset by its id; None where nobody knows it.

    Raises:
        DatasetError: the file is there but cannot be read.
    """
    path = folder / ORACLE_FILE
    if not path.exists():
        return None
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            return {row["listing_id"]: _row(row) for row in csv.DictReader(stream, strict=True)}
    except (OSError, KeyError, ValueError, TypeError, csv.Error) as error:
        raise DatasetError(
            f"{path} cannot be read ({error}): write it anew with the simulator, or remove it"
        ) from None


def regret(
    errors: Array, accepted: npt.NDArray[np.bool_], oracle_errors: Array, oracle_scores: Array
) -> OracleRegret | None:
    """Compare N listings with a sold price; None where none of them is accepted.

    Args:
        errors: `[N]` absolute log errors of the suggested prices.
        accepted: `[N]` which of them were suggested.
        oracle_errors: `[N]` absolute log errors of the oracle's prices.
        oracle_scores: `[N]` by which the oracle accepts, the highest first; of listings with the
            same score, each counts with their mean error.
    """
    count = int(accepted.sum())
    if not count:
        return None
    ours, same = float(errors[accepted].mean()), float(oracle_errors[accepted].mean())
    best = float(risk_coverage(oracle_errors, oracle_scores).risk[count - 1])
    return OracleRegret(
        accepted=count,
        male=ours,
        male_same=same,
        male_best=best,
        regret_same=ours - same,
        regret_best=ours - best,
    )


def regret_to(
    oracle: Mapping[str, OracleRow],
    listing_ids: list[str],
    log_suggested: Array,
    log_sold: Array,
    accepted: npt.NDArray[np.bool_],
) -> OracleRegret | None:
    """Return the regret on those of N listings that the oracle knows; prices in natural log."""
    known = np.array([name in oracle for name in listing_ids], dtype=np.bool_)
    rows = [oracle[name] for name in listing_ids if name in oracle]
    sold = log_sold[known]
    return regret(
        np.abs(log_suggested[known] - sold),
        accepted[known],
        np.abs(np.array([row.log_price for row in rows]) - sold),
        np.array([row.score for row in rows]),
    )


def _row(row: Mapping[str, str]) -> OracleRow:
    return OracleRow(
        log_price=math.log(float(row["oracle_price"])),
        noise_sigma=float(row["noise_sigma"]),
        faulty=bool(row["photo_fault"]),
        photo_log_price=_finite(seen) if (seen := row.get("photo_log_price")) else None,
    )


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is not a price")
    return value
