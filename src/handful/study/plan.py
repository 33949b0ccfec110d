"""What a run will do before it does it: the splits, the jobs, the time, and what it will be able to tell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from handful import rng
from handful.compare import simultaneous_level
from handful.config import digest_of
from handful.data.copies import once
from handful.data.source import Source, open_source
from handful.data.split import Split, draw_split
from handful.planner import PRIOR, detectable
from handful.study.estimate import Timings, expected
from handful.study.protocol import QUICK_REPEATS
from handful.study.stages import Job, jobs_of
from handful.study.store import Store
from handful.study.study import ResolvedStudy, Study, resolve

FEWEST_STEPS = 150


@dataclass(frozen=True)
class Plan:
    """Everything a run needs.

    Args:
        study: nothing left open.
        source: its rows, copies left out unless the protocol keeps them.
        splits: by (arm name or "", repeat); the same for all arms unless the protocol splits per arm.
        cuts: what the time budget took away, in words.
        seconds: expected per job key, for those not in the store; empty where it was not timed.
    """

    study: ResolvedStudy
    source: Source
    splits: dict[tuple[str, int], Split]
    cuts: tuple[str, ...]
    seconds: dict[str, float]

    @property
    def repeats(self) -> int:
        assert self.study.protocol.repeats is not None
        return self.study.protocol.repeats

    def split(self, arm: str, repeat: int) -> Split:
        return self.splits.get((arm, repeat)) or self.splits["", repeat]

    def split_key(self, arm: str, repeat: int) -> str:
        return digest_of({"stage": "split", "data": self.study.data, "split": self.split(arm, repeat).digest})

    def jobs_by_arm(self) -> dict[tuple[str, int], list[Job]]:
        """Return each arm's jobs in each repeat; the repeats one after another, so that partial results compare."""
        return {
            (arm.name, repeat): jobs_of(self.study, arm, repeat, self.split_key(arm.name, repeat))
            for repeat in range(self.repeats)
            for arm in self.study.arms
        }

    @property
    def jobs(self) -> list[Job]:
        """Every job once, in the order they run."""
        return list({job.key: job for jobs in self.jobs_by_arm().values() for job in jobs}.values())

    @property
    def detectable(self) -> float | None:
        """The smallest difference to the reference this study finds four times in five; None for no comparison."""
        num = sum(arm.judged_by == "classifier" for arm in self.study.arms) - 1
        if self.study.protocol.all_flaws or num < 1 or self.repeats < 2:
            return None
        tests = [len(split.test) for split in self.splits.values()]
        union = len(set(np.concatenate([split.test for split in self.splits.values()]).tolist()))
        again = 1.0 if len(tests) == 1 or union == tests[0] else tests[0] / union
        return detectable(self.repeats, int(np.mean(tests)), replace(PRIOR, overlap=again), simultaneous_level(num))


def request_of(study: Study, data: str, budget: float) -> str:
    """Return the digest of what was asked for, before a budget decides what it left open."""
    asked = {"study": study.describe(), "set": sorted(study.model_fields_set), "data": data, "budget": budget}
    return digest_of(asked)


def make_plan(
    study: Study,
    store: Store,
    *,
    budget: float | None,
    workers: int,
    device: str,
    timed: bool,
    say: Callable[[str], None],
) -> Plan:
    """Return the plan of a study, fitted into `budget` minutes where the study leaves repeats, arms or steps open.

    What a budget was resolved to is kept in the store, so that the same command later means the same study.

    Args:
        timed: also estimate what is not computed yet, by timing three steps of each recipe.
        say: told what the reading of the source found.

    Raises:
        DataError, ConfigError: one line per fault.
    """
    source = open_source(study.source, skip_unreadable=study.skip_unreadable)
    if study.protocol.copies == "once":
        source = once(source)
    for line in found(source):
        say(line)
    kept = store.plan(request_of(study, source.digest, budget)) if budget is not None else None
    timings: Timings = {}
    if kept is not None:
        plan = _plan(_apply(study, kept["choices"]), source, tuple(kept["cuts"]))
        return replace(plan, seconds=expected(plan, store, device, timings)) if timed else plan
    plan = _plan(study, source)
    options = _options(study, plan) if budget is not None else []
    if timed or options:
        plan = replace(plan, seconds=expected(plan, store, device, timings))
    return _fitted(study, plan, store, options, budget, workers, device, timings) if budget is not None else plan


