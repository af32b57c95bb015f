"""The whole of training: dataset, photos, features, joint networks, ranges, bundle."""

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np

from models.assembly import assemble_bundle
from models.bundle.folder import (
    new_bundle_folder,
)
from models.bundle.manifest import (
    Manifest,
)
from models.dataset.photos import look_at_photos
from models.dataset.rows import Dataset, ListingRow
from models.errors import DatasetError
from models.extractors.cache import FeatureCache
from models.extractors.protocol import DivisibleBackbone
from models.extractors.tasks.ranks import Ranks
from models.extractors.tasks.tune import Tuning
from models.head_training import (
    Objective,
    Report,
    quick_plan,
)
from models.image_networks import new_networks
from models.joint.trainer import Plan
from models.training_data import check_prices, prepare_training

CHECKPOINT_FILE = "joint.safetensors"


def train_bundle(
    dataset: Dataset,
    out: Path,
    *,
    backbone: DivisibleBackbone,
    objective: Objective,
    tuning: Tuning | None = None,
    ranks: Ranks | None = None,
    plan: Plan | None = None,
    epochs: tuple[int, int, int, int] | None = None,
    seed: int = 0,
    limit: int | None = None,
    cache: FeatureCache | None = None,
    checkpoints: Path | None = None,
    report: Report = lambda stage, done, total: None,  # noqa: ARG005
) -> Manifest:
    """Train a bundle on a dataset and write it to `out`, whole or not at all.

    Args:
        dataset: listings with photos and prices; times and sales where there are any.
        out: the folder of the bundle; an older bundle there is replaced at the end.
        backbone: the pretrained image network.
        objective: the operator's constraint.
        tuning: which extractors to train on the labels of the listings; by default none, and the
            features are those of the backbone as it was pretrained. So they are where no task
            has labels enough: then the metrics say of each task why.
        ranks: the processes of the extractors' training, of which this is the first; the others
            call `models.feature_training.train_features`.
        plan: epochs and regularisation; `quick_plan` by default.
        epochs: in place of those of the plan.
        seed: of the split, the weights, the batches and dropout.
        limit: use that many listings, drawn by `seed`; all by default.
        cache: image features that need not be computed again.
        checkpoints: a folder from which the joint networks' training goes on after it was killed;
            none by default. What is in it goes when the bundle is whole.
        report: told of progress.

    Returns:
        The manifest as written, with the metrics of the test part.

    Raises:
        DatasetError: there is too little to learn from.
        TrainingError: training came to no good end.
        WeightsMissingError: the backbone's weights are not on this machine.
        BundleError: `out` is something else, or cannot be written.
    """
    listings = draw_listings(dataset, limit, seed)
    check_prices(dataset, listings)  # before the photos, which may take hours
    with new_bundle_folder(out) as folder:
        images = new_networks(
            dataset,
            listings,
            folder,
            backbone=backbone,
            tuning=tuning,
            seed=seed,
            ranks=ranks,
            report=report,
        )
        photos = look_at_photos(
            listings,
            images.backbone,
            extractor=images.extractor,
            cache=cache,
            progress=lambda done, total: report("photos", done, total),
        )
        data = prepare_training(dataset, listings, photos, seed=seed)
        plan = plan or quick_plan(len(data.train))
        written = assemble_bundle(
            folder,
            data,
            source=dataset.name,
            images=images,
            objective=objective,
            plan=replace(plan, epochs=epochs or plan.epochs),
            seed=seed,
            checkpoint=checkpoints and checkpoints / CHECKPOINT_FILE,
            report=report,
        )
    if checkpoints is not None:
        (checkpoints / CHECKPOINT_FILE).unlink(missing_ok=True)
        with suppress(OSError):  # of somebody else's files, or not there
            checkpoints.rmdir()
    return written


def draw_listings(dataset: Dataset, limit: int | None, seed: int) -> list[ListingRow]:
    """Return that many listings of a dataset, drawn by the seed; all where `limit` is None.

    Raises:
        DatasetError: there are none.
    """
    if not dataset.listings:
        raise DatasetError(f"{dataset.folder} has no listings")
    if limit is None or limit >= len(dataset.listings):
        return dataset.listings
    drawn = np.random.default_rng(seed).permutation(len(dataset.listings))[:limit]
    return [dataset.listings[item] for item in sorted(drawn)]
