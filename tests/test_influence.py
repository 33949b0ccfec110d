"""Intervals of every score: values as derivatives, agreement with `compare`, and coverage under a known truth."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics

from handful.compare import estimate_score
from handful.influence import (
    INFLUENCES,
    PER_CLASS,
    compare_probs,
    estimate_classes,
    estimate_probs,
    predicted_of,
    share_interval,
)
from handful.scores import SCORES, per_class

NUM_CLASSES = 6
SIZES = (14, 12, 10, 8, 7, 6)
SMOOTH = [name for name in INFLUENCES if name not in ("ece", "adaptive_ece")]


def said(seed=0, num_repeats=5, sizes=SIZES, tested=None, gain=1.2):
    """What R runs say of the same pictures: [R, m, K] and labels; run, picture and residual all vary."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(sizes)), sizes)
    m, num_classes = len(labels), len(sizes)
    right = (
        gain + rng.normal(size=m) + 0.2 * rng.normal(size=(num_repeats, 1)) + 0.5 * rng.normal(size=(num_repeats, m))
    )
    logits = 0.7 * rng.normal(size=(m, num_classes)) + 0.5 * rng.normal(size=(num_repeats, m, num_classes))
    logits += right[..., None] * np.eye(num_classes)[labels]
    probs = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    if tested is not None:
        probs[rng.random((num_repeats, m)) > tested] = np.nan
    return probs, labels


@pytest.mark.parametrize("name", INFLUENCES)
@pytest.mark.parametrize("seed", range(3))
def test_the_value_is_the_scores_own(name, seed):
    probs, labels = said(seed, num_repeats=1)
    assert INFLUENCES[name](labels, probs[0])[0] == pytest.approx(SCORES[name].value(labels, probs[0]), abs=1e-12)


def test_every_score_has_an_interval():
    assert set(SCORES) == {*INFLUENCES, "accuracy", "balanced_accuracy", "macro_f1"}


WEIGHTED = {
    "weighted_f1": lambda y, p, w, share: np.dot(
        share, metrics.f1_score(y, p.argmax(1), average=None, sample_weight=w, zero_division=0)
    ),
    "macro_precision": lambda y, p, w, share: metrics.precision_score(
        y, p.argmax(1), average="macro", sample_weight=w, zero_division=0
    ),
    "weighted_precision": lambda y, p, w, share: np.dot(
        share, metrics.precision_score(y, p.argmax(1), average=None, sample_weight=w, zero_division=0)
    ),
    "auc": lambda y, p, w, share: np.mean(
        [metrics.roc_auc_score(y == c, p[:, c], sample_weight=w) for c in range(NUM_CLASSES)]
    ),
    "weighted_auc": lambda y, p, w, share: np.dot(
        share, [metrics.roc_auc_score(y == c, p[:, c], sample_weight=w) for c in range(NUM_CLASSES)]
    ),
}


@pytest.mark.parametrize("name", WEIGHTED)
def test_values_are_derivatives_by_the_weight_of_a_picture(name):
    probs, labels = said(1, num_repeats=1)
    share = np.bincount(labels) / len(labels)
    _, values = INFLUENCES[name](labels, probs[0])
    for picture in range(0, len(labels), 3):
        moved = []
        for step in (1e-4, -1e-4):
            weight = np.ones(len(labels))
            weight[picture] += step
            moved.append(WEIGHTED[name](labels, probs[0], weight, share))
        assert values[picture] / len(labels) == pytest.approx((moved[0] - moved[1]) / 2e-4, abs=1e-6)


@pytest.mark.parametrize("name", ["top3", "log_loss", "brier", "ece", "adaptive_ece"])
def test_values_of_a_mean_over_pictures_have_that_mean(name):
    probs, labels = said(2, num_repeats=1)
    score, values = INFLUENCES[name](labels, probs[0])
    assert values.mean() == pytest.approx(score)


@pytest.mark.parametrize("name", SMOOTH)
def test_the_variance_is_close_to_that_of_delete_one(name):
    probs, labels = said(3, num_repeats=1, sizes=(70, 60, 50, 40, 30, 30), gain=0.7)
    _, values = INFLUENCES[name](labels, probs[0])
    keep = ~np.eye(len(labels), dtype=bool)
    left_out = [SCORES[name].value(labels[rows], probs[0, rows]) for rows in keep]
    jackknife = (len(labels) - 1) ** 2 / len(labels) * np.var(left_out, ddof=1)
    if name.startswith("weighted"):  # the jackknife also moves the class mix, which is given here
        assert values.var(ddof=1) / len(labels) == pytest.approx(jackknife, rel=0.35)
    else:
        assert values.var(ddof=1) / len(labels) == pytest.approx(jackknife, rel=0.1)


@pytest.mark.parametrize("name", ["accuracy", "balanced_accuracy", "macro_f1"])
@pytest.mark.parametrize("tested", [None, 0.6])
def test_scores_of_classes_are_those_of_compare(name, tested):
    probs, labels = said(4, tested=tested)
    ours = estimate_probs(probs, labels, score=name)
    assert ours == estimate_score(predicted_of(probs), labels, score=name, num_classes=NUM_CLASSES)


