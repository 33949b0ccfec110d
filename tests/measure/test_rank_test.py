"""p-values that hold at twenty pictures, ties included."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest
from scipy.stats import fisher_exact, mannwhitneyu, permutation_test, rankdata

from handful.measure.rank_test import more_p, smaller_p


@pytest.mark.parametrize(("m", "n"), [(1, 1), (5, 8), (20, 20), (60, 40)])
def test_it_is_scipys_exact_test_without_ties(m, n):
    rng = np.random.default_rng(m)
    a, b = rng.normal(-0.3, 1, m), rng.normal(size=n)
    expected = mannwhitneyu(a, b, alternative="less", method="exact").pvalue
    assert smaller_p(a, b) == pytest.approx(expected, rel=1e-9)


def test_with_ties_it_is_the_count_over_all_ways_to_share_the_numbers_out():
    rng = np.random.default_rng(0)
    for _ in range(5):
        a, b = rng.integers(0, 4, 5), rng.integers(0, 5, 6)

        def rank_sum(x, y):
            return rankdata(np.concatenate([x, y]))[: len(x)].sum()

        exhaustive = permutation_test((a, b), rank_sum, alternative="less", n_resamples=10_000)
        assert len(exhaustive.null_distribution) == comb(11, 5)
        assert smaller_p(a, b) == pytest.approx(exhaustive.pvalue, rel=1e-9)


def test_above_a_hundred_numbers_it_meets_the_exact_one():
    rng = np.random.default_rng(1)
    a, b = rng.normal(-0.4, 1, 60), rng.normal(size=60)
    assert smaller_p(a, b) == pytest.approx(mannwhitneyu(a, b, alternative="less", method="exact").pvalue, rel=0.05)
    assert smaller_p(np.zeros(60), np.zeros(60)) == 1.0


def test_all_equal_numbers_say_nothing_and_all_smaller_ones_the_least_possible():
    assert smaller_p(np.ones(9), np.ones(4)) == 1.0
    assert smaller_p(np.zeros(20), np.ones(20)) == pytest.approx(1 / comb(40, 20))


def test_its_level_holds_with_ties():
    rng = np.random.default_rng(2)
    p = np.array([smaller_p(rng.integers(0, 3, 8), rng.integers(0, 3, 8)) for _ in range(1000)])
    for level in (0.01, 0.05, 0.2):
        assert (p <= level).mean() <= level + 3 * np.sqrt(level * (1 - level) / 1000)


def test_more_hits_is_fishers_exact_test():
    for hits in [(5, 20, 1, 20), (0, 3, 2, 9), (7, 7, 0, 4), (0, 5, 0, 5)]:
        a, n, b, m = hits
        expected = fisher_exact([[a, n - a], [b, m - b]], alternative="greater").pvalue
        assert more_p(*hits) == pytest.approx(expected, rel=1e-9)
