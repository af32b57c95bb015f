"""A bundle that follows another: statistics as served, heads that begin as its parent's."""

from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

from pydantic import JsonValue

from models.assembly import assemble_bundle
from models.bundle.folder import HEADS_FILE, Bundle, new_bundle_folder, read_bundle, write_manifest
from models.bundle.lineage import Lineage
from models.bundle.manifest import Manifest
from models.dataset.photos import ListingPhotos
from models.dataset.rows import Dataset
from models.dataset.splits import Indices
from models.head_training import Begin, Objective, Report, quick_plan
from models.image_networks import ImageNetworks
from models.joint.network import JointNetwork
from models.joint.trainer import Plan
from models.joint.warm_start import begin_as, obstacle
from models.training_data import ServedStatistics, TrainingData, prepare_training


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What a retrained bundle comes from.

    Attributes:
        parent: the champion, None of the first model.
        code: version of this program.
        made_at: when the retraining began.
        extractors_trained_at: of its image networks.
    """

    parent: Bundle | None
    code: str
    made_at: datetime
    extractors_trained_at: datetime


def retrain_bundle(
    dataset: Dataset,
    out: Path,
    *,
    photos: ListingPhotos,
    served: ServedStatistics,
    images: ImageNetworks,
    objective: Objective,
    origin: Origin,
    plan: Plan | None = None,
    seed: int = 0,
    checkpoint: Path | None = None,
    report: Report = lambda stage, done, total: None,  # noqa: ARG005
) -> Manifest:
    """Train a bundle on listings that were served, and write it to `out`, whole or not at all.

    The heads begin as those of the parent where that is honest and possible, see
    `warm_start_obstacle`; else as `train_bundle` begins.

    Args:
        dataset: listings, all with times; those without a price count for the share to answer.
        out: the folder of the bundle.
        photos: what was found in their photos by `images`.
        served: their statistics, which are taken as they are.
        images: its image networks.
        objective: the operator's constraint.
        origin: what it comes from.
        plan: epochs and regularisation; `quick_plan` by default.
        seed: of the weights, the batches and dropout.
        checkpoint: a file from which a training that was killed goes on; it goes at the end.
        report: told of progress.

    Returns:
        The manifest as written, with the metrics of the test part and a lineage without verdict.

    Raises:
        DatasetError: there is too little to learn from.
        TrainingError: training came to no good end.
        BundleError: `out` is something else, or cannot be written.
    """
    with new_bundle_folder(out) as folder:
        images.copy_to(folder)
        data = prepare_training(dataset, dataset.listings, photos, seed=seed, served=served)
        plan = plan or quick_plan(len(data.train))
        began_as, begin = _beginning(data, images, origin.parent, plan)
        manifest = assemble_bundle(
            folder,
            data,
            source=dataset.name,
            images=images,
            objective=objective,
            plan=plan,
            seed=seed,
            begin=begin,
            lineage=Lineage(
                parent=origin.parent.manifest.model_version if origin.parent else None,
                code=origin.code,
                made_at=origin.made_at,
                trained_until=_newest(data, data.split.train),
                listed_until=max(_moments(data)),
                extractors_trained_at=origin.extractors_trained_at,
                began_as=began_as,
            ),
            checkpoint=checkpoint,
            report=report,
        )
    if checkpoint is not None:
        checkpoint.unlink(missing_ok=True)
    return manifest


def with_verdict(folder: Path, verdict: dict[str, JsonValue]) -> Manifest:
    """Write the gate's verdict into a bundle; its version changes with it.

    Raises:
        BundleError: the folder is no whole bundle, or one without lineage.
    """
    manifest = read_bundle(folder).manifest
    assert manifest.lineage is not None  # noqa: S101 - of `retrain_bundle`
    lineage = manifest.lineage.model_copy(update={"verdict": verdict})
    return write_manifest(folder, manifest.model_copy(update={"lineage": lineage}))


def warm_start_obstacle(data: TrainingData, images: ImageNetworks, parent: Manifest) -> str | None:
    """Say why heads must not begin as those of a parent, None where they may.

    Its image features must be the same, and it must not have been trained on what is now for
    validation: threshold, confidence and ranges are found there, and would be too good.
    """
    if HEADS_FILE not in parent.files:
        return "it has no weights to begin as"
    if tuple(_features(parent)) != tuple(network.fingerprint for network in images.networks):
        return "its image features are others"
    if parent.lineage is None:
        return "nothing tells which listings it was trained on"
    first = min(_moment(data, item) for item in data.split.validation)
    if parent.lineage.trained_until >= first:
        return (
            f"it was trained on listings up to {parent.lineage.trained_until:%Y-%m-%d %H:%M}, and "
            f"those from {first:%Y-%m-%d %H:%M} on are for validation now"
        )
    return None


def _beginning(
    data: TrainingData, images: ImageNetworks, parent: Bundle | None, plan: Plan
) -> tuple[str, Begin | None]:
    if parent is None:
        return "fresh: there is no model to begin as", None
    version, levels = parent.manifest.model_version, parent.manifest.category_levels
    reason = warm_start_obstacle(data, images, parent.manifest)
    if reason is None:
        earlier = JointNetwork.load(parent.folder / HEADS_FILE)
        reason = obstacle(earlier, kernel=plan.landmarks > 0, members=plan.members)
    if reason is not None:
        return f"fresh, not as {version}: {reason}", None
    begin = partial(begin_as, earlier=earlier, levels=data.vocabulary, earlier_levels=levels)
    return f"as {version}", begin


def _features(manifest: Manifest) -> list[str]:
    return [network.fingerprint for network in manifest.image_networks]


def _moments(data: TrainingData) -> list[datetime]:
    return [row.listed_at for row in data.listings if row.listed_at is not None]


def _newest(data: TrainingData, part: Indices) -> datetime:
    return max(_moment(data, item) for item in part)


def _moment(data: TrainingData, item: int) -> datetime:
    moment = data.listings[item].listed_at
    assert moment is not None  # noqa: S101 - listings of examples all have times
    return moment
