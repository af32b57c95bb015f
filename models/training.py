"""The whole of training: dataset, photos, features, joint networks, ranges, bundle."""

from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from pydantic import JsonValue

from models.bundle.folder import (
    BACKBONE_FILE,
    HEADS_FILE,
    HEADS_ONNX_FILE,
    SNAPSHOT_FILE,
    new_bundle_folder,
    write_manifest,
)
from models.bundle.manifest import (
    FeaturePart,
    ImageNetwork,
    Manifest,
    Rule,
    Source,
    statistics_schema_sha256,
)
from models.dataset.photos import look_at_photos
from models.dataset.rows import Dataset, ListingRow
from models.errors import DatasetError
from models.evaluation.metrics import measure
from models.evaluation.prediction import predict
from models.extractors.cache import FeatureCache
from models.extractors.onnx_runtime import OnnxExtractor, export_onnx
from models.extractors.protocol import Backbone, DivisibleBackbone
from models.extractors.tasks.ranks import Ranks, alone
from models.extractors.tasks.tune import Tuning
from models.extractors.tasks.tuned import TunedBackbone
from models.feature_training import train_features
from models.head_training import (
    Objective,
    Report,
    calibrate_heads,
    loss_of,
    quick_plan,
    train_heads,
)
from models.joint.export import export_heads
from models.joint.losses import ThresholdLoss
from models.joint.trainer import Plan
from models.pricer import Pricer
from models.training_data import TrainingData, check_prices, prepare_training

_CHECKPOINT = "joint.safetensors"


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
        images, tasks = _images(dataset, listings, backbone, tuning, seed, ranks, report)
        report("export", 0, 1)
        export_onnx(images.build(), images.input_size, folder / BACKBONE_FILE)
        report("export", 1, 1)
        photos = look_at_photos(
            listings,
            images,
            # on a GPU the extraction loads the network there itself
            extractor=None if torch.cuda.is_available() else OnnxExtractor(folder / BACKBONE_FILE),
            cache=cache,
            progress=lambda done, total: report("photos", done, total),
        )
        data = prepare_training(dataset, listings, photos, seed=seed)
        plan = plan or quick_plan(len(data.train))
        plan = replace(plan, epochs=epochs or plan.epochs)
        loss = loss_of(objective)
        heads = train_heads(
            data, loss, plan, seed, report, checkpoint=checkpoints and checkpoints / _CHECKPOINT
        )
        calibration = calibrate_heads(heads, data, objective)
        network = heads.network
        network.save(folder / HEADS_FILE)
        export_heads(network, folder / HEADS_ONNX_FILE)
        data.snapshot.save(folder / SNAPSHOT_FILE)
        manifest = write_manifest(
            folder,
            Manifest(
                model_version="",
                currency=data.currency,
                image_networks=(
                    ImageNetwork(
                        name=images.name,
                        backbone=backbone.name,
                        fingerprint=images.fingerprint,
                        width=images.width,
                        file=BACKBONE_FILE,
                        parts=_parts(images),
                    ),
                ),
                preprocessing=images.preprocessing,
                category_levels=data.vocabulary,
                inputs=data.rows.shape[1],
                statistics_schema_sha256=statistics_schema_sha256(),
                target_mean=float(network.target_mean),
                price_limits=data.limits,
                rule=Rule(
                    name=objective.rule,
                    delta=loss.delta,
                    epsilon=loss.epsilon if isinstance(loss, ThresholdLoss) else None,
                    score_threshold=calibration.threshold,
                ),
                confidence=calibration.confidence,
                ranges=calibration.ranges,
                source=Source(
                    dataset=dataset.name,
                    listings=len(listings),
                    sales=data.sales,
                    train=len(data.train),
                    validation=len(data.validation),
                    test=len(data.split.test),
                    window=data.window,
                ),
                training={
                    "seed": seed,
                    "extractors": _described(tuning),
                    **asdict(plan),
                    "epochs": list(plan.epochs),
                },
                metrics={},
                files={},
            ),
        )
        report("test", 0, 1)
        metrics = _test(Pricer.load(folder), data) | ({"tasks": tasks} if tasks else {})
        report("test", 1, 1)
        written = write_manifest(folder, manifest.model_copy(update={"metrics": metrics}))
    if checkpoints is not None:
        (checkpoints / _CHECKPOINT).unlink(missing_ok=True)
        with suppress(OSError):  # of somebody else's files, or not there
            checkpoints.rmdir()
    return written


def _images(
    dataset: Dataset,
    listings: list[ListingRow],
    backbone: DivisibleBackbone,
    tuning: Tuning | None,
    seed: int,
    ranks: Ranks | None,
    report: Report,
) -> tuple[Backbone, dict[str, JsonValue]]:
    """Return the network that the features are from, and what is to be known of its tasks."""
    if tuning is None:
        return backbone, {}
    tuned, tasks = train_features(
        dataset, listings, backbone, tuning, seed=seed, ranks=ranks or alone(), report=report
    )
    return tuned or backbone, tasks


def _described(tuning: Tuning | None) -> JsonValue:
    return None if tuning is None else asdict(tuning) | {"tasks": list(tuning.tasks)}


def _parts(images: Backbone) -> tuple[FeaturePart, ...]:
    if not isinstance(images, TunedBackbone):
        return ()
    return tuple(FeaturePart(name=part.name, width=part.width) for part in images.parts)


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


def _test(pricer: Pricer, data: TrainingData) -> dict[str, JsonValue]:
    """Measure the test part with the bundle as it will be loaded."""
    part = data.split.test
    listings = [data.listings[item] for item in part]
    statistics = [data.statistics[item] for item in part]
    predictions = predict(pricer, listings, data.photos.take(part), statistics)
    sold = [
        row.price_minor
        if row.currency == data.currency and data.limits.contain(row.price_minor)
        else None
        for row in listings
    ]
    found: dict[str, JsonValue] = measure(
        predictions,
        sold,
        nominal=pricer.range_probability,
        epsilon=pricer.bundle.manifest.confidence.epsilon,
        categories=[row.category for row in listings],
    ).model_dump(mode="json")
    return found
