"""The figures of the report, each a function of the page that returns an inline SVG."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from handful.report.curves import RATE, SCORES, VALIDATION_LOSS, Curve, Panel
from handful.report.page import ArmPage, Page
from handful.report.svg import (
    ACCENT,
    BAND,
    HURTS,
    INK,
    MUTED,
    ON_ACCENT,
    PAPER,
    REAL,
    SYNTHETIC,
    VERDICT_COLOURS,
    drawing,
    quiet,
    short,
    whole_steps,
)

WRITTEN = 20  # classes up to which a confusion matrix has its counts written
WIDE = 7.6  # inches of a figure as wide as the text
RIGHT, WRONG = (0.16, 0.45, 0.78), (0.83, 0.40, 0.10)  # where cells are too many to draw one by one


def forest(page: Page) -> str:
    """Differences to the reference with their intervals, a line at zero and a band as wide as the margin."""
    arms = page.compared
    values = np.array([100 * arm.comparison.difference for arm in arms if arm.comparison])
    bounds = [arm.comparison.interval for arm in arms if arm.comparison and arm.comparison.interval]
    limit = _limit(values, 100 * np.array(bounds).reshape(-1, 2), 100 * page.margin)
    alt = f"Difference to {page.reference} in points of {page.score_words}, per arm, with intervals."
    with drawing("forest", WIDE, 0.85 + 0.36 * len(arms), alt) as made:
        axes = made.figure.subplots()
        axes.axvspan(-100 * page.margin, 100 * page.margin, color=BAND, alpha=0.7)
        axes.axvline(0, color=INK, linewidth=1)
        for place, arm in enumerate(arms):
            assert arm.comparison is not None
            colour = VERDICT_COLOURS.get(arm.word, MUTED)
            if arm.comparison.interval:
                low, high = (100 * bound for bound in arm.comparison.interval)
                shown = max(low, -limit), min(high, limit)
                axes.plot(shown, (place, place), color=colour, linewidth=2.4, solid_capstyle="round")
                for bound, edge, marker in ((low, -limit, "<"), (high, limit, ">")):
                    if abs(bound) > limit:
                        axes.plot(edge, place, marker=marker, color=colour, markersize=5, clip_on=False)
            axes.plot(100 * arm.comparison.difference, place, "o", color=colour, markersize=7.5, markeredgecolor=PAPER)
        axes.set_xlim(-limit * 1.04, limit * 1.04)
        axes.set_ylim(len(arms) - 0.4, -0.6)
        axes.set_yticks(range(len(arms)), [short(arm.name) for arm in arms], color=INK)
        axes.set_xlabel(f"points of {page.score_words} more than {short(page.reference)}")
        quiet(axes, grid="x")
    return made.svg


def _limit(values: NDArray[np.float64], bounds: NDArray[np.float64], margin: float) -> float:
    """Half the axis: all intervals, but for one far wider than the next, which gets an arrow instead."""
    reach = [0.0, 0.0, *sorted(np.abs(bounds).max(axis=1).tolist())] if len(bounds) else [0.0, 0.0]
    widest = min(reach[-1], 2.5 * reach[-2]) if reach[-2] else reach[-1]
    return max(widest, 1.2 * float(np.abs(values).max(initial=0.0)), 2 * margin, 0.5)


def by_repeat(page: Page) -> str:
    """The score of every repeat, the arms of one repeat joined by a line: what is compared is what one split gave."""
    arms = page.scored
    repeats = sorted({repeat for arm in arms for repeat in arm.by_repeat})
    alt = f"{page.score_words} of every arm in every repeat; lines join the arms of one repeat."
    with drawing("by-repeat", WIDE, 0.85 + 0.36 * len(arms), alt) as made:
        axes = made.figure.subplots()
        for repeat in repeats:
            points = [(arm.by_repeat.get(repeat, np.nan), place) for place, arm in enumerate(arms)]
            xs, ys = zip(*points, strict=True)
            axes.plot(xs, ys, "-", color=MUTED, linewidth=0.8, alpha=0.55)
            axes.plot(xs, ys, "o", color=ACCENT, markersize=5, alpha=0.75, markeredgewidth=0)
        for place, arm in enumerate(arms):
            axes.plot(arm.scores[page.score].mean, place, "|", color=INK, markersize=15, markeredgewidth=2)
        axes.set_ylim(len(arms) - 0.4, -0.6)
        axes.set_yticks(range(len(arms)), [short(arm.name) for arm in arms], color=INK)
        axes.set_xlabel(f"{page.score_words} on test; the bar is the mean")
        quiet(axes, grid="x")
    return made.svg


STROKES = ((ACCENT, "-"), (SYNTHETIC, "--"), (INK, "-."), (REAL, ":"))  # of the curves of a panel, in their order


def learning(page: Page, arm: ArmPage) -> str:
    """An arm's panels (losses, scores, learning rate) against steps; the band spans the repeats."""
    alt = f"Learning curves of {arm.name}: {', '.join(panel.title for panel in arm.panels)} against steps."
    num = len(arm.panels)
    with drawing(f"curves-{arm.slug}", 2.6 * num, 2.25, alt) as made:
        for axes, panel in zip(made.figure.subplots(1, num, squeeze=False)[0], arm.panels, strict=True):
            for curve, (colour, line) in zip(panel.curves, STROKES[: len(panel.curves)], strict=True):
                axes.fill_between(curve.steps, curve.low, curve.high, color=colour, alpha=0.2, linewidth=0)
                axes.plot(curve.steps, curve.mean, line, color=colour, linewidth=1.6, label=curve.name)
                if len(curve.steps) == 1:
                    axes.plot(curve.steps, curve.mean, "o", color=colour, markersize=4)
                for steps, values in curve.rest:
                    axes.plot(steps, values, line, color=colour, linewidth=0.7, alpha=0.6)
            axes.set_title(panel.title)
            axes.set_xlabel("optimizer steps")
            _shared(page, axes, panel)
            if len(panel.curves) > 1:
                axes.legend(loc="best", handlelength=1.6, borderpad=0.2)
            quiet(axes)
            whole_steps(axes)
    return made.svg


