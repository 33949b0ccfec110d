"""Every number of a result, taken once, as the page of the report."""

from __future__ import annotations

from typing import Any

import numpy as np

from handful.compare import simultaneous_level
from handful.data.files import shown
from handful.report.arm_words import arm_words
from handful.report.believed import calibrated_of, goals_of
from handful.report.curves import panels_of
from handful.report.facts import Fact, digests_of, notes_of, protocol_facts, seeds_of
from handful.report.generated import generated_of
from handful.report.mistakes import confused_of, mistakes_of
from handful.report.page import (
    ArmPage,
    ClassCount,
    ClassRow,
    Comparison,
    Cost,
    Failure,
    Headline,
    Mean,
    Page,
    difference_of,
)
from handful.report.planes import planes_of
from handful.scores import SCORES
from handful.study.protocol import QUICK_REPEATS
from handful.study.result import CLAIM, Result
from handful.study.versus import Versus


def page_of(result: Result) -> Page:
    """Return the page of a result. Nothing here is computed that `Result` does not compute, but for the curves."""
    protocol = result.protocol
    arms = tuple(_arm(result, name, place) for place, name in enumerate(result.arms))
    num = max(1, len(result.arms) - 1)
    best = shown(result.best) if any(arm.validation for arm in arms) else ""
    return Page(
        source=shown(str(result.page["source"]["name"])),
        num_pictures=int(result.page["source"]["num"]),
        headline=headline(arms, result.inflated, SCORES[protocol.score].words, shown(protocol.reference)),
        inflated=result.inflated,
        claim=CLAIM,
        score=protocol.score,
        score_words=SCORES[protocol.score].words,
        margin=protocol.margin,
        level=simultaneous_level(num),
        num_comparisons=num,
        reference=shown(protocol.reference),
        repeats=int(protocol.repeats or 0),
        best=best,
        arms=arms,
        classes=tuple(ClassCount(**{**row, "name": shown(row["name"])}) for row in result.classes),
        generated=generated_of(result),
        mistakes=mistakes_of(result),
        planes=planes_of(result),
        jobs=result.jobs,
        failed=tuple(
            Failure(one["stage"], shown(one["arm"]), int(one["repeat"]), one["error"], one["traceback"])
            for one in result.failed
        ),
        notes=notes_of(result),
        unreadable=tuple((shown(path), shown(why)) for path, why in result.page["source"]["unreadable"]),
        cuts=tuple(result.page["cuts"]),
        reasons=tuple(result.page.get("reasons", ())),
        protocol=protocol_facts(result),
        seeds=seeds_of(result),
        versions=tuple(Fact(name, str(value)) for name, value in sorted(result.page["versions"].items())),
        digests=digests_of(result),
        recipe=result.page["study"],
    )


def _arm(result: Result, name: str, place: int) -> ArmPage:
    scores = {key: _mean(made) for key, made in result.scores(name).items()}
    score = scores.get(result.protocol.score)
    finished = sorted(result.predictions(name)) or sorted(result.keys(name, "reconstruction"))
    validation, costs, versus = result.validation(name), result.costs(name), result.versus.get(name)
    drawn = [key for _, key in sorted(result.keys(name, "synthetic").items())[:1]]
    diagnosis = result.diagnosis(name)
    return ArmPage(
        name=shown(name),
        slug=f"arm{place}",
        change=arm_words(result.study.arm(name)),
        is_reference=name == result.protocol.reference,
        repeats=len(finished),
        by_repeat=dict(zip(finished, score.values, strict=True)) if score else {},
        scores=scores,
        validation=_mean(validation) if validation else None,
        comparison=_comparison(result, name, versus) if versus else None,
        per_class=tuple(_class_row(row) for row in result.per_class(name)),
        per_class_validation=tuple(_class_row(row) for row in result.per_class(name, "validation")),
        confusion=result.confusion(name) if score else None,
        confused=confused_of(result, name),
        panels=panels_of(result, name),
        diagnosis=diagnosis.whole.said if diagnosis else "",
        diagnoses=tuple((repeat, run.said) for repeat, run in diagnosis.runs.items()) if diagnosis else (),
        wanted=tuple(result.store.record(drawn[0])["result"]["wanted"]) if drawn else None,
        trained=result.trained(name),
        calibrated=calibrated_of(result, name),
        goals=goals_of(result, name),
        together=_together(result, name),
        cost=Cost(
            train_pictures=sum(costs["train"]) if costs["train"] else None,
            **{key: float(costs[key]) for key in ("steps", "pictures_seen", "generator_steps", "seconds")},
        ),
    )


