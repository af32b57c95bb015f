"""The figures of a report, each as an SVG image in a `data:` URI.

Narrow and of large letters, so that they can be read at the width of a phone. The same numbers
give the same bytes: ids are hashed with a salt of ours and nothing has a date.
"""

import base64
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator, PercentFormatter

from models.evaluation.metrics import ConfidenceBin
from models.evaluation.range_coverage import Share
from models.evaluation.risk_coverage import RiskCoverage

Array = npt.NDArray[np.float64]

_INK, _SOFT, _LINE = "#1d2330", "#667085", "#d0d5dd"
_BLUE, _PALE, _RED, _GREY = "#1f5fbf", "#b9d4f5", "#c92a2a", "#98a2b3"

_STYLE: dict[Any, Any] = {
    # text stays text: smaller, and the reader's fonts have more scripts than the one built in
    "svg.fonttype": "none",
    "svg.hashsalt": "secondsight",
    "font.family": ["DejaVu Sans", "sans-serif"],
    "font.size": 10,
    "axes.edgecolor": _LINE,
    "axes.labelcolor": _SOFT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#eaecf0",
    "xtick.color": _SOFT,
    "ytick.color": _SOFT,
    "legend.frameon": False,
    "text.color": _INK,
    "text.parse_math": False,  # a category may be named "$\frac{"
}
_WIDTH, _HEIGHT = 4.6, 3.3  # inches; on a phone of 360 px the letters are 11 px high
_BINS = 40
_NO_METADATA = dict.fromkeys(("Creator", "Date", "Format", "Type"))


@dataclass(slots=True)
class Drawing:
    """A figure being drawn: its axes, and when it is done the image as a `data:` URI."""

    axes: Axes
    uri: str = ""


@contextmanager
def _drawing(height: float = _HEIGHT) -> Iterator[Drawing]:
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(_WIDTH, height), layout="constrained")
        drawing = Drawing(figure.subplots())
        yield drawing
        svg = BytesIO()
        with warnings.catch_warnings():
            # the reader's fonts draw the text, not the one that its width is guessed with
            warnings.filterwarnings("ignore", message="Glyph .* missing from font")
            figure.savefig(svg, format="svg", metadata=_NO_METADATA)
    drawing.uri = "data:image/svg+xml;base64," + base64.b64encode(svg.getvalue()).decode()


def draw_prices(before: Array, after: Array, currency: str) -> tuple[str, str]:
    """Draw Fig. 3: the prices before and after cleaning, as they are (a) and in logarithm (b).

    Args:
        before: `[N]` all prices above zero, in whole currency units.
        after: `[M]` the rational ones among them, M > 0.
        currency: for the axes.
    """
    top = float(np.quantile(after, 0.98))
    with _drawing() as plain:
        bins = np.linspace(0, top, _BINS + 1)
        _histograms(plain.axes, before[before <= top], after[after <= top], bins)
        plain.axes.set_xlabel(f"price in {currency}")
        plain.axes.xaxis.set_major_formatter(FuncFormatter(_amount))
    with _drawing() as logarithmic:
        low, high = np.log10(before.min()), np.log10(before.max())
        # at least a tenth wide, for prices that are all the same
        bins = np.logspace(low - 0.05, high + 0.05, _BINS + 1)
        logarithmic.axes.set_xscale("log")
        _histograms(logarithmic.axes, before, after, bins)
        logarithmic.axes.set_xlabel(f"price in {currency}, logarithmic scale")
        logarithmic.axes.xaxis.set_major_formatter(FuncFormatter(_amount))
        logarithmic.axes.xaxis.set_major_locator(LogLocator(numticks=6))
        logarithmic.axes.xaxis.set_minor_locator(NullLocator())
    return plain.uri, logarithmic.uri


def _histograms(axes: Axes, before: Array, after: Array, bins: Array) -> None:
    axes.hist(after, bins=bins.tolist(), color=_PALE, label="after cleaning")
    axes.hist(before, bins=bins.tolist(), histtype="step", color=_RED, label="before cleaning")
    axes.set_ylabel("listings")
    axes.yaxis.set_major_formatter(FuncFormatter(_amount))
    axes.legend()


def _amount(value: float, _position: int | None = None) -> str:
    if value >= 1e6:
        return f"{value / 1e6:,.4g}m"
    return f"{value:,.0f}" if value >= 1 or value == 0 else f"{value:g}"


def _legend_above(axes: Axes, columns: int) -> None:
    """Put the legend where no line can cross it."""
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=columns, fontsize=9)


