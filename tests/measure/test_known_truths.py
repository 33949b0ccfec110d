"""What every measure must say about sets whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from measure_inputs import features, probabilities, smooth

from handful.errors import DataError
from handful.measure.frechet import frechet_distance, frechet_infinity, too_few
from handful.measure.inception_score import inception_score, inception_score_per_class
from handful.measure.kernel import kernel_distance
from handful.measure.manifold import coverage, density, precision, recall, vendi_score
from handful.measure.metrics import METRICS
from handful.measure.ssim import best_ssim, mean_ssim, ssim_pairs, ssim_within


def gaussian(num, mean, covariance, seed):
    """Numbers with exactly this mean and sample covariance."""
    raw = features(num, len(mean), seed=seed)
    raw -= raw.mean(axis=0)
    whitened = raw @ np.linalg.inv(np.linalg.cholesky(np.cov(raw, rowvar=False))).T
    return whitened @ np.linalg.cholesky(covariance).T + mean


def test_frechet_of_two_gaussians_is_the_closed_form():
    """Commuting covariances: |m1 - m2|^2 + sum (s1 - s2)^2 over their common axes."""
    turn, _ = np.linalg.qr(features(4, 4))
    spreads, means = ([1, 2, 0.5, 3], [2, 2, 1, 0.1]), ([0, 1, 2, 3], [1, 1, 1, 1])
    x, y = (
        gaussian(n, np.array(mean), turn @ np.diag(np.square(spread)) @ turn.T, n)
        for n, mean, spread in zip((30, 45), means, spreads, strict=True)
    )
    expected = sum((a - b) ** 2 for pair in (spreads, means) for a, b in zip(*pair, strict=True))
    assert frechet_distance(real=x, synthetic=y) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize(("n", "d"), [(50, 8), (20, 50), (700, 600), (600, 700)])
def test_frechet_of_identical_sets_is_nothing_beside_their_spread(n, d):
    x = features(n, d)
    assert abs(frechet_distance(real=x, synthetic=x[::-1])) < 1e-6 * d


def test_frechet_bears_features_that_never_change():
    x, y = features(40), features(50, shift=1, seed=1)
    padded = [np.concatenate([part, np.full((len(part), 2), 3.0)], axis=1) for part in (x, y)]
    value = frechet_distance(real=padded[0], synthetic=padded[1])
    assert value == pytest.approx(frechet_distance(real=x, synthetic=y), rel=1e-6)


def test_frechet_at_infinity_takes_the_bias_of_small_sets_away():
    runs = [(features(60, 6, seed=s), features(60, 6, seed=100 + s)) for s in range(15)]
    plain = np.mean([frechet_distance(real=x, synthetic=y) for x, y in runs])
    far = np.mean([frechet_infinity(real=x, synthetic=y) for x, y in runs])
    assert plain > 0.2
    assert abs(far) < plain / 3


def test_frechet_says_rank_where_the_covariance_has_none():
    assert too_few(9, 9, 8) == ""
    assert too_few(9, 8, 8) == (
        "rank: 8 pictures cannot fill a covariance of 8 dimensions, which needs at least 9; use the kernel distance"
    )
    with pytest.raises(DataError, match=r"halves 17 real and 40 synthetic pictures: rank"):
        frechet_infinity(real=features(17), synthetic=features(40))
    assert "use kernel" in METRICS["frechet"].fault(2048, real=100, synthetic=3000)


@pytest.mark.parametrize("distance", [frechet_distance, kernel_distance])
def test_more_noise_is_farther(distance):
    real, other = features(60), features(50, seed=1)
    noise = features(50, seed=2)
    values = [distance(real=real, synthetic=other + spread * noise) for spread in (0, 0.7, 1.5, 3)]
    assert values == sorted(values)
    assert values[-1] > 10 * abs(values[0])


def test_mode_collapse_lowers_recall_and_coverage_but_not_precision():
    """Two modes; the collapsed set has one of them."""
    real, whole = (np.concatenate([features(40, 4, s, seed=s), features(40, 4, s + 9, seed=s + 50)]) for s in (0, 0))
    whole = whole + 0.3 * features(80, 4, seed=3)
    collapsed = np.concatenate([whole[:40], whole[:40] + 0.1 * features(40, 4, seed=4)])
    assert precision(real=real, synthetic=collapsed) >= precision(real=real, synthetic=whole) - 0.05
    assert density(real=real, synthetic=collapsed) > 0.8
    for measure in (recall, coverage):
        assert measure(real=real, synthetic=collapsed) < 0.6 * measure(real=real, synthetic=whole)


def test_mode_collapse_lowers_the_vendi_score():
    modes = 9 * np.eye(4)[np.arange(40) % 4] + 0.5 * features(40, 4)
    assert vendi_score(synthetic=modes) > 3.8
    assert vendi_score(synthetic=modes[::4]) < 1.2


def test_balls_leave_ties_outside():
    """On a line at 0, 1, 2, 3 with one neighbour every radius is 1: one at distance 1 is outside, also of copies."""
    real = np.arange(4.0)[:, None]
    assert precision(real=real, synthetic=np.array([[-1.0], [4.0]]), neighbours=1) == 0
    assert precision(real=real, synthetic=np.array([[-0.9], [5.0]]), neighbours=1) == 0.5
    assert density(real=real, synthetic=real, neighbours=1) == 1.0
    assert coverage(real=real, synthetic=np.array([[0.0], [9.0]]), neighbours=1) == 0.25


def test_coverage_of_equal_distributions_is_about_one_less_two_to_the_minus_neighbours():
    values = [
        coverage(real=features(100, seed=s), synthetic=features(100, seed=99 + s), neighbours=3) for s in range(9)
    ]
    assert np.mean(values) == pytest.approx(1 - 2**-3, abs=0.03)


def test_inception_score_is_one_without_and_k_with_sure_and_even_classes():
    assert inception_score(synthetic=np.full((9, 4), 0.25)) == pytest.approx(1)
    assert inception_score(synthetic=np.eye(4)[np.arange(8) % 4]) == pytest.approx(4)
    sure = np.eye(4)[[0, 0, 0, 1, 2, 3]]
    per_class = inception_score_per_class(synthetic=sure, labels=np.array([7, 7, 7, 2, 2, 2]))
    assert per_class == {2: pytest.approx(3), 7: pytest.approx(1)}
    with pytest.raises(DataError, match="one integer label for each of 6 pictures"):
        inception_score_per_class(synthetic=sure, labels=np.zeros(5, dtype=int))
    with pytest.raises(DataError, match="apply softmax"):
        inception_score(synthetic=np.log(probabilities(5)))


def test_ssim_of_copies_is_their_best_match_and_collapse_raises_it_within():
    real = smooth(6)
    assert best_ssim(real=real, synthetic=real[[3, 3, 1]]) == pytest.approx(1, abs=1e-6)
    assert mean_ssim(real=real, synthetic=real[[3, 3, 1]]) < 0.9
    assert ssim_within(synthetic=real[[3] * 4]) == pytest.approx(1, abs=1e-6)
    assert ssim_within(synthetic=real) < 0.9


@pytest.mark.parametrize("kind", ["flat", "two values", "nearly flat"])
def test_ssim_keeps_its_digits_where_pictures_have_hardly_any_variance(kind):
    """float32 on windows without their means: 1e-6 of the same formula in float64, also where rounding would repeat."""
    rng = np.random.default_rng(0)
    flat = rng.integers(0, 256, (6, 1, 1, 1)).repeat(20, -1).repeat(20, -2)
    made = {
        "flat": flat,
        "two values": rng.integers(0, 2, (6, 1, 5, 5)).repeat(4, -1).repeat(4, -2) * 255,
        "nearly flat": np.clip(flat + rng.integers(-1, 2, flat.shape), 0, 255),
    }[kind].astype(np.uint8)
    np.testing.assert_allclose(ssim_pairs(made, made), [[one(a, b) for b in made] for a in made], atol=1e-6, rtol=0)


def one(a, b):
    """SSIM window by window, in float64."""
    values = []
    for r in range(14):
        for c in range(14):
            x, y = (picture[0, r : r + 7, c : c + 7].astype(float).ravel() for picture in (a, b))
            (vx, cov), (_, vy) = np.cov(x, y)
            top = (2 * x.mean() * y.mean() + 6.5025) * (2 * cov + 58.5225)
            values.append(top / ((x.mean() ** 2 + y.mean() ** 2 + 6.5025) * (vx + vy + 58.5225)))
    return np.mean(values)
