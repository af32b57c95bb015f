"""The paper's 12 sold-price statistics as an enriched listing carries them."""

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from schemas.money import Currency

_Minor = Annotated[int, Field(ge=0, strict=True)]


class Scope(StrEnum):
    """Whose sold prices a statistic is over."""

    SELLER = "seller"
    CATEGORY = "category"
    GLOBAL = "global"
    NONE = "none"


class ScopeStatistics(BaseModel):
    """Quartiles (nearest rank) and mean of the sold prices of one scope, in minor units.

    A scope without sales takes its numbers from the next wider one, and `source` names that
    scope; `count` stays its own, so 0. With no sale anywhere the numbers are 0 and `source`
    is `none`.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    q1: _Minor
    q2: _Minor
    q3: _Minor
    mean: _Minor
    count: _Minor
    source: Scope


class Statistics(BaseModel):
    """The statistics of a listing's three scopes, all in one currency."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    currency: Currency
    seller: ScopeStatistics
    category: ScopeStatistics
    overall: ScopeStatistics
