"""The copying audit over classes: pictures are compared within their class, and the classes make one p-value."""

from __future__ import annotations

from dataclasses import dataclass
from math import comb
from typing import Any

import numpy as np

from handful.errors import DataError
from handful.measure.audit import Audit, audit
from handful.measure.copying import RATIO, authentic, nearest_ratios

TESTS = ("near_copies", "authenticity", "distance")


@dataclass(frozen=True)
class Stratum:
    """The audit of one class, and its counts.

    Args:
        near: (synthetic, held-out) pictures with a nearest-picture ratio below 1/3.
        close: (synthetic, held-out) pictures that are not authentic.
    """

    audit: Audit
    near: tuple[int, int]
    close: tuple[int, int]


def stratum(*, real: Any, synthetic: Any, held_out: Any = None) -> Stratum | None:
    """Return the audit of one class, None where it refuses the pictures: under two different training pictures, or no
    synthetic one.

    Args:
        real, synthetic, held_out: features [L, D], [M, D], [N, D], as for `audit`.
    """
    try:
        found = audit(real=real, synthetic=synthetic, held_out=held_out)
    except DataError:
        return None
    if found.distance_p is None:
        return Stratum(found, (0, 0), (0, 0))
    sets = [np.asarray(synthetic), np.asarray(held_out)]
    sets[1] = sets[1][nearest_ratios(real=real, synthetic=sets[1]) > 0]
    near = [int((nearest_ratios(real=real, synthetic=one) < RATIO).sum()) for one in sets]
    close = [int((~authentic(real=real, synthetic=one)).sum()) for one in sets]
    return Stratum(found, (near[0], near[1]), (close[0], close[1]))


def combined(strata: list[Stratum]) -> tuple[dict[str, float], float]:
    """Return the p-value of each of TESTS over classes, and the smallest one that so many pictures allow.

    Counts are tested exactly: given each class's total, the number among synthetic pictures is a sum of hypergeometric
    numbers (the exact Cochran-Mantel-Haenszel test). The distance tests are combined by Fisher's method. Another mix of
    classes than among the held-out pictures accuses nobody.

    Returns:
        An empty dictionary where no class has held-out pictures.
    """
    sure = [one for one in strata if one.audit.distance_p is not None]
    if not sure:
        return {}, 1.0
    sizes = [one.audit.num[1:] for one in sure]
    return {
        "near_copies": more_within(list(zip(sizes, (one.near for one in sure), strict=True))),
        "authenticity": more_within(list(zip(sizes, (one.close for one in sure), strict=True))),
        "distance": _fisher([one.audit.distance_p for one in sure if one.audit.distance_p is not None]),
    }, _fisher([1 / comb(made + held, held) for made, held in sizes])


def more_within(classes: list[tuple[tuple[int, int], tuple[int, int]]]) -> float:
    """Return the one-sided exact p-value that hits are more frequent on the first side, class by class.

    Args:
        classes: ((pictures on the first side, on the second), (hits on the first side, on the second)).

    Source: Mantel and Haenszel (1959), with the exact distribution. Checked against Fisher's test for one class.
    """
    from scipy.stats import hypergeom

    chances, seen = np.ones(1), 0
    for (made, held), (first, second) in classes:
        chances = np.convolve(chances, hypergeom.pmf(np.arange(made + 1), made + held, first + second, made))
        seen += first
    return min(1.0, float(chances[seen:].sum()))


def _fisher(ps: list[float]) -> float:
    from scipy.stats import combine_pvalues

    return float(combine_pvalues(ps, method="fisher").pvalue) if len(ps) > 1 else ps[0]
