"""Welch's test of two means from published means, standard deviations and numbers."""

from __future__ import annotations

from dataclasses import dataclass

from scipy import stats


@dataclass(frozen=True)
class Welch:
    """t = (m2 - m1) / sqrt(s1^2 / n1 + s2^2 / n2), its degrees of freedom, and the two-sided p-value."""

    t: float
    df: float
    p: float


def welch(mean: float, sd: float, num: int, other_mean: float, other_sd: float, other_num: int) -> Welch:
    """Return Welch's test of the second mean against the first (Welch 1947); p is 1 where both sds are 0 and equal.

    Checked against scipy.stats.ttest_ind_from_stats.
    """
    one, other = sd**2 / num, other_sd**2 / other_num
    if one + other == 0:
        return Welch(0.0, float(num + other_num - 2), 1.0)
    t = (other_mean - mean) / (one + other) ** 0.5
    df = (one + other) ** 2 / (one**2 / (num - 1) + other**2 / (other_num - 1))
    return Welch(t, df, float(2 * stats.t.sf(abs(t), df)))
