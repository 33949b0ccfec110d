"""What the report says of a study beside its scores: protocol, seeds, digests, what was left out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from handful.data.files import shown
from handful.report.arm_words import classifier_words
from handful.scores import SCORES
from handful.study.arms import Arm
from handful.study.protocol import INFLATED
from handful.study.result import Result

LISTED = 5


@dataclass(frozen=True)
class Fact:
    """A name and what stands beside it."""

    name: str
    value: str


@dataclass(frozen=True)
class Seeds:
    """The seeds of one repeat, and the digest of its split. Text, because they are names of streams, not numbers.

    `arm` is empty where all arms share the split.
    """

    repeat: int
    arm: str
    split: str
    generator: str
    initialisation: str
    order: str


def protocol_facts(result: Result) -> tuple[Fact, ...]:
    """Return the protocol, a line each."""
    protocol, study = result.protocol, result.study
    view = study.view(study.classifier.view)
    training = getattr(study.classifier, "training", None)
    facts = [
        Fact("score", SCORES[protocol.score].words),
        Fact("reference arm", shown(protocol.reference)),
        Fact("margin that matters", f"{100 * protocol.margin:g} points"),
        Fact("repeats", str(protocol.repeats)),
        Fact("split", _split_words(result)),
        Fact(
            "kept in one part", {"given": "the groups the source names", "near-copies": "near copies"}[protocol.groups]
        )
        if protocol.groups != "none"
        else Fact("kept in one part", "nothing"),
        Fact("training pictures per class", str(protocol.train_per_class or "all")),
        Fact("drawn anew in each repeat", ", ".join(protocol.vary)),
        Fact("copies of one picture", "counted once" if protocol.copies == "once" else "kept (a flaw)"),
        *([Fact("near copies of training pictures", _gate_words(result))] if any(_generators(result)) else []),
        Fact("long tail", "; ".join(_tail(protocol.long_tail)) or "as it is"),
        Fact("classifier", f"{classifier_words(study.classifier)}, {view.size} × {view.size} px, {view.resize}"),
        Fact("seed", str(protocol.seed)),
        Fact("flaws", "; ".join(f"{flaw} ({INFLATED[flaw]})" for flaw in protocol.all_flaws) or "none"),
    ]
    if training is not None:
        place = [fact.name for fact in facts].index("seed")
        length = f"{training.epochs} epochs" if training.epochs else f"{training.steps} optimizer steps"
        facts.insert(place, Fact("budget of every classifier", f"{length}, {training.batch_size} pictures each"))
    return tuple(facts)


def _split_words(result: Result) -> str:
    """How the parts were come by."""
    protocol, study = result.protocol, result.study
    if study.splits is not None:
        return "read from a file of saved splits"
    if result.page["design"] == "given":
        return "the test part the source gives"
    val = f"{_percent(protocol.val_fraction)} validation" if protocol.val_fraction else "no validation"
    if protocol.folds is not None:
        return f"stratified {protocol.folds}-fold, each fold the test part of one repeat; {val}, the rest training"
    return f"drawn by class: {val}, {_percent(protocol.test_fraction)} test, the rest training"


def _generators(result: Result) -> list[Arm]:
    return [arm for arm in result.study.arms if arm.generator is not None and arm.judged_by == "classifier"]


def _gate_words(result: Result) -> str:
    """What is done about generated pictures that are near copies."""
    gates = {result.study.gate_of(arm).kind for arm in _generators(result)}
    if gates == {"none"}:
        return "let pass"
    return "kept out of what is generated" + (", except where an arm lets them pass" if "none" in gates else "")


def _percent(fraction: float) -> str:
    return f"{100 * fraction:g} %"


def _tail(sizes: tuple[int, int] | None) -> Iterable[str]:
    if sizes is not None:
        yield f"training classes thinned from {sizes[0]} to {sizes[1]} pictures"


def seeds_of(result: Result) -> tuple[Seeds, ...]:
    """Return the seeds of every repeat, as they stand in the jobs' specifications."""
    rows = []
    for split in result.page["splits"]:
        repeat, arm = int(split["repeat"]), str(split["arm"])
        jobs = [job for job in result.page["jobs"] if job["repeat"] == repeat and (not arm or job["arm"] == arm)]
        found = {
            name: sorted({str(job["spec"][key]) for job in jobs if job["stage"] == stage and key in job["spec"]})
            for name, stage, key in (
                ("generator", "generator", "seed"),
                ("initialisation", "classifier", "seed"),
                ("order", "classifier", "order_seed"),
            )
        }
        rows.append(Seeds(repeat, shown(arm), split["digest"], **{name: ", ".join(one) for name, one in found.items()}))
    return tuple(rows)


def digests_of(result: Result) -> tuple[Fact, ...]:
    """Return where weights came from, and the digests that name the study, its data and its results in the store."""
    facts = [Fact("study", str(result.page["digest"])), Fact("data", str(result.page["source"]["digest"]))]
    for arm in result.arms:
        if start := result.start(arm):
            told = f"{shown(start['source'])} (SHA-256 {start['digest']})" if start["digest"] else start["source"]
            facts.append(Fact(f"first weights of {shown(arm)}", told))
        for stage in ("predictions", "reconstruction"):
            keys = result.keys(arm, stage)
            facts += [Fact(f"{stage} of {shown(arm)}, repeat {repeat}", keys[repeat]) for repeat in sorted(keys)]
    return tuple(facts)


def notes_of(result: Result) -> tuple[str, ...]:
    """Return what reading the source found, and what the repeats lack, in words."""
    notes = [shown(line) for line in result.page["source"]["found"]]
    for one in result.progress:
        if one["finished"] < one["repeats"]:
            notes.append(f"{shown(one['name'])}: {one['finished']} of {one['repeats']} repeats are finished")
    for arm in result.arms:
        notes += [f"{shown(arm)}: {said}" for said in drawing_words(result.drawing(arm))]
    return tuple(notes)


def drawing_words(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return in words what a gate turned away and which classes fell short, of `Result.drawing`; empty where none."""
    said = []
    if gated := sum(row["gated"] for row in rows):
        drawn = sum(row["drawn"] for row in rows)
        said.append(f"{gated} of {drawn} generated pictures were near copies of training pictures and not used")
    short = [row for row in rows if row["kept"] < row["wanted"]]
    if short:
        listed = ", ".join(f"{shown(row['name'])} {row['kept']} of {row['wanted']}" for row in short[:LISTED])
        more = f" and {len(short) - LISTED} classes more" if len(short) > LISTED else ""
        said.append(f"classes that were not filled, after four times as many candidates: {listed}{more}")
    return said