def _shared(page: Page, axes: Axes, panel: Panel) -> None:
    """Give the panels of one quantity the same axis in all arms, and mark the steps the weights were taken from."""
    same = [one for arm in page.arms for one in arm.panels if one.title == panel.title]
    values = np.array([value for one in same for curve in one.curves for value in _values(curve)])
    if len(values):
        most = float(values.max() if panel.title == RATE else np.quantile(values, 0.98)) * 1.15
        low, high = (0.0, 1.0) if "score" in panel.title else (0.0, most)
        low = min(low, float(values.min()))
        axes.set_ylim(low, max(high, low + 1e-6))
    axes.set_xlim(0, max((step for one in same for curve in one.curves for step in _steps(curve)), default=1))
    if panel.title in (VALIDATION_LOSS, SCORES):
        for step in panel.best_steps:
            axes.axvline(step, ymax=0.06, color=INK, linewidth=1)


def _steps(curve: Curve) -> list[int]:
    return [*curve.steps, *(step for steps, _ in curve.rest for step in steps)]


def _values(curve: Curve) -> list[float]:
    return [*curve.mean, *curve.low, *curve.high, *(value for _, values in curve.rest for value in values)]


def confusion(page: Page, arm: ArmPage) -> str:
    """Test pictures by class and predicted class, summed over repeats; colour is the share of the row."""
    assert arm.confusion is not None
    counts, names = arm.confusion, [short(name, 16) for name in page.class_names]
    num = len(names)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = min(1.4 + 0.34 * num, 4.6) if num <= WRITTEN else min(2.0 + 0.14 * num, 9.4)
    alt = f"Confusion matrix of {arm.name}: rows are the true class, columns the predicted one."
    with drawing(f"confusion-{arm.slug}", side + 0.6, side, alt) as made:
        axes = made.figure.subplots()
        if num <= WRITTEN:
            _cells(axes, counts, shares, 7.5 if num <= 12 else 5.5, {one.cell for one in arm.confused})
        else:
            heat = np.zeros((num, num, 4))
            heat[..., :3], heat[..., 3] = WRONG, shares**0.6
            heat[np.arange(num), np.arange(num), :3] = RIGHT
            axes.imshow(heat, interpolation="nearest")
        axes.set_xlim(-0.5, num - 0.5)
        axes.set_ylim(num - 0.5, -0.5)
        axes.set_aspect("equal")
        size = 8 if num <= WRITTEN else 6.5
        axes.set_xticks(range(num), names, rotation=90 if max(map(len, names)) > 2 else 0, fontsize=size)
        axes.set_yticks(range(num), names, fontsize=size)
        axes.set_xlabel("predicted")
        axes.set_ylabel("true class")
        axes.tick_params(length=0)
        for spine in axes.spines.values():
            spine.set_visible(False)
    return made.svg


