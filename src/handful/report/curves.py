"""Learning curves of an arm, over its repeats."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from handful.study.result import Result


@dataclass(frozen=True)
class Curve:
    """One quantity against optimizer steps.

    Args:
        name: in words.
        steps: those that every repeat reached, where it was evaluated in all of them.
        mean, low, high: over repeats, at these steps.
        rest: (steps, values) of each repeat that went on alone, from the last common step.
    """

    name: str
    steps: tuple[int, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    rest: tuple[tuple[tuple[int, ...], tuple[float, ...]], ...]


@dataclass(frozen=True)
class Panel:
    """Curves that share an axis, and the step each repeat took its weights from."""

    title: str
    curves: tuple[Curve, ...]
    best_steps: tuple[int, ...]


Reader = Callable[[dict[str, Any], int], float | None]
VALIDATION_LOSS, SCORES, RATE = "validation loss", "scores", "learning rate"
PANELS: tuple[tuple[str, tuple[tuple[str, Reader], ...]], ...] = (
    ("training loss", (("loss", lambda history, place: _first(history["train_loss"][place])),)),
    (VALIDATION_LOSS, (("loss", lambda history, place: history["values"][place].get("loss")),)),
    (
        SCORES,
        (
            ("validation", lambda history, place: history["values"][place].get("accuracy")),
            ("validation, balanced", lambda history, place: history["values"][place].get("balanced_accuracy")),
            ("validation, AUC", lambda history, place: history["values"][place].get("auc")),
            ("training batches", lambda history, place: _told(history, "train_values", place).get("accuracy")),
        ),
    ),
    (RATE, (("learning rate", lambda history, place: _told(history, "lr", place)),)),
)


def panels_of(result: Result, arm: str) -> tuple[Panel, ...]:
    """Return losses, accuracy and learning rate of an arm's classifiers, as far as they are there."""
    keys = result.keys(arm, "classifier")
    histories = [history for repeat in sorted(keys) if (history := _history(result, keys[repeat]))]
    best = tuple(int(history.get("best_step", 0)) for history in histories)
    panels = []
    for title, wanted in PANELS:
        curves = [_curve(name, [_series(history, read) for history in histories]) for name, read in wanted]
        if found := tuple(curve for curve in curves if curve is not None):
            panels.append(Panel(title, found, best))
    return tuple(panels)


def _history(result: Result, key: str) -> dict[str, Any]:
    """Return the history on a classifier's card, empty where it has none."""
    path = result.store.folder(key) / "classifier.json"
    if not path.exists():
        return {}
    history = json.loads(path.read_text(encoding="utf-8")).get("history") or {}
    return dict(history) if {"steps", "train_loss", "values"} <= set(history) else {}


def _told(history: dict[str, Any], name: str, place: int) -> Any:
    """An entry of a list that older classifiers do not have."""
    found = history.get(name) or []
    return found[place] if place < len(found) else ({} if name == "train_values" else None)


def _first(losses: dict[str, float]) -> float | None:
    return losses.get("classifier", next(iter(losses.values()), None))


def _series(history: dict[str, Any], read: Reader) -> dict[int, float]:
    found = ((step, read(history, place)) for place, step in enumerate(history["steps"]))
    return {int(step): float(value) for step, value in found if value is not None and np.isfinite(value)}


def _curve(name: str, series: Sequence[dict[int, float]]) -> Curve | None:
    """Return the mean and band over the repeats that have this quantity; None where none has."""
    series = [one for one in series if one]
    if not series:
        return None
    common = sorted(set.intersection(*(set(one) for one in series)))
    values = np.array([[one[step] for step in common] for one in series]).reshape(len(series), len(common))
    last = common[-1] if common else -1
    rest = [tuple(step for step in sorted(one) if step >= last) for one in series]
    return Curve(
        name=name,
        steps=tuple(common),
        mean=tuple(values.mean(axis=0).tolist()),
        low=tuple(values.min(axis=0).tolist()),
        high=tuple(values.max(axis=0).tolist()),
        rest=tuple(
            (steps, tuple(one[step] for step in steps))
            for one, steps in zip(series, rest, strict=True)
            if len(steps) > 1 or not common
        ),
    )
