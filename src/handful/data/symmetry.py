"""Which classes a flip or a half turn turns into each other, and so which augmentation is unsafe."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from handful.data.features import Features, shape_features, squared_distances

Pixels = NDArray[np.uint8]
Seen = Sequence[tuple[Features, Features]]  # features of pictures as they are and changed, of each kind
Operation = Literal["horizontal flip", "vertical flip", "half turn", "diagonal flip"]
OPERATIONS: dict[Operation, Callable[[Pixels], Pixels]] = {
    "horizontal flip": lambda pixels: pixels[..., ::-1],
    "vertical flip": lambda pixels: pixels[..., ::-1, :],
    "half turn": lambda pixels: pixels[..., ::-1, ::-1],
    "diagonal flip": lambda pixels: pixels.swapaxes(-1, -2),  # with both flips: every quarter turn too
}
LEVEL, SURE = 0.05, 0.01
LIKE_ITS_OWN = 1.35
TURNED = 0.25
KEPT = 0.75
LOST = 0.5
FEWEST = 5


@dataclass(frozen=True)
class Turn:
    """A pair of classes that an operation turns into each other.

    Args:
        first, second: class ids.
        to_second: pictures of the first class nearest to the second: changed, unchanged, in all.
        to_first: the same the other way.
        p: one-sided exact p-value of the paired comparison, both ways pooled, Holm over all pairs of the operation.
        farther: how far changed pictures of one class lie from the mean of the other, over how far its own lie from it
            (medians, a picture left out of its own mean): the largest of both ways, in `shape_features` and in grey
            levels, standardised. About 1 where they are pictures like its own; they may be nearest to a class and yet
            far from it, then a flip is unsafe and no more.
    """

    first: int
    second: int
    to_second: tuple[int, int, int]
    to_first: tuple[int, int, int]
    p: float
    farther: float


@dataclass(frozen=True)
class ClassSymmetry:
    """How many of a class's `num` pictures are nearest to their own class, as they are and changed, and what follows.

    `verdict` is `unsafe` (turned into another class: the label would be wrong), `unlike` (changed pictures do not look
    like this set's pictures of the class; whether the label still holds is for a person to say), `safe` or
    `cannot tell` (too few pictures are recognised even unchanged, or the change is neither small nor sure).
    """

    label: int
    num: int
    own: int
    own_changed: int
    verdict: str


@dataclass(frozen=True)
class Symmetry:
    """What one operation does to a set.

    Args:
        operation: a name in OPERATIONS.
        verdict: `unsafe` where it turns classes into each other; `cannot tell` where fewer than five pictures, or not
            twice as many as by chance, are recognised unchanged; else `safe` where three quarters as many are
            recognised changed, with the exceptions among `classes`; else `unlike`.
        num: pictures.
        own, own_changed: of them nearest to their own class, as they are and changed.
        turns: pairs of classes turned into each other, the surest first.
        classes: each class in turn.
    """

    operation: Operation
    verdict: str
    num: int
    own: int
    own_changed: int
    turns: tuple[Turn, ...]
    classes: tuple[ClassSymmetry, ...]


def find_symmetries(pixels: Pixels, labels: NDArray[np.int64], num_classes: int) -> tuple[Symmetry, ...]:
    """Return what each operation does to these pictures, which must hold no copies.

    A picture is given to the class whose mean is nearest in `shape_features`, the picture itself left out of the mean
    of its class. For a pair of classes, pictures that the operation moves into the other class are compared with those
    it moves out, both ways pooled, by the exact one-sided sign test (McNemar 1947), Holm over all pairs. The pair is
    turned where p < 0.05 and each way at least a quarter of the class is moved and more than unchanged: a flip undone
    is the picture again, so a true mirror pair is found both ways, while a class that only looks foreign when changed
    is not. A class is `unlike` where at most half of its recognised pictures stay so and the same test, Holm over
    classes, has p < 0.05; `safe` where at least five are recognised, twice as many as by chance, and three quarters of
    them stay.

    Args:
        pixels: uint8 [N, C, 32, 32].
        labels: int64 [N], in [0, num_classes).
    """
    features = shape_features(pixels)
    counts = np.bincount(labels, minlength=num_classes)
    sums = np.zeros((num_classes, features.shape[1]), dtype=np.float32)
    np.add.at(sums, labels, features)
    unchanged = _nearest(features, features, sums, counts, labels)
    greys, found = _grey_features(pixels), []
    for name, change in OPERATIONS.items():
        turned = np.ascontiguousarray(change(pixels))
        changed = shape_features(turned)
        after = _nearest(changed, features, sums, counts, labels)
        seen = ((features, changed), (greys, _grey_features(turned)))
        turns = _turns(unchanged, after, labels, counts, seen)
        found.append(_judged(name, unchanged, after, labels, counts, turns))
    return tuple(found)


def _nearest(
    asked: Features, features: Features, sums: Features, counts: NDArray[np.int64], labels: NDArray[np.int64]
) -> NDArray[np.int64]:
    """int64 [N], the class whose mean is nearest to each asked picture, the picture itself left out of its class."""
    means: Features = (sums / np.maximum(counts, 1)[:, None]).astype(np.float32)
    squares = squared_distances(asked, means)
    squares[:, counts == 0] = np.inf
    others = np.maximum(counts[labels] - 1, 1)[:, None]
    own = ((asked - (sums[labels] - features) / others) ** 2).sum(axis=1)
    squares[np.arange(len(labels)), labels] = np.where(counts[labels] > 1, own, np.inf)
    found: NDArray[np.int64] = squares.argmin(axis=1)
    return found


def _judged(
    name: Operation,
    before: NDArray[np.int64],
    after: NDArray[np.int64],
    labels: NDArray[np.int64],
    counts: NDArray[np.int64],
    turns: tuple[Turn, ...],
) -> Symmetry:
    turned = {label for turn in turns for label in (turn.first, turn.second)}
    own, own_changed = (np.bincount(labels[found == labels], minlength=len(counts)) for found in (before, after))
    lost = np.bincount(labels[(before == labels) & (after != labels)], minlength=len(counts))
    gained = np.bincount(labels[(before != labels) & (after == labels)], minlength=len(counts))
    p = holm(np.array([_sign_test(int(up), int(down)) for up, down in zip(lost, gained, strict=True)]))
    chance = 1 / max(1, int((counts > 0).sum()))
    classes = []
    for label in np.flatnonzero(counts).tolist():
        if label in turned:
            verdict = "unsafe"
        elif p[label] < LEVEL and own_changed[label] <= LOST * own[label]:
            verdict = "unlike"
        elif own[label] < max(FEWEST, 2 * chance * counts[label]) or own_changed[label] < KEPT * own[label]:
            verdict = "cannot tell"
        else:
            verdict = "safe"
        num, kept, kept_changed = (int(values[label]) for values in (counts, own, own_changed))
        classes.append(ClassSymmetry(label, num, kept, kept_changed, verdict))
    num, kept, kept_changed = len(labels), int(own.sum()), int(own_changed.sum())
    if turns:
        verdict = "unsafe"
    elif kept < max(FEWEST, 2 * chance * num):
        verdict = "cannot tell"
    else:
        verdict = "safe" if kept_changed >= KEPT * kept else "unlike"
    return Symmetry(name, verdict, num, kept, kept_changed, turns, tuple(classes))


def _grey_features(pixels: Pixels) -> Features:
    """float32 [N, H * W], grey levels of each picture with mean 0 and length 1."""
    grey = pixels.mean(axis=1, dtype=np.float32).reshape(len(pixels), -1)
    grey -= grey.mean(axis=1, keepdims=True)
    found: Features = grey / np.maximum(np.linalg.norm(grey, axis=1, keepdims=True), 1e-6)
    return found


def _farther(seen: Seen, labels: NDArray[np.int64], first: int, second: int) -> float:
    """`Turn.farther` of two classes, from features of the pictures as they are and changed."""

    def ratio(features: Features, changed: Features, turned: int, other: int) -> float:
        own = features[labels == other]
        mean = own.mean(axis=0)
        num = len(own)
        away = np.linalg.norm(own - mean, axis=1) * num / max(1, num - 1)  # from the mean of the others
        return float(np.median(np.linalg.norm(changed[labels == turned] - mean, axis=1)) / max(np.median(away), 1e-12))

    return max(ratio(*each, *ways) for each in seen for ways in ((first, second), (second, first)))


def _turns(
    before: NDArray[np.int64],
    after: NDArray[np.int64],
    labels: NDArray[np.int64],
    counts: NDArray[np.int64],
    seen: Seen,
) -> tuple[Turn, ...]:
    shape = (len(counts), len(counts))
    tables = {name: np.zeros(shape, dtype=np.int64) for name in ("before", "after", "into", "out")}
    np.add.at(tables["before"], (labels, before), 1)
    np.add.at(tables["after"], (labels, after), 1)
    moved = before != after
    np.add.at(tables["into"], (labels[moved], after[moved]), 1)
    np.add.at(tables["out"], (labels[moved], before[moved]), 1)
    into, out = (tables[name] + tables[name].T for name in ("into", "out"))
    pairs = list(combinations(np.flatnonzero(counts).tolist(), 2))
    adjusted = holm(np.array([_sign_test(int(into[pair]), int(out[pair])) for pair in pairs]))
    found = []
    for (first, second), p in zip(pairs, adjusted.tolist(), strict=True):
        ways = tuple(
            (int(tables["after"][a, b]), int(tables["before"][a, b]), int(counts[a]))
            for a, b in ((first, second), (second, first))
        )
        if p < LEVEL and all(changed > unchanged and changed >= TURNED * num for changed, unchanged, num in ways):
            found.append(Turn(first, second, ways[0], ways[1], p, _farther(seen, labels, first, second)))
    return tuple(sorted(found, key=lambda turn: turn.p))


def surely_mirrored(operation: Operation, turn: Turn) -> bool:
    """Return whether a pair is sure enough for its classes to lend each other pictures, changed.

    A wrong pair would teach wrong labels, so more is asked than for a flip to be unsafe: a horizontal flip, as pictures
    stand upright and a sign upside down is none; what chance makes in less than one set of a hundred; most pictures of
    the two classes together nearest to the other one when changed; and these lying where the other class's own do.
    """
    changed, num = (turn.to_second[place] + turn.to_first[place] for place in (0, 2))
    likely = turn.p < SURE and 2 * changed >= num
    return operation == "horizontal flip" and likely and turn.farther < LIKE_ITS_OWN


def _sign_test(up: int, down: int) -> float:
    """P(at least `up` of up + down fair coins), 1 where there is none."""
    from scipy.stats import binom

    return float(binom.sf(up - 1, up + down, 0.5)) if up else 1.0


def holm(p: NDArray[Any]) -> NDArray[np.float64]:
    """Return float64 [N], p-values adjusted by Holm's step-down procedure (1979)."""
    order = np.argsort(p, kind="stable")
    adjusted = np.empty(len(p))
    adjusted[order] = np.maximum.accumulate(np.minimum(1, p[order] * np.arange(len(p), 0, -1)))
    return adjusted
