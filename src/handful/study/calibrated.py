"""How far an arm's probabilities can be believed, and what a temperature fitted on validation makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handful.calibration import (
    NUM_BINS,
    Temperature,
    at_temperature,
    bin_of,
    confidences,
    ece_if_calibrated,
    fit_temperature,
    reliability,
)
from handful.classify.diagnose import wilson
from handful.influence import compare_probs, estimate_probs
from handful.scores import SCORES
from handful.study.versus import bounds_of

Part = tuple[NDArray[Any], NDArray[Any]]  # labels int [n], probs [n, K]
JUDGED = ("ece", "log_loss")
LEVEL = 0.95


def calibration_of(probs: NDArray[Any], labels: NDArray[Any], validation: Sequence[Part]) -> dict[str, Any]:
    """Return, as JSON values, how an arm's test probabilities are calibrated before and after temperature scaling.

    Args:
        probs: [R, m, K], NaN where a picture was not tested in a repeat.
        labels: int [m].
        validation: labels and probabilities of each repeat's validation part; may be empty.

    Returns:
        `before`: mean and interval (95 %) of `ece` and `log_loss` over repeats, and `bins`: confidence, accuracy with
        Wilson's limits (95 %) `low` and `high` for as many draws as there are different pictures (all four None in an
        empty bin), and count of the answers of all repeats together; `ece_if_calibrated`: the ECE that chance
        alone gives test parts of this size; `temperatures` by repeat, each fitted on its own validation part, and
        which of them are `at_bound`; `after`: as before, at these temperatures; `change`: after - before, paired, with
        intervals. The last four are None where a repeat has no validation part.
    """
    tested = ~np.isnan(probs[..., 0])
    rows = [(labels[row], one[row]) for one, row in zip(probs, tested, strict=True)]
    made: dict[str, Any] = {
        "before": _told(probs, labels, rows),
        "ece_if_calibrated": float(np.mean([ece_if_calibrated(*part) for part in rows])),
        **dict.fromkeys(("temperatures", "at_bound", "after", "change")),
    }
    if len(validation) != len(rows) or not all(len(part[0]) for part in validation):
        return made
    fitted = [fit_temperature(*part) for part in validation]
    scaled = _scaled(probs, tested, fitted)
    after = [(labels[row], one[row]) for one, row in zip(scaled, tested, strict=True)]
    return {
        **made,
        "temperatures": [one.value for one in fitted],
        "at_bound": [one.at_bound for one in fitted],
        "after": _told(scaled, labels, after),
        "change": {name: _change(scaled, probs, labels, name) for name in JUDGED},
    }


def _scaled(probs: NDArray[Any], tested: NDArray[np.bool_], fitted: Sequence[Temperature]) -> NDArray[np.float64]:
    scaled = np.full(probs.shape, np.nan)
    for repeat, one in enumerate(fitted):
        scaled[repeat, tested[repeat]] = at_temperature(probs[repeat, tested[repeat]], one.value)
    return scaled


def _told(probs: NDArray[Any], labels: NDArray[Any], rows: Sequence[Part]) -> dict[str, Any]:
    bins = reliability(np.concatenate([part[0] for part in rows]), np.concatenate([part[1] for part in rows]))
    return {
        **{name: _mean(probs, labels, rows, name) for name in JUDGED},
        "bins": {
            "confidence": _or_none(bins.confidence),
            "accuracy": _or_none(bins.accuracy),
            **_limits(bins.accuracy, _distinct(probs, labels)),
            "count": bins.count.tolist(),
        },
    }


def _distinct(probs: NDArray[Any], labels: NDArray[Any]) -> NDArray[np.int64]:
    """How many pictures have an answer in each bin, int [B]; one that several repeats test counts once."""
    found = np.zeros((NUM_BINS, len(labels)), dtype=bool)
    for one in probs:
        tested = np.flatnonzero(~np.isnan(one[:, 0]))
        found[bin_of(*confidences(labels[tested], one[tested])), tested] = True
    return np.asarray(found.sum(axis=1), dtype=np.int64)


def _limits(accuracy: NDArray[np.float64], nums: NDArray[np.int64]) -> dict[str, list[float | None]]:
    made = [
        wilson(float(share), int(num), LEVEL) if num else (np.nan, np.nan)
        for share, num in zip(accuracy, nums, strict=True)
    ]
    low, high = np.array(made).clip(0, 1).T
    return {"low": _or_none(low), "high": _or_none(high)}


def _mean(probs: NDArray[Any], labels: NDArray[Any], rows: Sequence[Part], name: str) -> dict[str, Any]:
    interval = bounds_of(estimate_probs(probs, labels, score=name)) if len(rows) > 1 else None
    return {"mean": float(np.mean([SCORES[name].value(*part) for part in rows])), "interval": interval}


def _change(after: NDArray[Any], before: NDArray[Any], labels: NDArray[Any], name: str) -> dict[str, Any]:
    made = compare_probs(after, before, labels, score=name)
    return {"difference": made.value, "interval": bounds_of(made)}


def _or_none(values: NDArray[np.float64]) -> list[float | None]:
    return [float(value) if np.isfinite(value) else None for value in values]
