"""The market: what things are worth from day to day, and what is listed, shown and sold.

    log price = category + season + shock + fashion(day) . look + seller's habit + noise

The look of a thing is in its photo's features, but for what the photo loses; a third of the photos
lose nearly all. In the year: every category has its season, a new one comes, two lose a third of
their price in a week, cameras change what features say, and a seller sells to himself at ten times
the price. All of it goes through the real store of statistics, sale by sale.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import pi, sin
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt

from schemas.sale import ItemSold
from schemas.statistics import Statistics
from stats_store.backend.options import RocksDBOptions
from stats_store.features import statistics_of
from stats_store.rules import Rules
from stats_store.store import PartitionStore

START = datetime(2026, 1, 5, tzinfo=UTC)
BURN_IN = 16  # weeks before the year, of which the first model learns
YEAR = 52
CURRENCY = "GBP"
STATISTICS = Rules(window_days=60, seller_cap=20)

NEW_CATEGORY, SHOCK, CAMERAS, DISHONEST = 14, 30, 22, range(24, 32)  # weeks of the year
_CATEGORIES, _LOOK, _FEATURES, _SELLERS = 7, 6, 16, 250
_NOISE = 0.15
_SOLD_SHARE = 0.85
_FAKES = 125  # sales a week: a thousand in all

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Thing:
    """A listing, and what only the simulation knows of it.

    `sold_at` and `price_minor` are None where it does not sell; `statistics` are as served.
    """

    number: int
    seller: str
    category: str
    features: npt.NDArray[np.float32]
    statistics: Statistics
    listed_at: datetime
    sold_at: datetime | None
    price_minor: int | None
    fake: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Draft:
    seller: str
    category: int
    features: npt.NDArray[np.float32]
    day: float
    sold_day: float | None
    price_minor: int
    fake: bool


class World:
    """A market from 16 weeks before a year to its end; equal seeds give equal markets."""

    def __init__(self, seed: int, *, a_week: int, weeks: int = YEAR) -> None:
        rng = np.random.default_rng((seed, 1))
        self.weeks = weeks
        self._a_week, self._seed = a_week, seed
        self._base = rng.normal(3.5, 0.7, _CATEGORIES)
        self._phase = rng.uniform(0, 2 * pi, _CATEGORIES)
        self._fashion = rng.normal(0, 0.25, (2, _LOOK))
        self._of_category = rng.normal(0, 0.06, (_CATEGORIES, _LOOK))
        self._habit = rng.normal(0, 0.12, _SELLERS)
        self._lens = rng.normal(0, 1, (_LOOK, _FEATURES)) / _LOOK**0.5
        self._new_lens = self._lens + rng.normal(0, 0.35, self._lens.shape) / _LOOK**0.5
        self._tint = rng.normal(0, 0.6, _FEATURES)
        self.things = list(self._served())

    def of_week(self, week: int) -> list[Thing]:
        """Return what is listed in a week of the year; weeks below 0 are before it."""
        start, end = self.starts(week), self.starts(week + 1)
        return [thing for thing in self.things if start <= thing.listed_at < end]

    def starts(self, week: int) -> datetime:
        """Return when a week of the year begins."""
        return START + timedelta(weeks=BURN_IN + week)

    def more_of(self, week: int, count: int, seed: int) -> list[Thing]:
        """Draw more listings by the law of a week, all sold at once: what no one could have.

        Their sellers, categories and statistics are those of the week's listings.
        """
        rng = np.random.default_rng((self._seed, 2, week + BURN_IN, seed))
        served = [thing for thing in self.of_week(week) if not thing.fake]
        found = []
        for number in range(count):
            of = served[int(rng.integers(len(served)))]
            day = (of.listed_at - START) / timedelta(days=1)
            draft = self._draft(rng, day, int(of.seller[1:]), int(of.category[1:]))
            found.append(
                Thing(
                    number=number,
                    seller=of.seller,
                    category=of.category,
                    features=draft.features,
                    statistics=of.statistics,
                    # in the order of drawing, or the parts of training would not be alike
                    listed_at=self.starts(week) + timedelta(seconds=number),
                    sold_at=self.starts(week) + timedelta(seconds=number + 1),
                    price_minor=draft.price_minor,
                    fake=False,
                )
            )
        return found

    def _served(self) -> Iterator[Thing]:
        """Let listings and sales go by in the order of time, through the store of statistics."""
        drafts = sorted(self._drafts(), key=lambda draft: draft.day)
        # at one moment a listing comes before sales
        moments = [(draft.day, 0, number) for number, draft in enumerate(drafts)]
        moments += [
            (draft.sold_day, 1, number)
            for number, draft in enumerate(drafts)
            if draft.sold_day is not None
        ]
        with TemporaryDirectory(prefix="secondsight-year-") as folder:
            store = PartitionStore.open(
                Path(folder) / "0", 0, options=RocksDBOptions(), rules=STATISTICS
            )
            for done, (at, sale, number) in enumerate(sorted(moments)):
                if sale:
                    store.apply_sale(
                        ItemSold(
                            transaction_id=f"t{number}",
                            listing_id=f"l{number}",
                            seller_id=drafts[number].seller,
                            category=f"c{drafts[number].category}",
                            price_minor=drafts[number].price_minor,
                            currency=CURRENCY,
                            sold_at=_moment(at),
                        )
                    )
                else:
                    yield _thing(number, drafts[number], store)
                if done % 500 == 499:
                    store.changes()
                    store.commit(done)
            store.close()

    def _drafts(self) -> Iterator[_Draft]:
        for week in range(-BURN_IN, self.weeks):
            rng = np.random.default_rng((self._seed, 3, week + BURN_IN))
            share = np.ones(_CATEGORIES)
            share[-1] = 0.0 if week < NEW_CATEGORY else min(1.5, 0.25 * (week - NEW_CATEGORY + 1))
            for _ in range(self._a_week):
                day = 7 * (week + BURN_IN + rng.random())
                # few sellers have many things
                seller = int(_SELLERS * rng.random() ** 2)
                category = int(rng.choice(_CATEGORIES, p=share / share.sum()))
                yield self._draft(rng, day, seller, category)
            if week in DISHONEST:
                for _ in range(_FAKES):
                    day = 7 * (week + BURN_IN + rng.random())
                    yield self._draft(rng, day, _SELLERS, 0, fake=True)

    def _draft(
        self,
        rng: np.random.Generator,
        day: float,
        seller: int,
        category: int,
        *,
        fake: bool = False,
    ) -> _Draft:
        look = rng.normal(size=_LOOK)
        price = self._log_price(look, day, seller, category) + rng.normal() * _NOISE
        if fake:
            price += np.log(10)
        sold = fake or rng.random() < _SOLD_SHARE
        sold_day = day + (0.01 if fake else 0.05 + rng.exponential(5)) if sold else None
        return _Draft(
            seller=f"s{seller}",
            category=category,
            features=self._photo(rng, look, day),
            day=day,
            sold_day=sold_day,
            price_minor=max(1, round(float(np.exp(price)) * 100)),
            fake=fake,
        )

    def _log_price(self, look: Floats, day: float, seller: int, category: int) -> float:
        week = day / 7 - BURN_IN
        turn = 2 * pi * week / YEAR
        season = 0.2 * sin(turn + self._phase[category])
        shock = -0.35 if week >= SHOCK and category in (1, 2) else 0.0
        fashion = self._fashion[0] + 0.4 * self._fashion[1] * sin(turn / 2)
        seen = float(look @ (fashion + self._of_category[category]))
        habit = float(self._habit[seller]) if seller < _SELLERS else 0.0
        return float(self._base[category]) + season + shock + seen + habit

    def _photo(self, rng: np.random.Generator, look: Floats, day: float) -> npt.NDArray[np.float32]:
        """Return the features of a photo: the last one tells how much of the look is lost."""
        week = day / 7 - BURN_IN
        new = rng.random() < np.clip((week - CAMERAS) / 10, 0.0, 0.9)
        lens = self._new_lens if new else self._lens
        bad = rng.random() < 0.35
        kept = rng.uniform(0.0, 0.3) if bad else rng.uniform(0.8, 1.0)
        shown = kept * (look @ lens) + rng.normal(size=_FEATURES) * (0.1 if not bad else 0.6)
        if new:
            shown = shown + self._tint
        found: npt.NDArray[np.float32] = np.append(shown, kept + rng.normal() * 0.1).astype("f4")
        return found


def _thing(number: int, draft: _Draft, store: PartitionStore) -> Thing:
    category = f"c{draft.category}"
    histograms = store.listing_histograms(
        listing_id=f"l{number}", seller_id=draft.seller, category=category, currency=CURRENCY
    )
    sold = draft.sold_day is not None
    return Thing(
        number=number,
        seller=draft.seller,
        category=category,
        features=draft.features,
        statistics=statistics_of(*histograms, CURRENCY),
        listed_at=_moment(draft.day),
        sold_at=None if draft.sold_day is None else _moment(draft.sold_day),
        price_minor=draft.price_minor if sold else None,
        fake=draft.fake,
    )


def _moment(day: float) -> datetime:
    return START + timedelta(days=day)


def honest(things: Sequence[Thing]) -> list[Thing]:
    """Return those that were sold to another: what errors are measured on."""
    return [thing for thing in things if thing.price_minor is not None and not thing.fake]
