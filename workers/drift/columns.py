"""What is compared: images, statistics, answers and categories of two times."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from models.drift.measures import Drift, Floats, drift_of_names, drift_of_numbers
from models.drift.projection import principal_components
from models.pricer import Pricer
from workers.examples.example import Example
from workers.retrain.judging import answers_of
from workers.retrain.photos import Pictured

_SCOPES = ("seller", "category", "overall")


@dataclass(frozen=True, slots=True)
class Column:
    """One column of both times: numbers `[N]` and `[M]`, or names."""

    name: str
    reference: Floats | Sequence[str]
    current: Floats | Sequence[str]

    def drift(self) -> Drift:
        """Return how far it has moved."""
        if isinstance(self.reference, np.ndarray) and isinstance(self.current, np.ndarray):
            return drift_of_numbers(self.reference, self.current)
        return drift_of_names(list(self.reference), list(self.current))


def columns(pricer: Pricer, reference: Pictured, current: Pictured) -> Iterator[Column]:
    """Give the columns of two samples of listings, seen by one model.

    Args:
        pricer: the champion; what it would say of both samples now is compared, so that a change
            of models is no drift.
        reference: what it learnt from.
        current: what is listed now.
    """
    images = principal_components(reference.photos.features, current.photos.features)
    for number, pair in enumerate(zip(images[0].T, images[1].T, strict=True), start=1):
        yield Column(f"image_component_{number}", *pair)
    told = [_statistics(each.examples) for each in (reference, current)]
    for name, before in told[0].items():
        yield Column(name, before, told[1][name])
    answers = [answers_of(pricer, each) for each in (reference, current)]
    yield Column("answer_log_price", answers[0].log_price, answers[1].log_price)
    yield Column("answer_score", answers[0].score, answers[1].score)
    yield Column(
        "category",
        [example.category for example in reference.examples],
        [example.category for example in current.examples],
    )


def _statistics(examples: Sequence[Example]) -> dict[str, Floats]:
    """Return log median and log count of each scope; NaN where it had no sale of its own."""
    found: dict[str, Floats] = {}
    for name in _SCOPES:
        scopes = [getattr(example.statistics, name) for example in examples]
        medians = [np.log(scope.q2) if scope.count else np.nan for scope in scopes]
        found[f"statistics_{name}_median"] = np.array(medians, np.float64)
    return found
