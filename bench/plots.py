"""Draws the plots of the generated pages, as SVG and PNG."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

OURS: Final = "#1f6feb"
OTHERS: Final = "#8c959f"
COLOURS: Final = (OURS, "#d1242f", "#1a7f37", "#bf8700", "#8250df", "#57606a")
_SIZE: Final = (7.0, 3.6)


class Line(NamedTuple):
    """A curve: its name and its points."""

    name: str
    x: Sequence[float]
    y: Sequence[float]


class Bar(NamedTuple):
    """A bar: its name, its length, the least and the most of the rounds, and whether it is ours."""

    name: str
    value: float
    least: float
    most: float
    ours: bool


def draw_bars(path: Path, title: str, unit: str, bars: Sequence[Bar], *, log: bool = False) -> None:
    """Draws horizontal bars, with the spread of the rounds.

    Args:
        path: without a suffix; `.svg` and `.png` are written.
        title: what is shown.
        unit: of the lengths.
        bars: from the top to the bottom.
        log: whether the axis is logarithmic.
    """
    figure, axes = _figure(max(1.6, 0.42 * len(bars) + 1.1))
    places = range(len(bars))
    values = [bar.value for bar in bars]
    spread = [
        [bar.value - bar.least for bar in bars],
        [bar.most - bar.value for bar in bars],
    ]
    colours = [OURS if bar.ours else OTHERS for bar in bars]
    axes.barh(places, values, xerr=spread, color=colours, ecolor="#24292f", capsize=3)
    axes.set_yticks(places, [bar.name for bar in bars])
    axes.invert_yaxis()
    if log:
        axes.set_xscale("log")
    for place, bar in zip(places, bars, strict=True):
        text = f"  {bar.value:,.0f}" if bar.value >= 10 else f"  {bar.value:,.2f}"
        axes.text(max(bar.most, bar.value), place, text, va="center", fontsize=8)
    axes.margins(x=0.15)
    axes.set_xlabel(unit)
    axes.set_title(title, loc="left", fontsize=10)
    _save(figure, path)


def draw_lines(
    path: Path,
    title: str,
    labels: tuple[str, str],
    lines: Sequence[Line],
    scales: tuple[str, str] = ("log", "linear"),
) -> None:
    """Draws curves over a common axis.

    Args:
        path: without a suffix; `.svg` and `.png` are written.
        title: what is shown.
        labels: of the horizontal and the vertical axis.
        lines: the curves.
        scales: of the axes, `linear` or `log`.
    """
    figure, axes = _figure(_SIZE[1])
    for index, line in enumerate(lines):
        colour = COLOURS[index % len(COLOURS)]
        axes.plot(line.x, line.y, marker="o", markersize=4, color=colour, label=line.name)
    axes.set_xscale(scales[0])
    axes.set_yscale(scales[1])
    if scales[1] == "linear":
        axes.set_ylim(bottom=0)
    axes.set_xlabel(labels[0])
    axes.set_ylabel(labels[1])
    axes.grid(visible=True, alpha=0.3)
    axes.set_title(title, loc="left", fontsize=10)
    if len(lines) > 1:
        axes.legend(fontsize=8)
    _save(figure, path)


def _figure(height: float) -> tuple[Any, Any]:
    matplotlib: Any = importlib.import_module("matplotlib")
    matplotlib.use("Agg")
    # The same figures give the same file, so that a page changes only if its figures do.
    settings: Mapping[str, Any] = {"svg.hashsalt": "pdp", "svg.fonttype": "none", "font.size": 9}
    matplotlib.rcParams.update(settings)
    pyplot: Any = importlib.import_module("matplotlib.pyplot")
    figure, axes = pyplot.subplots(figsize=(_SIZE[0], height), layout="constrained")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return figure, axes


def _save(figure: Any, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path.with_suffix(".svg"), metadata={"Date": None})
    figure.savefig(path.with_suffix(".png"), dpi=120)
    importlib.import_module("matplotlib.pyplot").close(figure)
