"""From photos and statistics to a price: what serving and `secondsight price` call.

On a CPU this runs in ONNX Runtime and never imports torch. On a GPU torch runs the image networks,
which are nearly all of the work; the two networks behind them stay with ONNX Runtime.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.bundle.folder import HEADS_ONNX_FILE, Bundle, read_bundle
from models.bundle.images import BundledImages
from models.errors import BundleError
from models.extractors.preprocessing import Preprocessing
from models.extractors.protocol import Features
from models.images.limits import DEFAULT_LIMITS, ImageLimits
from models.joint.inputs import input_rows
from models.joint.runtime import OnnxHeads
from models.prepared_photo import PreparedPhoto, prepare_photo
from schemas.money import MAX_MINOR_UNITS, minor_unit_digits
from schemas.statistics import Scope, Statistics
from stats_store.features import STATISTICS_WIDTH


@dataclass(frozen=True, slots=True)
class Estimate:
    """What the two networks say of one listing; prices in minor units, low <= price <= high.

    `score` is s of the classification network, by which listings are ordered; `qualified` tells
    whether it reaches the bundle's threshold. `confidence` is the probability that the thing
    sells within a factor `exp(epsilon)` of the price, epsilon being that of the bundle.
    """

    price_minor: int
    low_minor: int
    high_minor: int
    score: float
    confidence: float
    qualified: bool


class Pricer:
    """A loaded bundle. All methods may be called from several threads at once.

    Attributes:
        version: the bundle's `model_version`.
        currency: ISO 4217 code of all its prices.
        range_probability: share of sold prices that the ranges are made to hold.
        width: image features of a listing.
        image_fingerprint: names image networks and preprocessing: two bundles with the same one
            give a photo the same features.
        bundle: what was loaded.
        images: its image networks, on the CPU.
        device: where `features` runs them, `cpu` or as torch names it.
        precision: of their convolutions there.
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        threads: int | None = None,
        limits: ImageLimits = DEFAULT_LIMITS,
        device: str | None = None,
    ) -> None:
        """Load the networks of a bundle that was checked.

        Args:
            bundle: from `read_bundle`.
            threads: cores that one call uses; all by default.
            limits: what a photo may cost.
            device: on which torch runs the image networks, from
                `models.extractors.devices.choose_device`; by default ONNX Runtime runs them.

        Raises:
            BundleError: a file is not the network that the manifest speaks of, or the device
                cannot run it, or computes something else.
        """
        manifest = bundle.manifest
        self.version = manifest.model_version
        self.currency = manifest.currency
        self.range_probability = manifest.ranges.probability
        self.images = BundledImages(bundle, threads=threads)
        self._on_device = None if device is None else self.images.on_device(device)
        self.device, self.precision = "cpu", "float32"
        if self._on_device is not None:
            self.device = self._on_device.device
            self.precision = str(self._on_device.precision).removeprefix("torch.")
        self.width = self.images.width
        self.image_fingerprint = self.images.fingerprint
        if self.width + STATISTICS_WIDTH + len(manifest.category_levels) != manifest.inputs:
            raise BundleError(f"{bundle.folder}: the widths of the inputs do not add up")
        self.bundle = bundle
        self._limits = limits
        self._heads = OnnxHeads(bundle.folder / HEADS_ONNX_FILE, manifest.inputs)
        self._digits = minor_unit_digits(manifest.currency)

    @classmethod
    def load(
        cls,
        folder: Path,
        *,
        threads: int | None = None,
        limits: ImageLimits = DEFAULT_LIMITS,
        device: str | None = None,
    ) -> "Pricer":
        """Check a bundle folder and load it.

        Args:
            folder: of the bundle.
            threads: cores that one call uses; all by default.
            limits: what a photo may cost.
            device: see the constructor.

        Raises:
            BundleError: the bundle is not whole, or is for another version of this program, or
                cannot run on the device.
        """
        return cls(read_bundle(folder), threads=threads, limits=limits, device=device)

    @property
    def preprocessing(self) -> Preprocessing:
        """What `prepare` does to a photo: photos prepared alike serve any bundle that has it."""
        return self.images.preprocessing

    def snapshot_statistics(self, category: str | None) -> Statistics:
        """Return the statistics of a new seller's listing as they were in training."""
        return self.bundle.snapshot.statistics(category)

    def prepare(self, data: bytes) -> PreparedPhoto:
        """Decode, judge and scale one photo.

        Raises:
            UnreadableImageError: the bytes are no photo or break a limit.
        """
        return prepare_photo(data, self.preprocessing, self._limits)

    def features(self, photos: Sequence[PreparedPhoto]) -> Features:
        """Return the image features `[N, width]` of N photos; N may be 0.

        Raises:
            ModelsError: the device failed.
        """
        if not photos:
            return np.empty((0, self.width), np.float32)
        pixels = np.stack([photo.pixels for photo in photos])
        if self._on_device is not None:
            return self._on_device.features(pixels)
        return self.images.of_photos(pixels)

    def estimate(
        self,
        features: Features,
        statistics: Sequence[Statistics],
        categories: Sequence[str | None] | None = None,
        *,
        fall_back: bool = True,
    ) -> list[Estimate]:
        """Return an estimate for each of N listings.

        Args:
            features: `[N, width]`; of several photos of a listing, the mean.
            statistics: `[N]`.
            categories: `[N]` category paths; without them, the levels of the path count as not
                known and the ranges are those of all categories together.
            fall_back: where no sale at all was known yet (source `none`), the statistics of the
                bundle's snapshot take their place. Without it they stay unknown, as in training:
                for listings whose own sale the snapshot may hold.

        Raises:
            ValueError: the lengths differ, or statistics are in another currency than the
                bundle's: such a listing can never be answered by this bundle.
        """
        paths = categories if categories is not None else [None] * len(statistics)
        if not len(features) == len(statistics) == len(paths):
            raise ValueError(
                f"{len(features)} features, {len(statistics)} statistics, {len(paths)} categories"
            )
        if not len(features):
            return []
        known = [
            self._known(*pair, fall_back=fall_back) for pair in zip(statistics, paths, strict=True)
        ]
        rows = input_rows(features, known, paths, self.bundle.manifest.category_levels)
        prices, scores = self._heads(rows)
        return [
            self._estimate(float(price), float(score), path)
            for price, score, path in zip(prices, scores, paths, strict=True)
        ]

    def _known(
        self, statistics: Statistics, category: str | None, *, fall_back: bool
    ) -> Statistics:
        if statistics.currency != self.currency:
            raise ValueError(
                f"statistics in {statistics.currency}, but model {self.version} prices in "
                f"{self.currency}"
            )
        if fall_back and statistics.overall.source is Scope.NONE:
            return self.snapshot_statistics(category)
        return statistics

    def _estimate(self, log_price: float, score: float, category: str | None) -> Estimate:
        manifest = self.bundle.manifest
        half_width = manifest.ranges.half_width(category, score)
        low, price, high = (
            self._minor_units(log_price + step) for step in (-half_width, 0.0, half_width)
        )
        return Estimate(
            price_minor=price,
            low_minor=low,
            high_minor=high,
            score=score,
            confidence=manifest.confidence(score),
            qualified=score >= manifest.rule.score_threshold,
        )

    def _minor_units(self, log_price: float) -> int:
        # bounded before exp, which overflows; log of MAX_MINOR_UNITS is about 34.5
        amount = math.exp(min(log_price, 50.0)) * 10.0**self._digits
        return max(1, min(MAX_MINOR_UNITS, round(amount)))
