"""Models of the year: the real networks, trained and calibrated by the real code."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.year.world import CURRENCY, Thing
from models.bundle.snapshot import SalesSnapshot
from models.dataset.photos import ListingPhotos
from models.dataset.rows import Dataset
from models.gate.answers import Answers, Floats
from models.head_training import Objective, calibrate_heads, loss_of, train_heads
from models.joint.calibration import Calibration
from models.joint.inputs import input_rows
from models.joint.network import JointNetwork
from models.joint.trainer import Plan
from models.joint.warm_start import begin_as
from models.training_data import prepare_training
from schemas.money import minor_unit_digits
from schemas.statistics import Statistics
from workers.examples.example import Decision, Example, Outcome
from workers.retrain.rows import served_statistics, to_row

OBJECTIVE = Objective(delta=0.5, epsilon=0.3)
EPOCHS = (5, 2, 5, 2)
Features = npt.NDArray[np.float32]


class Asked(Protocol):
    """A model, or what stands for one."""

    @property
    def snapshot(self) -> SalesSnapshot:
        """What it learnt from sold for."""

    def answers(
        self, features: Features, statistics: Sequence[Statistics], categories: Sequence[str]
    ) -> Answers:
        """Return what it says of N listings, features `[N, D]`."""


@dataclass(frozen=True, slots=True)
class Model:
    """What a bundle holds, without image networks."""

    network: JointNetwork
    calibration: Calibration
    vocabulary: tuple[str, ...]
    snapshot: SalesSnapshot
    trained_until: datetime
    listed_until: datetime

    def answers(
        self,
        features: Features,
        statistics: Sequence[Statistics],
        categories: Sequence[str],
    ) -> Answers:
        """Return what it says of N listings, features `[N, D]`."""
        rows = input_rows(features, statistics, categories, self.vocabulary)
        with torch.inference_mode():
            prices, scores = (
                found.double().numpy() for found in self.network(torch.from_numpy(rows))
            )
        widths = np.array(
            [
                self.calibration.ranges.half_width(category, float(score))
                for category, score in zip(categories, scores, strict=True)
            ]
        )
        return Answers(
            log_price=prices,
            log_low=prices - widths,
            log_high=prices + widths,
            score=scores,
            qualified=scores >= self.calibration.threshold,
            confidence=np.array([self.calibration.confidence(float(score)) for score in scores]),
        )


def example_of(thing: Thing) -> Example:
    """Return what the outcomes worker would have stored of a listing, 60 days on or when sold."""
    sold = thing.sold_at is not None
    return Example(
        listing_id=f"l{thing.number}",
        revision=3,
        known_at=thing.sold_at or thing.listed_at.replace(year=thing.listed_at.year + 1),
        seller_id=thing.seller,
        category=thing.category,
        currency=CURRENCY,
        images=(),
        listed_at=thing.listed_at,
        statistics=thing.statistics,
        decision=Decision.PRICE,
        outcome=Outcome.SOLD if sold else Outcome.CENSORED,
        sold_minor=thing.price_minor,
        transaction_id=f"t{thing.number}" if sold else None,
        sold_at=thing.sold_at,
    )


def train(
    examples: Sequence[Example],
    features: Features,
    *,
    seed: int,
    parent: Model | None = None,
) -> Model:
    """Train a model on examples in one currency, with the features `[N, D]` of their photos.

    It begins as its parent where that is honest: if the parent was trained on nothing that is for
    validation now, as `models.retraining` has it.
    """
    rows = [to_row(example, ()) for example in examples]
    currency = examples[0].currency
    served = served_statistics(examples, currency)
    dataset = Dataset("the year", currency, Path("none"), rows, [], [])
    data = prepare_training(
        dataset, rows, _photos(features), seed=seed, served=served, test_share=0.0
    )
    begin = None
    first = min(examples[item].listed_at for item in data.split.validation)
    if parent is not None and parent.trained_until < first:
        begin = partial(
            begin_as,
            earlier=parent.network,
            levels=data.vocabulary,
            earlier_levels=parent.vocabulary,
        )
    plan = Plan(
        epochs=EPOCHS,
        batch_size=256,
        dropout=0.1,
        input_dropout=0.05,
        weight_decay=0.01,
        members=2,
        beta=None,
        keep_best=True,
    )
    heads = train_heads(data, loss_of(OBJECTIVE), plan, seed, lambda *_: None, begin=begin)
    return Model(
        heads.network,
        calibrate_heads(heads, data, OBJECTIVE),
        data.vocabulary,
        data.snapshot,
        max(examples[item].listed_at for item in data.split.train),
        max(example.listed_at for example in examples),
    )


def features_of(things: Sequence[Thing]) -> Features:
    """Return the features of their photos, `[N, D]`."""
    return np.stack([thing.features for thing in things])


def asked(model: Asked, examples: Sequence[Example], features: Features) -> Answers:
    """Return what a model says of examples, with the statistics as served."""
    return model.answers(
        features,
        [example.statistics for example in examples],
        [example.category for example in examples],
    )


def log_prices(examples: Sequence[Example]) -> Floats:
    """Return what sold examples fetched: natural log of whole currency units, `[N]`."""
    prices = np.array([example.sold_minor for example in examples], np.float64)
    digits = np.array([minor_unit_digits(example.currency) for example in examples])
    found: Floats = np.log(prices / 10.0**digits)
    return found


def _photos(features: Features) -> ListingPhotos:
    """Return N sound photos, each unlike all others."""
    count = len(features)
    return ListingPhotos(
        features,
        np.ones(count, np.bool_),
        np.ones(count, np.bool_),
        [None] * count,
        [(str(number),) for number in range(count)],
        [()] * count,
        [()] * count,
    )
