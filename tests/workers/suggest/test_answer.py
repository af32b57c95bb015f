from datetime import UTC, datetime

import pytest

from models.images.faults import Fault
from models.pricer import Estimate
from schemas.image import ImageReference
from schemas.listing import ListingEnriched
from schemas.statistics import Scope, ScopeStatistics, Statistics
from schemas.suggestion import PriceSuggested, ReuploadReason, ReuploadRequested
from workers.suggest.answer import answer

_NO_SALES = ScopeStatistics(q1=0, q2=0, q3=0, mean=0, count=0, source=Scope.NONE)
LISTING = ListingEnriched(
    listing_id="listing-1",
    seller_id="seller-1",
    category="Toys > Trains",
    currency="JPY",
    images=tuple(ImageReference(uri=f"https://photos.example.com/{i}") for i in range(12)),
    listed_at=datetime(2026, 1, 2, tzinfo=UTC),
    statistics=Statistics(
        currency="JPY",
        seller=_NO_SALES,
        category=_NO_SALES,
        overall=ScopeStatistics(q1=100, q2=200, q3=300, mean=220, count=9, source=Scope.GLOBAL),
    ),
)

SOUND: tuple[Fault, ...] = ()
DARK = Fault(code=ReuploadReason.TOO_DARK, weight=0.7)
BLURRED = Fault(code=ReuploadReason.BLURRED, weight=0.8)
UNREADABLE = Fault(code=ReuploadReason.UNREADABLE, weight=1.0)
UNAVAILABLE = Fault(code=ReuploadReason.UNAVAILABLE, weight=1.0)


def estimate(*, qualified: bool) -> Estimate:
    return Estimate(
        price_minor=1500,
        low_minor=1200,
        high_minor=2000,
        score=0.3,
        confidence=0.75,
        qualified=qualified,
    )


@pytest.mark.parametrize("faults", [[SOUND], [SOUND, (DARK,)], [(UNAVAILABLE,), SOUND]])
def test_an_accepted_estimate_is_the_price_whatever_other_photos_were_left_out(
    faults: list[tuple[Fault, ...]],
) -> None:
    event = answer(
        LISTING, faults, estimate(qualified=True), model_version="v7", range_probability=0.9
    )

    assert event == PriceSuggested(
        listing_id="listing-1",
        seller_id="seller-1",
        category="Toys > Trains",
        currency="JPY",
        price_minor=1500,
        low_minor=1200,
        high_minor=2000,
        range_probability=0.9,
        confidence=0.75,
        statistics=LISTING.statistics,
        model_version="v7",
        listed_at=LISTING.listed_at,
    )


@pytest.mark.parametrize(
    ("faults", "rejected", "expected"),
    [
        ([SOUND], True, [("inadequate_information", None)]),
        ([SOUND, SOUND], True, [("inadequate_information", None)]),
        ([SOUND, (DARK,)], True, [("too_dark", 1)]),
        ([(BLURRED, DARK), SOUND], True, [("blurred", 0), ("too_dark", 0)]),
        ([SOUND, (UNAVAILABLE,)], True, [("unavailable", 1)]),
        ([(DARK,)], False, [("too_dark", 0)]),
        ([(UNREADABLE,)], False, [("unreadable", 0)]),
        ([(DARK,), (BLURRED,)], False, [("blurred", 1), ("too_dark", 0)]),
        (
            [(DARK,), (UNREADABLE,), (BLURRED,), (UNAVAILABLE,)],
            False,
            [("unreadable", 1), ("unavailable", 3), ("blurred", 2), ("too_dark", 0)],
        ),
        ([(DARK,), (DARK,)], False, [("too_dark", 0), ("too_dark", 1)]),
        (
            [(BLURRED, DARK)] * 12,
            False,
            [("blurred", i) for i in range(12)] + [("too_dark", i) for i in range(4)],
        ),
    ],
)
def test_otherwise_the_reasons_are_the_faults_by_weight(
    faults: list[tuple[Fault, ...]], rejected: bool, expected: list[tuple[str, int | None]]
) -> None:
    event = answer(
        LISTING,
        faults,
        estimate(qualified=False) if rejected else None,
        model_version="v7",
        range_probability=0.9,
    )

    assert isinstance(event, ReuploadRequested)
    assert [(reason.code.value, reason.image) for reason in event.reasons] == expected
    assert event.confidence == (0.75 if rejected else None)
    assert (event.listing_id, event.seller_id, event.category, event.listed_at) == (
        LISTING.listing_id,
        LISTING.seller_id,
        LISTING.category,
        LISTING.listed_at,
    )
    assert event.model_version == "v7"


def test_hints_are_those_of_the_language() -> None:
    event = answer(
        LISTING,
        [(DARK,), (BLURRED,)],
        None,
        model_version="v7",
        range_probability=0.9,
        hints={code: f"sentence of {code.value}" for code in ReuploadReason},
    )

    assert isinstance(event, ReuploadRequested)
    assert [reason.hint for reason in event.reasons] == [
        "sentence of blurred",
        "sentence of too_dark",
    ]
