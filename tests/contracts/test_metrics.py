"""What every metric in the table keeps, and SSIM against scikit-image."""

from __future__ import annotations

import inspect
import math

import numpy as np
import pytest
from skimage.metrics import structural_similarity

from handful.errors import DataError
from handful.measure.metrics import METRICS
from handful.measure.ssim import mean_ssim, ssim_pairs

IDENTICAL = {"ssim": None}  # value on identical sets; None: not a constant, because the mean runs over all pairs
every_metric = pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)


def pictures(num, channels=3, size=16, seed=0):
    """Smooth noise: uint8 [num, channels, size, size]."""
    noise = np.random.default_rng(seed).normal(size=(num, channels, size, size)).cumsum(-1).cumsum(-2)
    low, high = noise.min(axis=(1, 2, 3), keepdims=True), noise.max(axis=(1, 2, 3), keepdims=True)
    return np.rint((noise - low) / (high - low) * 255).astype(np.uint8)


@pytest.fixture
def real(metric):
    return pictures(metric.smallest + 4)


@pytest.fixture
def synthetic(metric):
    return pictures(metric.smallest + 3, seed=1)


@every_metric
def test_the_facts_are_complete(metric):
    assert metric.means
    assert metric.source
    assert metric.checked
    assert metric.better in ("higher", "lower", "neither")
    low, high = metric.range
    assert low < high
    assert metric.smallest >= 1
    assert metric.function.__doc__


@every_metric
def test_sets_are_given_by_name(metric, real, synthetic):
    kinds = {name: parameter.kind for name, parameter in inspect.signature(metric.function).parameters.items()}
    assert kinds["real"] is kinds["synthetic"] is inspect.Parameter.KEYWORD_ONLY
    with pytest.raises(TypeError):
        metric.function(real, synthetic)


@every_metric
def test_the_value_is_a_number_in_its_range(metric, real, synthetic):
    value = metric.function(real=real, synthetic=synthetic)
    assert type(value) is float
    assert metric.range[0] <= value <= metric.range[1]


@pytest.mark.parametrize("name", METRICS)
def test_identical_sets_have_the_ideal_value(name):
    metric, ideal = METRICS[name], IDENTICAL[name]
    same = pictures(metric.smallest + 4)
    value = metric.function(real=same, synthetic=same.copy())
    if ideal is None:
        assert value < metric.range[1]
        one = np.repeat(same[:1], metric.smallest + 1, axis=0)
        assert metric.function(real=one, synthetic=one) == pytest.approx(metric.range[1])
    else:
        assert value == pytest.approx(ideal)


@every_metric
def test_the_order_of_the_pictures_does_not_matter(metric, real, synthetic):
    value = metric.function(real=real, synthetic=synthetic)
    assert metric.function(real=real[::-1], synthetic=np.roll(synthetic, 2, axis=0)) == pytest.approx(value, abs=1e-12)


@every_metric
def test_too_few_pictures_are_an_error(metric, real, synthetic):
    few = metric.smallest - 1
    with pytest.raises(DataError, match=rf"got {few} real and {len(synthetic)} synthetic"):
        metric.function(real=real[:few], synthetic=synthetic)
    with pytest.raises(DataError, match=rf"got {len(real)} real and {few} synthetic"):
        metric.function(real=real, synthetic=synthetic[:few])
    assert math.isfinite(metric.function(real=real[: metric.smallest], synthetic=synthetic[: metric.smallest]))


@every_metric
def test_pictures_are_left_alone_and_may_be_read_only(metric, real, synthetic):
    before = real.copy(), synthetic.copy()
    value = metric.function(real=real, synthetic=synthetic)
    np.testing.assert_array_equal(real, before[0])
    np.testing.assert_array_equal(synthetic, before[1])
    real.flags.writeable = synthetic.flags.writeable = False  # as memory-mapped pictures are
    assert metric.function(real=real, synthetic=synthetic) == value


@every_metric
def test_other_shapes_and_types_are_errors(metric, real, synthetic):
    for wrong in (synthetic[:, :1], synthetic[..., :-1], synthetic / 255, synthetic[0]):
        with pytest.raises(DataError, match="uint8"):
            metric.function(real=real, synthetic=wrong)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [5, 6, 7, 8, 9, 16, 33, 64])
def test_ssim_is_that_of_scikit_image(size, channels):
    first, second = pictures(3, channels, size), pictures(2, channels, size, seed=1)
    second[0] = np.clip(first[0].astype(int) + 9, 0, 255)  # and one that is nearly a copy
    window = min(7, size - 1 + size % 2)
    expected = [
        [structural_similarity(one, other, win_size=window, channel_axis=0, data_range=255) for other in second]
        for one in first
    ]
    np.testing.assert_allclose(ssim_pairs(first, second), expected, atol=1e-9, rtol=0)
    assert mean_ssim(real=second, synthetic=first) == pytest.approx(np.mean(expected), abs=1e-9)


def test_ssim_of_a_rectangle_is_that_of_scikit_image():
    first, second = pictures(1, 3, 24)[..., :9], pictures(1, 3, 24, seed=1)[..., :9]
    expected = structural_similarity(first[0], second[0], channel_axis=0, data_range=255)
    assert ssim_pairs(first, second)[0, 0] == pytest.approx(expected, abs=1e-9)


def test_ssim_of_a_picture_with_itself_is_one_and_pairs_are_symmetric():
    some = pictures(5)
    pairs = ssim_pairs(some, some)
    assert pairs.shape == (5, 5)
    assert pairs.dtype == np.float64
    np.testing.assert_allclose(np.diag(pairs), 1, atol=1e-12)
    np.testing.assert_allclose(pairs, pairs.T, atol=1e-12)


def test_ssim_of_flat_pictures_is_the_closed_form():
    """Without variance only the luminance term is left: (2 a b + C1) / (a^2 + b^2 + C1)."""
    first, second = np.full((1, 1, 8, 8), 50, dtype=np.uint8), np.full((1, 1, 8, 8), 200, dtype=np.uint8)
    c1 = (0.01 * 255) ** 2
    assert ssim_pairs(first, second)[0, 0] == pytest.approx((2 * 50 * 200 + c1) / (50**2 + 200**2 + c1), abs=1e-9)


def test_ssim_falls_with_noise():
    real = pictures(4)
    values = []
    for spread in (0, 10, 40, 160):
        noise = np.random.default_rng(2).normal(0, spread, real.shape)
        values.append(np.diag(ssim_pairs(np.clip(real + noise, 0, 255).astype(np.uint8), real)).mean())
    assert values == sorted(values, reverse=True)
    assert values[0] - values[-1] > 0.3


def test_ssim_in_chunks_is_the_same(monkeypatch):
    first, second = pictures(3), pictures(7, seed=1)
    whole = ssim_pairs(first, second)
    monkeypatch.setattr("handful.measure.ssim.CHUNK_VALUES", 2 * first[0].size)
    np.testing.assert_allclose(ssim_pairs(first, second), whole, atol=1e-14)


def test_ssim_takes_torch_tensors():
    import torch

    some = pictures(2)
    np.testing.assert_array_equal(ssim_pairs(torch.from_numpy(some), torch.from_numpy(some)), ssim_pairs(some, some))
