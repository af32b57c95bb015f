"""A share of the listings is a control group: its prices reach nobody."""

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from schemas.suggestion import PriceSuggested
from tests.workers.suggest.conftest import Scene
from workers.runtime.processing import Output
from workers.suggest.control import is_control
from workers.suggest.processor import SuggestProcessor

LISTINGS = [f"listing-{n}" for n in range(2_000)]


def test_a_share_of_the_listings_is_drawn() -> None:
    for share in (0.0, 0.05, 0.5, 1.0):
        drawn = sum(is_control(listing, share) for listing in LISTINGS)
        deviation = (share * (1 - share) * len(LISTINGS)) ** 0.5
        assert abs(drawn - share * len(LISTINGS)) <= 5 * deviation


@given(st.text(min_size=1, max_size=128), st.floats(0, 1), st.floats(0, 1))
def test_a_larger_share_keeps_those_that_were_drawn(listing: str, one: float, other: float) -> None:
    if is_control(listing, min(one, other)):
        assert is_control(listing, max(one, other))


def test_the_price_of_a_control_goes_to_the_shadow_and_says_so(
    scene: Scene, start: Callable[..., SuggestProcessor], registry: CollectorRegistry
) -> None:
    processor = start(control_share=0.5)
    records = [
        scene.record(scene.enriched(scene.grey(100), listing_id=listing), offset=offset)
        for offset, listing in enumerate(LISTINGS[:20])
    ]
    refused = scene.record(scene.enriched("data:,no-photo", listing_id="refused"), offset=20)

    *prices, request = scene.processed(processor, [*records, refused])
    processor.committed({})

    told = held = 0
    for listing, output in zip(LISTINGS, prices, strict=False):
        event = scene.read(output)
        assert isinstance(event, PriceSuggested)
        assert event.listing_id == listing
        assert isinstance(output, Output)
        assert (output.topic, event.control) in {("price.suggested", None), ("price.shadow", True)}
        held += event.control is True
        told += event.control is None
    assert told + held == 20
    assert min(told, held) > 0
    assert isinstance(request, Output)
    assert request.topic == "reupload.requested"  # it tells no price
    counted = registry.get_sample_value
    assert counted("secondsight_suggestions_total") == told
    assert counted("secondsight_suggestion_controls_total") == held
