"""Learning curves and confusion matrices of some arms, drawn as in the report of the study."""

from __future__ import annotations

from collections.abc import Sequence

from handful.report import figures
from handful.report.collect import page_of
from handful.reproduce.entry import Section
from handful.study.result import Result


def curves_and_confusion(result: Result, arms: Sequence[str]) -> Section:
    """Return loss and accuracy against steps, and the confusion matrix on test, of every arm that was run."""
    page, drawn, order = page_of(result), [], []
    for arm in (arm for arm in page.arms if arm.name in arms):
        if arm.panels:
            drawn.append(figures.learning(page, arm))
        if arm.confusion is not None:
            drawn.append(figures.confusion(page, arm))
        if arm.panels or arm.confusion is not None:
            order.append(arm.name)
    legend = f"Drawn in turn: {', '.join(order)}." if order else ""
    return Section("Curves and confusion", figures=tuple(drawn), legend=legend)
