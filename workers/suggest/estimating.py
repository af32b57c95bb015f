"""Many listings and several models in as few passes through their networks as there can be."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from models.extractors.protocol import Features
from models.prepared_photo import PreparedPhoto
from models.pricer import Estimate, Pricer
from schemas.listing import ListingEnriched


class Question(NamedTuple):
    """A listing, its sound photos, and the models that shall price it from them."""

    event: ListingEnriched
    photos: Sequence[PreparedPhoto]
    pricers: Sequence[Pricer]


def estimates(questions: Sequence[Question]) -> list[list[Estimate | None]]:
    """Return what each model says to each question; None where no photo is sound.

    Photos go through the same image networks once, whichever models have them: a model that was
    retrained on the features alone costs next to nothing beside the other. The features of a
    listing are the mean over its sound photos.
    """
    features: dict[tuple[str, int], Features] = {}
    rows: dict[Pricer, list[int]] = {}
    asked: dict[str, tuple[Pricer, list[int]]] = {}
    for number, question in enumerate(questions):
        if not question.photos:
            continue
        for pricer in dict.fromkeys(question.pricers):
            rows.setdefault(pricer, []).append(number)
            numbers = asked.setdefault(pricer.image_fingerprint, (pricer, []))[1]
            if not numbers or numbers[-1] != number:
                numbers.append(number)
    for fingerprint, (pricer, numbers) in asked.items():
        of_photos = pricer.features([p for n in numbers for p in questions[n].photos])
        ends = np.cumsum([len(questions[n].photos) for n in numbers])
        for number, part in zip(numbers, np.split(of_photos, ends[:-1]), strict=True):
            features[fingerprint, number] = part.mean(axis=0)
    found: dict[tuple[Pricer, int], Estimate] = {}
    for pricer, numbers in rows.items():
        priced = pricer.estimate(
            np.stack([features[pricer.image_fingerprint, number] for number in numbers]),
            [questions[number].event.statistics for number in numbers],
            [questions[number].event.category for number in numbers],
        )
        found |= {(pricer, number): e for number, e in zip(numbers, priced, strict=True)}
    return [
        [found.get((pricer, number)) for pricer in question.pricers]
        for number, question in enumerate(questions)
    ]
