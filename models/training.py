"""The whole of training: dataset, photos, features, joint networks, ranges, bundle."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
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
    RuleName,
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
from models.joint.calibration import Calibration, calibrate
from models.joint.export import export_heads
from models.joint.kernel import LANDMARKS, Layout, fit_kernel
from models.joint.losses import PercentileLoss, ThresholdLoss
from models.joint.network import JointNetwork
from models.joint.trainer import Plan, train_joint
from models.pricer import Pricer
from models.training_data import TrainingData, check_prices, prepare_training
from stats_store.features import STATISTICS_WIDTH

Report = Callable[[str, int, int], None]
"""Told of progress: name of the stage, steps done, steps in all."""

_CHECKPOINT = "joint.safetensors"


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """Which constraint the operator sets (3.3), and where the gate opens.

    Attributes:
        rule: `percentile` (Eq. 1) or `threshold` (Eq. 3).
        delta: share of listings to answer with a price; of the percentile rule.
        epsilon: largest log error of a qualified listing, of the threshold rule; of both rules,
            the log error that the confidence is about.
        paper_gate: open the gate at f_cls = 0.5, as the paper does. Otherwise the percentile rule
            opens it at the (1 - delta) quantile of the validation part, so that the share is met
            on listings that training has not seen; the threshold rule always opens it at 0.5.
    """

    rule: RuleName = RuleName.PERCENTILE
    delta: float = 0.5
    epsilon: float = 0.5
    paper_gate: bool = False


def quick_plan(items: int) -> Plan:
    """Return a plan for thousands of items on a CPU: about a minute on two cores for 3,500.

    The shares of the four parts and the regularisation were chosen by measurement on listings
    that were not trained on, see docs/method.md. Fewer than 2,500 items get as many steps as
    2,500.
    """
    longer = max(1.0, 2500 / items)
    warm_up, slower, joint, joint_slower = (round(n * longer) for n in (2, 1, 1, 1))
    return Plan(
        epochs=(warm_up, slower, joint, joint_slower),
        batch_size=256,
        dropout=0.3,
        input_dropout=0.3,
        weight_decay=0.05,
        members=4,
        beta=None,
        keep_best=True,
        landmarks=LANDMARKS,
    )


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
        network = train_heads(
            data, loss, plan, seed, report, checkpoint=checkpoints and checkpoints / _CHECKPOINT
        )
        calibration = calibrate_heads(network, data, objective)
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


def loss_of(objective: Objective) -> PercentileLoss | ThresholdLoss:
    """Return Eq. 1 or Eq. 3 with the operator's parameter."""
    if objective.rule is RuleName.PERCENTILE:
        return PercentileLoss(delta=objective.delta)
    return ThresholdLoss(epsilon=objective.epsilon)


def train_heads(
    data: TrainingData,
    loss: PercentileLoss | ThresholdLoss,
    plan: Plan,
    seed: int,
    report: Report,
    *,
    checkpoint: Path | None = None,
) -> JointNetwork:
    """Return the joint networks, trained on the training part; on the CPU and in eval mode.

    A training that was killed goes on from `checkpoint`, see `train_joint`.

    Raises:
        TrainingError: training came to no good end.
    """
    rows, held_out = data.rows[data.train], data.rows[data.validation]
    targets, held_out_targets = data.log_prices[data.train], data.log_prices[data.validation]
    kernel, inputs = None, rows
    if plan.landmarks:
        report("kernel", 0, 1)
        kernel, left_out = fit_kernel(
            rows,
            targets,
            held_out,
            held_out_targets,
            layout=Layout(
                rows.shape[1] - STATISTICS_WIDTH - len(data.vocabulary),
                STATISTICS_WIDTH,
                len(data.vocabulary),
            ),
            seed=seed,
            landmarks=plan.landmarks,
        )
        inputs = np.hstack([left_out, rows])
        report("kernel", 1, 1)
    torch.manual_seed(seed)
    network = JointNetwork(
        rows.shape[1],
        kernel=kernel,
        members=plan.members,
        dropout=plan.dropout,
        input_dropout=plan.input_dropout,
    )
    network.fit_scaling(
        inputs,
        float(targets.mean()),
        statistics=STATISTICS_WIDTH,
        levels=len(data.vocabulary),
    )
    with torch.inference_mode():
        validation_inputs = network.columns(torch.from_numpy(held_out)).clone()
    train_joint(
        network,
        torch.from_numpy(inputs),
        torch.from_numpy(targets),
        validation_inputs,
        torch.from_numpy(held_out_targets),
        loss=loss,
        plan=plan,
        seed=seed,
        device=torch.device("cuda" if torch.cuda.is_available() else "cpu"),
        progress=report,
        checkpoint=checkpoint,
    )
    return network


def calibrate_heads(network: JointNetwork, data: TrainingData, objective: Objective) -> Calibration:
    """Calibrate on all listings of the validation part, those without a price too.

    Raises:
        TrainingError: too few accepted listings have a sold price.
    """
    part = data.split.validation
    with torch.inference_mode():
        found = network(torch.from_numpy(data.rows[part]))
    prices, scores = (values.numpy().astype(np.float64) for values in found)
    # a listing without a sound photo is refused before the gate, and counts as refused
    scores[~data.photos.sound[part]] = -np.inf
    by_quantile = objective.rule is RuleName.PERCENTILE and not objective.paper_gate
    return calibrate(
        prices,
        scores,
        data.log_prices[part].astype(np.float64),
        [data.listings[item].category for item in part],
        delta=objective.delta if by_quantile else None,
        epsilon=objective.epsilon,
    )


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
