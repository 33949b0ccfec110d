"""What the report says of generated pictures: measures between their marks, copying, and what predicted usefulness."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from handful.data.files import shown
from handful.measure.metrics import METRICS
from handful.study.arms import Arm
from handful.study.measured import MEASURES
from handful.study.result import Result

LEVEL = 0.05
NAMES = {
    "kernel": "kernel distance",
    "precision": "precision",
    "recall": "recall of real pictures",
    "density": "density",
    "coverage": "coverage",
    "ssim": "mean SSIM",
    "vendi": "Vendi score",
    "near_copies": "near copies",
    "authenticity": "authenticity",
    "data_copying": "data copying C_T",
}


@dataclass(frozen=True)
class Marks:
    """What unseen real pictures, exact copies and noise score, with `num` pictures each.

    `blind`: an exact copy does as well as an unseen real picture, so the measure cannot see copying.
    """

    floor: float
    copies: float
    noise: float
    num: int
    blind: bool


@dataclass(frozen=True)
class MeasureRow:
    """One measure of one class or of all: before and after selection, and its marks after it, where there are any."""

    name: str
    means: str
    before: float | None
    after: float | None
    marks: Marks | None
    num_real: int
    num_synthetic: int
    fault: str


@dataclass(frozen=True)
class ClassMeasures:
    """The measures of one class."""

    name: str
    rows: tuple[MeasureRow, ...]


@dataclass(frozen=True)
class GeneratedArm:
    """The synthetic pictures of one arm.

    Args:
        slug: as that of the arm's page.
        drawing: pictures `wanted`, `drawn`, `gated` (turned away as near copies) and `kept`, over repeats.
        repeats: that were measured.
        pooled: means over repeats, all classes together.
        by_class: the same for every class with synthetic pictures.
        p_values: of the copying audit, one per repeat that has one, smallest first.
        accused: in how many repeats it is at most 0.05.
        held_out_copies: test pictures whose features equal a training picture's, over repeats.
        alone: score of a classifier trained on such pictures alone, and its arm; None where the study has no such arm.
    """

    name: str
    slug: str
    extractor: str
    drawing: dict[str, int]
    repeats: int
    pooled: tuple[MeasureRow, ...]
    by_class: tuple[ClassMeasures, ...]
    p_values: tuple[float, ...]
    accused: int
    held_out_copies: int
    alone: tuple[str, float] | None


@dataclass(frozen=True)
class Predictor:
    """How a measure went with the change in recall; `words` says it."""

    name: str
    rho: float | None
    interval: tuple[float, float] | None
    rows: int
    words: str


@dataclass(frozen=True)
class Generated:
    """The section of the report. `told` says in a sentence what predicted usefulness, empty where nothing was asked."""

    arms: tuple[GeneratedArm, ...]
    predictors: tuple[Predictor, ...]
    level: float
    told: str


def generated_of(result: Result) -> Generated | None:
    """Return what was measured of generated pictures in a study, None where nothing was."""
    arms = tuple(_arm(result, name, place) for place, name in enumerate(result.arms) if result.measured(name))
    if not arms:
        return None
    found = result.predicts()
    predictors = tuple(_predictor(row) for row in found)
    return Generated(arms, predictors, float(found[0]["level"]) if found else 0.0, told(found))


def told(found: Sequence[dict[str, Any]]) -> str:
    """Return in a sentence which measures of `Result.predicts` predicted usefulness; empty without any."""
    if not found:
        return ""
    if not any(row["interval"] for row in found):
        return f"What predicted usefulness here cannot be told: {found[0]['reason']}."
    names = [NAMES[row["measure"]] for row in found if row["predicts"]]
    if not names:
        return "What predicted usefulness here: nothing. Every interval holds 0."
    return f"What predicted usefulness here: {', '.join(names)}."


def _predictor(row: dict[str, Any]) -> Predictor:
    words = row["reason"]
    if row["interval"] and not row["predicts"]:
        words = "cannot be told from 0"
    elif row["predicts"]:
        words = f"the {'higher' if row['rho'] > 0 else 'lower'}, the more recall was gained"
    interval = None if row["interval"] is None else (float(row["interval"][0]), float(row["interval"][1]))
    return Predictor(NAMES[row["measure"]], row["rho"], interval, row["rows"], words)


def _arm(result: Result, name: str, place: int) -> GeneratedArm:
    rows = result.measures(name)
    audits = [row for row in result.audits(name) if row["class"] is None]
    p_values = sorted(row["p"] for row in audits if row["p"] is not None)
    drawing = result.drawing(name)
    classes = [label for label in result.class_names if any(row["class"] == label for row in rows)]
    return GeneratedArm(
        name=shown(name),
        slug=f"arm{place}",
        extractor=next((row["extractor"] for row in rows if row["extractor"]), ""),
        drawing={key: sum(row[key] for row in drawing) for key in ("wanted", "drawn", "gated", "kept")},
        repeats=len(result.measured(name)),
        pooled=_rows(rows, None),
        by_class=tuple(ClassMeasures(shown(label), _rows(rows, label)) for label in classes),
        p_values=tuple(p_values),
        accused=sum(p <= LEVEL for p in p_values),
        held_out_copies=sum(row["held_out_copies"] for row in audits),
        alone=_alone(result, result.study.arm(name)),
    )


def _rows(rows: Sequence[dict[str, Any]], label: str | None) -> tuple[MeasureRow, ...]:
    """One row per measure of a class, or of all classes together; numbers at one size where there is a scale."""
    found = {(row["measure"], row["moment"]): row for row in rows if row["class"] == label}
    made = []
    for name in MEASURES:
        before, after = found.get((name, "before")), found.get((name, "after"))
        one = after or before
        if one is None:
            continue
        scaled = one["scaled"]
        marks = {key: scaled[key] for key in ("floor", "copies", "noise", "num", "blind")} if scaled else None
        made.append(
            MeasureRow(
                name=NAMES[name],
                means=METRICS[name].means,
                before=_value(before, scaled is not None),
                after=_value(after, scaled is not None),
                marks=Marks(**marks) if marks else None,
                num_real=one["num_real"],
                num_synthetic=one["num_synthetic"],
                fault=one["fault"],
            )
        )
    return tuple(made)


def _value(row: dict[str, Any] | None, on_scale: bool) -> float | None:
    """The value at the size of the marks, or on all pictures where there are no marks."""
    if row is None or (on_scale and row["scaled"] is None):
        return None
    return float(row["scaled"]["value"]) if on_scale else row["value"]


def _alone(result: Result, arm: Arm) -> tuple[str, float] | None:
    """The arm that trains on the same pictures alone, by generator, gate and selection, and its mean score."""
    for other in result.study.arms:
        same = (other.generator, other.gate, other.selection) == (arm.generator, arm.gate, arm.selection)
        if same and not other.real and (score := result.scores(other.name).get(result.protocol.score)):
            return shown(other.name), float(score["mean"])
    return None
