"""The answer to a listing: a price where the photos carry one, else a request for better ones."""

from collections.abc import Sequence

from models.images.faults import Fault
from models.pricer import Estimate
from schemas.listing import ListingEnriched
from schemas.suggestion import PriceSuggested, Reason, ReuploadReason, ReuploadRequested
from workers.suggest.hints import ENGLISH, Hints

_MAX_REASONS = 16  # what the event holds


def answer(
    listing: ListingEnriched,
    faults: Sequence[Sequence[Fault]],
    estimate: Estimate | None,
    *,
    model_version: str,
    range_probability: float,
    hints: Hints = ENGLISH,
) -> PriceSuggested | ReuploadRequested:
    """Decide what the seller is told.

    Args:
        listing: the listing with its statistics.
        faults: for each of its photos what is wrong with it; nothing for a sound one.
        estimate: what the sound photos gave; None where no photo is sound.
        model_version: names the bundle that gave the estimate.
        range_probability: the share of sold prices that a range holds.
        hints: what is said beside each reason.

    Returns:
        The price if the qualifying network accepts the estimate. Otherwise the faults of the
        photos by weight, or, where every photo is sound, that they show too little.
    """
    if estimate is not None and estimate.qualified:
        return PriceSuggested(
            listing_id=listing.listing_id,
            seller_id=listing.seller_id,
            category=listing.category,
            currency=listing.currency,
            price_minor=estimate.price_minor,
            low_minor=estimate.low_minor,
            high_minor=estimate.high_minor,
            range_probability=range_probability,
            confidence=estimate.confidence,
            statistics=listing.statistics,
            model_version=model_version,
            listed_at=listing.listed_at,
        )
    return ReuploadRequested(
        listing_id=listing.listing_id,
        seller_id=listing.seller_id,
        category=listing.category,
        reasons=_reasons(faults, hints),
        confidence=None if estimate is None else estimate.confidence,
        model_version=model_version,
        listed_at=listing.listed_at,
    )


def _reasons(faults: Sequence[Sequence[Fault]], hints: Hints) -> tuple[Reason, ...]:
    found = [(fault, image) for image, of_photo in enumerate(faults) for fault in of_photo]
    found.sort(key=lambda item: -item[0].weight)  # of equal weight, the main photo leads
    if not found:
        return (_reason(ReuploadReason.INADEQUATE_INFORMATION, None, hints),)
    return tuple(_reason(fault.code, image, hints) for fault, image in found[:_MAX_REASONS])


def _reason(code: ReuploadReason, image: int | None, hints: Hints) -> Reason:
    return Reason(code=code, hint=hints[code], image=image)
