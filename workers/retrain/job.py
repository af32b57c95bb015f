"""One retraining: window, photos, challenger, gate, and publication if the gate says so."""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import structlog
from pydantic import JsonValue

from models.anchoring import Anchoring, anchoring
from models.assembly import measured
from models.bundle.manifest import Manifest, RuleName
from models.dataset.rows import Dataset
from models.gate.poisoning import poisoning_check
from models.gate.rules import GateRules
from models.gate.verdict import Verdict
from models.head_training import Objective, Report
from models.image_networks import ImageNetworks, networks_of
from models.joint.trainer import Plan
from models.pricer import Pricer
from models.retraining import Origin, retrain_bundle, with_verdict
from models.training import CHECKPOINT_FILE
from schemas.model import ModelRole
from workers.errors import BadDataError, WorkersError
from workers.examples.example import Decision, Example
from workers.examples.store import ExampleStore
from workers.registry.announcements import Announcements
from workers.registry.announcing import announce, announcements
from workers.registry.lock import RegistryLock
from workers.registry.reports import RetrainRecords
from workers.registry.storage import ModelRegistry
from workers.retrain.champion import Champion, champion
from workers.retrain.code_version import code_version
from workers.retrain.images import ChosenImages, Extractors, choose_images
from workers.retrain.judging import answers_of, judgeable, priced_with, verdict_on
from workers.retrain.parts import HELD_LEAST, HELD_SHARE, Parts, divide
from workers.retrain.photos import PhotoShelf, Pictured
from workers.retrain.report import RetrainReport
from workers.retrain.rows import served_statistics
from workers.retrain.window import Window, is_sold, read_window
from workers.runtime.clients import ClientOptions

log = structlog.get_logger(__name__)

LOCK = "retrain"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How a retraining chooses and judges; the numbers of the settings.

    Attributes:
        days: of the window.
        floor: examples of a category that older ones fill up to.
        seller_share: of one seller in a category, of what the others have there; 0: no limit.
        seller_cap: of the statistics: so many sales of one seller count for others; 0: all.
        max_ahead: of clocks.
        held_share: of the sold listings, which judge.
        held_least: of them.
        objective: None takes the champion's, or the default of the first model.
        extractors: how image networks are made.
        gate: its margins.
        plan: of the heads; by the number of listings by default.
        seed: of all random numbers.
    """

    days: int
    floor: int
    seller_share: float
    seller_cap: int
    max_ahead: timedelta
    held_share: float = HELD_SHARE
    held_least: int = HELD_LEAST
    objective: Objective | None = None
    extractors: Extractors
    gate: GateRules = field(default_factory=GateRules)
    plan: Plan | None = None
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where a retraining reads and writes.

    Attributes:
        examples: of the outcomes worker.
        registry_url: of models, reports and the lock.
        shelf: of photos and looks at them.
        folder: where the state of a training is kept, so that a killed one goes on.
        options: of Kafka clients.
        topic: the name of `models` on the cluster.
    """

    examples: ExampleStore
    registry_url: str
    shelf: PhotoShelf
    folder: Path
    options: ClientOptions
    topic: str


def retrain(places: Places, rules: Rules, *, now: datetime, report: Report) -> RetrainReport:
    """Train a challenger on what became known, and publish it if it is fit to take over.

    Nothing is announced before the bundle lies whole in the registry, and a job that is killed
    leaves the champion as it was. The report is kept in the registry, whatever the verdict.

    Args:
        places: where it reads and writes.
        rules: how it chooses.
        now: UTC.
        report: told of progress.

    Raises:
        LockedError: another job is at it, or this one lost the lock.
        BadDataError: the window holds too little, or too much of it is damaged.
        DatasetError: there is too little to learn from.
        TrainingError: training came to no good end.
        WorkersError: the registry, the examples, the photos or Kafka cannot be reached.
    """
    started = time.monotonic()
    registry, records = ModelRegistry(places.registry_url), RetrainRecords(places.registry_url)
    with RegistryLock(places.registry_url, LOCK) as lock:
        requests = records.requests()
        announced = announcements(places.options, places.topic)
        with (
            champion(announced, registry) as before,
            TemporaryDirectory(prefix="secondsight-retrain-") as name,
        ):
            job = _Job(places, rules, before, Path(name), now, report)
            found = job.challenge()
            if found.published:
                lock.check()
                if _live(announcements(places.options, places.topic)) != _live(announced):
                    raise WorkersError(
                        "another model was announced meanwhile, which the challenger was not "
                        "compared with: nothing was published, run it again"
                    )
                announce(
                    job.bundle,
                    registry,
                    places.options,
                    topic=places.topic,
                    role=ModelRole.LIVE,
                    share=None,
                )
        found = found.model_copy(update={"wall_s": round(time.monotonic() - started, 1)})
        records.write_report(now, found.model_version or "none", found.model_dump(mode="json"))
        records.answer_requests(requests)
    return found