def _class_row(row: dict[str, Any]) -> ClassRow:
    bounds = {key: tuple(value) if value else None for key, value in row.items() if key.endswith("_interval")}
    return ClassRow(**{**row, **bounds, "name": shown(row["name"])})


def _together(result: Result, name: str) -> Mean | None:
    if (made := result.ensemble(name)) is None:
        return None
    value, (low, high) = made["values"]["accuracy"], made["accuracy_interval"]
    return Mean(value, None, (low, high), (value,))


def _mean(made: dict[str, Any]) -> Mean:
    interval = made.get("interval")
    return Mean(made["mean"], made["sd"], tuple(interval) if interval else None, tuple(made["values"]))


def _comparison(result: Result, name: str, versus: Versus) -> Comparison:
    made = versus.estimate
    low, high = made.interval
    common = set(result.predictions(name)) & set(result.predictions(versus.reference))
    return Comparison(
        word=versus.verdict,
        reference=shown(versus.reference),
        difference=made.value,
        interval=(float(low), float(high)) if np.isfinite([low, high]).all() else None,
        level=made.level,
        p_adjusted=versus.p_adjusted,
        reason=versus.reason,
        repeats=len(common),
        sign=SCORES[result.protocol.score].sign,
    )


def headline(arms: tuple[ArmPage, ...], inflated: str, score: str, reference: str) -> Headline:
    """Return the verdict of a study in one line."""
    made = [arm for arm in arms if arm.comparison is not None]
    if inflated:
        return Headline("flawed", "No verdict", f"Every number on this page is {inflated}.")
    if len(arms) == 1:
        return Headline(
            "none", "No verdict: one arm only", "A verdict needs a reference and an arm to compare with it."
        )
    if not made:
        return Headline("none", "No verdict: nothing to compare yet", "Two repeats of two arms are the least.")
    if not any(arm.comparison and arm.comparison.word for arm in made):
        most = max(arm.comparison.repeats for arm in made if arm.comparison)
        return Headline("none", f"No verdict: {most} repeats", f"A verdict needs {QUICK_REPEATS} repeats or more.")
    against = f"Compared with {reference} in {score}"
    words = {word: [arm.name for arm in made if arm.word == word] for word in ("helps", "hurts")}
    if helping := words["helps"]:
        verb = "helps" if len(helping) == 1 else "help"
        names = _listed(helping) if len(helping) <= 3 else f"{len(helping)} of {len(made)} treatments"
        lead = max((arm for arm in made if arm.word == "helps"), key=difference_of)
        return Headline("helps", f"{names} {verb}", f"Compared with {reference}, {CLAIM}.", lead)
    if all(arm.word == "no difference that matters" for arm in made):
        return Headline("no difference that matters", "No difference that matters", f"{against}.")
    if all(arm.word == "cannot tell" for arm in made):
        one = "The treatment" if len(made) == 1 else "No treatment"
        told = "cannot be told from" if len(made) == 1 else "can be told from"
        return Headline("cannot tell", f"{one} {told} {reference}", f"{against}; the list says what it would take.")
    return Headline("hurts" if words["hurts"] else "cannot tell", "No treatment is shown to help", f"{against}.")


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
