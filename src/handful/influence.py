"""An interval for every score: what each picture does to it, laid out over repeats and pictures as `compare` does.

A mean over pictures is its pictures' values. Any other score has an influence value for each picture: its derivative by
the picture's weight, times the number of pictures, up to a constant within a class, which centring takes away. The
two-way variance of these values is that of the score (Hampel 1974; DeLong et al. 1988 for the AUC).

`probs` float [R, m, K]: what repeat r said of picture j, NaN where j was not in the test part of r; `labels` int [m].
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import nan
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from handful import compare as classes
from handful.calibration import bin_of, confidences
from handful.compare import Estimate, check_open_interval, estimate_values, spread, within
from handful.scores import SCORES, in_top, per_class, squared_errors, surprise

Probs = NDArray[Any]
Labels = NDArray[np.int64]
Floats = NDArray[np.float64]
Influence = Callable[[Labels, Probs], tuple[float, Floats]]  # of one test part: the score, and a value per picture

PER_CLASS = ("precision", "recall", "f1")


@dataclass(frozen=True)
class ClassEstimate:
    """One class's precision, recall or F1: mean over the repeats that tested the class, and its interval or None."""

    value: float
    interval: tuple[float, float] | None


def estimate_probs(probs: Probs, labels: Labels, *, score: str, level: float = 0.95) -> Estimate:
    """Mean of any of `SCORES` over repeats, with its interval for new pictures and new training runs.

    Args:
        probs: float [R, m, K], NaN where a picture was not tested in a repeat.
        labels: int [m].
        score: a name of `handful.scores.SCORES`.
        level: confidence, in (0, 1).

    Returns:
        value and interval clipped to the range of the score; value NaN where it is not defined in some repeat. The
        interval of an ECE is for the ECE of test parts as large as these, upward bias included, not for one without.

    Source: `handful.compare`, whose `estimate_score` this is for its scores. Coverage by simulation in the tests.
    """
    if score in classes.SCORES:
        return classes.estimate_score(predicted_of(probs), labels, score=score, num_classes=probs.shape[2], level=level)
    scores, values, weights = _table(INFLUENCES[score], probs, labels)
    return within(estimate_values(scores, values, weights, labels, level), SCORES[score].highest)


def compare_probs(treatment: Probs, reference: Probs, labels: Labels, *, score: str, level: float = 0.95) -> Estimate:
    """Paired difference treatment - reference in any of `SCORES`; below 0 is the gain where lower is better.

    Args:
        treatment, reference: float [R, m, K], on the same splits: NaN at the same places.
        labels, score, level: as in `estimate_probs`.

    Raises:
        ValueError: the two were not tested on the same pictures.
    """
    if score in classes.SCORES:
        ours, theirs = predicted_of(treatment), predicted_of(reference)
        return classes.compare(ours, theirs, labels, score=score, num_classes=treatment.shape[2], level=level)
    if treatment.shape != reference.shape or (np.isnan(treatment) != np.isnan(reference)).any():
        raise ValueError("the two arms were not tested on the same pictures: arms are compared on the same test parts")
    mine, base = (_table(INFLUENCES[score], arm, labels) for arm in (treatment, reference))
    return estimate_values(mine[0] - base[0], mine[1] - base[1], mine[2], labels, level)


def predicted_of(probs: Probs) -> Labels:
    """Return the most probable class, int [R, m], -1 where a picture was not tested."""
    tested = ~np.isnan(probs[..., 0])
    return np.where(tested, np.nan_to_num(probs, nan=0.0).argmax(axis=-1), -1)


