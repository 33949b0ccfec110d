"""Scores of predictions: what scikit-learn computes, in one place.

Every function takes `labels` int [N] and `predicted` int [N], class ids in [0, num_classes).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, precision_recall_fscore_support, recall_score

Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Score:
    """One number for a set of predictions, in [0, 1], higher is better.

    Args:
        function: called with labels and predicted.
        words: how it is called in a sentence.
    """

    function: Callable[[Labels, Labels], float]
    words: str


def accuracy(labels: Labels, predicted: Labels) -> float:
    """Return the fraction of pictures whose class was predicted."""
    return float(accuracy_score(labels, predicted))


def balanced_accuracy(labels: Labels, predicted: Labels) -> float:
    """Return the mean recall over the classes that have pictures (Brodersen et al. 2010)."""
    return float(recall_score(labels, predicted, labels=np.unique(labels), average="macro", zero_division=0))


def macro_f1(labels: Labels, predicted: Labels) -> float:
    """Return the mean F1 over the classes that have pictures; 0 for a class that was never predicted."""
    return float(f1_score(labels, predicted, labels=np.unique(labels), average="macro", zero_division=0))


SCORES: dict[str, Score] = {
    "balanced_accuracy": Score(balanced_accuracy, "balanced accuracy"),
    "accuracy": Score(accuracy, "accuracy"),
    "macro_f1": Score(macro_f1, "macro F1"),
}


def per_class(labels: Labels, predicted: Labels, num_classes: int) -> dict[str, NDArray[Any]]:
    """Return `precision`, `recall`, `f1` (float [K], 0 where undefined) and `support` (int [K])."""
    values = precision_recall_fscore_support(labels, predicted, labels=np.arange(num_classes), zero_division=0)
    return {
        name: np.asarray(value) for name, value in zip(("precision", "recall", "f1", "support"), values, strict=True)
    }


def confusion(labels: Labels, predicted: Labels, num_classes: int) -> NDArray[np.int64]:
    """Return int64 [K, K], pictures of the row's class that were predicted as the column's."""
    return np.asarray(confusion_matrix(labels, predicted, labels=np.arange(num_classes)), dtype=np.int64)
