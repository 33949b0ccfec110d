"""Over- and underfitting of every arm, in plain words, beside what a study observed."""

from __future__ import annotations

from collections.abc import Mapping

from handful.reproduce.entry import Table
from handful.reproduce.rows import read, table_of
from handful.study.result import Result


def diagnosis_table(result: Result, observed: Mapping[str, str]) -> Table:
    """Return a row per arm: accuracies and losses on training and validation, our words, and what the study saw."""
    rows = []
    for arm in result.arms:
        found = result.diagnosis(arm)
        if found is None:
            continue
        seen = found.whole.evidence
        accuracy = read(result, arm, "accuracy", "test")
        numbers = (seen.train_accuracy, seen.val_accuracy, seen.train_loss, seen.val_loss, seen.lowest_val_loss)
        rows.append((arm, accuracy, *numbers, found.whole.said, observed.get(arm, "")))
    columns = (
        "arm",
        "accuracy on test",
        "on training",
        "on validation",
        "training loss",
        "validation loss",
        "its lowest",
        "ours",
        "published",
    )
    return table_of("diagnosis", "Over- and underfitting", columns, rows)
