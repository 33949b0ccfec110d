"""The networks of a study as drawings, a box for each stage, and their sizes as a table."""

from __future__ import annotations

from collections.abc import Sequence

from handful.classify.cnn import CNN
from handful.report.network import diagram
from handful.reproduce.entry import Section
from handful.reproduce.rows import table_of
from handful.study.result import Result
from handful.study.summarized import looked_at


def networks_section(result: Result, arms: Sequence[str]) -> Section:
    """Return a drawing and the size of the network of every arm that was run; nothing is computed with weights."""
    rows, figures = [], []
    for arm in (arm for arm in arms if arm in result.arms):
        recipe = result.study.classifier_of(result.study.arm(arm))
        if not isinstance(recipe, CNN):
            continue
        found = looked_at(recipe, len(result.class_names))
        picture = " x ".join(map(str, found.picture))
        rows.append((arm, picture, f"{found.parameters:,}", f"{found.trained:,}", f"{found.multiply_adds:,}"))
        figures.append(diagram(found))
    columns = ("network of", "pictures", "parameters", "trained", "multiply-adds")
    words = (f"Drawn in turn: {', '.join(row[0] for row in rows)}.",) if rows else ()
    return Section("Networks", words, (table_of("networks", "Sizes", columns, rows),), tuple(figures))