class _Job:
    """A challenger in the making: what all its steps need."""

    def __init__(
        self,
        places: Places,
        rules: Rules,
        before: Champion | None,
        folder: Path,
        now: datetime,
        report: Report,
    ) -> None:
        self.bundle = folder / "bundle"
        self._places, self._rules, self._before = places, rules, before
        self._folder, self._now, self._report = folder, now, report

    def challenge(self) -> RetrainReport:
        """Train a challenger, write it to `bundle`, and judge it."""
        rules, before = self._rules, self._before
        self._report("examples", 0, 1)
        window = read_window(
            self._places.examples,
            now=self._now,
            days=rules.days,
            floor=rules.floor,
            seller_share=rules.seller_share,
            max_ahead=rules.max_ahead,
            currency=before.bundle.manifest.currency if before else None,
        )
        self._report("examples", 1, 1)
        if len(window.sold) < 2 * rules.gate.min_listings:  # no more than half is held apart
            raise BadDataError(
                f"{len(window.sold)} of the {len(window.examples)} examples in the window were "
                f"sold: {2 * rules.gate.min_listings} are needed, to learn from and to judge by. "
                "Wait, or make the window longer"
            )
        parts = divide(
            window.examples,
            champion_until=before.listed_until if before else None,
            share=rules.held_share,
            least=rules.held_least,
        )
        about = self._about(window, parts)
        if len(parts.held) < rules.gate.min_listings:
            about["reason"] = (
                f"{about['parent']} stays, nothing was trained: {len(parts.held)} sold listings "
                f"that it does not know are too few to judge by, {rules.gate.min_listings} are "
                "needed"
            )
            return RetrainReport(**about)
        chosen = choose_images(
            before,
            parts.learnt,
            self._places.shelf,
            self._folder,
            extractors=rules.extractors,
            currency=window.currency,
            now=self._now,
            seed=rules.seed,
            report=self._report,
        )
        seen, held = (self._look(part, chosen.images) for part in (parts.learnt, parts.held))
        manifest = self._train(window, seen, chosen)
        held = held.take(judgeable(held, seen, manifest.price_limits))
        held, verdict, metrics = self._judge(held, manifest)
        says: dict[str, JsonValue] = {check.name: check.says for check in verdict.checks}
        about_verdict: dict[str, JsonValue] = {"publish": verdict.publish, "checks": says}
        manifest = with_verdict(self.bundle, about_verdict, metrics)
        assert manifest.lineage is not None  # noqa: S101 - of `retrain_bundle`
        about |= {
            "published": verdict.publish,
            "model_version": manifest.model_version,
            "reason": _reason(manifest.model_version, about["parent"], verdict),
            "learnt": len(seen.examples),
            "held": len(held.examples),
            "without_photos": len(parts.learnt) - len(seen.examples),
            "images": chosen.why,
            "began_as": manifest.lineage.began_as,
            "checks": [
                {"name": e.name, "passed": e.passed, "says": e.says, "figures": dict(e.figures)}
                for e in verdict.checks
            ],
            "metrics": manifest.metrics,
        }
        return RetrainReport(**about)

    def _about(self, window: Window, parts: Parts) -> dict[str, Any]:
        found = window_anchoring(window.examples, seed=self._rules.seed)
        return {
            "at": self._now,
            "published": False,
            "parent": self._before.event.model_version if self._before else None,
            "window_start": window.examples[0].listed_at,
            "window_end": self._now,
            "examples": len(window.examples),
            "older": window.older,
            "sold": len(window.sold),
            "categories": window.categories,
            "damaged": tuple(window.damaged),
            "ahead": window.ahead,
            "other_currency": window.other_currency,
            "crowded": window.crowded,
            "learnt": len(parts.learnt),
            "held": len(parts.held),
            "champion_saw": parts.champion_saw,
            "anchoring": {**asdict(found), "says": found.says()},
            "code": code_version(),
        }

    def _look(self, examples: Sequence[Example], images: ImageNetworks) -> Pictured:
        return self._places.shelf.look(
            examples, images, progress=lambda done, total: self._report("photos", done, total)
        )

    def _train(self, window: Window, seen: Pictured, chosen: ChosenImages) -> Manifest:
        rules = self._rules
        if not seen.examples:
            raise BadDataError("no listing with a photo is old enough to learn from")
        served = served_statistics(seen.examples, window.currency)
        first, last = seen.examples[0].listed_at, seen.examples[-1].listed_at
        return retrain_bundle(
            Dataset(
                f"outcomes of listings of {first:%Y-%m-%d} to {last:%Y-%m-%d}",
                window.currency,
                Path("the window"),
                seen.listings,
                [],
                [],
            ),
            self.bundle,
            photos=seen.photos,
            served=served,
            images=chosen.images,
            objective=rules.objective or _objective_of(self._before),
            origin=Origin(
                parent=self._before.bundle if self._before else None,
                code=code_version(),
                made_at=self._now,
                extractors_trained_at=chosen.trained_at,
            ),
            plan=rules.plan,
            seed=rules.seed,
            checkpoint=self._places.folder / CHECKPOINT_FILE,
            report=self._report,
        )

    def _judge(
        self, held: Pictured, manifest: Manifest
    ) -> tuple[Pictured, Verdict, dict[str, JsonValue]]:
        """Return what is judged by, the verdict, and the challenger's metrics."""
        of_champion = champion_price = None
        if self._before is not None:
            # where its image networks are the challenger's, every look is in the cache
            same = self._look(held.examples, networks_of(self._before.bundle))
            had = {example.listing_id for example in same.examples}
            places = [at for at, each in enumerate(held.examples) if each.listing_id in had]
            held = held.take(np.array(places, np.int64))
            before = Pricer(self._before.bundle)
            of_champion = answers_of(before, same)
            champion_price = priced_with(before, same)
        challenger = Pricer.load(self.bundle)
        statistics = [example.statistics for example in held.examples]
        poisoning = poisoning_check(
            priced_with(challenger, held),
            champion_price,
            statistics,
            [example.category for example in held.examples],
            challenger.bundle.snapshot,
            seller_cap=self._rules.seller_cap,
            rules=self._rules.gate,
        )
        verdict = verdict_on(
            answers_of(challenger, held),
            of_champion,
            held.examples,
            manifest,
            rules=self._rules.gate,
            seed=self._rules.seed,
            further=(poisoning,),
        )
        return held, verdict, measured(challenger, held.listings, held.photos, statistics)


