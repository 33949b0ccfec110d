"""Calibration: whether a classifier that says 90 % is right nine times in ten, and one number that helps it.

Every function takes `labels` int [N] and `probs` float [N, K], rows that sum to 1. The confidence of a picture is its
largest probability; it is correct where that class is the label.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log, pi
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import softmax

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

NUM_BINS = 15  # Guo et al. (2017)
SMALLEST = float(np.finfo(np.float32).tiny)  # of a probability, before its logarithm is divided by a temperature
FLOOR = float(np.finfo(np.float32).eps)  # of a probability in a log loss
TEMPERATURES = (0.05, 20.0)


@dataclass(frozen=True)
class Bins:
    """A reliability diagram: mean confidence and accuracy of each bin (NaN in an empty one), and its pictures."""

    confidence: Floats
    accuracy: Floats
    count: Integers


@dataclass(frozen=True)
class Temperature:
    """What logits are divided by; `at_bound` where validation wanted one beyond `TEMPERATURES`."""

    value: float
    at_bound: bool


def confidences(labels: NDArray[Any], probs: NDArray[Any]) -> tuple[Floats, Floats]:
    """Return confidence [N] and correctness [N], 0 or 1."""
    return probs.max(axis=1).astype(np.float64), (probs.argmax(axis=1) == labels).astype(np.float64)


def bin_of(confidence: Floats, correct: Floats, *, num_bins: int = NUM_BINS, equal_mass: bool = False) -> Integers:
    """Return the bin of each picture, int [N] in [0, num_bins).

    Equal width: bin b holds confidences in (b / B, (b + 1) / B], the first one 0 as well. Equal mass: pictures sorted
    by confidence (and correctness, so that their order does not matter) and cut into B runs as even as can be.
    """
    if not equal_mass:
        inner = np.arange(1, num_bins) / num_bins
        return np.searchsorted(inner, confidence, side="left").astype(np.int64)
    place = np.empty(len(confidence), dtype=np.int64)
    place[np.lexsort((correct, confidence))] = np.arange(len(confidence))
    return place * num_bins // max(len(confidence), num_bins)


def reliability(
    labels: NDArray[Any], probs: NDArray[Any], *, num_bins: int = NUM_BINS, equal_mass: bool = False
) -> Bins:
    """Return the reliability diagram (DeGroot and Fienberg 1983; Niculescu-Mizil and Caruana 2005)."""
    confidence, correct = confidences(labels, probs)
    place = bin_of(confidence, correct, num_bins=num_bins, equal_mass=equal_mass)
    count, summed, right = (
        np.bincount(place, weights=weights, minlength=num_bins) for weights in (None, confidence, correct)
    )
    with np.errstate(invalid="ignore"):
        return Bins(summed / count, right / count, count.astype(np.int64))


def expected_calibration_error(
    labels: NDArray[Any], probs: NDArray[Any], *, num_bins: int = NUM_BINS, equal_mass: bool = False
) -> float:
    """Return ECE = sum over bins of n_b / N |accuracy_b - confidence_b|, in [0, 1], lower is better.

    It is biased upwards for few pictures: a perfectly calibrated classifier does not reach 0, see `ece_if_calibrated`.

    Source: Naeini et al. (2015), Guo et al. (2017) eq. 3; equal mass: Nguyen and O'Connor (2015). Checked against
    torchmetrics.MulticlassCalibrationError (norm l1) to 1e-6.
    """
    bins = reliability(labels, probs, num_bins=num_bins, equal_mass=equal_mass)
    gaps = np.nan_to_num(np.abs(bins.accuracy - bins.confidence))
    return float((bins.count * gaps).sum() / max(bins.count.sum(), 1))


def ece_if_calibrated(labels: NDArray[Any], probs: NDArray[Any], *, num_bins: int = NUM_BINS) -> float:
    """Return about what ECE these confidences give where they are exactly true: what chance alone makes of N pictures.

    sum over bins of sqrt(2 / pi sum_j conf_j (1 - conf_j)) / N, the mean of |normal| with each bin's variance. An ECE
    near it is no sign of bad calibration. Checked against simulated answers (within a tenth for 100 pictures and more).
    """
    confidence, correct = confidences(labels, probs)
    place = bin_of(confidence, correct, num_bins=num_bins)
    variance = np.bincount(place, weights=confidence * (1 - confidence), minlength=num_bins)
    return float(np.sqrt(2 / pi * np.maximum(variance, 0)).sum() / max(len(confidence), 1))


def at_temperature(probs: NDArray[Any], temperature: float) -> Floats:
    """Return softmax(log(probs) / T) [N, K]: flatter for T above 1, sharper below; the most probable class stays."""
    logits = np.log(np.maximum(np.asarray(probs, dtype=np.float64), SMALLEST))
    return np.asarray(softmax(logits / temperature, axis=1), dtype=np.float64)


def fit_temperature(labels: NDArray[Any], probs: NDArray[Any]) -> Temperature:
    """Return the temperature in [0.05, 20] with the lowest log loss; fit it on validation, never on test.

    One number for the whole classifier, so few pictures do. Where every validation picture is right, its log loss
    falls for ever as T does, and the answer is the bound: such a temperature says that validation is too small or too
    easy, see `Temperature.at_bound`.

    Raises:
        ValueError: no pictures.

    Source: Guo et al. (2017), section 4.2. Checked against a grid of temperatures.
    """
    if not len(labels):
        raise ValueError("no pictures to fit a temperature to: it needs a validation part")
    rows, logits = np.arange(len(labels)), np.log(np.maximum(np.asarray(probs, dtype=np.float64), SMALLEST))

    def loss(log_temperature: float) -> float:
        made = softmax(logits / exp(log_temperature), axis=1)
        return float(-np.log(np.maximum(made[rows, labels], SMALLEST)).mean())

    low, high = (log(bound) for bound in TEMPERATURES)
    found = float(minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-6}).x)
    for bound in TEMPERATURES:
        if loss(log(bound)) <= loss(found):
            return Temperature(bound, True)
    return Temperature(exp(found), False)


def usable_temperature(labels: NDArray[Any], probs: NDArray[Any]) -> float | None:
    """Return the temperature fitted on a validation part; None without pictures, or where it is at a bound."""
    made = fit_temperature(labels, probs) if len(labels) else None
    return None if made is None or made.at_bound else made.value