def estimate_classes(predicted: Labels, labels: Labels, num_classes: int, level: float = 0.95) -> dict[str, list[Any]]:
    """Return, for `precision`, `recall` and `f1`, a `ClassEstimate` per class; None for a class that is never tested.

    Precision and recall are shares, often of few pictures and near 1, where a symmetric interval is wrong. Theirs is
    Wilson's (1927) with the number of pictures that would have had the variance V of `compare` (Dean and Pagano 2015):

        n = p (1 - p) / V, at most the n' distinct pictures        (n' where V = 0, with n' - 1 for df)
        interval = [p + t^2 / 2n -+ t sqrt(p (1 - p) / n + t^2 / 4n^2)] / (1 + t^2 / n),    t = t(df)

    F1 has p -+ t(df) sqrt(V), clipped, and none where V = 0.

    Args:
        predicted: int [R, m], -1 where a picture was not tested; labels: int [m].
        num_classes, level: as in `estimate_probs`.
    """
    check_open_interval("level", level)
    made: dict[str, list[Any]] = {name: [] for name in PER_CLASS}
    for one in range(num_classes):
        rows = np.flatnonzero(((predicted >= 0) & (labels == one)).any(axis=1))
        found = _class_estimates(predicted[rows], labels, one, num_classes, level) if len(rows) else {}
        for name in PER_CLASS:
            made[name].append(found.get(name))
    return made


def _class_estimates(
    predicted: Labels, labels: Labels, one: int, num_classes: int, level: float
) -> dict[str, ClassEstimate]:
    present = predicted >= 0
    scores = np.zeros((len(PER_CLASS), len(predicted)))
    values = np.zeros((len(PER_CLASS), *predicted.shape))
    for repeat, tested in enumerate(present):
        row, true = predicted[repeat, tested], labels[tested]
        table = per_class(true, row, num_classes)
        scores[:, repeat] = [table[name][one] for name in PER_CLASS]
        values[:, repeat, tested] = _class_values(true, row, one, scores[:, repeat])
    if len(predicted) > 1 and present.sum(axis=1).min() > 1:
        variances, dfs = spread(scores, values, present / present.sum(axis=1, keepdims=True), labels)
    else:
        variances, dfs = np.full(len(PER_CLASS), np.nan), np.full(len(PER_CLASS), np.nan)
    pictures = {"recall": present & (labels == one), "precision": present & (predicted == one)}
    found = {}
    for name, value, variance, df in zip(PER_CLASS, scores.mean(axis=1).tolist(), variances, dfs, strict=True):
        interval = None
        if np.isfinite(variance) and name in pictures:
            interval = share_interval(value, float(variance), float(df), int(pictures[name].any(axis=0).sum()), level)
        elif variance > 0:
            half = float(stdtrit(df, 0.5 + level / 2) * np.sqrt(variance))
            interval = max(value - half, 0.0), min(value + half, 1.0)
        found[name] = ClassEstimate(value, interval)
    return found


def share_interval(
    value: float, variance: float, df: float, num_pictures: int, level: float
) -> tuple[float, float] | None:
    """Return the interval of a share as in `estimate_classes`; None without pictures."""
    if not num_pictures:
        return None
    num, freedom = float(num_pictures), max(num_pictures - 1.0, 1.0)
    if variance > 0 and 0 < value < 1:
        num, freedom = min(num, value * (1 - value) / variance), df
    t = float(stdtrit(freedom, 0.5 + level / 2))
    middle, half = value + t * t / (2 * num), t * np.sqrt(value * (1 - value) / num + t * t / (4 * num * num))
    low, high = ((middle + side * half) / (1 + t * t / num) for side in (-1, 1))
    return min(max(float(low), 0.0), value), max(min(float(high), 1.0), value)


def _class_values(labels: Labels, predicted: Labels, one: int, scores: Floats) -> Floats:
    """Influence values of precision, recall and F1 of one class, float [3, n]."""
    precision, _, f1 = scores
    num, true, made = len(labels), labels == one, predicted == one
    hit = true & made
    return num * np.stack(
        [
            (hit - precision * made) / max(made.sum(), 1),
            hit / max(true.sum(), 1),
            (2 * hit - f1 * (true * 1.0 + made)) / max(true.sum() + made.sum(), 1),
        ]
    )


