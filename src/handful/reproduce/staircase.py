"""The staircase: a validation score as published, and what is left of it as one flaw after another is taken away."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from handful.reproduce.entry import Finished, Section, Studies
from handful.reproduce.figures import bars
from handful.reproduce.rows import between, read, table_of, times, values
from handful.reproduce.scale import Scale
from handful.study.arms import Arm
from handful.study.protocol import Protocol
from handful.study.study import Study


@dataclass(frozen=True)
class Step:
    """One step down.

    Args:
        what: what is scored.
        removed: what this step took away.
        study: key among the extra studies.
        on: the part that is scored.
    """

    what: str
    removed: str
    study: str
    on: str


STEPS = (
    Step(
        "validation as published", "nothing: copies and synthetic pictures are in validation", "stairs-1", "validation"
    ),
    Step(
        "validation of real files",
        "synthetic pictures in validation, and the training pictures they were made from",
        "stairs-2",
        "validation",
    ),
    Step("validation of distinct pictures", "exact copies of training files", "stairs-3", "validation"),
    Step("validation of distinct scenes", "near copies: shots of one sign seconds apart", "stairs-4", "validation"),
    Step(
        "the outside test part",
        "everything drawn from the training part: other signs, other places",
        "stairs-4",
        "test",
    ),
)
SCORE = "balanced_accuracy"


def studies(scale: Scale, published: str, distinct: str, arm: Arm, study: Study) -> Studies:
    """Return the four studies of the staircase.

    Args:
        published: folder of the published files, with their copies.
        distinct: archive of the distinct pictures.
        arm: the treatment that adds synthetic pictures.
        study: what they share: classifier and measures.
    """
    repeats = scale.repeats_for("honest", 5)
    whole: dict[str, Any] = {"repeats": repeats, "val_fraction": 0.1, "score": SCORE, "reference": arm.name}

    def of(source: str, **protocol: Any) -> Study:
        return study.changed(source=source, arms=(arm,), protocol=Protocol(**{**whole, **protocol}))

    return {
        "stairs-1": of(published, copies="keep", flaws=("synthetic-in-val",)),
        "stairs-2": of(published, copies="keep"),
        "stairs-3": of(distinct),
        "stairs-4": of(distinct, groups="near-copies"),
    }


def section(finished: Finished) -> Section:
    """Return the staircase as a table and a figure."""
    rows, drawn = [], {}
    for step in STEPS:
        result = finished.extra.get(step.study)
        if result is None:
            continue
        (arm,) = result.arms
        value = read(result, arm, SCORE, step.on)
        seen = values(result, arm, SCORE, step.on)
        interval = result.scores(arm)[SCORE]["interval"] if step.on == "test" else None
        span = between(interval) if interval else f"repeats {min(seen):.3f} to {max(seen):.3f}" if seen else ""
        scale = f"{finished.scale.note or 'paper'}; {times(len(seen))}"
        rows.append((step.what, value, span, step.removed, result.inflated or "nothing", scale))
        if value is not None:
            drawn[step.what] = value
    if not rows:
        return Section("The staircase", ("Not run: its arm was not asked for.",))
    table = table_of(
        "staircase",
        "The same recipes of classifier and synthetic pictures, trained anew under each protocol",
        (
            "what is scored",
            "balanced accuracy",
            "95 %, or the range of the repeats",
            "what this step removed",
            "still inflated because",
            "scale",
        ),
        rows,
    )
    figure = bars(
        "staircase",
        "balanced accuracy",
        "Balanced accuracy falling from validation as published to the outside test part.",
        drawn,
        flawed=[step.what for step in STEPS[:2]],
    )
    words = ""
    if len(drawn) == len(STEPS):
        first, *_, last = drawn.values()
        lost = 100 * (first - last)
        words = f"From {first:.3f} to {last:.3f}: {lost:.0f} points of the published score go with its protocol."
    return Section("The staircase", (words,) if words else (), (table,), (figure,) if drawn else ())
