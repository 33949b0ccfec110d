"""Is one set of numbers smaller than another? A p-value that holds at any size, ties included."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.stats import hypergeom, mannwhitneyu, rankdata

EXACT = 100


def smaller_p(first: Any, second: Any) -> float:
    """Return the one-sided p-value that numbers of `first` tend to be smaller than those of `second`.

    The rank sum of `first` is compared with that of every way to share the ranks out (ties share the mean rank), by
    counting rather than by drawing, up to 100 numbers in all; above, scipy's normal approximation with its correction
    for ties. Where both come from one distribution, P(p <= a) <= a up to 100 numbers.

    Args:
        first: [M] numbers, M >= 1.
        second: [N] numbers, N >= 1.

    Source: Mann and Whitney (1947); counting as in Streitberg and Röhmel (1986). Checked against scipy's exact
    mannwhitneyu (no ties) and its exhaustive permutation_test (ties).
    """
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if len(a) + len(b) > EXACT:
        if np.ptp(np.concatenate([a, b])) == 0:
            return 1.0
        return float(mannwhitneyu(a, b, alternative="less", method="asymptotic").pvalue)
    ranks = np.rint(2 * rankdata(np.concatenate([a, b]))).astype(np.int64)  # doubled: mean ranks are halves
    ways = np.zeros((len(a) + 1, int(ranks.sum()) + 1))  # [how many taken, sum of their ranks]
    ways[0, 0] = 1
    for rank in ranks:
        ways[1:, rank:] += ways[:-1, : ways.shape[1] - rank].copy()
    reached = ways[len(a)]
    return float(min(1.0, reached[: int(ranks[: len(a)].sum()) + 1].sum() / reached.sum()))


def more_p(hits_first: int, num_first: int, hits_second: int, num_second: int) -> float:
    """Return the one-sided p-value of Fisher's exact test that hits are more frequent in the first set.

    Args:
        hits_first: 0 to num_first.
        num_first: size of the first set.
        hits_second: 0 to num_second.
        num_second: size of the second set.

    Source: Fisher (1935). Checked against scipy.stats.fisher_exact.
    """
    hits = hits_first + hits_second
    return float(min(1.0, hypergeom.sf(hits_first - 1, num_first + num_second, hits, num_first)))
