"""Scores of predictions: what scikit-learn computes, in one place.

Functions take `labels` int [N] and either `predicted` int [N], class ids in [0, K), or `probs` float [N, K], rows that
sum to 1. A class without test pictures has no recall, F1 or AUC, and no term in a mean over classes; an answer outside
the classes with pictures only costs the class it should have been.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import inf, nan
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import (
    accuracy_score,
    confusion_matrix,
    f1_score,
    precision_recall_fscore_support,
    precision_score,
    recall_score,
    roc_auc_score,
)

from handful.calibration import FLOOR, expected_calibration_error

Labels = NDArray[np.int64]
Probs = NDArray[Any]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Score:
    """One number for a set of predictions, from 0 to `highest`.

    Args:
        function: called with labels and what `of` names; NaN where the score is not defined.
        words: how it is called in a sentence.
        of: what it is a score of: predicted `classes` or `probabilities`.
        highest: upper end of its range.
        lower_is_better: its direction.
        above: more classes than this are needed for it to say anything.
    """

    function: Callable[[Labels, Any], float]
    words: str
    of: Literal["classes", "probabilities"] = "classes"
    highest: float = 1.0
    lower_is_better: bool = False
    above: int = 0

    def value(self, labels: Labels, probs: Probs) -> float:
        """Return the score of probabilities [N, K]; the predicted class is the most probable one."""
        return self.function(labels, probs.argmax(axis=1) if self.of == "classes" else probs)

    @property
    def sign(self) -> int:
        """1 where more is better, -1 where less is: what a difference is multiplied by to be a gain."""
        return -1 if self.lower_is_better else 1


def accuracy(labels: Labels, predicted: Labels) -> float:
    """Return the fraction of pictures whose class was predicted."""
    return float(accuracy_score(labels, predicted))


def balanced_accuracy(labels: Labels, predicted: Labels) -> float:
    """Return the mean recall over the classes that have pictures (Brodersen et al. 2010)."""
    return float(recall_score(labels, predicted, labels=np.unique(labels), average="macro", zero_division=0))


def macro_f1(labels: Labels, predicted: Labels) -> float:
    """Return the mean F1 over the classes that have pictures; 0 for a class that was never predicted."""
    return float(f1_score(labels, predicted, labels=np.unique(labels), average="macro", zero_division=0))


def weighted_f1(labels: Labels, predicted: Labels) -> float:
    """Return the mean F1 over classes, weighted by their pictures; 0 for a class that was never predicted."""
    return float(f1_score(labels, predicted, labels=np.unique(labels), average="weighted", zero_division=0))


def macro_precision(labels: Labels, predicted: Labels) -> float:
    """Return the mean precision over the classes that have pictures; 0 for a class that was never predicted."""
    return float(precision_score(labels, predicted, labels=np.unique(labels), average="macro", zero_division=0))


def weighted_precision(labels: Labels, predicted: Labels) -> float:
    """Return the mean precision over classes, weighted by their pictures; 0 for a class that was never predicted."""
    return float(precision_score(labels, predicted, labels=np.unique(labels), average="weighted", zero_division=0))


def in_top(labels: Labels, probs: Probs, k: int) -> Floats:
    """Return 1 where the label is among the k most probable classes, else 0, [N]; of equal ones the first wins."""
    mine = np.take_along_axis(probs, labels[:, None], axis=1)
    before = (probs == mine) & (np.arange(probs.shape[1]) < labels[:, None])
    return np.asarray(((probs > mine) | before).sum(axis=1) < k, dtype=np.float64)


def top_k(labels: Labels, probs: Probs, k: int) -> float:
    """Return the fraction of pictures whose class is among the k most probable ones; 1 where k reaches K."""
    return float(in_top(labels, probs, k).mean())


def surprise(labels: Labels, probs: Probs) -> Floats:
    """Return -log of the label's probability, [N], in nats; probabilities below 1.2e-7 (float32) count as that."""
    mine = np.take_along_axis(probs, labels[:, None], axis=1)[:, 0].astype(np.float64)
    return np.asarray(-np.log(np.clip(mine, FLOOR, 1.0)), dtype=np.float64)