def _fitted(
    study: Study,
    plan: Plan,
    store: Store,
    options: list[tuple[str, Any, str]],
    budget: float,
    workers: int,
    device: str,
    timings: Timings,
) -> Plan:
    """Take options one after another until the plan fits into `budget` minutes."""
    choices: dict[str, Any] = {}
    cuts: list[str] = []
    for name, value, words in options:
        if minutes(plan, workers) <= budget:
            break
        choices[name] = value
        cuts.append(words)
        plan = _plan(_apply(study, choices), plan.source)
        plan = replace(plan, seconds=expected(plan, store, device, timings))
    if minutes(plan, workers) > budget:
        cuts.append(f"it will still take about {minutes(plan, workers):.0f} minutes")
    return replace(plan, cuts=tuple(cuts))


def keep_choices(study: Study, plan: Plan, store: Store, budget: float | None) -> None:
    """Write what the budget was resolved to into the store."""
    if budget is None:
        return
    request = request_of(study, plan.study.data, budget)
    if store.plan(request) is None:
        choices = {
            "repeats": plan.repeats,
            "arms": [arm.name for arm in plan.study.arms] if study.arms is None else None,
            "steps": plan.study.classifier.training.steps if study.classifier is None and study.steps is None else None,
        }
        store.set_plan(request, {"choices": choices, "cuts": list(plan.cuts)})


def found(source: Source) -> list[str]:
    """Return what reading a source left out, in words."""
    lines = []
    if source.left_out:
        lines.append(
            f"{len(source.left_out)} files repeat the picture of an earlier one and were left out (--copies once)"
        )
    if source.unreadable:
        lines.append(f"{len(source.unreadable)} files could not be read and were left out (--skip-unreadable)")
        lines += [f"left out {path}: {why}" for path, why in source.unreadable]
    if source.ignored:
        shown = ", ".join(source.ignored[:5]) + (", ..." if len(source.ignored) > 5 else "")
        lines.append(f"{len(source.ignored)} other files beside the class folders were ignored: {shown}")
    return lines


def draw_splits(study: ResolvedStudy, source: Source) -> dict[tuple[str, int], Split]:
    """Return the split of every repeat, and of every arm where the protocol has that flaw."""
    protocol = study.protocol
    per_arm = "split-per-arm" in protocol.flaws
    splits = {}
    for repeat in range(protocol.repeats or 1):
        for name in [arm.name for arm in study.arms] if per_arm else [""]:
            drawn = draw_split(
                source.labels,
                source.parts,
                source.class_names,
                val_fraction=protocol.val_fraction,
                test_fraction=protocol.test_fraction,
                long_tail=protocol.long_tail,
                seed=rng.derive(protocol.seed, "split", repeat if "split" in protocol.vary else 0, name),
            )
            if "test-as-val" in protocol.flaws:
                drawn = Split(train=np.sort(np.concatenate([drawn.train, drawn.val])), val=drawn.test, test=drawn.test)
            splits[name, repeat] = drawn
    return splits


def minutes(plan: Plan, workers: int) -> float:
    """Return the minutes that the open jobs are expected to take on this many workers."""
    return sum(plan.seconds.values()) / max(1, workers) / 60


def _plan(study: Study, source: Source, cuts: tuple[str, ...] = ()) -> Plan:
    resolved = resolve(study, source)
    return Plan(resolved, source, draw_splits(resolved, source), cuts, {})


def _options(study: Study, plan: Plan) -> list[tuple[str, Any, str]]:
    """What a budget may take from what the study leaves open, in order: repeats, steps, then the dearest arms."""
    options: list[tuple[str, Any, str]] = []
    if study.protocol.repeats is None:
        options.append(("repeats", QUICK_REPEATS, f"{QUICK_REPEATS} repeats instead of {plan.repeats}"))
    if study.classifier is None and study.steps is None:
        steps = plan.study.classifier.training.steps
        while steps // 2 >= FEWEST_STEPS:
            steps //= 2
            options.append(("steps", steps, f"{steps} optimizer steps per classifier instead of {steps * 2}"))
    if study.arms is None:
        names = [arm.name for arm in plan.study.arms]
        dearest = sorted(plan.study.arms, key=lambda arm: -_arm_seconds(plan, arm.name))
        for arm in dearest:
            if arm.name != plan.study.protocol.reference and len(names) > 2:
                names = [name for name in names if name != arm.name]
                options.append(("arms", list(names), f"without the arm {arm.name}"))
    return options


def _arm_seconds(plan: Plan, name: str) -> float:
    return sum(
        plan.seconds.get(job.key, 0.0) for (arm, _), jobs in plan.jobs_by_arm().items() if arm == name for job in jobs
    )


def _apply(study: Study, choices: dict[str, Any]) -> Study:
    """Return the study with what a budget chose."""
    changes: dict[str, Any] = {}
    if choices.get("repeats"):
        changes["protocol"] = study.protocol.changed(repeats=choices["repeats"])
    if choices.get("arms"):
        changes["arms"] = tuple(choices["arms"])
    if choices.get("steps"):
        changes["steps"] = choices["steps"]
    return study.changed(**changes)
