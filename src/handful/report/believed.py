"""Calibration and goals of an arm, as the page holds them."""

from __future__ import annotations

from typing import Any

from handful.data.files import shown
from handful.influence import PER_CLASS
from handful.report.page import Calibrated, GoalRow, Mean, Reached, Reliability
from handful.study.result import Result


def calibrated_of(result: Result, arm: str) -> Calibrated | None:
    """Return the calibration of an arm, None where nothing is predicted."""
    found = result.calibration(arm)
    if found is None:
        return None
    after = found["after"]
    return Calibrated(
        before=_means(found["before"]),
        before_bins=_bins(found["before"]),
        ece_if_calibrated=found["ece_if_calibrated"],
        temperatures=tuple(found["temperatures"] or ()),
        at_bound=sum(found["at_bound"] or ()),
        after=_means(after) if after else None,
        after_bins=_bins(after) if after else None,
    )


def goals_of(result: Result, arm: str) -> tuple[GoalRow, ...]:
    """Return the goals of the study in an arm."""
    return tuple(
        GoalRow(
            arm=shown(arm),
            name=shown(row["class"]),
            measure=row["measure"],
            goal=row["goal"],
            made=_mean(row["value"], row["interval"]),
            word=row["word"],
            threshold=_reached(row["threshold"]) if row["threshold"] else None,
            reason=row["reason"],
        )
        for row in result.goals(arm)
    )


def _reached(row: dict[str, Any]) -> Reached:
    means = {name: _mean(row[name], row[f"{name}_interval"]) for name in PER_CLASS}
    return Reached(
        mean=row["mean"],
        word=row["word"],
        values={name: one for name, one in means.items() if one},
        accuracy=row["accuracy"],
        accuracy_change=Mean(row["accuracy_change"], None, _pair(row["accuracy_change_interval"]), ()),
    )


def _means(told: dict[str, Any]) -> dict[str, Mean]:
    made = {name: _mean(told[name]["mean"], told[name]["interval"]) for name in ("ece", "log_loss")}
    return {name: one for name, one in made.items() if one}


def _mean(value: float | None, interval: list[float] | None) -> Mean | None:
    return None if value is None else Mean(value, None, _pair(interval), ())


def _pair(interval: list[float] | None) -> tuple[float, float] | None:
    return (interval[0], interval[1]) if interval else None


def _bins(told: dict[str, Any]) -> Reliability:
    return Reliability(*(tuple(told["bins"][name]) for name in ("confidence", "accuracy", "low", "high", "count")))
