"""The kinds of figures that the published studies have, each a function of plain numbers that returns an inline SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from handful.report.svg import ACCENT, BAND, FLAWED, INK, MUTED, REAL, SYNTHETIC, drawing, quiet, short

WIDE = 7.6
COLOURS = (ACCENT, SYNTHETIC, REAL, MUTED, INK)
MARKS = "os^DvP"  # six of them and five colours: thirty series differ


@dataclass(frozen=True)
class Line:
    """Values against x, with a band where `low` and `high` are given."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()


def bars(name: str, label: str, alt: str, values: Mapping[str, float], *, flawed: Sequence[str] = ()) -> str:
    """Horizontal bars with their values written, those named in `flawed` in the colour of flawed numbers."""
    with drawing(name, WIDE, 0.8 + 0.42 * len(values), alt) as made:
        axes = made.figure.subplots()
        for place, (what, value) in enumerate(values.items()):
            axes.barh(place, value, color=FLAWED if what in flawed else ACCENT, height=0.62)
            axes.text(value + 0.01, place, f"{value:.3f}", va="center", color=INK)
        axes.set_yticks(range(len(values)), [short(what, 44) for what in values], color=INK)
        axes.set_ylim(len(values) - 0.4, -0.6)
        axes.set_xlim(0, max(1.0, *values.values()) * 1.08)
        axes.set_xlabel(label)
        quiet(axes, grid="x")
    return made.svg


def lines(name: str, x_label: str, y_label: str, alt: str, drawn: Sequence[Line], *, height: float = 3.0) -> str:
    """Lines with bands."""
    with drawing(name, WIDE, height, alt) as made:
        axes = made.figure.subplots()
        for place, line in enumerate(drawn):
            colour = COLOURS[place % len(COLOURS)]
            if len(line.low):
                axes.fill_between(line.x, line.low, line.high, color=colour, alpha=0.2, linewidth=0)
            marker = MARKS[place % len(MARKS)] if len(line.x) <= 12 else None
            axes.plot(line.x, line.y, color=colour, marker=marker, markersize=4.5, linewidth=1.6, label=line.name)
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
        if len(drawn) > 1:
            axes.legend(loc="best", handlelength=1.6)
        quiet(axes)
    return made.svg


def by_class(
    name: str, label: str, alt: str, classes: Sequence[str], series: Mapping[str, Sequence[float | None]]
) -> str:
    """A mark per class and series: precision, recall or a measure of every class, per approach."""
    with drawing(name, WIDE, 2.8, alt) as made:
        axes = made.figure.subplots()
        for place, (what, values) in enumerate(series.items()):
            shown = [np.nan if value is None else value for value in values]
            x = np.arange(len(shown)) + (place - (len(series) - 1) / 2) * 0.11
            axes.plot(
                x, shown, MARKS[place % len(MARKS)], color=COLOURS[place % len(COLOURS)], markersize=5, label=what
            )
        rotation = 60 if max(map(len, classes)) > 4 else 0
        axes.set_xticks(range(len(classes)), [short(one, 14) for one in classes], rotation=rotation)
        axes.set_ylabel(label)
        axes.legend(loc="best", ncols=min(3, len(series)), handlelength=1)
        quiet(axes)
    return made.svg


def scatter(
    name: str,
    alt: str,
    points: NDArray[np.floating],
    labels: NDArray[np.int64],
    classes: Sequence[str],
    *,
    title: str = "",
) -> str:
    """Points in the plane, every class with its number at the middle of its points."""
    with drawing(name, WIDE, 4.6, alt) as made:
        axes = made.figure.subplots()
        axes.set_title(title)
        for label in range(len(classes)):
            mine = points[labels == label]
            if len(mine):
                axes.plot(
                    mine[:, 0],
                    mine[:, 1],
                    MARKS[label % len(MARKS)],
                    color=COLOURS[label % 3],
                    markersize=3,
                    alpha=0.55,
                )
        for label, what in enumerate(classes):
            mine = points[labels == label]
            if len(mine):
                x, y = np.median(mine, axis=0).tolist()
                axes.text(x, y, short(what, 12), ha="center", va="center", color=INK, fontsize=7.5)
        axes.set_xticks([])
        axes.set_yticks([])
        for side in ("left", "bottom"):
            axes.spines[side].set_color(BAND)
    return made.svg
