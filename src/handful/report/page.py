"""What the report says, as typed data: every number it prints, and nothing about how it looks."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handful.report.curves import Panel
from handful.report.facts import Fact, Seeds
from handful.report.generated import Generated
from handful.report.mistakes import ArmMistakes, Confused
from handful.report.planes import Planes
from handful.scores import SCORES
from handful.study.kept import Trained

Interval = tuple[float, float]


@dataclass(frozen=True)
class Mean:
    """A score over repeats: its mean, its standard deviation, its interval (95 %), and its values."""

    mean: float
    sd: float | None
    interval: Interval | None
    values: tuple[float, ...]


@dataclass(frozen=True)
class Comparison:
    """An arm against the reference.

    Args:
        word: the verdict, None where the protocol gives none.
        sign: -1 where less of the score is better, else 1.
    """

    word: str | None
    reference: str
    difference: float
    interval: Interval | None
    level: float
    p_adjusted: float | None
    reason: str
    repeats: int
    sign: int = 1


@dataclass(frozen=True)
class ClassRow:
    """A class in one arm: means over repeats with their intervals (95 %), and the test pictures of a repeat."""

    name: str
    precision: float
    recall: float
    f1: float
    support: int
    precision_interval: Interval | None = None
    recall_interval: Interval | None = None
    f1_interval: Interval | None = None


@dataclass(frozen=True)
class Reliability:
    """Bins of confidence in one arm, all repeats together; all but the count None in an empty one.

    Args:
        low, high: limits (95 %) of the accuracy.
    """

    confidence: tuple[float | None, ...]
    accuracy: tuple[float | None, ...]
    low: tuple[float | None, ...]
    high: tuple[float | None, ...]
    count: tuple[int, ...]


@dataclass(frozen=True)
class Calibrated:
    """How far an arm's probabilities can be believed, before and after temperature scaling, by `ece` and `log_loss`.

    Args:
        ece_if_calibrated: what chance alone gives.
        temperatures: by repeat; these and what follows are empty or None without validation.
        at_bound: how many of them are as far as they may go.
    """

    before: dict[str, Mean]
    before_bins: Reliability
    ece_if_calibrated: float
    temperatures: tuple[float, ...]
    at_bound: int
    after: dict[str, Mean] | None
    after_bins: Reliability | None


@dataclass(frozen=True)
class Reached:
    """What a threshold chosen on validation gives on test."""

    mean: float
    word: str
    values: dict[str, Mean]
    accuracy: float
    accuracy_change: Mean


@dataclass(frozen=True)
class GoalRow:
    """A goal in one arm. `reason` says why there is no threshold."""

    arm: str
    name: str
    measure: str
    goal: float
    made: Mean | None
    word: str
    threshold: Reached | None
    reason: str


@dataclass(frozen=True)
class Cost:
    """What one classifier of an arm took, as means over repeats; `seconds` are those of all the arm's jobs."""

    train_pictures: int | None
    steps: float
    pictures_seen: float
    generator_steps: float
    seconds: float


@dataclass(frozen=True)
class ArmPage:
    """One arm.

    Args:
        name: as it is printed.
        slug: unique in the page, letters and digits; for anchors.
        change: what it changes, in words.
        repeats: finished ones.
        by_repeat: the study's score by repeat.
        scores: by name, those of SCORES; empty where there are none, `reconstruction_mse` alone for an arm without
            a classifier.
        confusion: int [K, K] summed over repeats, None where nothing is predicted.
        confused: which test pictures were taken for what, the most frequent confusions.
        diagnosis: whether its classifiers fit, overfit, underfit or have not converged; empty where none is finished.
        diagnoses: the same of each run, by repeat.
        trained: real and made pictures per class that its classifier saw, None where none is finished.
        wanted: how many synthetic pictures it was to get per class; None where it has no generator.
        calibrated, goals: None and empty where nothing is predicted.
        together: accuracy of the mean of the repeats' probabilities; None where repeats do not share a test part.
    """

    name: str
    slug: str
    change: str
    is_reference: bool
    repeats: int
    by_repeat: dict[int, float]
    scores: dict[str, Mean]
    validation: Mean | None
    comparison: Comparison | None
    per_class: tuple[ClassRow, ...]
    confusion: NDArray[np.int64] | None
    confused: tuple[Confused, ...]
    panels: tuple[Panel, ...]
    diagnosis: str
    trained: Trained | None
    wanted: tuple[int, ...] | None
    cost: Cost
    calibrated: Calibrated | None = None
    goals: tuple[GoalRow, ...] = ()
    diagnoses: tuple[tuple[int, str], ...] = ()
    together: Mean | None = None
    per_class_validation: tuple[ClassRow, ...] = ()

    @property
    def word(self) -> str:
        """The verdict, `reference`, or `no verdict`."""
        return "reference" if self.is_reference else (self.comparison and self.comparison.word) or "no verdict"


