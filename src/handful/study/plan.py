"""What a run will do before it does it: the splits, the jobs, the time, and what it will be able to tell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from handful import rng
from handful.classify.recommend import Recommendation, for_steps
from handful.compare import simultaneous_level
from handful.config import digest_of
from handful.data.copies import once
from handful.data.groups import groups_for
from handful.data.mirrored import check_pairs
from handful.data.source import Source, open_source
from handful.data.split import Split, draw_split
from handful.data.split_file import read_splits
from handful.errors import ConfigError
from handful.planner import PRIOR, detectable
from handful.study.advice import advice_for
from handful.study.arms import ARMS
from handful.study.estimate import expected
from handful.study.goals import check_goals
from handful.study.protocol import QUICK_REPEATS, Protocol
from handful.study.stages import Job, embedding_of, jobs_of
from handful.study.store import Store
from handful.study.study import ResolvedStudy, Study, asks_advice, likely_view, recommends, resolve
from handful.study.validation import require_validation

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
        reasons: why the recommended recipe is what it is, in words; empty where no part of the study is recommended.
    """

    study: ResolvedStudy
    source: Source
    splits: dict[tuple[str, int], Split]
    cuts: tuple[str, ...]
    seconds: dict[str, float]
    reasons: tuple[str, ...] = ()

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
        made = self.jobs_by_arm()
        first = [job for (_, repeat), jobs in made.items() for job in jobs if repeat == 0]
        last = embedding_of(self.study, first, self.split_key(self.study.protocol.reference, 0))
        every = [job for jobs in made.values() for job in jobs] + ([last] if last else [])
        return list({job.key: job for job in every}.values())

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


def request_of(study: Study, data: str, budget: float, splits: tuple[str, ...] | None) -> str:
    """Return the digest of what was asked for, before a budget decides what it left open.

    Args:
        splits: digests of the splits given in a file, if any.
    """
    asked = {
        "study": study.describe(),
        "set": sorted(study.model_fields_set - {"goals"}),
        "data": data,
        "budget": budget,
    }
    if splits is not None:
        asked["splits"] = list(splits)
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
    view = likely_view(study)
    source = open_source(study.source, skip_unreadable=study.skip_unreadable, regions=study.regions, view=view)
    check_goals(study.goals, source.class_names)
    if study.protocol.copies == "once":
        source = once(source)
    for line in [*found(source), *kept_together(source, study.protocol)]:
        say(line)
    given = splits_of(study, source)
    splits = None if given is None else tuple(split.digest for split in given)
    kept = store.plan(request_of(study, source.digest, budget, splits)) if budget is not None else None
    advice = advice_for(source, study.protocol, given, view, size=study.image_size) if asks_advice(study) else None
    if kept is not None:
        plan = _chosen(study, source, given, advice, kept["choices"], tuple(kept["cuts"]))
        return _timed(plan, store, device, say) if timed else plan
    plan = _plan(study, source, given, advice)
    options = _options(study, plan) if budget is not None else []
    if timed or options:
        plan = _timed(plan, store, device, say)
    if budget is None:
        return plan
    return _fitted(study, plan, given, advice, store, options, budget, workers, device)


def _timed(plan: Plan, store: Store, device: str, say: Callable[[str], None]) -> Plan:
    say("timing a few steps of each recipe")
    return replace(plan, seconds=expected(plan, store, device))


def _fitted(
    study: Study,
    plan: Plan,
    given: tuple[Split, ...] | None,
    advice: Recommendation | None,
    store: Store,
    options: list[tuple[str, Any, str]],
    budget: float,
    workers: int,
    device: str,
) -> Plan:
    """Take options one after another until the plan fits into `budget` minutes."""
    choices: dict[str, Any] = {}
    cuts: list[str] = []
    for name, value, words in options:
        if minutes(plan, workers) <= budget:
            break
        choices[name] = value
        cuts.append(words)
        plan = _chosen(study, plan.source, given, advice, choices)
        plan = replace(plan, seconds=expected(plan, store, device))
    if minutes(plan, workers) > budget:
        cuts.append(f"it will still take about {minutes(plan, workers):.0f} minutes")
    return replace(plan, cuts=tuple(cuts))


def keep_choices(study: Study, plan: Plan, store: Store, budget: float | None) -> None:
    """Write what the budget was resolved to into the store."""
    if budget is None:
        return
    request = request_of(study, plan.study.data, budget, plan.study.splits)
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
    return [*lines, *source.notes]


def kept_together(source: Source, protocol: Protocol) -> list[str]:
    """Return how many pictures stay together in groups, in words; nothing where no group holds two."""
    num = Counter(group for group in groups_for(source, protocol.groups) if group)
    sizes = [size for size in num.values() if size > 1]
    if not sizes:
        return []
    what = "groups of near copies" if protocol.groups == "near-copies" else "groups"
    return [f"{sum(sizes)} pictures in {len(sizes)} {what} stay together in one part, the largest {max(sizes)}"]