def _cells(
    axes: Axes,
    counts: NDArray[np.int64],
    shares: NDArray[np.float64],
    size: float,
    listed: Collection[tuple[int, int]],
) -> None:
    """Draw the counts; a cell whose pictures are listed below leads there."""
    for row, column in np.ndindex(*counts.shape):
        share, count = float(shares[row, column]), int(counts[row, column])
        axes.add_patch(Rectangle((column - 0.48, row - 0.48), 0.96, 0.96, color=BAND, linewidth=0))
        if count:
            cell = Rectangle(
                (column - 0.48, row - 0.48),
                0.96,
                0.96,
                color=ACCENT if row == column else HURTS,
                alpha=0.08 + 0.92 * share,
                linewidth=0,
            )
            axes.add_patch(cell)
            colour = ON_ACCENT if share > 0.5 else INK
            text = axes.text(column, row, str(count), ha="center", va="center", color=colour, fontsize=size)
            if (row, column) in listed:  # `svg.inline` puts the name of the drawing before the anchor
                for part in (cell, text):
                    part.set_url(f"#cell-{row}-{column}")


def class_counts(page: Page) -> str:
    """Training pictures per class, before and as each arm's classifier saw them; arms that saw the same share one."""
    before = tuple(one.train for one in page.classes)
    columns: dict[tuple[tuple[int, ...], tuple[int, ...]], list[str]] = {(before, (0,) * len(before)): ["before"]}
    for arm in page.composed:
        if arm.trained is not None:
            columns.setdefault((arm.trained.real, arm.trained.made), []).append(arm.name)
    names = [short(name, 18) for name in page.class_names]
    alt = "Training pictures per class, before and as the classifier of each arm saw them."
    height, width = (
        0.8 + max(0.15, 0.22 if len(names) <= 24 else 0.15) * len(names),
        min(1.2 + 1.9 * len(columns), 11.0),
    )
    with drawing("class-counts", max(width, 4.6), height, alt) as made:
        grid = made.figure.subplots(1, len(columns), sharex=True, sharey=True, squeeze=False)[0]
        places = np.arange(len(names))
        for axes, ((real, made_ones), arms) in zip(grid, columns.items(), strict=True):
            axes.barh(places, real, height=0.7, color=REAL, label="real")
            axes.barh(places, made_ones, left=real, height=0.7, color=SYNTHETIC, label="made")
            axes.set_title(short(", ".join(arms), 20))
            axes.set_xlabel("training pictures")
            quiet(axes, grid="x")
        grid[0].set_ylim(len(names) - 0.4, -0.6)
        grid[0].set_yticks(places, names, color=INK, fontsize=8.5 if len(names) <= 24 else 6.5)
        if len(columns) > 1:
            grid[-1].legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), handlelength=1)
    return made.svg


def reliability(page: Page, arm: ArmPage) -> str:
    """Accuracy against confidence, before and after temperature scaling; under it how many answers a bin has."""
    assert arm.calibrated is not None
    panels = [("as trained", arm.calibrated.before_bins)]
    if arm.calibrated.after_bins:
        panels.append(("at its temperature", arm.calibrated.after_bins))
    alt = f"Reliability of {arm.name}: accuracy against confidence, {' and '.join(title for title, _ in panels)}."
    with drawing(f"reliability-{arm.slug}", 2.3 * len(panels) + 0.3, 2.9, alt) as made:
        grid = made.figure.subplots(
            2, len(panels), squeeze=False, sharex=True, sharey="row", gridspec_kw={"height_ratios": (4, 1)}
        )
        for place, (title, bins) in enumerate(panels):
            upper, lower = grid[0][place], grid[1][place]
            edges, width = np.arange(len(bins.count)) / len(bins.count), 1 / len(bins.count)
            full = [b for b, count in enumerate(bins.count) if count]
            said, right, low, high = (
                np.array([values[b] for b in full], dtype=float)
                for values in (bins.confidence, bins.accuracy, bins.low, bins.high)
            )
            upper.plot((0, 1), (0, 1), color=MUTED, linewidth=0.9, linestyle="--")
            upper.vlines(said, np.minimum(said, right), np.maximum(said, right), color=HURTS, linewidth=2, alpha=0.5)
            upper.vlines(said, low, high, color=ACCENT, linewidth=0.9)
            share = np.array([bins.count[b] for b in full]) / max(sum(bins.count), 1)
            upper.scatter(said, right, s=8 + 90 * np.sqrt(share), color=ACCENT, linewidth=0, zorder=3, clip_on=False)
            upper.set_title(title)
            upper.set_xlim(0, 1)
            upper.set_ylim(0, 1.02)
            upper.set_xticks((0, 0.5, 1))
            lower.bar(edges + width / 2, bins.count, width=0.86 * width, color=REAL)
            lower.set_xlabel("confidence")
            quiet(upper)
            quiet(lower)
        grid[0][0].set_ylabel("accuracy")
        grid[1][0].set_ylabel("answers")
    return made.svg