@dataclass(frozen=True)
class Headline:
    """The verdict in one line and what stands under it.

    Args:
        kind: a verdict, `flawed` or `none`; its colour.
        lead: the arm whose numbers are printed large, if any.
    """

    kind: str
    title: str
    detail: str
    lead: ArmPage | None = None


@dataclass(frozen=True)
class ClassCount:
    """Real pictures of a class per part, in the first repeat."""

    name: str
    train: int
    val: int
    test: int


@dataclass(frozen=True)
class Failure:
    """A job that raised."""

    stage: str
    arm: str
    repeat: int
    error: str
    traceback: str


@dataclass(frozen=True)
class Page:
    """Everything the report prints but its pictures."""

    source: str
    num_pictures: int
    headline: Headline
    inflated: str
    claim: str
    score: str
    score_words: str
    margin: float
    level: float
    num_comparisons: int
    reference: str
    repeats: int
    best: str
    arms: tuple[ArmPage, ...]
    classes: tuple[ClassCount, ...]
    generated: Generated | None
    mistakes: tuple[ArmMistakes, ...]
    planes: Planes | None
    jobs: dict[str, int]
    failed: tuple[Failure, ...]
    notes: tuple[str, ...]
    unreadable: tuple[tuple[str, str], ...]
    cuts: tuple[str, ...]
    reasons: tuple[str, ...]
    protocol: tuple[Fact, ...]
    seeds: tuple[Seeds, ...]
    versions: tuple[Fact, ...]
    digests: tuple[Fact, ...]
    recipe: dict[str, Any] = field(repr=False)

    @property
    def class_names(self) -> tuple[str, ...]:
        return tuple(one.name for one in self.classes)

    @property
    def composed(self) -> tuple[ArmPage, ...]:
        """Arms whose classifier saw other numbers of pictures than the training part has."""
        before = tuple(one.train for one in self.classes)
        return tuple(arm for arm in self.arms if arm.trained and (arm.trained.real != before or any(arm.trained.made)))

    @property
    def compared(self) -> tuple[ArmPage, ...]:
        """Arms with a comparison, strongest first."""
        made = (arm for arm in self.arms if arm.comparison is not None)
        return tuple(sorted(made, key=difference_of, reverse=True))

    @property
    def score_tables(self) -> tuple[tuple[str, ...], ...]:
        """The scores that some arm has: those of predicted classes, then those of probabilities."""
        there = [name for name in SCORES if any(name in arm.scores for arm in self.arms)]
        kinds = ("classes", "probabilities")
        return tuple(names for kind in kinds if (names := tuple(n for n in there if SCORES[n].of == kind)))

    @property
    def calibrated(self) -> tuple[ArmPage, ...]:
        """Arms whose calibration is told."""
        return tuple(arm for arm in self.arms if arm.calibrated)

    @property
    def goals(self) -> tuple[GoalRow, ...]:
        """Every goal in every arm, the arms of a goal together."""
        return tuple(row for rows in zip(*(arm.goals for arm in self.arms if arm.goals), strict=True) for row in rows)

    @property
    def helping(self) -> tuple[ArmPage, ...]:
        return tuple(arm for arm in self.arms if arm.word == "helps")

    @property
    def scored(self) -> tuple[ArmPage, ...]:
        return tuple(arm for arm in self.arms if self.score in arm.scores)

    @property
    def rebuilt(self) -> tuple[ArmPage, ...]:
        """Arms judged by reconstruction."""
        return tuple(arm for arm in self.arms if "reconstruction_mse" in arm.scores)


def difference_of(arm: ArmPage) -> float:
    """Return the gain an arm is ranked by, -inf where it has none."""
    return arm.comparison.sign * arm.comparison.difference if arm.comparison else -inf
