"""The kernel distance: unbiased, with an interval that holds."""

from __future__ import annotations

import numpy as np
import pytest
from measure_inputs import features

from handful.errors import ConfigError
from handful.measure import kernel
from handful.measure.kernel import kernel_distance, kernel_estimate


def test_it_is_the_mean_over_pairs_of_different_pictures():
    x, y = features(4, 3), features(5, 3, 1, seed=1)

    def k(a, b):
        return (a @ b / 3 + 1) ** 3

    within = [np.mean([k(a, b) for i, a in enumerate(s) for j, b in enumerate(s) if i != j]) for s in (x, y)]
    expected = sum(within) - 2 * np.mean([k(a, b) for a in x for b in y])
    assert kernel_distance(real=x, synthetic=y) == pytest.approx(expected, rel=1e-12)


def test_it_is_unbiased_at_eight_pictures():
    """One distribution on both sides: the mean over 400 pairs of sets is 0 within its error."""
    rng = np.random.default_rng(0)
    values = [kernel_distance(real=rng.normal(size=(8, 16)), synthetic=rng.normal(size=(8, 16))) for _ in range(400)]
    assert abs(np.mean(values)) < 4 * np.std(values) / 20
    assert 0.3 < np.mean(np.array(values) < 0) < 0.7


@pytest.mark.parametrize(("shift", "low", "high"), [(0.0, 0.95, 1.0), (0.5, 0.9, 0.99)])
def test_its_interval_covers_the_truth(shift, low, high):
    rng = np.random.default_rng(1)
    truth = np.mean([_far(rng, 1500, shift) for _ in range(4)])
    runs = [_estimate(rng, 12, shift) for _ in range(300)]
    assert low <= np.mean([run.low <= truth <= run.high for run in runs]) <= high


def _estimate(rng, num, shift):
    return kernel_estimate(real=rng.normal(size=(num, 16)), synthetic=rng.normal(size=(num, 16)) + shift)


def _far(rng, num, shift):
    return _estimate(rng, num, shift).value


def test_a_wider_level_is_a_wider_interval_and_two_pictures_have_none():
    x, y = features(9), features(9, seed=1)
    narrow, wide = (kernel_estimate(real=x, synthetic=y, level=level) for level in (0.5, 0.99))
    assert wide.low < narrow.low < narrow.value < narrow.high < wide.high
    two = kernel_estimate(real=x[:2], synthetic=y)
    assert (two.low, two.high) == (-np.inf, np.inf)
    assert np.isfinite(two.value)
    with pytest.raises(ConfigError, match="got 95"):
        kernel_estimate(real=x, synthetic=y, level=95)


def test_equal_pictures_on_both_sides_have_no_width():
    same = np.ones((4, 3))
    made = kernel_estimate(real=same, synthetic=same)
    assert (made.value, made.low, made.high) == (0, 0, 0)


def test_large_sets_are_cut_into_equal_subsets_that_hold_every_picture(monkeypatch):
    x, y = features(90, 16), features(30, 16, 0.5, seed=1)
    whole = kernel_estimate(real=x, synthetic=y)
    monkeypatch.setattr(kernel, "SUBSET", 30)
    cut = kernel_estimate(real=x, synthetic=y)
    assert (whole.num_subsets, cut.num_subsets) == (1, 3)
    assert (cut.subset_size, whole.subset_size) == ((30, 30), (90, 30))
    assert cut.value == pytest.approx(whole.value, abs=whole.standard_error)
    assert cut.standard_error == pytest.approx(whole.standard_error, rel=0.3)
    parts = kernel._subsets(x, "real")
    np.testing.assert_array_equal(np.sort(np.concatenate(parts), axis=0), np.sort(x, axis=0))
