"""What open jobs will cost, and why they are open: measured, not guessed."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from handful import rng
from handful.data.balance import amounts, kept_of
from handful.data.images import LabeledImages
from handful.nn.train import How, one_thread
from handful.study.embedding import MOST as MOST_POINTS
from handful.study.measured import MOST
from handful.study.stages import Job
from handful.study.store import Store

if TYPE_CHECKING:
    from handful.study.plan import Plan

TIMED_STEPS = 3
SMALL_JOB = 0.2  # seconds of a job that trains nothing
MEASURED = {"pixels": 0.001, "lite0": 0.05}  # seconds that one picture takes to be measured, on one core
OTHER_NETWORK = 0.3  # of larger extractors
EXPLAINED, LAID_OUT = 3.0, 8.0  # seconds of `explanations`, and of laying out `embedding`, on one core


def recipe_of(plan: Plan, arm: str, job: Job) -> Any:
    """Return the recipe a job fits, None where it fits nothing."""
    if job.stage == "classifier":
        recipe = plan.study.classifier_of(plan.study.arm(arm))
        return recipe if recipe.describe() == job.spec["recipe"] else plan.study.judge
    if job.role == "pretraining":
        return plan.study.pretraining_of(plan.study.arm(arm))
    return plan.study.generator_of(plan.study.arm(arm)) if job.stage == "generator" else None


Timings = dict[str, tuple[float, float]]


def expected(plan: Plan, store: Store, device: str, timings: Timings) -> dict[str, float]:
    """Return seconds per open job, from timing three steps of each recipe on pictures of noise.

    Args:
        timings: what has been timed already, and where new timings are kept: seconds to start and per step.
    """
    num_train = len(next(iter(plan.splits.values())).train)
    seconds: dict[str, float] = {}
    for job in plan.jobs:
        if store.has(job.key):
            continue
        recipe = recipe_of(plan, job.arm, job)
        if recipe is not None:
            seconds[job.key] = fit_seconds(recipe, plan.source.class_names, num_train, device, timings)
        else:
            seconds[job.key] = _other_seconds(plan, job)
    return seconds


def _other_seconds(plan: Plan, job: Job) -> float:
    """The seconds of a job that fits nothing."""
    if job.stage == "measures":
        return measure_seconds(plan, job.arm, job)
    if job.stage == "explanations":
        return EXPLAINED
    if job.stage == "embedding":
        num = min(sum(MOST_POINTS.values()), len(plan.source.labels))
        return LAID_OUT + num * MEASURED.get(str(job.spec["extractor"]), OTHER_NETWORK)
    return SMALL_JOB


def measure_seconds(plan: Plan, arm: str, job: Job) -> float:
    """Return the seconds that measuring an arm's candidates is expected to take; real pictures are measured once."""
    train = plan.source.labels[plan.split(arm, job.repeat).train]
    made = plan.study.arm(arm)
    counts = np.bincount(train, minlength=len(plan.source.class_names))
    wanted = amounts(kept_of(counts, made.cap), made.amount)
    num = sum(min(MOST, made.selection.num_candidates(int(want))) for want in wanted)
    return SMALL_JOB + num * MEASURED.get(str(job.spec["extractor"]), OTHER_NETWORK)


def fit_seconds(recipe: Any, class_names: tuple[str, ...], num_train: int, device: str, timings: Timings) -> float:
    """Return the seconds that one fit to `num_train` pictures is expected to take."""
    if not hasattr(recipe, "training"):
        return SMALL_JOB
    training, networks, one = recipe.training, 1, recipe
    if hasattr(recipe, "scope"):  # the budget is that of the whole fit, however many networks share it
        networks = 1 if recipe.scope == "conditional" else len(class_names)
        one = recipe.changed(scope="conditional", stacked=False, epochs_by_size=())
        longest = max((epochs for _, epochs in recipe.epochs_by_size), default=training.epochs)
        training = training.changed(epochs=longest)
    steps = training.steps_for(num_train)
    if hasattr(one, "balance"):  # whose weights a loss has and which pictures a batch has cost nothing
        one = one.changed(balance="none")
    same_cost = one.changed(training=training.changed(steps=1, epochs=None, eval_every=10_000)).digest()
    if same_cost not in timings:
        timings[same_cost] = _time_steps(one, class_names, device)
    start, per_step = timings[same_cost]
    looks = networks * math.ceil(steps / networks / training.eval_every)
    return float(start * looks + per_step * steps)


