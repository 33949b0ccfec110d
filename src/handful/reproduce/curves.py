"""Learning curves and confusion matrices of some arms, drawn as in the report of the study."""

from __future__ import annotations

from collections.abc import Sequence

from handful.report import figures
from handful.report.collect import page_of
from handful.reproduce.entry import Section
from handful.study.result import Result


def curves_and_confusion(result: Result, arms: Sequence[str]) -> Section:
    """Return loss and accuracy against steps, and the confusion matrix on test, of every arm that was run."""
    page, drawn = page_of(result), []
    for arm in page.arms:
        if arm.name in arms and arm.panels:
            drawn.append(figures.learning(page, arm))
        if arm.name in arms and arm.confusion is not None:
            drawn.append(figures.confusion(page, arm))
    order = ", ".join(arm for arm in arms if arm in result.arms)
    return Section("Curves and confusion", (f"In turn: {order}.",), figures=tuple(drawn))
