"""From a dataset to extractors trained on its training part: photos, split, tasks (3.2)."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from pydantic import JsonValue

from models.dataset.photos import look_at_photos
from models.dataset.rows import Dataset, ListingRow
from models.extractors.cache import user_cache
from models.extractors.protocol import DivisibleBackbone, Features, Pixels
from models.extractors.tasks.ranks import Ranks
from models.extractors.tasks.trainer import TaskPlan
from models.extractors.tasks.tune import Subjects, Tuning, tune
from models.extractors.tasks.tuned import TunedBackbone
from models.training_data import check_prices, prepare_training

Report = Callable[[str, int, int], None]


class _Blind:
    """Stands for the network while photos are only decoded, judged and told apart."""

    def __init__(self, width: int) -> None:
        self._width = width

    def features(self, pixels: Pixels) -> Features:
        return np.zeros((len(pixels), self._width), np.float32)


def train_features(
    dataset: Dataset,
    listings: Sequence[ListingRow],
    backbone: DivisibleBackbone,
    tuning: Tuning,
    *,
    seed: int,
    ranks: Ranks,
    folder: Path | None = None,
    plan: TaskPlan | None = None,
    report: Report = lambda stage, done, total: None,  # noqa: ARG005
) -> tuple[TunedBackbone | None, dict[str, JsonValue]]:
    """Train a backbone on the labels of the training part, the same part as `prepare_training`'s.

    Args:
        dataset: for its sales, which the parts do not depend on.
        listings: those to use, of the dataset.
        backbone: what the extractors begin as.
        tuning: which tasks, and how deep.
        seed: of the split and of the extractors.
        ranks: the processes of this training; every one of them calls this.
        folder: for activations and checkpoints, by default in the user's cache.
        plan: how each task is trained; that of the depth by default.
        report: told of progress, in the first process.

    Returns:
        As `tune`: the backbone of the features, None where no task has labels enough, and what
        is to be known of each task.

    Raises:
        DatasetError: there is too little to learn from.
        TrainingError: a training came to no good end.
        ModelsError: the folder cannot be written, or photos changed meanwhile.
        WeightsMissingError: the backbone's weights are not on this machine.
    """
    check_prices(dataset, listings)  # before the photos, which may take hours
    photos = ranks.from_first(
        lambda: look_at_photos(
            listings,
            backbone,
            extractor=_Blind(backbone.width),
            progress=lambda done, total: report("photos judged", done, total),
        )
    )
    data = prepare_training(dataset, listings, photos, seed=seed)
    train, validation, test = (
        part[photos.sound[part]]
        for part in (data.split.train, data.split.validation, data.split.test)
    )
    subjects = Subjects(
        listings=listings,
        photos=photos.faultless,
        digests=photos.digests,
        log_prices=data.log_prices,
        train=train,
        validation=validation,
        test=test,
    )
    return tune(
        backbone,
        subjects,
        tuning,
        folder=folder or user_cache() / "extractors",
        seed=seed,
        ranks=ranks,
        plan=plan,
        report=report,
    )
