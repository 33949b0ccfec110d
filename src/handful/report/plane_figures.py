"""Drawings of planes: colour is the class, the marker where a picture comes from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from handful.report.page import Page
from handful.report.planes import MADE, TEST, TRAIN, ArmPlane, Plane
from handful.report.svg import INK, MUTED, RULE, drawing, short

LEGEND = 24  # classes up to which each is named beside the drawing
TOLD = {TRAIN: ("training", "o"), TEST: ("test", "D"), MADE: ("synthetic", "x")}
GREY = "#8a8f98"  # points are one picture inside the drawing, so their colours suit light and dark alike
DPI = 200


def shared_plane(page: Page, plane: Plane) -> str:
    """All pictures in one layout, and what colours and markers mean."""
    colours = class_colours(len(page.class_names))
    alt = "Real and synthetic pictures in one plane, near where their features are alike."
    with drawing("plane", 8.2, 0.2 + 6.5 * _tall(plane), alt) as made:
        axes = made.figure.subplots()
        _points(axes, plane, colours, size=16)
        parts = [part for part in TOLD if (plane.parts == part).any()]
        marks = [_mark(TOLD[part][1], INK, TOLD[part][0]) for part in parts]
        if len(page.class_names) <= LEGEND:
            marks += [
                _mark("s", colour, short(name, 16)) for name, colour in zip(page.class_names, colours, strict=True)
            ]
        axes.legend(handles=marks, loc="upper left", bbox_to_anchor=(1.01, 1.0), borderpad=0.2, handletextpad=0.3)
        _bare(axes)
        made.figure.set_dpi(DPI)
    return made.svg


def arm_plane(page: Page, arm: ArmPlane, kind: str) -> str:
    """One arm's plane, small: real pictures grey and its synthetic ones coloured, or all coloured where `own`."""
    colours = class_colours(len(page.class_names))
    own = kind == "own"
    alt = f"{arm.name}: {'pictures by the features of its own classifier' if own else 'its synthetic pictures'}."
    with drawing(f"plane-{kind}-{arm.slug}", 3.4, 0.1 + 3.3 * _tall(arm.plane), alt) as made:
        axes = made.figure.subplots()
        _points(axes, arm.plane, colours, size=8, grey=not own)
        _bare(axes)
        made.figure.set_dpi(DPI)
    return made.svg


def class_colours(num: int) -> list[str]:
    """Return a colour per class: of a list of ten or twenty, and evenly around the circle of hues where more."""
    if num <= 20:
        named = colormaps["tab10" if num <= 10 else "tab20"]
        return [to_hex(named(place)) for place in range(num)]
    return [to_hex(colormaps["hsv"](place / num)) for place in range(num)]


def _tall(plane: Plane) -> float:
    """Height of a plane as a share of its width, within what a page has room for."""
    wide, high = np.ptp(plane.points, axis=0)
    return float(np.clip(high / max(wide, 1e-6), 0.5, 1.1))


def _points(axes: Axes, plane: Plane, colours: Sequence[str], *, size: float, grey: bool = False) -> None:
    of_class: NDArray[np.str_] = np.array(colours)[plane.labels]
    for part, (_, marker) in TOLD.items():
        rows = plane.parts == part
        if not rows.any():
            continue
        shades = [GREY] * int(rows.sum()) if grey and part != MADE else of_class[rows].tolist()
        axes.scatter(
            plane.points[rows, 0],
            plane.points[rows, 1],
            s=size * (0.8 if part == TEST else 1.0),
            c=shades,
            marker=marker,
            linewidths=0 if part == TRAIN else 0.9,
            alpha=0.45 if grey and part != MADE else 0.85,
            rasterized=True,
        )
        if part == TEST:
            axes.collections[-1].set(edgecolor=shades, facecolor="none")


def _mark(marker: str, colour: str, name: str) -> Line2D:
    hollow = "none" if marker == "D" else colour
    return Line2D([], [], linestyle="", marker=marker, color=colour, markerfacecolor=hollow, markersize=5, label=name)


def _bare(axes: Axes) -> None:
    """Distances along the axes have no unit, so none is drawn."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_aspect("equal", adjustable="box", anchor="NW")
    for spine in axes.spines.values():
        spine.set_visible(True)
        spine.set_color(RULE)
    axes.set_xlabel("")
    axes.tick_params(colors=MUTED)