def log_loss(labels: Labels, probs: Probs) -> float:
    """Return the mean of -log of the label's probability, from 0 (sure and right) to 15.9; log K says nothing."""
    return float(surprise(labels, probs).mean())


def squared_errors(labels: Labels, probs: Probs) -> Floats:
    """Return the sum over classes of (probability - truth)^2, [N], in [0, 2]."""
    truth = np.arange(probs.shape[1]) == labels[:, None]
    return np.asarray(((probs - truth) ** 2).sum(axis=1), dtype=np.float64)


def brier(labels: Labels, probs: Probs) -> float:
    """Return the mean squared error of all class probabilities, in [0, 2] (Brier 1950)."""
    return float(squared_errors(labels, probs).mean())


def auc(labels: Labels, probs: Probs, *, weighted: bool = False) -> float:
    """Return the mean over classes of the area under the ROC curve of that class against the rest.

    A class without pictures, or with all of them, has none and no term; NaN where no class has one.

    Args:
        labels, probs: as above.
        weighted: by the pictures of a class (Provost and Domingos 2000), else all classes alike.
    """
    counts = np.bincount(labels, minlength=probs.shape[1])
    classes = np.flatnonzero((counts > 0) & (counts < len(labels)))
    if not len(classes):
        return nan
    areas = [roc_auc_score(labels == one, probs[:, one]) for one in classes]
    return float(np.average(areas, weights=counts[classes] if weighted else None))


SCORES: dict[str, Score] = {
    "balanced_accuracy": Score(balanced_accuracy, "balanced accuracy"),
    "accuracy": Score(accuracy, "accuracy"),
    "macro_f1": Score(macro_f1, "macro F1"),
    "weighted_f1": Score(weighted_f1, "weighted F1"),
    "macro_precision": Score(macro_precision, "macro precision"),
    "weighted_precision": Score(weighted_precision, "weighted precision"),
    "top3": Score(partial(top_k, k=3), "top-3 accuracy", "probabilities", above=3),
    "top5": Score(partial(top_k, k=5), "top-5 accuracy", "probabilities", above=5),
    "auc": Score(auc, "AUC", "probabilities"),
    "weighted_auc": Score(partial(auc, weighted=True), "weighted AUC", "probabilities"),
    "log_loss": Score(log_loss, "log loss", "probabilities", inf, lower_is_better=True),
    "brier": Score(brier, "Brier score", "probabilities", 2.0, lower_is_better=True),
    "ece": Score(expected_calibration_error, "ECE", "probabilities", lower_is_better=True),
    "adaptive_ece": Score(
        partial(expected_calibration_error, equal_mass=True), "adaptive ECE", "probabilities", lower_is_better=True
    ),
}


def scores_for(num_classes: int) -> dict[str, Score]:
    """Return the scores that say something of this many classes: top 3 of three classes is always 1."""
    return {name: score for name, score in SCORES.items() if num_classes > score.above}


def per_class(labels: Labels, predicted: Labels, num_classes: int) -> dict[str, NDArray[Any]]:
    """Return `precision`, `recall`, `f1` (float [K], 0 where undefined) and `support` (int [K])."""
    values = precision_recall_fscore_support(labels, predicted, labels=np.arange(num_classes), zero_division=0)
    return {
        name: np.asarray(value) for name, value in zip(("precision", "recall", "f1", "support"), values, strict=True)
    }


def confusion(labels: Labels, predicted: Labels, num_classes: int) -> NDArray[np.int64]:
    """Return int64 [K, K], pictures of the row's class that were predicted as the column's."""
    return np.asarray(confusion_matrix(labels, predicted, labels=np.arange(num_classes)), dtype=np.int64)
