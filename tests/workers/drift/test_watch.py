"""Drift that is planted is found and asked about; without any, nothing is asked for."""

import json
from datetime import timedelta
from math import log
from pathlib import Path

import pytest

from tests.workers.drift.conftest import Watched
from workers.drift.errors import by_age, by_category
from workers.drift.exporting import show
from workers.drift.page import drift_page
from workers.drift.watch import LEAST
from workers.errors import BadDataError, ConfigurationError
from workers.examples.example import Decision, Example
from workers.registry.announcing import withdraw
from workers.registry.reports import RetrainRecords
from workers.runtime.metrics import DriftMetrics, new_registry


def requests(watched: Watched) -> list[str]:
    return RetrainRecords(watched.places.registry_url).requests()


def beyond(found: object) -> set[str]:
    return {each.name for each in found.columns if each.beyond}  # type: ignore[attr-defined]


def test_the_same_market_is_no_drift(watched: Watched) -> None:
    found = watched.look(lambda each: each)
    assert found.reasons == ()
    assert found.says == "no drift"
    assert found.model_version == watched.version
    assert found.reference_end == watched.learnt_until
    assert (found.reference >= LEAST, found.current) == (True, len(watched.later))
    assert {each.name for each in found.columns} >= {
        "image_component_1",
        "statistics_category_median",
        "answer_log_price",
        "answer_score",
        "category",
    }
    assert requests(watched) == []
    assert "no drift" in drift_page(found, psi_limit=0.2)


def test_prices_that_rose_are_found_in_the_statistics_and_asked_about(watched: Watched) -> None:
    def dearer(each: Example) -> Example:
        scopes = {
            name: getattr(each.statistics, name).model_copy(
                update={
                    part: 3 * getattr(getattr(each.statistics, name), part)
                    for part in ("q1", "q2", "q3", "mean")
                }
            )
            for name in ("seller", "category", "overall")
        }
        return each.model_copy(update={"statistics": each.statistics.model_copy(update=scopes)})

    found = watched.look(dearer)
    assert {"statistics_category_median", "statistics_overall_median"} <= beyond(found)
    assert "image_component_1" not in beyond(found)
    assert found.requested
    assert requests(watched) == ["drift"]
    (request,) = (Path(watched.places.registry_url) / "requests").iterdir()
    assert json.loads(request.read_text())["reasons"] == list(found.reasons)
    assert "PSI over 0.2 of" in found.reasons[0]


def test_soon_after_a_retraining_nothing_is_asked_for(watched: Watched) -> None:
    found = watched.look(
        lambda each: each.model_copy(update={"category": "Home > New"}), pause=timedelta(days=9)
    )
    assert "category" in beyond(found)
    assert not found.requested
    assert found.says.endswith("the last retraining is too recent to ask again")
    assert requests(watched) == []


def test_other_photos_are_found_in_the_images_and_the_answers(watched: Watched) -> None:
    dearest = sorted(watched.later, key=lambda each: -(each.sold_minor or 0))[:40]

    def of_the_dearest(each: Example) -> Example:
        place = int(each.listing_id.rpartition("-")[2])
        return each.model_copy(update={"images": dearest[place % 40].images})

    found = watched.look(of_the_dearest)
    assert {"answer_log_price"} <= beyond(found)
    assert any(name.startswith("image_component_") for name in beyond(found))
    assert "statistics_category_median" not in beyond(found)


def test_errors_that_grew_are_a_reason_and_are_told_by_age_and_category(watched: Watched) -> None:
    def off(each: Example) -> Example:
        if each.decision is not Decision.PRICE or each.sold_minor is None:
            return each
        return each.model_copy(update={"suggested_minor": 4 * each.sold_minor})

    found = watched.look(off, psi=100.0)
    assert found.error == pytest.approx(log(4))
    assert found.expected_error is not None
    assert found.growth == pytest.approx(log(4) / found.expected_error)
    (reason,) = found.reasons
    assert reason.startswith(f"the error is {log(4) / found.expected_error:.2f} times")
    scored = [
        each
        for each in watched.later
        if each.decision is Decision.PRICE and each.sold_minor is not None
    ]
    assert sum(group.count for group in found.by_category) == len(scored) == found.errors_scored
    # the model's first listing is the first that came since: weeks are counted from there
    first = min(each.listed_at for each in watched.later)
    weeks = {(each.listed_at - first).days // 7 + 1 for each in scored}
    assert {group.name for group in found.by_age} == {str(week) for week in weeks}

    registry = new_registry()
    show(found, DriftMetrics(registry))

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(f"secondsight_{name}", labels)

    assert value("drift_error") == pytest.approx(log(4))
    assert value("drift_error_by_age", week="1") == pytest.approx(log(4))
    assert value("drift_psi", column="category") is not None
    assert value("drift_limits_passed") == 1
    assert value("drift_requests_total") == 1
    page = drift_page(found, psi_limit=0.2)
    assert "image/svg+xml" in page
    assert "week 1" in page


def test_errors_are_means_of_what_was_told_and_sold(watched: Watched) -> None:
    priced = [each for each in watched.later if each.suggested_minor and each.sold_minor]
    one, other = priced[0], priced[1]
    examples = [
        one.model_copy(
            update={"category": "A", "model_version": "m", "suggested_minor": 2 * one.sold_minor}  # type: ignore[operator]
        ),
        other.model_copy(
            update={"category": "B", "model_version": "m", "suggested_minor": other.sold_minor}
        ),
        other.model_copy(update={"category": "A", "model_version": "m", "sold_minor": None}),
    ]
    assert {name: (e.count, e.male) for name, e in by_category(examples).items()} == {
        "A": (1, pytest.approx(log(2))),
        "B": (1, 0.0),
    }
    assert {week: e.count for week, e in by_age(examples).items()} == {0: 2}


def test_too_few_listings_tell_nothing_and_without_a_model_or_examples_it_says_so(
    watched: Watched,
) -> None:
    watched.later = watched.later[: LEAST - 1]
    found = watched.look(lambda each: each.model_copy(update={"category": "new"}))
    assert f"{LEAST - 1} new ones" in found.says
    assert (found.columns, found.reasons, requests(watched)) == ((), (), [])
    assert "too few" in drift_page(found, psi_limit=0.2)

    for path in (Path(watched.places.registry_url).parent / "examples").rglob("*.parquet"):
        path.unlink()
    watched.later = []
    with pytest.raises(BadDataError, match="SECONDSIGHT_EXAMPLES_URL"):
        watched.look(lambda each: each)
    withdraw(watched.version, watched.places.options, topic=watched.places.topic)
    with pytest.raises(ConfigurationError, match="no model is live"):
        watched.look(lambda each: each)
