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

# value on identical sets; None: not a constant
IDENTICAL = {
    "frechet": 0.0,
    "frechet_infinity": None,  # the halves differ
    "kernel": None,  # unbiased: below 0
    "inception_score": None,
    "ssim": None,  # the mean runs over all pairs
    "ssim_best": 1.0,
    "ssim_within": None,
    "precision": 1.0,
    "recall": 1.0,
    "density": None,
    "coverage": 1.0,
    "vendi": None,
    "near_copies": 1.0,
    "authenticity": 0.0,
    "data_copying": None,
    "novelty": 0.0,
    "exact_copies": 1.0,
}
DIMENSIONS = 3
every_metric = pytest.mark.parametrize("name", METRICS)


def pictures(num, channels=3, size=16, seed=0):
    """Smooth noise: uint8 [num, channels, size, size]."""
    noise = np.random.default_rng(seed).normal(size=(num, channels, size, size)).cumsum(-1).cumsum(-2)
    low, high = noise.min(axis=(1, 2, 3), keepdims=True), noise.max(axis=(1, 2, 3), keepdims=True)
    return np.rint((noise - low) / (high - low) * 255).astype(np.uint8)


def drawn(needs, num, seed):
    """Pictures, features or probabilities, whichever a metric needs."""
    if needs == "pictures":
        return pictures(num, seed=seed)
    made = np.random.default_rng(seed).normal(size=(num, DIMENSIONS))
    return made if needs == "features" else np.exp(made) / np.exp(made).sum(axis=1, keepdims=True)


def sets_of(name, more=4):
    """Sets of unequal sizes, by the names that the metric asks for."""
    metric = METRICS[name]
    num = max(metric.smallest, metric.per_dimension * (DIMENSIONS + 1)) + more
    return {key: drawn(metric.needs, num + seed, seed) for seed, key in enumerate(metric.sets)}


@every_metric
def test_the_facts_are_complete(name):
    metric = METRICS[name]
    assert metric.means
    assert metric.source
    assert metric.checked
    assert metric.better in ("higher", "lower", "neither")
    assert metric.needs in ("pictures", "features", "probabilities")
    low, high = metric.range
    assert low < high
    assert metric.smallest >= 1
    assert metric.instead in ("", *METRICS)
    if metric.instead:
        assert METRICS[metric.instead].fault(**dict.fromkeys(("real", "synthetic", "held_out"), 2)) == ""
    assert metric.function.__doc__
    assert "Source: " in metric.function.__doc__ or name in ("ssim", "ssim_best")


@every_metric
def test_sets_are_given_by_name(name):
    function, sets = METRICS[name].function, sets_of(name)
    kinds = {key: parameter.kind for key, parameter in inspect.signature(function).parameters.items()}
    assert all(kinds[key] is inspect.Parameter.KEYWORD_ONLY for key in sets)
    with pytest.raises(TypeError):
        function(*sets.values())


@every_metric
def test_the_value_is_a_number_in_its_range(name):
    metric = METRICS[name]
    value = metric.function(**sets_of(name))
    assert type(value) is float
    assert metric.range[0] <= value <= metric.range[1]


@every_metric
def test_identical_sets_have_the_ideal_value(name):
    metric, ideal = METRICS[name], IDENTICAL[name]
    sets = sets_of(name)
    same = {key: sets["synthetic"].copy() for key in sets if key != "held_out"}
    value = metric.function(**(sets | same))
    if ideal is None:
        assert metric.range[0] <= value <= metric.range[1]
    else:
        assert value == pytest.approx(ideal, abs=1e-6)


@every_metric
def test_the_order_of_the_pictures_does_not_matter(name):
    function, sets = METRICS[name].function, sets_of(name, 40 if name == "frechet_infinity" else 4)
    moved = {key: np.roll(given[::-1], 2, axis=0) for key, given in sets.items()}
    # the extrapolation draws shares of the pictures
    close = {"abs": 0.3} if name == "frechet_infinity" else {"rel": 1e-9, "abs": 1e-12}
    assert function(**moved) == pytest.approx(function(**sets), **close)


