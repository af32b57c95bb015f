"""Two columns for both networks from a kernel regression: a price, and how far off it will be.

Ours. The paper trains on 892,414 items; on a few thousand a regression by similarity to the items
of training foretells prices better than the networks of Fig. 5 do, and its errors far better. So
the networks get its two answers as columns and begin as those columns (see `Head`): what training
adds is what they can do beyond it.

For the items of training themselves the columns are what the regression says without them and
without what belongs to them (a photo twice, a seller's repeats), as new listings have neither in
the fit. They follow from the one solution in closed form, so they cost little: of one item the
residual over one minus the leverage, of a group the same with matrices.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from models.joint.scales import CLIP, MIN_STD, STATISTICS_MIN_STD

COLUMNS = 2
PRICE, ERROR = range(COLUMNS)
# Items that others are compared with; beyond as many, a sample of them (Nystroem). A cubic cost:
# 4,000 take about 20 s on two cores, and 33 MB of a bundle with lite2.
LANDMARKS = 4000
FITTED = 30_000  # most items of the fit, a sample of more: 1 GB for each product of theirs
PRICE_RIDGES = (0.25, 0.5, 1.0)  # the one with the smallest error on what is left out is taken
ERROR_RIDGE = 3.0  # errors are noisier than prices
_JITTER = 1e-6
_AT_ONCE = 8192  # rows compared with all landmarks: 131 MB

Rows = npt.NDArray[np.float32]


class Layout(NamedTuple):
    """How many raw columns are image features, then statistics, then category levels."""

    features: int
    statistics: int
    levels: int


class KernelColumns(nn.Module):
    """Kernel ridge regression of the log price and of its absolute error.

    The similarity of two items is `k_f + k_c + 2 k_f k_c + k_s`: k_f a Gaussian of the scaled image
    features, as wide as two items are apart in the mean; k_c the share of category levels in
    common, so that photos count for more within a category; k_s a Gaussian of the statistics.

    Shapes: raw input `[N, width]`, NaN where not known; output `[N, 2]`: natural log of price in
    whole units, and the expected absolute error of it.
    """

    mean: Tensor
    scale: Tensor
    landmarks: Tensor
    weights: Tensor
    offsets: Tensor

    def __init__(self, layout: Layout, landmarks: int) -> None:
        super().__init__()
        self.layout = layout
        width = sum(layout)
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("scale", torch.ones(width))
        self.register_buffer("landmarks", torch.zeros(landmarks, width))
        self.register_buffer("weights", torch.zeros(landmarks, COLUMNS))
        self.register_buffer("offsets", torch.zeros(COLUMNS))
        self.register_buffer("counts", torch.tensor(layout))

    @classmethod
    def like(cls, state: Mapping[str, Tensor]) -> "KernelColumns":
        """Return one of the shapes of a state, without its values."""
        return cls(Layout(*state["counts"].tolist()), len(state["landmarks"]))

    def forward(self, rows: Tensor) -> Tensor:  # noqa: D102
        answer = self.similarity(self.place(rows), self.landmarks) @ self.weights + self.offsets
        return torch.cat([answer[:, :1], answer[:, 1:].clamp(min=0.0)], dim=1)

    def place(self, rows: Tensor) -> Tensor:
        """Return raw rows on the scale of the kernels, `[N, width]`."""
        known = torch.where(torch.isnan(rows), self.mean, rows)
        first = self.layout.features + self.layout.statistics
        scaled = ((known - self.mean)[:, :first] / self.scale[:first]).clamp(-CLIP, CLIP)
        levels = torch.nan_to_num(rows[:, first:])
        return torch.cat([scaled, levels], dim=1) / self.spread()

    def spread(self) -> Tensor:
        """Return by what each column is divided, so that a kernel's columns together weigh 1."""
        parts = (self.layout.features, self.layout.statistics)
        spread = [self.mean.new_full((count,), max(1, count) ** 0.5) for count in parts]
        # paths are about three levels deep
        return torch.cat([*spread, self.mean.new_full((self.layout.levels,), 3**0.5)])

    def similarity(self, left: Tensor, right: Tensor) -> Tensor:
        """Return the similarity `[N, M]` of placed rows `[N, width]` and `[M, width]`."""
        first, last = self.layout.features, self.layout.features + self.layout.statistics
        photos = torch.exp(-_squared_distance(left[:, :first], right[:, :first]))
        sold = torch.exp(-_squared_distance(left[:, first:last], right[:, first:last]))
        category = left[:, last:] @ right[:, last:].t()
        return photos + category + 2 * photos * category + sold


def _squared_distance(left: Tensor, right: Tensor) -> Tensor:
    squares = (left**2).sum(dim=1)[:, None] + (right**2).sum(dim=1) - 2 * left @ right.t()
    return squares.clamp(min=0.0)


