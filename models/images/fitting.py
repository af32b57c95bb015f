"""Sets the thresholds of the photo faults from data.

`python -m models.images.fitting --dataset DIR... --out FILE` takes sound photos, spoils them in
the known ways, and writes the thresholds as `fault_thresholds.json` holds them; printed is a table
of what they catch and of what they refuse wrongly. Four numbers from thousands of photos do not
learn these by heart: photos that had no part in the choice come out the same.
"""

import argparse
import csv
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.dataset.reader import read_dataset
from models.errors import DatasetError, ModelsError, UnreadableImageError
from models.images.decode import decode_image
from models.images.faults import Thresholds, faults_of
from models.images.measures import Measures, measure
from models.images.spoiling import SPOILINGS, save
from schemas.suggestion import ReuploadReason

_SEED = 22
# Each fault's measure; -1 where a large value is bad.
_MEASURES = {
    ReuploadReason.BLURRED: ("sharpness", 1),
    ReuploadReason.TOO_DARK: ("brightest", 1),
    ReuploadReason.TOO_BRIGHT: ("glare", -1),
    ReuploadReason.LOW_RESOLUTION: ("size", 1),
}

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Trial:
    """The photos of one dataset, measured: as they are, and spoiled in every known way."""

    dataset: str
    sound: list[Measures]
    spoiled: Mapping[str, list[Measures]]


def try_out(folder: Path, photos: int) -> Trial:
    """Measure up to `photos` sound photos of a dataset, and the same ones spoiled.

    Taken for sound is the only photo of a listing; those of listings with several may be poor. A
    simulated dataset says in `oracle.csv` which it spoiled itself: they are left out.

    Raises:
        DatasetError: the folder holds no dataset, or fewer than two such photos.
    """
    dataset = read_dataset(folder)
    planted = _planted_faults(folder / "oracle.csv")
    files = [
        listing.images[0]
        for listing in dataset.listings
        if len(listing.images) == 1 and listing.listing_id not in planted
    ]
    sound: list[Measures] = []
    spoiled: dict[str, list[Measures]] = {name: [] for name in SPOILINGS}
    for index in np.random.default_rng(_SEED).permutation(len(files)):
        if len(sound) == photos:
            break
        try:
            photo = decode_image(files[index].read_bytes())
        except (UnreadableImageError, OSError):
            continue  # a listing whose photo is not there has nothing to be measured
        sound.append(measure(photo))
        for number, (name, way) in enumerate(SPOILINGS.items()):
            rng = np.random.default_rng((_SEED, index, number))
            spoiled[name].append(measure(save(way.spoil(photo, rng), rng)))
    if len(sound) < 2:
        raise DatasetError(f"{folder} has fewer than two photos to set thresholds by")
    return Trial(folder.name, sound, spoiled)


def fit(trials: Sequence[Trial], budget: float) -> dict[ReuploadReason, float]:
    """Choose the thresholds, one fault at a time, by `choose`."""
    thresholds = {}
    for reason, (name, sign) in _MEASURES.items():
        sound = [_values(trial.sound, name, sign) for trial in trials]
        spoiled = [
            _values(trial.spoiled[way], name, sign)
            for trial in trials
            for way, spoiling in SPOILINGS.items()
            if spoiling.reason is reason
        ]
        thresholds[reason] = round(sign * choose(sound, spoiled, budget), 3)
    return thresholds


def choose(sound: Sequence[Values], spoiled: Sequence[Values], budget: float) -> float:
    """Return the value of a measure below which a photo is sent back.

    It makes the larger of two shares as small as can be: spoiled photos that are missed, and
    sound photos that are sent back in the dataset where these are most. The second share never
    exceeds the budget. Where a range of thresholds is equally good, its middle is taken.

    Args:
        sound: the measure of the sound photos, an array for each dataset.
        spoiled: the same for each dataset and way of spoiling, all of which count alike.
        budget: share of the sound photos that may be sent back.
    """
    values = np.unique(np.concatenate([*sound, *spoiled]))
    candidates = np.concatenate([values[:1], (values[1:] + values[:-1]) / 2])
    refused = np.max([_share_below(group, candidates) for group in sound], axis=0)
    missed = 1 - np.mean([_share_below(group, candidates) for group in spoiled], axis=0)
    cost = np.where(refused <= budget, np.maximum(refused, missed), np.inf)
    best = candidates[cost <= cost.min() + 1e-9]
    return float(best[0] + best[-1]) / 2


def _values(photos: Sequence[Measures], name: str, sign: int) -> Values:
    return np.array([sign * getattr(photo, name) for photo in photos], np.float64)


def _share_below(group: Values, thresholds: Values) -> Values:
    return np.searchsorted(np.sort(group), thresholds) / len(group)


def table(trials: Sequence[Trial], thresholds: Thresholds) -> str:
    """Return the percentages of photos that are sent back, as Markdown, a column a dataset.

    In the first row for any reason, in the others for the right one.
    """
    rows = [["", *(trial.dataset for trial in trials)], ["---"] * (len(trials) + 1)]
    refused = [[bool(faults_of(photo, thresholds)) for photo in trial.sound] for trial in trials]
    rows.append(["sound photos sent back", *map(_percent, refused)])
    for name, spoiling in SPOILINGS.items():
        right = [
            [_reason(photo, thresholds) is spoiling.reason for photo in trial.spoiled[name]]
            for trial in trials
        ]
        rows.append([f"{name}: {spoiling.reason}", *map(_percent, right)])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _reason(photo: Measures, thresholds: Thresholds) -> ReuploadReason | None:
    faults = faults_of(photo, thresholds)
    return faults[0].code if faults else None


def _percent(hits: Sequence[bool]) -> str:
    return f"{100 * sum(hits) / len(hits):.1f}"


def _planted_faults(oracle: Path) -> set[str]:
    if not oracle.exists():
        return set()
    with oracle.open(encoding="utf-8", newline="") as file:
        return {row["listing_id"] for row in csv.DictReader(file) if row["photo_fault"]}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; an error is one sentence and the exit code it asks for."""
    parser = argparse.ArgumentParser("python -m models.images.fitting", description=__doc__)
    parser.add_argument("--dataset", type=Path, action="append", required=True)
    parser.add_argument("--out", type=Path, required=True, help="thresholds, JSON")
    parser.add_argument("--photos", type=int, default=1050, help="of each dataset")
    parser.add_argument("--budget", type=float, default=0.023, help="share of sound photos lost")
    options = parser.parse_args(arguments)
    try:
        trials = [try_out(folder, options.photos) for folder in options.dataset]
    except ModelsError as error:
        parser.exit(error.exit_code, f"{error}\n")
    thresholds = fit(trials, options.budget)
    found = {
        "made_by": "python -m models.images.fitting",
        "budget": options.budget,
        "photos": {trial.dataset: len(trial.sound) for trial in trials},
        "thresholds": thresholds,
    }
    options.out.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    sys.stdout.write(table(trials, thresholds) + "\n")


if __name__ == "__main__":
    main()
