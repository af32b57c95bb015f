"""A simulated marketplace, written as a dataset with its truth beside it."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import numpy as np

from schemas.errors import CurrencyError
from schemas.money import minor_unit_digits
from simulator.catalogue import CATEGORIES, Category
from simulator.errors import SimulatorError
from simulator.events import Outcome, outcome_of
from simulator.listings import Listing, draw_listing
from simulator.photos.album import Sitting, take_photos
from simulator.price_law import PriceLaw
from simulator.sellers import Sellers
from simulator.things import draw_thing
from simulator.writer import write_tables

START = date(2026, 1, 5)
LISTINGS_PER_SELLER = 15
_FIRST_DAY, _LAST_DAY = date(1970, 1, 1), date(9000, 1, 1)

# Each purpose has random numbers of its own, so that one does not shift the others.
_MARKET, _LISTING, _LOOK, _SHOT = range(4)


@dataclass(frozen=True, slots=True)
class Simulated:
    """What was written: rows of listings.csv and of sales.csv, and files in images/."""

    listings: int
    sales: int
    photos: int


def simulate(
    out: Path,
    *,
    listings: int = 3000,
    sellers: int | None = None,
    categories: int | None = None,
    seed: int = 7,
    days: int = 60,
    start: date = START,
    currency: str = "GBP",
    fault_share: float = 0.12,
    workers: int | None = None,
    on_progress: Callable[[int], None] = lambda _: None,
) -> Simulated:
    """Write a dataset of that many listings, spread over `days` from `start`, into a new folder.

    The same arguments give the same bytes, whatever the number of processes.

    Args:
        out: the folder; it may exist but has to be empty. dataset.json is written last.
        listings: number of listings.
        sellers: number of sellers; by default one for every 15 listings.
        categories: how many of the kinds of things, the most popular first; by default all.
        seed: of all random numbers.
        days: length of the time in which things are listed; sales go on after it.
        start: first day, UTC.
        currency: ISO 4217 code of all prices.
        fault_share: share of listings whose photos are all spoilt.
        workers: processes that draw photos; by default one for each core. 1 draws them here.
        on_progress: gets the number of listings whose photos were written since the last call.

    Raises:
        SimulatorError: an argument makes no sense, or the folder is not empty or not writable.
    """
    kinds = CATEGORIES[: len(CATEGORIES) if categories is None else categories]
    sellers = max(1, listings // LISTINGS_PER_SELLER) if sellers is None else sellers
    workers = (os.cpu_count() or 1) if workers is None else workers
    _check(
        (listings >= 1, "listings must be at least 1"),
        (sellers >= 1, "sellers must be at least 1"),
        (categories is None or 1 <= categories <= len(CATEGORIES),
         f"categories must be 1 to {len(CATEGORIES)}"),
        (seed >= 0, "seed must not be negative"),
        (1 <= days <= 36_500, "days must be 1 to 36,500"),
        (_FIRST_DAY <= start <= _LAST_DAY, f"start must be from {_FIRST_DAY} to {_LAST_DAY}"),
        (0.0 <= fault_share <= 1.0, "fault_share must be 0 to 1"),
        (workers >= 1, "workers must be at least 1"),
    )  # fmt: skip
    try:
        minor_unit_digits(currency)
    except CurrencyError as error:
        raise SimulatorError(str(error)) from None

    rng = np.random.default_rng((seed, _MARKET))
    law = PriceLaw(kinds, currency=currency, rng=rng)
    market = _draw_market(
        law,
        Sellers(sellers, kinds, rng),
        kinds,
        listings=listings,
        seed=seed,
        days=days,
        start=datetime.combine(start, time(), UTC),
        fault_share=fault_share,
        rng=rng,
    )
    sittings = [_sitting(listing, out, seed) for listing, _, _ in market]
    try:
        _make_empty(out)
        take_photos(sittings, processes=workers, on_progress=on_progress)
        sales = write_tables(out, f"simulated-{seed}", law, market)
    except OSError as error:
        raise SimulatorError(f"{out} cannot be written: {error}") from None
    return Simulated(len(market), sales, sum(len(sitting.files) for sitting in sittings))


def _check(*rules: tuple[bool, str]) -> None:
    for holds, sentence in rules:
        if not holds:
            raise SimulatorError(sentence)


def _draw_market(
    law: PriceLaw,
    sellers: Sellers,
    kinds: tuple[Category, ...],
    *,
    listings: int,
    seed: int,
    days: int,
    start: datetime,
    fault_share: float,
    rng: np.random.Generator,
) -> list[tuple[Listing, Outcome, float]]:
    market = []
    seconds = np.sort(rng.integers(0, days * 86_400, listings))
    for index, second in enumerate(seconds.tolist()):
        own = np.random.default_rng((seed, _LISTING, index))
        seller, category = sellers.pick(own)
        listing = draw_listing(
            own,
            listing_id=f"s{seed}-{index + 1:06d}",
            index=index,
            thing=draw_thing(own, category),
            seller=seller,
            listed_at=start + timedelta(seconds=second),
            categories=kinds,
            fault_share=fault_share,
        )
        day = second / 86_400
        log_oracle = law.log_oracle(listing.thing, seller.habit, day)
        market.append((listing, outcome_of(listing, law, day, own), log_oracle))
    return market


def _sitting(listing: Listing, out: Path, seed: int) -> Sitting:
    return Sitting(
        thing=listing.thing,
        files=tuple(out / name for name in listing.images),
        faults=listing.photo_faults,
        backgrounds=listing.seller.backgrounds,
        look=(seed, _LOOK, listing.index),
        shot=(seed, _SHOT, listing.index),
    )


def _make_empty(out: Path) -> None:
    if out.is_dir() and any(out.iterdir()):
        raise SimulatorError(f"{out} is not empty: name a new folder, nothing is overwritten")
    (out / "images").mkdir(parents=True)
