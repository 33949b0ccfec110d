"""Calibration against torchmetrics, simulated answers and a grid of temperatures."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from torchmetrics.classification import MulticlassCalibrationError

from handful.calibration import (
    TEMPERATURES,
    at_temperature,
    bin_of,
    ece_if_calibrated,
    expected_calibration_error,
    fit_temperature,
    reliability,
)
from handful.scores import SCORES


def answers(seed=0, num=400, num_classes=5, sharpness=1.0):
    """Labels drawn from known probabilities, and these made sharper: calibrated for a sharpness of 1."""
    rng = np.random.default_rng(seed)
    logits = 1.5 * rng.normal(size=(num, num_classes))
    true = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = (rng.random((num, 1)) > true.cumsum(axis=1)).sum(axis=1).clip(0, num_classes - 1)
    return labels, at_temperature(true, 1 / sharpness)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("num_bins", [5, 15])
def test_ece_is_that_of_torchmetrics(seed, num_bins):
    labels, probs = answers(seed, sharpness=2.0)
    theirs = MulticlassCalibrationError(probs.shape[1], n_bins=num_bins, norm="l1")(
        torch.tensor(probs), torch.tensor(labels)
    )
    assert expected_calibration_error(labels, probs, num_bins=num_bins) == pytest.approx(float(theirs), abs=1e-6)


def test_bins_by_hand():
    probs = np.array([[0.9, 0.1], [0.92, 0.08], [0.6, 0.4], [0.3, 0.7]])
    bins = reliability(np.array([0, 1, 0, 1]), probs, num_bins=5)
    np.testing.assert_array_equal(bins.count, [0, 0, 1, 1, 2])
    np.testing.assert_allclose(bins.confidence[2:], [0.6, 0.7, 0.91])
    np.testing.assert_allclose(bins.accuracy[2:], [1, 1, 0.5])
    assert np.isnan(bins.confidence[:2]).all()
    ece = expected_calibration_error(np.array([0, 1, 0, 1]), probs, num_bins=5)
    assert ece == pytest.approx((0.4 + 0.3 + 2 * 0.41) / 4)


@pytest.mark.parametrize("num", [400, 101, 30, 7])
def test_the_adaptive_ece_is_that_of_a_loop_over_sorted_pictures(num):
    labels, probs = answers(2, num=num, sharpness=2.0)
    pictures = [(max(row), float(np.argmax(row) == label)) for row, label in zip(probs.tolist(), labels, strict=True)]
    pictures.sort()
    found, ends = 0.0, [math.ceil(one * max(num, 15) / 15) for one in range(16)]
    for start, end in pairwise(ends):
        if run := pictures[start:end]:
            confidence, accuracy = (math.fsum(values) / len(run) for values in zip(*run, strict=True))
            found += len(run) / num * abs(accuracy - confidence)
    assert SCORES["adaptive_ece"].value(labels, probs) == pytest.approx(found, abs=1e-12)
    if num > 15:  # else each picture is alone in its bin, in both
        assert found != pytest.approx(expected_calibration_error(labels, probs), abs=1e-6)


def test_bounds_of_bins_belong_to_the_lower_one():
    edges = np.array([0.0, 0.2, 0.21, 0.4, 1.0])
    np.testing.assert_array_equal(bin_of(edges, np.ones(5), num_bins=5), [0, 0, 1, 1, 4])


@pytest.mark.parametrize(("num", "sizes"), [(7, {0, 1}), (30, {2}), (100, {6, 7})])
def test_bins_of_equal_mass_are_as_even_as_can_be(num, sizes):
    rng = np.random.default_rng(0)
    confidence = rng.random(num)
    place = bin_of(confidence, np.ones(num), equal_mass=True)
    assert set(np.bincount(place, minlength=15).tolist()) == sizes
    assert (np.diff(place[np.argsort(confidence)]) >= 0).all()


@pytest.mark.parametrize("num", [100, 1000])
def test_the_ece_of_perfect_calibration_is_what_simulated_answers_give(num):
    found = [answers(seed, num) for seed in range(60)]
    mean = np.mean([expected_calibration_error(*one) for one in found])
    assert np.mean([ece_if_calibrated(*one) for one in found]) == pytest.approx(mean, rel=0.1)


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 3.0])
def test_the_temperature_undoes_what_made_probabilities_too_sharp(sharpness):
    found = fit_temperature(*answers(3, num=4000, sharpness=sharpness))
    assert found.value == pytest.approx(sharpness, rel=0.08)
    assert not found.at_bound


def test_the_temperature_has_the_lowest_log_loss_of_a_grid():
    labels, probs = answers(5, num=120, sharpness=2.5)

    def loss(temperature):
        return -np.log(at_temperature(probs, temperature)[np.arange(len(labels)), labels]).mean()

    grid = np.geomspace(*TEMPERATURES, 400)
    found = fit_temperature(labels, probs).value
    assert loss(found) <= min(map(loss, grid)) + 1e-9


def test_a_temperature_changes_no_predicted_class_and_one_changes_nothing():
    _, probs = answers()
    np.testing.assert_allclose(at_temperature(probs, 1.0), probs)
    for temperature in (0.3, 4.0):
        made = at_temperature(probs, temperature)
        np.testing.assert_allclose(made.sum(axis=1), 1)
        np.testing.assert_array_equal(made.argmax(axis=1), probs.argmax(axis=1))


def test_all_right_on_validation_ends_at_the_bound_and_says_so():
    labels, probs = np.arange(3), np.eye(3) * 0.7 + 0.1
    found = fit_temperature(labels, probs)
    assert found.at_bound
    assert found.value == pytest.approx(TEMPERATURES[0], rel=0.01)


def test_a_temperature_needs_pictures():
    with pytest.raises(ValueError, match="needs a validation part"):
        fit_temperature(np.zeros(0, dtype=int), np.zeros((0, 3)))
