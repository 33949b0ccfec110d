"""Labels that a picture's nearest neighbours doubt."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from handful.data.features import Features, squared_distances

K = 10
AGREEING = 8
_BLOCK = 1024


@dataclass(frozen=True)
class Doubt:
    """A picture whose neighbours are of another class. `row` and labels are those given; `votes` of K neighbours."""

    row: int
    label: int
    suggested: int
    votes: int


@dataclass(frozen=True)
class Doubts:
    """What the neighbours say.

    Args:
        k: neighbours asked.
        agreeing: how many must agree on another class, while none has the picture's own.
        num_checked: pictures asked about.
        accuracy: share of pictures whose own class most of their neighbours have; how far to believe the doubts.
        found: the most unanimous first, of those the one whose neighbours are nearest.
    """

    k: int
    agreeing: int
    num_checked: int
    accuracy: float
    found: tuple[Doubt, ...]


def find_doubts(features: Features, labels: NDArray[np.int64], *, k: int = K, agreeing: int = AGREEING) -> Doubts:
    """Return the pictures of which no one of the k nearest others has the label and at least `agreeing` share another.

    A doubt is a question, not an error found: a picture may be an unusual one of its class. Where there are no more
    than k pictures, none is doubted and none is checked.

    Args:
        features: float32 [N, D], compared by Euclidean distance.
        labels: int64 [N].

    Source: Wilson, Asymptotic Properties of Nearest Neighbor Rules Using Edited Data (1972), with a stricter rule.
    """
    if len(labels) <= k:
        return Doubts(k, agreeing, 0, 0.0, ())
    num_classes = int(labels.max()) + 1
    votes = np.zeros((len(labels), num_classes), dtype=np.int64)
    reach = np.zeros(len(labels))
    for start in range(0, len(labels), _BLOCK):
        rows = np.arange(start, min(start + _BLOCK, len(labels)))
        squares = squared_distances(features[rows], features)
        squares[np.arange(len(rows)), rows] = np.inf
        nearest = np.argpartition(squares, k, axis=1)[:, :k]
        np.add.at(votes, (rows[:, None], labels[nearest]), 1)
        reach[rows] = np.take_along_axis(squares, nearest, axis=1).mean(axis=1)
    own = votes[np.arange(len(labels)), labels]
    best = votes.argmax(axis=1)
    most = votes.max(axis=1)
    doubted = np.flatnonzero((own == 0) & (most >= agreeing))
    ordered = doubted[np.lexsort((reach[doubted], -most[doubted]))]
    found = tuple(Doubt(row, int(labels[row]), int(best[row]), int(most[row])) for row in ordered.tolist())
    return Doubts(k, agreeing, len(labels), float((own == most).mean()), found)