def _time_steps(recipe: Any, class_names: tuple[str, ...], device: str) -> tuple[float, float]:
    """Seconds to start with one look at validation and samples, and per step, from three steps after the first."""
    parts = _noise(recipe, class_names, max(2, 64 // len(class_names)))

    def run(steps: int) -> float:
        short = _short(recipe, steps, eval_every=10_000)
        started = time.perf_counter()
        with one_thread():
            short.fit(*parts, seed=0, how=How(device=device))
        return time.perf_counter() - started

    run(1)
    start = run(1)
    return start, max(run(1 + TIMED_STEPS) - start, 1e-4) / TIMED_STEPS


def disk(plan: Plan, store: Store) -> float:
    """Return the bytes that open jobs and the pictures will take, from saving one model of each recipe."""
    sizes: dict[str, float] = {}
    view = plan.study.classifier.view
    total = float(len(plan.source.labels) * (view.channels or 3) * view.size**2)
    for job, arm in {job.key: (job, arm) for (arm, _), jobs in plan.jobs_by_arm().items() for job in jobs}.values():
        recipe = recipe_of(plan, arm, job)
        if recipe is not None and not store.has(job.key):
            if recipe.digest() not in sizes:
                sizes[recipe.digest()] = _saved_bytes(recipe, plan.source.class_names)
            total += sizes[recipe.digest()]
    return total


def why_open(job: Job, records: Sequence[dict[str, Any]]) -> str:
    """Return why a job is not cached: what differs from the nearest finished result of its stage."""
    if not records:
        return "nothing of this kind has been computed here"
    mine = _flat({**job.spec, "inputs": job.inputs})

    def differing(record: dict[str, Any]) -> list[str]:
        other = _flat({**record["spec"], "inputs": record["inputs"]})
        return sorted(name for name in mine.keys() | other.keys() if mine.get(name) != other.get(name))

    nearest = min((differing(record) for record in records), key=len)
    if not nearest:
        return "computed by another version of its stage"
    return f"differs from the nearest finished one in {', '.join(nearest[:4])}{', ...' if len(nearest) > 4 else ''}"


def _flat(value: Any, name: str = "") -> dict[str, Any]:
    if not isinstance(value, dict):
        return {name: value}
    flat: dict[str, Any] = {}
    for part, inner in value.items():
        flat |= _flat(inner, f"{name}.{part}" if name else part)
    return flat


def _short(recipe: Any, steps: int, **training: Any) -> Any:
    """A recipe for so many steps, whatever it says of epochs."""
    own = {"epochs_by_size": ()} if hasattr(recipe, "epochs_by_size") else {}
    return recipe.changed(training=recipe.training.changed(steps=steps, epochs=None, **training), **own)


def _noise(recipe: Any, class_names: tuple[str, ...], per_class: int) -> list[LabeledImages]:
    """A training and a validation part of noise in a recipe's view."""
    labels = np.repeat(np.arange(len(class_names)), per_class)
    shape = (len(labels), recipe.view.channels, recipe.view.size, recipe.view.size)
    pixels = [rng.numpy_rng(0, "noise", part).integers(0, 256, shape, dtype=np.uint8) for part in range(2)]
    return [LabeledImages.of_arrays(part, labels, class_names) for part in pixels]


def _saved_bytes(recipe: Any, class_names: tuple[str, ...]) -> float:
    short = _short(recipe, 1) if hasattr(recipe, "training") else recipe
    with tempfile.TemporaryDirectory() as folder:
        short.fit(*_noise(recipe, class_names, 2), seed=0).save(Path(folder))
        return float(sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file()))
