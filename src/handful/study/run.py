"""Running a study: plan, put the pictures and splits into the store, run the jobs, read the result."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from handful.data.images import View
from handful.data.load import load
from handful.data.source import Source
from handful.data.split_file import write_splits
from handful.study import engines
from handful.study.plan import Plan, found, keep_choices, make_plan
from handful.study.result import Result
from handful.study.stages import Job, versions
from handful.study.store import Store
from handful.study.stored import put_images, put_split
from handful.study.study import Study

DEFAULT_BUDGET = 60.0


@dataclass(frozen=True)
class Progress:
    """How far a run is: jobs `done` of `total`, the last event, and the seconds left where they can be told."""

    done: int
    total: int
    job: Job
    event: str
    seconds_left: float | None


def run(
    study: Study,
    store: str | Path,
    *,
    budget: float | None = DEFAULT_BUDGET,
    engine: str = "local",
    workers: int | None = None,
    device: str = "auto",
    save_splits: Path | None = None,
    say: Callable[[str], None] | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Result:
    """Run a study and return its result; what the store has already is not computed again.

    Args:
        study: what is compared.
        store: folder for the results; made where it is not there.
        budget: minutes that repeats, arms and steps are fitted into where the study leaves them open; None: no limit.
        engine: `local` (processes on this machine) or `serial`; the results are the same.
        workers: processes; None: what suits this machine.
        device: `auto`, `cpu`, `cuda`.
        save_splits: file to write the splits into, for `Study.splits_from` of another study.
        say: told in words what was found and decided.
        progress: called after every job.

    Raises:
        InputError: the source or the study cannot be used; nothing has been written.
    """
    say = say or (lambda line: None)
    engines.check_engine(engine)
    where = engines.pick_device(device)
    workers = workers or engines.default_workers(where)
    kept = Store(store)
    kept.sweep()
    plan = make_plan(study, kept, budget=budget, workers=workers, device=where, timed=progress is not None, say=say)
    for reason in plan.reasons:
        say(f"recommended: {reason}")
    for cut in plan.cuts:
        say(f"to fit the budget of {budget:g} minutes: {cut}")
    say(resolution(plan))
    put_inputs(plan, kept)
    kept.set_ids(plan.study.data, plan.source.ids)
    if save_splits is not None:
        write_splits(save_splits, list(plan.splits.values()), plan.source)
    keep_choices(study, plan, kept, budget)
    goals = [[name, goal.wanted] for name, goal in study.goals.items()]
    kept.set_study(plan.study.digest(), {**page_of(plan), "goals": goals})
    watch = Watch(plan, kept, workers, progress)
    with engines.engine(engine, workers) as executor:
        engines.run_jobs(plan.jobs, executor, kept, device=where, at_once=workers, event=watch.event)
    return Result.of(kept, plan.study.digest())


def resolution(plan: Plan) -> str:
    """Return, in words, what the study will be able to tell."""
    repeats, tests = plan.repeats, sorted({len(split.test) for split in plan.splits.values()})
    head = f"{len(plan.study.arms)} arms, {repeats} repeats, {'-'.join(str(num) for num in tests)} test pictures"
    if plan.study.protocol.all_flaws:
        return f"{head}; no verdict: {', '.join(plan.study.protocol.all_flaws)}"
    if repeats < 5:
        return f"{head}; no verdict: fewer than 5 repeats"
    told = plan.detectable
    return head if told is None else f"{head}; this can tell differences from about {100 * told:.1f} points up"


def put_inputs(plan: Plan, store: Store) -> None:
    """Put the pictures, in every view that is needed, and the splits into the store."""
    views: dict[str, View] = {}
    for arm in plan.study.arms:
        views[plan.study.classifier_of(arm).view.digest()] = plan.study.classifier_of(arm).view
        if arm.generator is not None and (view := plan.study.generator_of(arm).view) is not None:
            views[view.digest()] = view
            if plan.study.gate_of(arm).needs | arm.selection.needs:
                views[plan.study.judge.view.digest()] = plan.study.judge.view
    for view in views.values():
        put_images(store, load(plan.source, view), plan.study.data, view)
    for split in plan.splits.values():
        put_split(store, split, plan.study.data)


def page_of(plan: Plan) -> dict[str, Any]:
    """Return what `status` and `report` need to know of a study beside its results, as JSON values."""
    return {
        "study": plan.study.to_json(),
        "digest": plan.study.digest(),
        "source": source_page(plan.source),
        "design": "given" if all(part for part in plan.source.parts) or "test" in plan.source.parts else "drawn",
        "cuts": list(plan.cuts),
        "reasons": list(plan.reasons),
        "versions": versions(),
        "splits": [
            {"arm": arm, "repeat": repeat, "key": plan.split_key(arm, repeat), "digest": split.digest}
            for (arm, repeat), split in plan.splits.items()
        ],
        "jobs": [{"key": job.key, **job.to_json()} for job in plan.jobs],
        "chains": [
            {"arm": arm, "repeat": repeat, "keys": {job.role or job.stage: job.key for job in jobs}}
            for (arm, repeat), jobs in plan.jobs_by_arm().items()
        ],
    }


def source_page(source: Source) -> dict[str, Any]:
    """Return what is kept of a source: names and counts, no pictures."""
    return {
        "name": source.name,
        "digest": source.digest,
        "class_names": list(source.class_names),
        "num": len(source.labels),
        "found": found(source),
        "unreadable": [list(one) for one in source.unreadable],
        "left_out": len(source.left_out),
    }


class Watch:
    """Counts jobs and tells the time left from what was expected and what the finished ones took."""

    def __init__(self, plan: Plan, store: Store, workers: int, progress: Callable[[Progress], None] | None) -> None:
        self.progress, self.workers, self.store = progress, workers, store
        self.open = {job.key: plan.seconds.get(job.key, 1.0) for job in plan.jobs if not store.has(job.key)}
        self.total, self.done = len(self.open), 0
        self.started, self.finished_cost = time.monotonic(), 0.0

    def event(self, job: Job, what: str) -> None:
        if what != "started":
            self.done += 1
            self.finished_cost += self.open.pop(job.key, 0.0)
        if self.progress is not None:
            self.progress(Progress(self.done, self.total, job, what, self.seconds_left()))

    def seconds_left(self) -> float | None:
        """Seconds, from the expected cost of what is open, scaled by how the expectation has held so far."""
        if self.finished_cost <= 0:
            return sum(self.open.values()) / self.workers
        pace = (time.monotonic() - self.started) / self.finished_cost
        return sum(self.open.values()) * pace
