"""One look at drift: the champion's examples beside those of now, and a request if they differ."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import structlog

from models.image_networks import networks_of
from models.pricer import Pricer
from workers.drift.columns import columns
from workers.drift.errors import MeanError, by_age, by_category, mean_error, scored
from workers.drift.report import ColumnDrift, DriftReport, GroupError
from workers.errors import BadDataError, ConfigurationError
from workers.examples.example import Example
from workers.examples.store import ExampleStore
from workers.registry.announcing import announcements
from workers.registry.reports import RetrainRecords
from workers.registry.storage import ModelRegistry
from workers.retrain.champion import Champion, champion
from workers.retrain.photos import PhotoShelf
from workers.runtime.clients import ClientOptions

log = structlog.get_logger(__name__)

REQUEST = "drift"
LEAST = 200  # listings of either time; the PSI of fewer is chance
LEAST_SCORED = 50
_LEARNT = "that it learnt from"
_FIRST = "that it answered first"

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """When a new model is asked for.

    Attributes:
        days: what was listed in so many days is compared.
        sample: so many listings of either time, at most.
        psi: of a column.
        error_growth: of the error, over that of when the model was made.
        pause: no request sooner after a retraining: it may have kept the model for good reason.
        max_ahead: of clocks.
    """

    days: float
    sample: int
    psi: float
    error_growth: float
    pause: timedelta
    max_ahead: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Where a look at drift reads: as of a retraining, whose cache of looks it shares."""

    examples: ExampleStore
    registry_url: str
    shelf: PhotoShelf
    options: ClientOptions
    topic: str


def look_for_drift(
    sources: Sources, limits: Limits, *, now: datetime, report: Progress
) -> DriftReport:
    """Compare what is listed now with what the live model learnt from; ask for a new one if needed.

    Args:
        sources: where to read.
        limits: when to ask.
        now: UTC.
        report: told of progress.

    Raises:
        ConfigurationError: no model is live.
        BadDataError: there are no examples.
        WorkersError: the registry, the examples, the photos or Kafka cannot be reached.
    """
    registry, records = ModelRegistry(sources.registry_url), RetrainRecords(sources.registry_url)
    with champion(announcements(sources.options, sources.topic), registry) as live:
        if live is None:
            raise ConfigurationError(
                "no model is live, so nothing can have drifted from it: publish one with "
                "'secondsight models publish' or 'secondsight retrain'"
            )
        found = _compare(sources, limits, live, now, report)
    if found.reasons and _may_ask(records, now, limits.pause):
        records.write_request(REQUEST, {"at": now.isoformat(), "reasons": list(found.reasons)})
        found = found.model_copy(
            update={"requested": True, "says": f"{found.says}: a new model was asked for"}
        )
    elif found.reasons:
        found = found.model_copy(
            update={"says": f"{found.says}, but the last retraining is too recent to ask again"}
        )
    return found


def _may_ask(records: RetrainRecords, now: datetime, pause: timedelta) -> bool:
    last = records.last_at()
    return last is None or now - last >= pause


