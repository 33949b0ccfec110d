"""Over- and underfitting of every arm, in plain words, from its losses."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from handful.report.curves import panels_of
from handful.reproduce.entry import Table
from handful.reproduce.rows import read, table_of
from handful.study.result import Result

FAR = 1.3  # validation loss over training loss from which a network is said to overfit
RISEN = 1.1  # last over lowest validation loss from which it is said to have been trained too long
POOR = 0.6  # training loss as a share of that of chance, log K, from which a network is said to underfit


def diagnosis_table(result: Result, observed: Mapping[str, str]) -> Table:
    """Return a row per arm: losses, our words, and what the study observed."""
    rows = []
    for arm in result.arms:
        train, lowest, last = _losses(result, arm)
        said = words(train, lowest, last, len(result.class_names))
        accuracy = read(result, arm, "accuracy", "test")
        rows.append((arm, accuracy, train, last, lowest, said, observed.get(arm, "")))
    columns = (
        "arm",
        "accuracy on test",
        "training loss, last",
        "validation loss, last",
        "its lowest",
        "ours",
        "published",
    )
    return table_of("diagnosis", "Over- and underfitting, from the losses", columns, rows)


def words(train: float | None, lowest: float | None, last: float | None, num_classes: int) -> str:
    """Return a diagnosis in plain words.

    The losses are cross-entropies in nats: training is a mean over the last steps with dropout and augmentation on, so
    that a validation loss below it is no surprise.
    """
    if train is None or lowest is None or last is None:
        return "no validation to tell by"
    said = []
    if train > POOR * np.log(num_classes):
        said.append("underfits: it has not learned its own training pictures; train longer, faster or regularise less")
    elif last > FAR * train:
        said.append(
            "overfits: far better on its training pictures than on new ones; regularise, augment or add pictures"
        )
    else:
        said.append("good balance")
    if last > RISEN * lowest:
        said.append("trained past its best validation loss")
    return "; ".join(said)


def _losses(result: Result, arm: str) -> tuple[float | None, float | None, float | None]:
    """Last training loss, lowest and last validation loss, means over repeats."""
    found = {panel.title: panel.curves[0].mean for panel in panels_of(result, arm) if panel.curves[0].mean}
    train, val = found.get("training loss"), found.get("validation loss")
    return (
        train[-1] if train else None,
        min(val) if val else None,
        val[-1] if val else None,
    )