def _table(influence: Influence, probs: Probs, labels: Labels) -> tuple[Floats, Floats, Floats]:
    """Scores [R], values [R, m] and weights [R, m] of what was tested."""
    tested = ~np.isnan(probs[..., 0])
    if not len(tested) or tested.sum(axis=1).min() < 2:
        raise ValueError("a repeat tests fewer than two pictures: give every repeat at least 2")
    scores, values = np.zeros(len(probs)), np.zeros(tested.shape)
    for repeat, row in enumerate(tested):
        scores[repeat], values[repeat, row] = influence(labels[row], probs[repeat, row])
    return scores, values, tested / tested.sum(axis=1, keepdims=True)


def _mean(of: Callable[[Labels, Probs], Floats]) -> Influence:
    def influence(labels: Labels, probs: Probs) -> tuple[float, Floats]:
        values = of(labels, probs)
        return float(values.mean()), values

    return influence


def _class_mean(measure: str, weighted: bool) -> Influence:
    """Mean over the classes present, all alike or by their pictures, of precision or F1."""

    def influence(labels: Labels, probs: Probs) -> tuple[float, Floats]:
        predicted, num_classes = probs.argmax(axis=1), probs.shape[1]
        counts = np.bincount(labels, minlength=num_classes)
        share = counts / len(labels) if weighted else (counts > 0) / (counts > 0).sum()
        of_class = per_class(labels, predicted, num_classes)[measure]
        guessed = np.maximum(np.bincount(predicted, minlength=num_classes), 1)
        hit, weight = labels == predicted, share * len(labels)
        if measure == "precision":
            values = weight[predicted] * (hit - of_class[predicted]) / guessed[predicted]
        else:
            slope = weight / np.maximum(counts + np.bincount(predicted, minlength=num_classes), 1)
            values = 2 * hit * slope[labels] - (of_class * slope)[labels] - (of_class * slope)[predicted]
        return float((share * of_class).sum()), values

    return influence


def _auc(labels: Labels, probs: Probs, *, weighted: bool = False) -> tuple[float, Floats]:
    """AUC against the rest: share of the other side that a picture stands on the right side of, minus the area."""
    num, num_classes = len(labels), probs.shape[1]
    counts = np.bincount(labels, minlength=num_classes)
    defined = (counts > 0) & (counts < num)
    share = np.where(defined, counts if weighted else 1.0, 0.0)
    share = share / max(share.sum(), 1.0)
    score, values = 0.0 if defined.any() else nan, np.zeros(num)
    for one in np.flatnonzero(defined):
        mine, said = labels == one, probs[:, one].astype(np.float64)
        above, below = _share_below(said[mine], said[~mine]), 1 - _share_below(said[~mine], said[mine])
        area = float(above.mean())
        score += share[one] * area
        values[mine] += share[one] * num * (above - area) / mine.sum()
        values[~mine] += share[one] * num * (below - area) / (num - mine.sum())
    return float(score), values


def _share_below(values: Floats, others: Floats) -> Floats:
    """Share of `others` below each value, equal ones as half."""
    ordered = np.sort(others)
    return (np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right")) / (2 * len(others))


def _ece(labels: Labels, probs: Probs, *, equal_mass: bool = False) -> tuple[float, Floats]:
    """A picture's gap with the sign of its bin's gap: their mean is the ECE."""
    confidence, correct = confidences(labels, probs)
    place = bin_of(confidence, correct, equal_mass=equal_mass)
    gap = confidence - correct
    values = np.sign(np.bincount(place, weights=gap))[place] * gap
    return float(values.mean()), values


INFLUENCES: dict[str, Influence] = {
    "weighted_f1": _class_mean("f1", weighted=True),
    "macro_precision": _class_mean("precision", weighted=False),
    "weighted_precision": _class_mean("precision", weighted=True),
    "top3": _mean(partial(in_top, k=3)),
    "top5": _mean(partial(in_top, k=5)),
    "auc": _auc,
    "weighted_auc": partial(_auc, weighted=True),
    "log_loss": _mean(surprise),
    "brier": _mean(squared_errors),
    "ece": _ece,
    "adaptive_ece": partial(_ece, equal_mass=True),
}
