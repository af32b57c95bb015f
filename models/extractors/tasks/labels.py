"""What listings say of themselves, as targets of the tasks of 3.2: unknown is never negative."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt
from pydantic import JsonValue

from models.dataset.rows import ListingRow
from schemas.dataset import CATEGORY_SEPARATOR

MIN_LISTINGS_PER_CLASS = 10  # of the training part; fewer teach the photos, not the class
MAX_CLASSES = 1000  # as many as ImageNet's; targets of a million listings then take 1 GB
MIN_LABELLED = 50
OTHER_BRAND = "(other)"

Targets = npt.NDArray[np.int64] | npt.NDArray[np.int8] | npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]


class Task(StrEnum):
    """What an extractor learns to tell from a photo; the price is STFE's task, of Table 4."""

    CATEGORY = "category"
    BRAND = "brand"
    ATTRIBUTE = "attribute"
    SPECIFICATION = "specification"
    PRICE = "price"


PAPER_TASKS = (Task.CATEGORY, Task.BRAND, Task.ATTRIBUTE, Task.SPECIFICATION)


@dataclass(frozen=True, slots=True)
class Labels:
    """Targets of one task for N listings.

    Attributes:
        task: category and brand have one class of several, attribute and specification any
            number of them, price is a number.
        classes: `[K]` names, sorted, from the training part; one for the price.
        targets: of category and brand the class, int64 `[N]`, -1 where it is not known; of
            attribute and specification int8 `[N, K]`: 1 has it, 0 has it not, -1 is not known;
            of the price float32 `[N]`, around the training mean, NaN where it is not known.
    """

    task: Task
    classes: tuple[str, ...]
    targets: Targets

    @property
    def known(self) -> npt.NDArray[np.bool_]:
        """Which listings have a label at all, bool `[N]`."""
        found = known_entries(self.targets)
        return found if found.ndim == 1 else np.asarray(found.any(axis=1))

    def too_few(self, train: Indices) -> str | None:
        """Say why the training part is too little to train on, or None where it is enough."""
        if not self.classes:
            return f"no label that {MIN_LISTINGS_PER_CLASS} listings to train on have"
        labelled = int(self.known[train].sum())
        if labelled < MIN_LABELLED:
            return f"{labelled} labelled listings to train on, {MIN_LABELLED} are needed"
        if self.task in (Task.CATEGORY, Task.BRAND) and len(self.classes) < 2:
            return f"no two classes of {MIN_LISTINGS_PER_CLASS} listings to tell apart"
        return None

    def balance(self, train: Indices) -> dict[str, JsonValue]:
        """Return how the labels of the training part are spread over the classes.

        `entropy` is in nats, ln(classes) where all are equally frequent; `largest` is the share
        of the most frequent class among the labels given (among listings, where a listing has
        one class: what guessing would come to); `smallest` the number of labels of the rarest.
        """
        of_train = self.targets[train]
        found: dict[str, JsonValue] = {
            "labelled": int(self.known[train].sum()),
            "classes": len(self.classes),
        }
        if self.task is Task.PRICE or not self.classes:
            return found
        if of_train.ndim == 1:
            counts = np.bincount(of_train[of_train >= 0], minlength=len(self.classes))
        else:
            counts = (of_train == 1).sum(axis=0)
        shares = counts[counts > 0] / max(1, counts.sum())
        return found | {
            "largest": round(float(shares.max(initial=0.0)), 4),
            "smallest": int(counts.min()),
            "entropy": round(float(-(shares * np.log(shares)).sum()), 4),
        }


def known_entries(targets: Targets) -> npt.NDArray[np.bool_]:
    """Return which targets are known, bool of the same shape."""
    return ~np.isnan(targets) if targets.dtype.kind == "f" else targets >= 0


def task_labels(task: Task, listings: Sequence[ListingRow], train: Indices) -> Labels:
    """Return the labels of a task; the classes are those of the training part.

    Raises:
        ValueError: the task is the price, whose targets are `price_labels`.
    """
    if task is Task.PRICE:
        raise ValueError("prices are cleaned first: use price_labels")
    return _LABELLERS[task](listings, train)


def price_labels(log_prices: npt.NDArray[np.float32], train: Indices) -> Labels:
    """Return log prices `[N]` as targets, around their training mean; NaN is not known."""
    of_train = log_prices[train]
    mean = np.nanmean(of_train) if not np.isnan(of_train).all() else 0.0
    return Labels(Task.PRICE, ("price",), (log_prices - mean).astype(np.float32))


