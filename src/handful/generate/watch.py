"""What is looked at while a generator trains: a few pictures of fixed labels and seeds, and what is said of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handful import rng
from handful.data.images import LabeledImages
from handful.errors import DataError
from handful.generate.likeness import (
    QUANTILE,
    RATIO,
    Nearest,
    mean_pairwise,
    near_copies,
    nearest,
    pixel_features,
    share_by_chance,
    threshold_of,
)

LIMIT = 64
COLLAPSED = 0.5
SURE = 0.999
_PAIRS = 8_000_000  # of pictures compared at a time: 64 MB
_DRAWS = 10_000

Alarm = dict[str, Any]


class Watch:
    """Looks at the same few samples again and again while a generator trains.

    Args:
        train: the real training part; one class of it is enough.
        val: the real validation part; None or empty: no `distance`.
        limit: samples of one look at most, at least 2.

    Attributes:
        labels: int64 [L], the classes of the samples: L <= limit, the same number of every class with training
            pictures up to one, at least two of each; of more than limit / 2 classes, every so many-th is looked at.
        seeds: L seeds, the same for every look and every run.
    """

    def __init__(self, train: LabeledImages, val: LabeledImages | None, *, limit: int = LIMIT) -> None:
        if limit < 2 or not len(train):
            raise DataError(f"a watch needs training pictures and a limit of 2 or more, got {len(train)} and {limit}")
        self.labels = _spread(np.flatnonzero(train.counts), limit)
        self.seeds = [rng.derive(0, "watch", place) for place in range(len(self.labels))]
        features = pixel_features(train.pixels)
        self._classes = {int(label): features[train.labels == label] for label in np.unique(self.labels)}
        several = {label: one for label, one in self._classes.items() if len(one) > 1}
        apart = {label: nearest(one, one, but_itself=True) for label, one in several.items()}
        self._thresholds = {label: threshold_of(found) for label, found in apart.items()}
        self._alone = {label: _share_alone(found) for label, found in apart.items()}
        self._spread = {label: mean_pairwise(one) for label, one in several.items()}
        centred = features - features.mean(axis=0)
        self._centre = features.mean(axis=0)
        self._scale = float(np.sqrt((centred.astype(np.float64) ** 2).sum(axis=1).mean())) or 1.0
        common = [] if val is None else sorted(self._classes.keys() & set(val.labels.tolist()))
        self._val: NDArray[np.float64] | None = None
        if val is not None and common:
            mine = np.isin(val.labels, common)
            self._val = self._standard(pixel_features(val.pixels[mine]))
            self._val_labels = val.labels[mine]
            real = self._standard(np.concatenate([self._classes[label] for label in common]))
            real_labels = np.repeat(common, [len(self._classes[label]) for label in common])
            self._real = _mean_kernel(self._val, self._val_labels, real, real_labels)

    def look(self, samples: NDArray[np.uint8], labels: NDArray[np.int64] | Sequence[int]) -> dict[str, float]:
        """Return what a look at samples says; what cannot be said is left out.

        Args:
            samples: uint8 [N, C, H, W] of the watch's `labels` and `seeds`, or any others.
            labels: int [N].

        Returns:
            `distance`: kernel distance to the validation part: E k(s, s') - 2 E k(s, v) + E k(v, t) with two samples s
                and s', a validation picture v and a training picture t, and k(x, y) = (x.y + 1)^3 of pixels averaged to
                16 x 16, centred and scaled by the training part; every class weighs the same. An unbiased squared
                MMD (Gretton et al. 2012) for one validation picture a class and more, because the real pictures'
                own term is taken between two parts. Lower is nearer; about 0, also below, is as near as real. Left
                out where no class is in validation.
            `diversity`: mean distance between samples of one class over that between the training pictures of that
                class; 1 is as diverse as real, 0 is one picture again and again. Left out where no class has two
                different training pictures.
            `copied`: share, in [0, 1], of samples that are near copies of a training picture of their class: nearer
                than the 1 % quantile of the leave-one-out distances of these, and three times nearer than to the
                next one (see `handful.generate.likeness.near_copies`); left out where no class has two of them.
            `copied_limit`: the share that as many independent real pictures reach less than once in a thousand
                training parts.
        """
        classes = np.asarray(labels, dtype=np.int64)
        if len(classes) != len(samples):
            raise DataError(f"{len(samples)} samples but {len(classes)} labels")
        features = pixel_features(np.asarray(samples))
        found: dict[str, float] = {}
        if self._val is not None and (known := np.isin(classes, self._val_labels)).sum() > 1:
            found["distance"] = self._distance(self._standard(features[known]), classes[known], self._val)
        spread, real_spread, copied, against = [], [], [], []
        for label, real in self._classes.items():
            mine = features[classes == label]
            if label not in self._spread:
                continue
            if len(mine) > 1:
                spread.append(mean_pairwise(mine))
                real_spread.append(self._spread[label])
            if len(mine):
                copied.append(near_copies(nearest(mine, real), self._thresholds[label]))
                against.append(label)
        if sum(real_spread) > 0:
            found["diversity"] = sum(spread) / sum(real_spread)
        if copied:
            found["copied"] = float(np.concatenate(copied).mean())
            found["copied_limit"] = _most_by_chance(
                [len(one) for one in copied],
                [len(self._classes[label]) for label in against],
                [self._alone[label] for label in against],
            )
        return found

    def _standard(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        standard: NDArray[np.float64] = (features.astype(np.float64) - self._centre) / self._scale
        return standard

    def _distance(self, samples: NDArray[np.float64], labels: NDArray[np.int64], val: NDArray[np.float64]) -> float:
        own = _mean_kernel(samples, labels, samples, labels, but_itself=True)
        return own - 2 * _mean_kernel(samples, labels, val, self._val_labels) + self._real


def alarms(history: Sequence[Mapping[str, Any]], own: Sequence[Alarm] = ()) -> list[Alarm]:
    """Return what to be told of while a generator trained: dicts of `step`, `kind` and `said`, by step.

    `collapse`: diversity fell below 0.5 of the real pictures' after it had been above, each time; or it was never
    above, said at the last look. `copying`: the first look at which more samples are near copies than chance explains
    (`copied_limit`).

    Args:
        history: the looks in their order, each the dict of `Watch.look` and its `step`.
        own: a family's own alarms of the same form, such as a discriminator that has won.
    """
    found = [dict(alarm) for alarm in own]
    diverse = [(int(look["step"]), float(look["diversity"])) for look in history if "diversity" in look]
    above = False
    for step, diversity in diverse:
        if above and diversity < COLLAPSED:
            said = f"collapse: samples of a class fell to {diversity:.2f} of the diversity of the real pictures"
            found.append({"step": step, "kind": "collapse", "said": said})
        above = diversity >= COLLAPSED
    if diverse and all(diversity < COLLAPSED for _, diversity in diverse):
        step, diversity = diverse[-1]
        said = f"collapse: samples of a class never reached {COLLAPSED} of the diversity of the real pictures"
        found.append({"step": step, "kind": "collapse", "said": f"{said} (at the end {diversity:.2f})"})
    for look in history:
        if "copied" in look and look["copied"] >= look["copied_limit"]:
            said = f"copying starts: {look['copied']:.0%} of the samples are near copies of training pictures"
            found.append({"step": int(look["step"]), "kind": "copying", "said": said})
            break
    return sorted(found, key=lambda alarm: int(alarm["step"]))


def _spread(classes: NDArray[np.int64], limit: int) -> NDArray[np.int64]:
    most = limit // 2
    if len(classes) > most:
        classes = classes[np.arange(most) * len(classes) // most]
    each, more = divmod(limit, len(classes))
    return np.repeat(classes, [each + (place < more) for place in range(len(classes))]).astype(np.int64)


def _mean_kernel(
    one: NDArray[np.float64],
    one_labels: NDArray[np.int64],
    other: NDArray[np.float64],
    other_labels: NDArray[np.int64],
    *,
    but_itself: bool = False,
) -> float:
    """Return the mean kernel of two pictures, one of each side, every class being as likely as the others.

    Args:
        but_itself: both sides are the same rows: pairs of one class are of two different rows of it.
    """
    mine, theirs = _class_weights(one_labels), _class_weights(other_labels)[None]
    rows = max(1, _PAIRS // max(1, len(other)))
    total = weight = 0.0
    for first in range(0, len(one), rows):
        part = slice(first, first + rows)
        kernel = (one[part] @ other.T + 1) ** 3
        weights = mine[part, None] * theirs
        if but_itself:
            same = one_labels[part, None] == other_labels[None]
            num = same.sum(axis=1, keepdims=True)
            weights = np.where(same, weights * num / np.maximum(num - 1, 1), weights)
            at = np.arange(len(kernel))
            weights[at, first + at] = 0
        total += float((weights * kernel).sum())
        weight += float(weights.sum())
    return total / weight


def _class_weights(labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Weights [N], the same sum for every class that is there."""
    _, place, counts = np.unique(labels, return_inverse=True, return_counts=True)
    return np.asarray(1 / counts[place])


def _most_by_chance(samples: Sequence[int], real: Sequence[int], alone: Sequence[float]) -> float:
    """Return the share of near copies that independent real pictures reach less than once in a thousand cases.

    Simulated. To be under the threshold: the smallest distance of n pictures is that of a pair, close pairs are rare
    events, so the chance is about exponential with the mean of `share_by_chance`, one draw per class, as the samples
    of a class share their training pictures. To be near to one picture alone: no more often than training pictures are.

    Args:
        samples: looked at, per class.
        real: training pictures, per class.
        alone: share of training pictures that are near to one other picture alone, per class.
    """
    stream = rng.numpy_rng(0, "watch", "chance")
    under = np.array([share_by_chance(num) for num in real]) * stream.exponential(size=(_DRAWS, len(real)))
    chances = np.minimum(np.maximum(under, QUANTILE), alone)
    hits = stream.binomial(np.asarray(samples), chances).sum(axis=1)
    return min(1.0, float(np.quantile(hits, SURE, method="higher") + 1) / sum(samples))


def _share_alone(found: Nearest) -> float:
    """The share of rows three times nearer to one other row than to the next, with one more of either kind added."""
    return float(((found.distance <= RATIO * found.second).sum() + 1) / (len(found.distance) + 2))