def _compare(
    sources: Sources, limits: Limits, live: Champion, now: datetime, report: Progress
) -> DriftReport:
    manifest = live.bundle.manifest
    end = live.listed_until
    window = manifest.source.window
    report("examples", 0, 1)
    start = now - timedelta(days=limits.days)
    read = sources.examples.read(min(start, window.start if window else end))
    latest = now + limits.max_ahead
    ours = sorted(
        (
            each
            for each in read.examples
            if each.currency == manifest.currency and max(each.known_at, each.listed_at) <= latest
        ),
        key=lambda each: (each.listed_at, each.listing_id),
    )
    report("examples", 1, 1)
    if not ours:
        raise BadDataError(
            f"there are no examples in {manifest.currency}: is the outcomes worker running, and "
            "SECONDSIGHT_EXAMPLES_URL the same there?"
        )
    reference, reference_of, since = _reference(ours, end)
    current = [each for each in ours if each.listed_at > max(since, start)]
    version = live.event.model_version
    answered = [each for each in current if each.model_version == version]
    errors = mean_error([error for _, error in scored(answered)])
    expected = _expected(manifest.metrics)
    about = DriftReport(
        at=now,
        model_version=version,
        reference=len(reference),
        reference_of=reference_of,
        reference_start=reference[0].listed_at if reference else None,
        reference_end=reference[-1].listed_at if reference else None,
        current=len(current),
        current_start=max(since, start),
        error=errors.male if errors else None,
        errors_scored=errors.count if errors else 0,
        expected_error=expected,
        by_age=_groups({f"{week + 1}": error for week, error in by_age(ours).items()}),
        by_category=_groups(by_category(answered)),
        says="nothing can be told",
    )
    if min(len(reference), len(current)) < LEAST:
        return about.model_copy(
            update={
                "says": f"too few listings to compare: {len(reference)} {reference_of} and "
                f"{len(current)} new ones, {LEAST} of each are needed"
            }
        )
    moved = tuple(_moved(sources, limits, live, reference, current, report))
    reasons = tuple(_reasons(moved, about, limits))
    says = f"drift: {'; '.join(reasons)}" if reasons else "no drift"
    return about.model_copy(update={"columns": moved, "reasons": reasons, "says": says})


def _reference(
    examples: Sequence[Example], learnt_until: datetime
) -> tuple[Sequence[Example], str, datetime]:
    """Return what to compare with, what that is, and since when listings are new.

    What the model learnt from, if it learnt from the stream; else the first that it answered.
    """
    learnt = [each for each in examples if each.listed_at <= learnt_until]
    if len(learnt) >= LEAST:
        return learnt, _LEARNT, learnt_until
    first = examples[len(learnt) : len(learnt) + LEAST]
    return first, _FIRST, first[-1].listed_at if first else learnt_until


def _moved(
    sources: Sources,
    limits: Limits,
    live: Champion,
    reference: Sequence[Example],
    current: Sequence[Example],
    report: Progress,
) -> Iterator[ColumnDrift]:
    images = networks_of(live.bundle)
    seen = [
        sources.shelf.look(
            _sample(each, limits.sample),
            images,
            progress=lambda done, total: report("photos", done, total),
        )
        for each in (reference, current)
    ]
    compared = list(columns(Pricer(live.bundle), seen[0], seen[1]))
    for column in compared:
        found = column.drift()
        yield ColumnDrift(
            name=column.name,
            psi=found.psi,
            by_chance=found.by_chance,
            ks=found.ks,
            p_value=found.p_value,
            beyond=found.beyond(limits.psi, len(compared)),
        )


def _sample(examples: Sequence[Example], count: int) -> list[Example]:
    """Return so many of them, the same each time, so that their photos are in the cache."""
    if len(examples) <= count:
        return list(examples)
    chosen = np.random.default_rng(0).choice(len(examples), count, replace=False)
    return [examples[place] for place in sorted(chosen.tolist())]


def _reasons(moved: Sequence[ColumnDrift], about: DriftReport, limits: Limits) -> Iterator[str]:
    far = sorted((each for each in moved if each.beyond), key=lambda each: -each.psi)
    if far:
        named = ", ".join(f"{each.name} ({each.psi:.2f})" for each in far[:3])
        more = f" and {len(far) - 3} more" if len(far) > 3 else ""
        yield f"PSI over {limits.psi:g} of {named}{more}"
    growth = about.growth
    if growth is not None and about.errors_scored >= LEAST_SCORED and growth > limits.error_growth:
        yield (
            f"the error is {growth:.2f} times that of when the model was made, "
            f"{limits.error_growth:g} is the limit"
        )


def _expected(metrics: Mapping[str, object]) -> float | None:
    """Return the MALE of what the model accepted when it was made."""
    accepted = metrics.get("accepted_only")
    male = accepted.get("male") if isinstance(accepted, dict) else None
    return float(male) if isinstance(male, int | float) else None


def _groups(errors: Mapping[str, MeanError]) -> tuple[GroupError, ...]:
    return tuple(
        GroupError(name=name, count=error.count, male=error.male) for name, error in errors.items()
    )