def draw_splits(study: ResolvedStudy, source: Source) -> dict[tuple[str, int], Split]:
    """Return the split of every repeat, and of every arm where the protocol has that flaw."""
    protocol = study.protocol
    per_arm = "split-per-arm" in protocol.flaws
    groups = groups_for(source, protocol.groups)
    splits = {}
    for repeat in range(protocol.repeats or 1):
        drawing, fold = divmod(repeat, protocol.folds or 1)
        for name in [arm.name for arm in study.arms] if per_arm else [""]:
            drawn = draw_split(
                source.labels,
                source.parts,
                source.class_names,
                val_fraction=protocol.val_fraction,
                test_fraction=protocol.test_fraction,
                long_tail=protocol.long_tail,
                seed=rng.derive(protocol.seed, "split", drawing if "split" in protocol.vary else 0, name),
                groups=groups,
                train_per_class=protocol.train_per_class,
                fold=(fold, protocol.folds) if protocol.folds else None,
            )
            splits[name, repeat] = _with_flaws(drawn, protocol)
    return splits


def splits_of(study: Study, source: Source) -> tuple[Split, ...] | None:
    """Return the splits in the study's file, or None where it names none.

    Raises:
        ConfigError: the protocol also says how splits are drawn.
        DataError: see `read_splits`.
    """
    if study.splits_from is None:
        return None
    drawn = {"val_fraction", "test_fraction", "folds", "train_per_class", "long_tail", "groups"}
    fresh = Protocol()
    set_too = [name for name in sorted(drawn) if getattr(study.protocol, name) != getattr(fresh, name)]
    faults = [
        f"{name} says how splits are drawn, but they are read from a file; leave one of the two" for name in set_too
    ]
    if "split-per-arm" in study.protocol.flaws:
        faults.append("the flaw split-per-arm draws splits, but they are read from a file; leave one of the two")
    if faults:
        raise ConfigError(*(f"splits_from: {fault}" for fault in faults))
    return read_splits(Path(study.splits_from), source)


def repeated(given: tuple[Split, ...], study: ResolvedStudy) -> dict[tuple[str, int], Split]:
    """Return the first of the given splits for each repeat, or the first one for all where splits do not vary."""
    protocol = study.protocol
    num = protocol.repeats or 1
    if "split" not in protocol.vary:
        given = given[:1] * num
    if len(given) < num:
        raise ConfigError(
            f"splits_from: the file holds {len(given)} splits, {num} repeats need one each; ask for fewer"
        )
    return {("", repeat): _with_flaws(given[repeat], protocol) for repeat in range(num)}


def _with_flaws(split: Split, protocol: Protocol) -> Split:
    if "test-as-val" not in protocol.flaws:
        return split
    return Split(train=np.sort(np.concatenate([split.train, split.val])), val=split.test, test=split.test)


def minutes(plan: Plan, workers: int) -> float:
    """Return the minutes that the open jobs are expected to take on this many workers."""
    return sum(plan.seconds.values()) / max(1, workers) / 60


def _plan(
    study: Study,
    source: Source,
    given: tuple[Split, ...] | None,
    advice: Recommendation | None,
    cuts: tuple[str, ...] = (),
) -> Plan:
    resolved = resolve(study, source, given, advice)
    splits = draw_splits(resolved, source) if given is None else repeated(given, resolved)
    require_validation(resolved, splits.values())
    for arm in resolved.arms:
        check_pairs(resolved.classifier_of(arm).mirror_pairs, source.class_names)
    return Plan(resolved, source, splits, cuts, {}, advice.reasons if advice and recommends(study) else ())


def _options(study: Study, plan: Plan) -> list[tuple[str, Any, str]]:
    """What a budget may take from what the study leaves open, in order: repeats, steps, then the dearest arms.

    The reference and the recommended arm stay: what the others are told against, and what is handed over.
    """
    options: list[tuple[str, Any, str]] = []
    if study.protocol.repeats is None and plan.repeats > QUICK_REPEATS:
        options.append(("repeats", QUICK_REPEATS, f"{QUICK_REPEATS} repeats instead of {plan.repeats}"))
    if study.classifier is None and study.steps is None:
        steps = plan.study.classifier.training.steps
        while steps // 2 >= FEWEST_STEPS:
            steps //= 2
            options.append(("steps", steps, f"{steps} optimizer steps per classifier instead of {steps * 2}"))
    if study.arms is None:
        names = [arm.name for arm in plan.study.arms]
        kept = {plan.study.protocol.reference, *(name for name in names if name in ARMS and ARMS[name].recommended)}
        dearest = sorted(plan.study.arms, key=lambda arm: -_arm_seconds(plan, arm.name))
        for arm in dearest:
            if arm.name not in kept:
                names = [name for name in names if name != arm.name]
                options.append(("arms", list(names), f"without the arm {arm.name}"))
    return options


def _arm_seconds(plan: Plan, name: str) -> float:
    return sum(
        plan.seconds.get(job.key, 0.0) for (arm, _), jobs in plan.jobs_by_arm().items() if arm == name for job in jobs
    )


def _chosen(
    study: Study,
    source: Source,
    given: tuple[Split, ...] | None,
    advice: Recommendation | None,
    choices: dict[str, Any],
    cuts: tuple[str, ...] = (),
) -> Plan:
    """The plan with what a budget chose; steps are those of the classifier that treatments share, not of `default`."""
    changes: dict[str, Any] = {}
    if choices.get("repeats"):
        changes["protocol"] = study.protocol.changed(repeats=choices["repeats"])
    if choices.get("arms"):
        changes["arms"] = tuple(choices["arms"])
    if choices.get("steps") and advice is not None:
        advice = replace(advice, plain=for_steps(advice.plain, choices["steps"]))
    return _plan(study.changed(**changes), source, given, advice, cuts)
