"""The copying audit: one page of numbers and p-values on whether generated pictures repeat training pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.spatial.distance import cdist

from handful.errors import DataError
from handful.measure.copying import RATIO, authentic, data_copying, leave_one_out, nearest_ratios, novelty
from handful.measure.given import feature_sets
from handful.measure.rank_test import more_p, smaller_p


@dataclass(frozen=True)
class Pair:
    """A synthetic picture and the training picture nearest to it: their places, distance and nearest-picture ratio."""

    synthetic: int
    real: int
    distance: float
    ratio: float


@dataclass(frozen=True)
class Audit:
    """What the audit found. Shares are in [0, 1]; p-values are one-sided, small where copying is likely.

    Args:
        equal_features: share of synthetic pictures whose features equal those of a training picture.
        near_copies: share with a nearest-picture ratio below 1/3.
        near_copies_p: Fisher's exact test of that share against held-out pictures.
        authenticity: share farther from the training part than training pictures are from each other.
        authenticity_p: Fisher's exact test of the rest against held-out pictures.
        data_copying: C_T in one cell.
        novelty: median distance to the training part over that of held-out pictures.
        distance_p: exact Mann-Whitney test that synthetic pictures are nearer to the training part.
        held_out_copies: held-out pictures whose features equal a training picture's; they are left out as a yardstick.
        num: pictures used, (training, synthetic, held-out).
        fault: why there are no p-values, or an empty string.
    """

    equal_features: float
    near_copies: float
    near_copies_p: float | None
    authenticity: float
    authenticity_p: float | None
    data_copying: float | None
    novelty: float | None
    distance_p: float | None
    held_out_copies: int
    num: tuple[int, int, int]
    fault: str

    @property
    def p(self) -> float | None:
        """The smallest of the three p-values times three (Bonferroni), at most 1: the one to judge by."""
        given = [p for p in (self.near_copies_p, self.authenticity_p, self.distance_p) if p is not None]
        return min(1.0, len(given) * min(given)) if given else None

    def accused(self, level: float = 0.05) -> bool:
        """Return whether copying is shown at `level`; independent real pictures are accused no more often than that."""
        return self.p is not None and self.p <= level


def audit(*, real: Any, synthetic: Any, held_out: Any = None) -> Audit:
    """Return whether synthetic pictures are nearer to the training part than unseen real pictures are.

    The p-values hold at any number of pictures: given the training part, synthetic pictures that are independent draws
    of the same kind as the held-out ones are exchangeable with them. They compare, so few held-out pictures cost power,
    not honesty: with n held-out and m synthetic ones `p` is never below 3 / C(n + m, m).

    Args:
        real: [L, D] features of what the generator was trained on, at least two different ones.
        synthetic: [M, D], M >= 1.
        held_out: [N, D] features of real pictures that it was not trained on; without them there are no p-values.

    Raises:
        DataError: widths that differ, numbers that are not finite, or too few pictures.
    """
    x, y = feature_sets("copying audit", 1, real=real, synthetic=synthetic)
    ratios, new = nearest_ratios(real=x, synthetic=y), authentic(real=x, synthetic=y)
    copies, equal = int((ratios < RATIO).sum()), float((ratios == 0).mean())
    shares = equal, copies / len(y), float(new.mean())
    if held_out is None or not len(held_out):
        fault = "no held-out real pictures: nothing says how near new pictures would be"
        return Audit(shares[0], shares[1], None, shares[2], None, None, None, None, 0, (len(x), len(y), 0), fault)
    z = feature_sets("copying audit", 1, real=x, held_out=held_out)[1]
    z_ratios = nearest_ratios(real=x, synthetic=z)
    known = int((z_ratios == 0).sum())
    z, z_ratios = z[z_ratios > 0], z_ratios[z_ratios > 0]
    num = len(x), len(y), len(z)
    if not len(z):
        fault = f"all {known} held-out pictures are training pictures"
        return Audit(shares[0], shares[1], None, shares[2], None, None, None, None, known, num, fault)
    z_new = authentic(real=x, synthetic=z)
    return Audit(
        equal_features=shares[0],
        near_copies=shares[1],
        near_copies_p=more_p(copies, len(y), int((z_ratios < RATIO).sum()), len(z)),
        authenticity=shares[2],
        authenticity_p=more_p(int((~new).sum()), len(y), int((~z_new).sum()), len(z)),
        data_copying=data_copying(real=x, synthetic=y, held_out=z),
        novelty=novelty(real=x, synthetic=y, held_out=z),
        distance_p=smaller_p(cdist(y, x).min(axis=1), cdist(z, x).min(axis=1)),
        held_out_copies=known,
        num=num,
        fault="",
    )


def audit_per_class(
    *, real: Any, real_labels: Any, synthetic: Any, synthetic_labels: Any, held_out: Any, held_out_labels: Any
) -> dict[int, Audit]:
    """Return class id -> the audit of that class alone, for every class that has synthetic pictures.

    Whoever looks at the smallest p-value of K classes multiplies it by K first.

    Args:
        real, synthetic, held_out: features [L, D], [M, D], [N, D]; held_out may be empty.
        real_labels, synthetic_labels, held_out_labels: integers [L], [M], [N].

    Raises:
        DataError: labels that do not fit, or a class with fewer than two different training pictures.
    """
    sets = {
        "real": (real, real_labels),
        "synthetic": (synthetic, synthetic_labels),
        "held_out": (held_out, held_out_labels),
    }
    wrong = {name: (len(f), len(labels)) for name, (f, labels) in sets.items() if len(f) != len(labels)}
    if wrong:
        raise DataError(*(f"copying audit: {n} {name} pictures with {k} labels" for name, (n, k) in wrong.items()))
    parts = {name: (np.asarray(f), np.asarray(labels)) for name, (f, labels) in sets.items()}
    return {
        int(label): audit(**{name: f[labels == label] for name, (f, labels) in parts.items()})
        for label in np.unique(parts["synthetic"][1])
    }


def closest_pairs(*, real: Any, synthetic: Any, number: int = 12) -> list[Pair]:
    """Return the synthetic pictures most like a copy, each with its nearest training picture, for a gallery.

    Ordered by the distance to the nearest training picture over the usual distance of that one to its own nearest
    other one, smallest first; each synthetic picture occurs once.

    Args:
        real: [L, D] features of the training part, at least two different ones.
        synthetic: [M, D].
        number: most pairs returned.

    Raises:
        DataError: as `audit`.
    """
    x, y = feature_sets("closest pairs", 1, real=real, synthetic=synthetic)
    ratios, pairs = nearest_ratios(real=x, synthetic=y), cdist(y, x)
    nearest = pairs.argmin(axis=1)
    distance = pairs[np.arange(len(y)), nearest]
    usual = leave_one_out(real=x)[nearest]
    order = np.lexsort((distance, np.divide(distance, usual, out=np.where(distance > 0, np.inf, 0.0), where=usual > 0)))
    return [Pair(int(i), int(nearest[i]), float(distance[i]), float(ratios[i])) for i in order[:number]]