def _categories(listings: Sequence[ListingRow], train: Indices) -> Labels:
    """Label with category paths; a rare path counts as the level above it."""
    counts = Counter(path for item in train if (path := listings[item].category))
    for depth in range(max(map(_depth, counts), default=0), -1, -1):
        for path in [path for path in counts if _depth(path) == depth]:
            if counts[path] < MIN_LISTINGS_PER_CLASS:
                count = counts.pop(path)
                if depth:
                    counts[_parent(path)] += count
    classes = _most_frequent(counts)
    index = {path: number for number, path in enumerate(classes)}
    targets = np.full(len(listings), -1, np.int64)
    for item, listing in enumerate(listings):
        path = listing.category
        while path and path not in index:
            path = _parent(path)
        if path:
            targets[item] = index[path]
    return Labels(Task.CATEGORY, classes, targets)


def _depth(path: str) -> int:
    return path.count(CATEGORY_SEPARATOR)


def _parent(path: str) -> str:
    return path.rpartition(CATEGORY_SEPARATOR)[0]


def _brands(listings: Sequence[ListingRow], train: Indices) -> Labels:
    """Label with brands; all rare ones are one class, if the training part has some."""
    brands = [_plain(listing.brand) if listing.brand else None for listing in listings]
    counts = Counter(brand for item in train if (brand := brands[item]))
    frequent = _most_frequent(counts)
    rest = sum(counts.values()) - sum(counts[brand] for brand in frequent)
    classes = (*frequent, *((OTHER_BRAND,) if rest >= MIN_LISTINGS_PER_CLASS else ()))
    index = {brand: number for number, brand in enumerate(classes)}
    other = index.get(OTHER_BRAND, -1)
    targets = np.array([index.get(brand, other) if brand else -1 for brand in brands], np.int64)
    return Labels(Task.BRAND, classes, targets)


def _attributes(listings: Sequence[ListingRow], train: Indices) -> Labels:
    """Label with attributes; of a listing that names none, nothing is known."""
    found = [{_plain(value) for value in listing.attributes} for listing in listings]
    classes = _most_frequent(Counter(value for item in train for value in found[item]))
    index = {value: number for number, value in enumerate(classes)}
    targets = np.full((len(listings), len(classes)), -1, np.int8)
    for item, values in enumerate(found):
        if values:
            targets[item] = 0
            targets[item, [index[value] for value in values if value in index]] = 1
    return Labels(Task.ATTRIBUTE, classes, targets)


def _specifications(listings: Sequence[ListingRow], train: Indices) -> Labels:
    """Label with key=value pairs; of a key that is not given, none of its values is known."""
    found = [_pairs(listing.specifications) for listing in listings]
    classes = _most_frequent(Counter(pair for item in train for pair in found[item]))
    index = {pair: number for number, pair in enumerate(classes)}
    of_key: dict[str, list[int]] = {}
    for key, pair in {(key, pair) for item in train for pair, key in found[item].items()}:
        if pair in index:
            of_key.setdefault(key, []).append(index[pair])
    targets = np.full((len(listings), len(classes)), -1, np.int8)
    for item, pairs in enumerate(found):
        for pair, key in pairs.items():
            targets[item, of_key.get(key, [])] = 0
            if pair in index:
                targets[item, index[pair]] = 1
    return Labels(Task.SPECIFICATION, classes, targets)


def _pairs(specifications: Mapping[str, str]) -> dict[str, str]:
    """Return the key of each `key=value` that a listing gives."""
    plain = {_plain(key): _plain(value) for key, value in specifications.items()}
    return {f"{key}={value}": key for key, value in plain.items()}


def _plain(text: str) -> str:
    """Take away what sellers do not mean: case, and spaces beyond one."""
    return " ".join(text.split()).casefold()


def _most_frequent(counts: Mapping[str, int]) -> tuple[str, ...]:
    frequent = [name for name, count in counts.items() if count >= MIN_LISTINGS_PER_CLASS]
    chosen: Iterable[str] = sorted(frequent, key=lambda name: (-counts[name], name))[:MAX_CLASSES]
    return tuple(sorted(chosen))


_LABELLERS: Mapping[Task, Callable[[Sequence[ListingRow], Indices], Labels]] = {
    Task.CATEGORY: _categories,
    Task.BRAND: _brands,
    Task.ATTRIBUTE: _attributes,
    Task.SPECIFICATION: _specifications,
}
