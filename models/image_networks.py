"""The image networks of a bundle to be: trained and exported now, or those of an earlier bundle."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from pydantic import JsonValue

from models.bundle.folder import BACKBONE_FILE, Bundle
from models.bundle.images import BundledImages
from models.bundle.manifest import FeaturePart, ImageNetwork
from models.dataset.rows import Dataset, ListingRow
from models.extractors.onnx_runtime import OnnxExtractor, export_onnx
from models.extractors.preprocessing import Preprocessing
from models.extractors.protocol import Backbone, DivisibleBackbone, Extractor
from models.extractors.tasks.ranks import Ranks, alone
from models.extractors.tasks.tune import Tuning
from models.extractors.tasks.tuned import TunedBackbone
from models.feature_training import train_features
from models.head_training import Report


@dataclass(frozen=True, slots=True)
class ImageNetworks:
    """Networks as files, and what makes features with them.

    Attributes:
        folder: holds the files.
        networks: as a manifest names them.
        backbone: names and prepares; the features of photos are cached under its fingerprint.
        extractor: runs the files on the CPU; None where a GPU runs the backbone.
        extractors: how they were trained, for a manifest; None as they were pretrained.
        tasks: how their tasks measured.
    """

    folder: Path
    networks: tuple[ImageNetwork, ...]
    backbone: Backbone
    extractor: Extractor | None
    extractors: JsonValue = None
    tasks: Mapping[str, JsonValue] = field(default_factory=dict)

    @property
    def preprocessing(self) -> Preprocessing:
        """What a photo goes through first."""
        return self.backbone.preprocessing

    def copy_to(self, folder: Path) -> None:
        """Copy the files into the folder of another bundle.

        Raises:
            OSError: it cannot be written.
        """
        for network in self.networks:
            shutil.copyfile(self.folder / network.file, folder / network.file)


def networks_of(bundle: Bundle) -> ImageNetworks:
    """Return the image networks of a bundle that was checked.

    Raises:
        BundleError: a file is not the network that the manifest speaks of.
    """
    images = BundledImages(bundle)
    manifest = bundle.manifest
    return ImageNetworks(
        bundle.folder,
        manifest.image_networks,
        images,
        images,
        manifest.training.get("extractors"),
    )


def new_networks(
    dataset: Dataset,
    listings: Sequence[ListingRow],
    folder: Path,
    *,
    backbone: DivisibleBackbone,
    tuning: Tuning | None,
    seed: int,
    ranks: Ranks | None = None,
    report: Report,
) -> ImageNetworks:
    """Train image networks as asked, and export them into a folder.

    Args:
        dataset: of the listings.
        listings: with their photos on disk, where extractors are to be trained.
        folder: where the file is written.
        backbone: the pretrained network.
        tuning: which extractors to train; None takes the backbone as it was pretrained, as is
            done where no task has labels enough.
        seed: of the extractors.
        ranks: the processes of their training; this one alone by default.
        report: told of progress.

    Raises:
        DatasetError: there is too little to learn from.
        TrainingError: training came to no good end.
        WeightsMissingError: the backbone's weights are not on this machine.
    """
    images: Backbone = backbone
    tasks: dict[str, JsonValue] = {}
    if tuning is not None:
        tuned, tasks = train_features(
            dataset, listings, backbone, tuning, seed=seed, ranks=ranks or alone(), report=report
        )
        images = tuned or backbone
    report("export", 0, 1)
    export_onnx(images.build(), images.input_size, folder / BACKBONE_FILE)
    report("export", 1, 1)
    network = ImageNetwork(
        name=images.name,
        backbone=backbone.name,
        fingerprint=images.fingerprint,
        width=images.width,
        file=BACKBONE_FILE,
        parts=_parts(images),
    )
    # on a GPU the extraction loads the network there itself
    extractor = None if torch.cuda.is_available() else OnnxExtractor(folder / BACKBONE_FILE)
    return ImageNetworks(folder, (network,), images, extractor, _described(tuning), tasks)


def _described(tuning: Tuning | None) -> JsonValue:
    return None if tuning is None else asdict(tuning) | {"tasks": list(tuning.tasks)}


def _parts(images: Backbone) -> tuple[FeaturePart, ...]:
    if not isinstance(images, TunedBackbone):
        return ()
    return tuple(FeaturePart(name=part.name, width=part.width) for part in images.parts)