@dataclass(frozen=True, slots=True)
class ListingColumns:
    """The columns of listings as they are for new ones, whether a kernel was fitted on them or not.

    Attributes:
        kernel: or None, which leaves the raw columns.
        rows: raw columns of all listings `[N, width]`.
        left_out: answers without the listing's group, by number of the listing, of those the kernel
            was fitted on.
    """

    kernel: KernelColumns | None
    rows: Rows
    left_out: Mapping[int, Rows]

    def of(self, items: npt.NDArray[np.int64]) -> Rows:
        """Return the columns `[M, C]` of listings."""
        rows = self.rows[items]
        if self.kernel is None:
            return rows
        columns = np.empty((len(rows), COLUMNS + rows.shape[1]), np.float32)
        columns[:, COLUMNS:] = rows
        with torch.inference_mode():
            for first in range(0, len(rows), _AT_ONCE):
                part = slice(first, first + _AT_ONCE)
                columns[part, :COLUMNS] = self.kernel(torch.from_numpy(rows[part])).numpy()
        for place, item in enumerate(items.tolist()):
            if item in self.left_out:
                columns[place, :COLUMNS] = self.left_out[item]
        return columns


def fit_kernel(
    rows: Rows,
    log_prices: npt.NDArray[np.floating],
    groups: npt.NDArray[np.int64],
    *,
    layout: Layout,
    seed: int,
    landmarks: int = LANDMARKS,
) -> tuple[KernelColumns, Rows]:
    """Fit the regression; return it and its answers `[N, 2]` for the rows, each group left out.

    Args:
        rows: raw columns of items with a price `[N, width]`, NaN where not known.
        log_prices: `[N]`, natural log of price in whole units.
        groups: `[N]` what belongs together, see `Split`; a row without mates has its own number.
        layout: of the columns.
        seed: of the sample where there are more rows than landmarks.
        landmarks: most items to compare with.

    Float64 on the CPU: three products of `N x L x L`, memory `8 N L` bytes a few times over.
    """
    count = len(rows)
    raw = torch.from_numpy(np.ascontiguousarray(rows))
    chosen = np.sort(np.random.default_rng(seed).permutation(count)[:landmarks])
    kernel = KernelColumns(layout, len(chosen)).double()
    _fit_scale(kernel, raw)
    placed = kernel.place(raw.double())
    kernel.landmarks.copy_(placed[chosen])
    among = kernel.similarity(kernel.landmarks, kernel.landmarks)
    root = torch.linalg.cholesky(among + _JITTER * torch.eye(len(chosen), dtype=torch.float64))

    def basis(items: Tensor) -> Tensor:
        """Return coordinates in which the kernel is the plain dot product."""
        similar = kernel.similarity(items, kernel.landmarks)
        coordinates: Tensor = torch.linalg.solve_triangular(root, similar.t(), upper=False)
        return coordinates.t()

    training = basis(placed)
    gram = training.t() @ training
    mean = float(np.mean(log_prices))
    prices = torch.from_numpy(np.asarray(log_prices, dtype=np.float64)) - mean

    mates = _mates(groups)
    tried = [_ridge(training, gram, prices, mates, ridge) for ridge in PRICE_RIDGES]
    errors = [float(((without - prices) ** 2).mean()) for _, without in tried]
    of_price, left_out = tried[int(np.argmin(errors))]
    sizes = (prices - left_out).abs()
    usual = float(sizes.mean())
    of_error, left_out_sizes = _ridge(training, gram, sizes - usual, mates, ERROR_RIDGE)

    coordinates = torch.stack([of_price, of_error], dim=1)
    kernel.weights.copy_(torch.linalg.solve_triangular(root.t(), coordinates, upper=True))
    kernel.offsets.copy_(torch.tensor([mean, usual]))
    own = torch.stack([left_out + mean, (left_out_sizes + usual).clamp(min=0.0)], dim=1)
    return kernel.float().eval(), own.float().numpy()


def _mates(groups: npt.NDArray[np.int64]) -> list[Tensor]:
    """Return the rows of each group that has more than one."""
    order = np.argsort(groups, kind="stable")
    starts = np.flatnonzero(np.diff(groups[order])) + 1
    return [torch.from_numpy(rows) for rows in np.split(order, starts) if len(rows) > 1]


def _ridge(
    basis: Tensor, gram: Tensor, targets: Tensor, mates: list[Tensor], strength: float
) -> tuple[Tensor, Tensor]:
    """Return the weights `[L]` of a ridge regression, and what it predicts `[N]` for left-out rows.

    With hat matrix H the residuals of rows G, fitted without them, are `(I - H_GG)^-1 r_G`.
    """
    root = torch.linalg.cholesky(gram + strength * torch.eye(len(gram), dtype=gram.dtype))
    weights = torch.cholesky_solve((basis.t() @ targets)[:, None], root)[:, 0]
    half = torch.linalg.solve_triangular(root, basis.t(), upper=False)
    residuals = targets - basis @ weights
    without = residuals / (1 - (half**2).sum(dim=0)).clamp(min=1e-6)
    for rows in mates:
        of_rows = half[:, rows]
        kept = torch.eye(len(rows), dtype=half.dtype) - of_rows.t() @ of_rows
        without[rows] = torch.linalg.solve(kept, residuals[rows])
    return weights, targets - without


def _fit_scale(kernel: KernelColumns, rows: Tensor) -> None:
    known = ~torch.isnan(rows)
    count = known.sum(dim=0).clamp(min=1)
    mean = torch.nan_to_num(rows).double().sum(dim=0) / count
    squares = torch.where(known, (rows - mean) ** 2, 0.0).sum(dim=0) / count
    least = torch.full_like(mean, MIN_STD)
    first = kernel.layout.features
    least[first : first + kernel.layout.statistics] = STATISTICS_MIN_STD
    kernel.mean.copy_(mean)
    kernel.scale.copy_(torch.maximum(squares.sqrt(), least))
