"""The data of a grid with each set of features: photos looked at once, split once a seed."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from models.dataset.photos import ListingPhotos, look_at_photos
from models.dataset.rows import Dataset, ListingRow
from models.errors import TrainingError
from models.extractors.cache import FeatureCache
from models.extractors.protocol import Backbone, DivisibleBackbone
from models.extractors.tasks.labels import PAPER_TASKS, Task
from models.extractors.tasks.network import Depth
from models.extractors.tasks.ranks import alone
from models.extractors.tasks.tune import Tuning
from models.feature_training import train_features
from models.reproduction.grid import FeatureSet
from models.training_data import TrainingData, prepare_training

Report = Callable[[str, int, int], None]

_TASKS = {FeatureSet.STFE: (Task.PRICE,), FeatureSet.MSTFE: PAPER_TASKS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where the data of a grid come from.

    Attributes:
        dataset: listings and sales.
        listings: those to use, of the dataset.
        backbone: gives the pretrained features, and is what extractors begin as.
        depth: how much of it each extractor tunes.
        cache: image features that need not be computed again.
    """

    dataset: Dataset
    listings: Sequence[ListingRow]
    backbone: DivisibleBackbone
    depth: Depth
    cache: FeatureCache | None

    def data(
        self, features: FeatureSet, seeds: int, report: Report
    ) -> Iterator[tuple[int, TrainingData | TrainingError]]:
        """Yield the data of each seed, one at a time: all of them may not fit into memory.

        Pretrained features are the same for every seed. Extractors are trained for each, on its
        own training part; where that comes to no good end, the error takes the place of the data.

        Raises:
            DatasetError: there is too little to learn from.
            ModelsError: the cache cannot be written.
            WeightsMissingError: the backbone's weights are not on this machine.
        """
        photos = None
        for seed in range(seeds):
            if features is FeatureSet.PRETRAINED:
                photos = photos or self._look(self.backbone, features, report)
            else:
                try:
                    photos = self._look(self._trained(features, seed, report), features, report)
                except TrainingError as error:
                    yield seed, error
                    continue
            yield seed, prepare_training(self.dataset, self.listings, photos, seed=seed)

    def _trained(self, features: FeatureSet, seed: int, report: Report) -> Backbone:
        tuned, _ = train_features(
            self.dataset,
            self.listings,
            self.backbone,
            # the paper's features are those of the tasks alone
            Tuning(depth=self.depth, tasks=_TASKS[features], base=False),
            seed=seed,
            ranks=alone(),
            report=lambda stage, done, total: report(f"{features} {seed}: {stage}", done, total),
        )
        if tuned is None:
            raise TrainingError("no task has labels enough to train an extractor")
        return tuned

    def _look(self, images: Backbone, features: FeatureSet, report: Report) -> ListingPhotos:
        return look_at_photos(
            self.listings,
            images,
            cache=self.cache,
            progress=lambda done, total: report(f"photos, {features}", done, total),
        )