@pytest.mark.parametrize("name", SCORES)
@pytest.mark.parametrize("tested", [None, 0.6])
def test_the_mean_is_over_repeats_of_what_each_tested(name, tested):
    probs, labels = said(5, tested=tested)
    rows = ~np.isnan(probs[..., 0])
    expected = np.mean([SCORES[name].value(labels[row], one[row]) for one, row in zip(probs, rows, strict=True)])
    made = estimate_probs(probs, labels, score=name)
    assert made.value == pytest.approx(expected)
    assert 0 <= made.interval[0] < made.value < made.interval[1] <= SCORES[name].highest


@pytest.mark.parametrize("name", SCORES)
def test_arms_swap(name):
    (probs, labels), (other, _) = said(6), said(7, gain=0.5)
    made, back = (compare_probs(*pair, labels, score=name) for pair in ((probs, other), (other, probs)))
    assert made.value == pytest.approx(-back.value)
    assert made.interval == pytest.approx((-back.interval[1], -back.interval[0]))
    assert made.value * SCORES[name].sign > 0 or "ece" in name


def test_arms_on_other_test_parts_are_refused():
    (probs, labels), (other, _) = said(6, tested=0.5), said(7, tested=0.5)
    with pytest.raises(ValueError, match="not tested on the same pictures"):
        compare_probs(probs, other, labels, score="auc")


def test_classes_are_scored_as_scikit_learn_does_over_the_repeats_that_test_them():
    probs, labels = said(8, sizes=(20, 9, 2), tested=0.4)
    predicted, made = predicted_of(probs), None
    made = estimate_classes(predicted, labels, 3)
    for one in range(3):
        rows = [row for row in predicted if (labels[row >= 0] == one).any()]
        tables = [per_class(labels[row >= 0], row[row >= 0], 3) for row in rows]
        for name in PER_CLASS:
            assert made[name][one].value == pytest.approx(np.mean([table[name][one] for table in tables]))
            low, high = made[name][one].interval
            assert 0 <= low <= made[name][one].value <= high <= 1


def test_a_class_that_is_never_tested_has_no_numbers():
    probs, labels = said(9)
    made = estimate_classes(predicted_of(np.pad(probs, ((0, 0), (0, 0), (0, 1)))), labels, NUM_CLASSES + 1)
    assert [made[name][NUM_CLASSES] for name in PER_CLASS] == [None] * 3


def wilson(hits, num, quantile):
    """The two shares whose distance from hits / num is `quantile` of their own standard errors."""
    share = hits / num
    roots = np.roots([1 + quantile**2 / num, -(2 * share + quantile**2 / num), share**2])
    return min(roots), max(roots)


@pytest.mark.parametrize("hits", [0, 12, 17, 20])
def test_a_share_with_the_variance_of_its_pictures_has_their_wilson_interval(hits):
    made = share_interval(hits / 20, hits / 20 * (1 - hits / 20) / 20, 19, 20, 0.95)
    assert made == pytest.approx(wilson(hits, 20, stats.t.ppf(0.975, 19)))


def test_more_variance_than_the_pictures_have_widens_the_interval_of_a_share():
    plain, wider = (share_interval(0.85, factor * 0.85 * 0.15 / 20, 19, 20, 0.95) for factor in (1, 3))
    assert wider[0] < plain[0] < plain[1] < wider[1]
    assert share_interval(0.85, 0.1 * 0.85 * 0.15 / 20, 19, 20, 0.95) == pytest.approx(plain)


def test_a_share_of_no_pictures_has_no_interval():
    assert share_interval(1.0, 0.0, np.nan, 0, 0.95) is None


COVERED = ("top3", "auc", "weighted_auc", "log_loss", "brier", "weighted_f1", "macro_precision", "ece")


def test_intervals_cover_the_mean_of_other_runs_and_pictures():
    """Five repeats on 114 fixed test pictures, 200 studies of one population, three standard errors below 93 %."""
    sizes = tuple(2 * size for size in SIZES)
    studies = [said(100 + seed, sizes=sizes) for seed in range(200)]
    for name in COVERED:
        made = [estimate_probs(*one, score=name) for one in studies]
        truth = np.mean([one.value for one in made])
        covered = np.mean([one.interval[0] <= truth <= one.interval[1] for one in made])
        assert 0.88 <= covered < 1, (name, covered)


def test_intervals_of_classes_cover_theirs():
    """Shares of 12 to 24 pictures: 0.99, on the safe side; F1 0.95."""
    studies = [said(500 + seed, sizes=(24, 16, 12), gain=1.8) for seed in range(120)]
    made = [estimate_classes(predicted_of(probs), labels, 3) for probs, labels in studies]
    for name in PER_CLASS:
        for one in range(3):
            truth = np.mean([each[name][one].value for each in made])
            bounds = [each[name][one].interval for each in made if each[name][one].interval]
            covered = np.mean([low <= truth <= high for low, high in bounds])
            assert covered >= 0.90, (name, one, covered)
