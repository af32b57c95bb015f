"""The paper's 12 sold-price statistics as an enriched listing carries them."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from schemas.base import MAX_EXACT_INTEGER
from schemas.money import MAX_MINOR_UNITS, Currency

_Minor = Annotated[int, Field(ge=0, le=MAX_MINOR_UNITS, strict=True)]


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
    count: Annotated[int, Field(ge=0, le=MAX_EXACT_INTEGER, strict=True)]
    source: Scope

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self.q1 <= self.q2 <= self.q3:
            raise ValueError("q1 <= q2 <= q3 does not hold")
        if self.source is Scope.NONE:
            if self.q3 or self.mean or self.count:
                raise ValueError("q1, q2, q3, mean and count must be 0 where source is none")
        elif not (self.q1 and self.mean):
            raise ValueError("q1, q2, q3 and mean must be at least 1 where source is a scope")
        return self


class Statistics(BaseModel):
    """The statistics of a listing's three scopes, all in one currency."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    currency: Currency
    seller: ScopeStatistics
    category: ScopeStatistics
    overall: ScopeStatistics
