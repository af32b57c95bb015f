from datetime import UTC, datetime

import numpy as np
import pytest

from simulator.catalogue import CATEGORIES
from simulator.events import Outcome, outcome_of
from simulator.listings import Listing, draw_listing
from simulator.photos.camera import PhotoFault
from simulator.price_law import PriceLaw
from simulator.sellers import Sellers
from simulator.things import draw_thing

COUNT = 6000


@pytest.fixture(scope="module")
def market() -> list[tuple[Listing, Outcome]]:
    rng = np.random.default_rng(11)
    law = PriceLaw(CATEGORIES, currency="GBP", rng=rng)
    sellers = Sellers(200, CATEGORIES, rng)
    found = []
    for index in range(COUNT):
        seller, category = sellers.pick(rng)
        listing = draw_listing(
            rng,
            listing_id=f"l{index}",
            index=index,
            thing=draw_thing(rng, category),
            seller=seller,
            listed_at=datetime(2026, 1, 5, tzinfo=UTC),
            categories=CATEGORIES,
            fault_share=0.12,
        )
        found.append((listing, outcome_of(listing, law, 0.0, rng)))
    return found


def share(hits: int, of: int) -> float:
    return hits / of


def test_most_things_sell_some_after_hours_some_after_days(
    market: list[tuple[Listing, Outcome]],
) -> None:
    hours = [
        (outcome.sold_at - listing.listed_at).total_seconds() / 3600
        for listing, outcome in market
        if outcome.sold_at is not None
    ]
    assert share(len(hours), COUNT) == pytest.approx(0.88, abs=0.02)
    assert min(hours) > 0
    assert np.quantile(hours, [0.1, 0.9]) == pytest.approx([8.3, 108], rel=0.15)
    assert max(hours) <= 30 * 24


def test_what_did_not_sell_has_no_price_and_no_events(
    market: list[tuple[Listing, Outcome]],
) -> None:
    for _, outcome in market:
        assert (outcome.price is None) == (outcome.sold_at is None) == (outcome.events == ())


def test_refunds_repeats_and_late_rows(market: list[tuple[Listing, Outcome]]) -> None:
    refunds = early = repeats = late = sold = 0
    for listing, outcome in market:
        if not outcome.events:
            continue
        sold += 1
        sale, *others = outcome.events
        assert (sale.price, sale.sold_at) == (outcome.price, outcome.sold_at)
        late += sale.told_at > sale.sold_at
        for other in others:
            assert other.transaction_id == sale.transaction_id
            assert other.listing is listing
            if other.price.startswith("-"):
                refunds += 1
                early += other.sold_at < sale.sold_at
                assert other.price == f"-{sale.price}"
                assert other.sold_at != sale.sold_at
            else:
                repeats += 1
                assert (other.price, other.sold_at) == (sale.price, sale.sold_at)
                assert other.told_at >= sale.told_at
    assert share(refunds, sold) == pytest.approx(0.02, abs=0.006)
    assert 0 < early < refunds / 2
    assert share(repeats, sold) == pytest.approx(0.01, abs=0.005)
    assert share(late, sold) == pytest.approx(0.03, abs=0.008)


def test_one_sold_price_in_twenty_is_irrational(market: list[tuple[Listing, Outcome]]) -> None:
    sold = [outcome for _, outcome in market if outcome.price is not None]
    assert share(sum(each.irrational for each in sold), len(sold)) == pytest.approx(0.05, abs=0.01)
    for outcome in sold:
        assert outcome.price is not None
        assert (not 0.5 < float(outcome.price) < 20_000) == outcome.irrational


def test_labels_are_missing_or_wrong_as_often_as_said(
    market: list[tuple[Listing, Outcome]],
) -> None:
    listings = [listing for listing, _ in market]
    branded = [each for each in listings if each.thing.brand is not None]
    assert share(len(branded), COUNT) == pytest.approx(0.9, abs=0.015)
    silent = sum(each.brand is None for each in branded)
    assert share(silent, len(branded)) == pytest.approx(0.30, abs=0.02)
    wrong = sum(each.category != each.thing.category.path for each in listings)
    assert share(wrong, COUNT) == pytest.approx(0.03, abs=0.01)
    assert {each.category for each in listings} == {each.path for each in CATEGORIES}
    attributes = sum(len(each.attributes) for each in listings)
    assert share(attributes, 4 * COUNT) == pytest.approx(0.85, abs=0.01)


def test_sellers_and_categories_are_zipf(market: list[tuple[Listing, Outcome]]) -> None:
    sellers, counts = np.unique([each.seller.seller_id for each, _ in market], return_counts=True)
    busiest = sellers[np.argmax(counts)]
    assert busiest == "seller-00001"
    # of 200 sellers, weights 1/k: the first has 1/5.878 of all
    assert share(int(counts.max()), COUNT) == pytest.approx(0.170, abs=0.02)
    assert np.median(counts) < COUNT / 200 / 1.5
    paths = [each.thing.category.path for each, _ in market]
    assert paths.count("Clothing > Shoes") > 2 * paths.count("Home > Sofas")


def test_faults_spoil_every_photo_and_sound_listings_keep_a_sound_one(
    market: list[tuple[Listing, Outcome]],
) -> None:
    listings = [listing for listing, _ in market]
    faulty = [each for each in listings if each.fault is not None]
    assert share(len(faulty), COUNT) == pytest.approx(0.12, abs=0.015)
    assert {each.fault for each in faulty} == set(PhotoFault)
    assert all(set(each.photo_faults) == {each.fault} for each in faulty)
    sound = [each for each in listings if each.fault is None]
    assert all(None in each.photo_faults for each in sound)
    assert any(set(each.photo_faults) != {None} for each in sound)
    assert {len(each.images) for each in listings} == {1, 2, 3}