def window_anchoring(examples: Sequence[Example], *, seed: int) -> Anchoring:
    """Return what suggestions did to the prices of the sold examples that had one."""
    priced = [
        each
        for each in examples
        if each.decision is Decision.PRICE and each.suggested_minor and is_sold(each)
    ]
    return anchoring(
        np.log(np.array([each.suggested_minor for each in priced], np.float64)),
        np.log(np.array([each.sold_minor for each in priced], np.float64)),
        np.array([each.control for each in priced], np.bool_),
        seed=seed,
    )


def _objective_of(before: Champion | None) -> Objective:
    """Return the constraint that the champion was trained under."""
    if before is None:
        return Objective()
    rule, epsilon = before.bundle.manifest.rule, before.bundle.manifest.confidence.epsilon
    if rule.name is RuleName.THRESHOLD:
        return Objective(rule=rule.name, epsilon=epsilon)
    return Objective(delta=rule.delta, epsilon=epsilon, paper_gate=rule.score_threshold == 0)


def _reason(version: str, parent: str | None, verdict: Verdict) -> str:
    if verdict.publish:
        return f"{version} is published" + (f" and takes over from {parent}" if parent else "")
    failed = ", ".join(check.name for check in verdict.checks if not check.passed)
    stays = f"{parent} stays" if parent else "nothing is published"
    return f"{stays}: {version} did not pass: {failed}"


def _live(announced: Announcements) -> list[str]:
    return [event.model_version for event in announced.of(ModelRole.LIVE)]
