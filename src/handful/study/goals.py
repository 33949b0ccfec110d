"""Goals of a class: whether an arm reaches them, and the threshold on the class's probability that does.

A goal is for new pictures, so an interval decides: `pass` where all of it reaches the goal, `fail` where none of it
does, else `cannot tell`. The threshold is chosen on validation; what it gives and costs is measured on test.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from handful.compare import compare
from handful.config import Recipe
from handful.errors import ConfigError, unknown
from handful.influence import PER_CLASS, ClassEstimate, estimate_classes, predicted_of
from handful.scores import accuracy
from handful.study.versus import bounds_of

Share = Annotated[float, Field(gt=0, le=1)]
Part = tuple[NDArray[Any], NDArray[Any]]  # labels int [n], probs [n, K]


class Goal(Recipe):
    """What a class is to reach on new pictures: at least this recall, precision or F1, each in (0, 1]."""

    recall: Share | None = None
    precision: Share | None = None
    f1: Share | None = None

    @model_validator(mode="after")
    def _asks_something(self) -> Goal:
        if not self.wanted:
            raise ValueError("a goal names at least one of recall, precision and f1, such as recall = 0.9")
        return self

    @property
    def wanted(self) -> dict[str, float]:
        """The numbers asked for, by measure."""
        values = ((name, getattr(self, name)) for name in PER_CLASS)
        return {name: value for name, value in values if value is not None}


def read_goals(lines: Iterable[str]) -> dict[str, dict[str, float]]:
    """Return the goals written as `CLASS:MEASURE>=NUMBER`; several of one class come together.

    Raises:
        ConfigError: a line per goal that cannot be read.
    """
    goals: dict[str, dict[str, float]] = {}
    faults = []
    for line in lines:
        head, mark, number = line.rpartition(">=")
        name, colon, measure = head.rpartition(":")
        try:
            value = float(number)
        except ValueError:
            value = -1.0
        if not (mark and colon and name and 0 < value <= 1):
            faults.append(f"--goal {line!r}: expected CLASS:MEASURE>=NUMBER, such as 'stop:recall>=0.9'")
        elif measure.strip() not in PER_CLASS:
            faults.append(f"--goal {line!r}: {unknown('measure', measure.strip(), PER_CLASS)}")
        else:
            goals.setdefault(name, {})[measure.strip()] = value
    if faults:
        raise ConfigError(*faults)
    return goals


def check_goals(goals: Mapping[str, Goal], class_names: Sequence[str]) -> None:
    """Raise where a goal is for a class that the pictures do not have.

    Raises:
        ConfigError: a line per such class, with the nearest name.
    """
    faults = [f"goals: {unknown('class', name, class_names)}" for name in goals if name not in class_names]
    if faults:
        raise ConfigError(*faults)


def with_threshold(probs: NDArray[Any], one: int, threshold: float) -> NDArray[np.int64]:
    """Return the class of probs [..., K] => [...]: `one` where its probability is that high, else the best other."""
    others = np.where(np.arange(probs.shape[-1]) == one, -np.inf, probs)
    return np.where(probs[..., one] >= threshold, one, others.argmax(axis=-1))


def threshold_for(labels: NDArray[Any], probs: NDArray[Any], one: int, measure: str, goal: float) -> float | None:
    """Return the threshold on class `one` that reaches a goal on these (validation) pictures at the least cost.

    Of those that reach it, the one with the highest accuracy over all classes; of equal ones the lowest for recall and
    the highest otherwise, which leaves most room on new pictures. Candidates are the probabilities that were given.

    Returns:
        None where no threshold reaches the goal, or no picture is of the class.
    """
    if not (labels == one).any():
        return None
    tried = np.unique(probs[:, one])
    taken = probs[:, one] >= tried[:, None]  # [thresholds, n]
    hits, true, guessed = (taken & (labels == one)).sum(axis=1), (labels == one).sum(), taken.sum(axis=1)
    values = {"recall": hits / true, "precision": hits / guessed, "f1": 2 * hits / (true + guessed)}[measure]
    others = with_threshold(probs, one, np.inf)
    right = np.where(taken, labels == one, others == labels).mean(axis=1)
    reached = values >= goal
    if not reached.any():
        return None
    best = np.flatnonzero(reached & (right == right[reached].max()))
    return float(tried[best[0] if measure == "recall" else best[-1]])


def goal_rows(
    goals: Mapping[str, Goal],
    class_names: Sequence[str],
    probs: NDArray[Any],
    labels: NDArray[Any],
    validation: Sequence[Part],
) -> list[dict[str, Any]]:
    """Return a row per goal of one arm, JSON values.

    Args:
        goals: by class.
        class_names: of the K classes.
        probs: [R, m, K], NaN where a picture was not tested in a repeat; labels: int [m].
        validation: labels and probabilities of each repeat's validation part; may be empty.

    Returns:
        `class`, `measure`, `goal`, `value` with `interval` (95 %) and `word`; `threshold`: None with a `reason` where
        some repeat's validation part gives none, else the `values` by repeat, and with them on test the class's
        precision, recall and F1 with intervals, the `accuracy` of all classes, `accuracy_change` with its paired
        interval, and a `word`.
    """
    predicted, num = predicted_of(probs), len(class_names)
    plain = estimate_classes(predicted, labels, num)
    rows = []
    for name, goal in goals.items():
        one = list(class_names).index(name)
        for measure, wanted in goal.wanted.items():
            made = plain[measure][one]
            rows.append(
                {
                    "class": name,
                    "measure": measure,
                    "goal": wanted,
                    "value": made.value if made else None,
                    "interval": list(made.interval) if made and made.interval else None,
                    "word": word_of(made, wanted),
                    **_threshold(probs, labels, validation, one, measure, wanted),
                }
            )
    return rows


def word_of(made: ClassEstimate | None, wanted: float) -> str:
    """Return `pass`, `fail` or `cannot tell`."""
    if made is None or made.interval is None:
        return "cannot tell"
    low, high = made.interval
    return "pass" if low >= wanted else "fail" if high < wanted else "cannot tell"


def _threshold(
    probs: NDArray[Any], labels: NDArray[Any], validation: Sequence[Part], one: int, measure: str, wanted: float
) -> dict[str, Any]:
    if len(validation) != len(probs) or not all(len(part[0]) for part in validation):
        return {"threshold": None, "reason": "no validation part to choose a threshold by"}
    values = [threshold_for(*part, one, measure, wanted) for part in validation]
    missing = sum(value is None for value in values)
    if missing:
        return {
            "threshold": None,
            "reason": f"no threshold reaches it on the validation part of {missing} of {len(values)} repeats",
        }
    before = predicted_of(probs)
    after = np.stack([with_threshold(row, one, value) for row, value in zip(probs, values, strict=True)])  # type: ignore[arg-type]  # none is None
    after = np.where(before >= 0, after, -1)
    made = {name: found[one] for name, found in estimate_classes(after, labels, probs.shape[2]).items()}
    shares = [np.mean([accuracy(labels[row >= 0], row[row >= 0]) for row in each]) for each in (before, after)]
    return {
        "threshold": {
            "values": values,
            "mean": float(np.mean(np.array(values, dtype=np.float64))),
            "word": word_of(made[measure], wanted),
            **{name: one.value if one else None for name, one in made.items()},
            **{f"{name}_interval": list(one.interval) if one and one.interval else None for name, one in made.items()},
            "accuracy": float(shares[1]),
            "accuracy_change": float(shares[1] - shares[0]),
            "accuracy_change_interval": _change(after, before, labels, probs.shape[2]),
        },
        "reason": "",
    }


def _change(after: NDArray[Any], before: NDArray[Any], labels: NDArray[Any], num_classes: int) -> list[float] | None:
    """The paired interval (95 %) of the change in accuracy of all classes; None with one repeat."""
    if len(before) < 2:
        return None
    return bounds_of(compare(after, before, labels, score="accuracy", num_classes=num_classes))