@every_metric
def test_too_few_pictures_are_an_error(name):
    metric, sets = METRICS[name], sets_of(name)
    for key in sets:
        few = sets | {key: sets[key][: metric.smallest - 1]}
        with pytest.raises(DataError, match=f"{metric.smallest - 1} {key}"):
            metric.function(**few)
    if not metric.per_dimension:
        least = {key: given[: metric.smallest] for key, given in sets.items()}
        assert math.isfinite(metric.function(**least))


@every_metric
def test_the_fault_of_a_size_is_said_with_what_works_instead(name):
    metric = METRICS[name]
    enough = max(metric.smallest, metric.per_dimension * (DIMENSIONS + 1))
    sizes = dict.fromkeys(metric.sets, enough)
    assert metric.fault(DIMENSIONS, **sizes) == ""
    said = metric.fault(DIMENSIONS, **(sizes | {"synthetic": enough - 1}))
    assert f"at least {enough} pictures in each set, got " in said
    assert f"{enough - 1} synthetic" in said
    assert said.startswith("rank") == bool(metric.per_dimension)
    assert said.endswith(f"; use {metric.instead}") == bool(metric.instead)


@every_metric
def test_sets_are_left_alone_and_may_be_read_only(name):
    function, sets = METRICS[name].function, sets_of(name)
    before = {key: given.copy() for key, given in sets.items()}
    value = function(**sets)
    for key, given in sets.items():
        np.testing.assert_array_equal(given, before[key])
        given.flags.writeable = False  # as memory-mapped pictures are
    assert function(**sets) == value


@every_metric
def test_other_shapes_and_types_are_errors(name):
    metric, sets = METRICS[name], sets_of(name)
    given = sets["synthetic"]
    wrong = [given[0], given.astype(complex)]
    if metric.needs == "pictures":
        wrong += [given / 255] + ([given[:, :1], given[..., :-1]] if len(sets) > 1 else [])
    elif metric.needs == "features":
        wrong += [np.where(np.arange(len(given))[:, None] == 1, np.nan, given)]
        wrong += [given[:, :-1]] if len(sets) > 1 else []
    else:
        wrong += [given - 0.5, 2 * given, given[:, :1]]
    for one in wrong:
        with pytest.raises(DataError, match=r"uint8|features|probabilities|finite"):
            metric.function(**(sets | {"synthetic": one}))


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
    np.testing.assert_allclose(ssim_pairs(first, second), expected, atol=1e-6, rtol=0)
    assert mean_ssim(real=second, synthetic=first) == pytest.approx(np.mean(expected), abs=1e-6)


def test_ssim_of_a_rectangle_is_that_of_scikit_image():
    first, second = pictures(1, 3, 24)[..., :9], pictures(1, 3, 24, seed=1)[..., :9]
    expected = structural_similarity(first[0], second[0], channel_axis=0, data_range=255)
    assert ssim_pairs(first, second)[0, 0] == pytest.approx(expected, abs=1e-6)


def test_ssim_of_a_picture_with_itself_is_one_and_pairs_are_symmetric():
    some = pictures(5)
    pairs = ssim_pairs(some, some)
    assert pairs.shape == (5, 5)
    assert pairs.dtype == np.float64
    np.testing.assert_allclose(np.diag(pairs), 1, atol=1e-6)
    np.testing.assert_allclose(pairs, pairs.T, atol=1e-6)


def test_ssim_of_flat_pictures_is_the_closed_form():
    """Without variance only the luminance term is left: (2 a b + C1) / (a^2 + b^2 + C1)."""
    first, second = np.full((1, 1, 8, 8), 50, dtype=np.uint8), np.full((1, 1, 8, 8), 200, dtype=np.uint8)
    c1 = (0.01 * 255) ** 2
    assert ssim_pairs(first, second)[0, 0] == pytest.approx((2 * 50 * 200 + c1) / (50**2 + 200**2 + c1), abs=1e-6)


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
    np.testing.assert_allclose(ssim_pairs(first, second), whole, atol=1e-6)


def test_ssim_takes_torch_tensors():
    import torch

    some = pictures(2)
    np.testing.assert_array_equal(ssim_pairs(torch.from_numpy(some), torch.from_numpy(some)), ssim_pairs(some, some))
