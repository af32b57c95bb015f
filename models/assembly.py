"""From prepared listings to a whole bundle beside its image networks: heads, ranges, measures."""

from dataclasses import asdict
from pathlib import Path

from pydantic import JsonValue

from models.bundle.folder import HEADS_FILE, HEADS_ONNX_FILE, SNAPSHOT_FILE, write_manifest
from models.bundle.lineage import Lineage
from models.bundle.manifest import (
    Manifest,
    Rule,
    Source,
    statistics_schema_sha256,
)
from models.evaluation.metrics import measure
from models.evaluation.prediction import predict
from models.head_training import (
    Begin,
    Objective,
    Report,
    calibrate_heads,
    loss_of,
    train_heads,
)
from models.image_networks import ImageNetworks
from models.joint.export import export_heads
from models.joint.losses import ThresholdLoss
from models.joint.trainer import Plan
from models.pricer import Pricer
from models.training_data import TrainingData


def assemble_bundle(
    folder: Path,
    data: TrainingData,
    *,
    source: str,
    images: ImageNetworks,
    objective: Objective,
    plan: Plan,
    seed: int,
    begin: Begin | None = None,
    lineage: Lineage | None = None,
    checkpoint: Path | None = None,
    report: Report,
) -> Manifest:
    """Train the heads on data that are ready, and write all but the image networks of a bundle.

    Args:
        folder: holds the files of `images` already.
        data: with the features of those networks.
        source: name of what the data are from.
        images: the image networks.
        objective: the operator's constraint.
        plan: epochs and regularisation.
        seed: of the weights, the batches and dropout.
        begin: sets what the heads begin as, see `train_heads`.
        lineage: of a retrained bundle.
        checkpoint: a file from which a training that was killed goes on.
        report: told of progress.

    Returns:
        The manifest as written, with the metrics of the test part.

    Raises:
        TrainingError: training came to no good end.
    """
    loss = loss_of(objective)
    heads = train_heads(data, loss, plan, seed, report, begin=begin, checkpoint=checkpoint)
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
            image_networks=images.networks,
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
                dataset=source,
                listings=len(data.listings),
                sales=data.sales,
                train=len(data.train),
                validation=len(data.validation),
                test=len(data.split.test),
                window=data.window,
            ),
            training={
                "seed": seed,
                "extractors": images.extractors,
                **asdict(plan),
                "epochs": list(plan.epochs),
            },
            metrics={},
            lineage=lineage,
            files={},
        ),
    )
    report("test", 0, 1)
    metrics = _test(Pricer.load(folder), data)
    if images.tasks:
        metrics["tasks"] = dict(images.tasks)
    report("test", 1, 1)
    return write_manifest(folder, manifest.model_copy(update={"metrics": metrics}))


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