def draw_risk_coverage(
    curve: RiskCoverage,
    operating: tuple[float, float] | None,
    oracle: RiskCoverage | None,
) -> str:
    """Draw the mean error of the answered listings over the share that is answered.

    Args:
        curve: of |ln(suggested / sold)|, so that its risk is a MALE.
        operating: share and MALE of the bundle as it is set, where it answers any.
        oracle: the curve of whoever knows the price law, where one does.
    """
    with _drawing() as drawing:
        axes = drawing.axes
        # a handful of listings says nothing, and would stretch the scale of the rest
        first = min(len(curve.risk) - 1, max(4, len(curve.risk) // 50))
        axes.plot(curve.coverage[first:], curve.risk[first:], color=_BLUE, label="this bundle")
        axes.axhline(curve.risk[-1], color=_GREY, linestyle=":", label="all answered")
        if oracle is not None:
            axes.plot(
                oracle.coverage[first:],
                oracle.risk[first:],
                color=_GREY,
                linestyle="--",
                label="oracle",
            )
        if operating is not None:
            axes.plot(*operating, "o", color=_RED, label="as it is set")
        axes.set_xlim(0, 1.02)
        axes.set_ylim(bottom=0)
        axes.set_xlabel("share of listings answered, the surest first")
        axes.set_ylabel("mean error (MALE)")
        axes.xaxis.set_major_formatter(PercentFormatter(1.0))
        _legend_above(axes, 2)
    return drawing.uri


def draw_reliability(bins: Sequence[ConfidenceBin], came_true: str) -> str:
    """Draw how often what the confidence promises came true.

    Args:
        bins: from low to high.
        came_true: what coming true is, for the axis.
    """
    confidence, frequency, count = np.transpose(
        [(one.confidence, one.frequency, one.count) for one in bins]
    )
    with _drawing() as drawing:
        axes = drawing.axes
        axes.plot([0, 1], [0, 1], color=_GREY, linestyle="--", label="confidence = truth")
        axes.errorbar(
            confidence,
            frequency,
            yerr=1.96 * np.sqrt(frequency * (1 - frequency) / count),
            color=_BLUE,
            ecolor=_PALE,
            marker="o",
            markersize=5,
            label="this bundle",
        )
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1)
        axes.set_xlabel("confidence")
        axes.set_ylabel(came_true)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(PercentFormatter(1.0))
        _legend_above(axes, 2)
    return drawing.uri


def draw_range_coverage(shares: Sequence[tuple[str, Share]], nominal: float) -> str:
    """Draw how often the range holds the sold price, beside what is nominal.

    Args:
        shares: name and true coverage, from top to bottom.
        nominal: the probability that the ranges are made for.
    """
    places = np.arange(len(shares))
    true, low, high = np.transpose(
        [(share.coverage, share.coverage_low, share.coverage_high) for _, share in shares]
    )
    with _drawing(height=1.1 + 0.3 * len(shares)) as drawing:
        axes = drawing.axes
        axes.axvline(nominal, color=_GREY, linestyle="--", label="nominal")
        axes.errorbar(
            true,
            places,
            # rounding may leave a bound on the wrong side of the share
            xerr=np.maximum(0, [true - low, high - true]),
            color=_BLUE,
            ecolor=_PALE,
            elinewidth=6,
            linestyle="",
            marker="o",
            markersize=5,
            label="true",
        )
        labels = [f"{_short(name)} ({share.count:,})" for name, share in shares]
        axes.set_yticks(places, labels)
        axes.grid(visible=False, axis="y")
        axes.set_ylim(len(shares) - 0.5, -0.5)
        axes.set_xlim(min(0.5, *low) - 0.02, 1.02)
        axes.set_xlabel("sold price within the range")
        axes.xaxis.set_major_formatter(PercentFormatter(1.0))
        _legend_above(axes, 2)
    return drawing.uri


def _short(name: str) -> str:
    """Keep the end of a category path, which tells it from its neighbours."""
    return name if len(name) <= 26 else "…" + name[-25:]


def draw_bars(
    names: Sequence[str], values: Sequence[float], label: str, limit: float | None
) -> str:
    """Draw a value of each of some names, the largest on top.

    Args:
        names: `[N]`, N > 0.
        values: `[N]`, none below 0.
        label: what the values are.
        limit: a line across, from which on bars are red; None for none.
    """
    order = np.argsort(values, kind="stable")
    lengths = np.asarray(values)[order]
    red = np.zeros(len(order), np.bool_) if limit is None else lengths > limit
    with _drawing(0.8 + 0.26 * len(names)) as drawing:
        axes = drawing.axes
        axes.barh(
            [names[place] for place in order], lengths, color=np.where(red, _RED, _BLUE).tolist()
        )
        if limit is not None:
            axes.axvline(limit, color=_GREY, linestyle="--")
        axes.set_xlim(left=0)
        axes.set_xlabel(label)
        axes.grid(axis="y", visible=False)
    return drawing.uri
