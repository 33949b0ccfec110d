"""What open jobs will cost, and why they are open: measured, not guessed."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from handful import rng
from handful.config import digest_of
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
QUICK = 5.0  # seconds under which a trial is made twice
NEVER = 1_000_000
SMALL_JOB = 0.2  # seconds of a job that trains nothing
FORWARD = 1 / 3  # of a step: the way back takes twice as long as the way there
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


@dataclass(frozen=True)
class Trial:
    """What a short fit of one network to pictures of noise took.

    Args:
        start: seconds to start, with one look at validation and samples.
        per_step: seconds of a step.
        size: bytes of the saved model.
    """

    start: float
    per_step: float
    size: float


_TRIALS: dict[str, Trial] = {}  # of this process: what is measured once is not measured again


def expected(plan: Plan, store: Store, device: str) -> dict[str, float]:
    """Return seconds per open job, from timing a few steps of each recipe on pictures of noise."""
    num_train = len(next(iter(plan.splits.values())).train)
    seconds: dict[str, float] = {}
    jobs = plan.jobs
    fitting = {job.key: job for job in jobs}
    for job in jobs:
        if store.has(job.key):
            continue
        recipe = recipe_of(plan, job.arm, job)
        if recipe is not None:
            seconds[job.key] = fit_seconds(recipe, plan.source.class_names, num_train, device)
        elif job.stage == "predictions":
            told = recipe_of(plan, job.arm, fitting[job.inputs["classifier"]])
            num_test = len(plan.split(job.arm, job.repeat).test)
            seconds[job.key] = predict_seconds(told, plan.source.class_names, num_test, device)
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


def fit_seconds(recipe: Any, class_names: tuple[str, ...], num_train: int, device: str) -> float:
    """Return the seconds that one fit to `num_train` pictures is expected to take."""
    if not hasattr(recipe, "training"):
        return SMALL_JOB
    training, networks = recipe.training, _networks(recipe, class_names)
    if hasattr(recipe, "epochs_by_size"):
        longest = max((epochs for _, epochs in recipe.epochs_by_size), default=training.epochs)
        training = training.changed(epochs=longest)
    trial = trial_of(recipe, class_names, device)
    steps = training.steps_for(num_train)  # the budget is that of the whole fit, however many networks share it
    looks = networks * math.ceil(steps / networks / training.eval_every)
    return float(trial.start * looks + trial.per_step * steps)


def predict_seconds(recipe: Any, class_names: tuple[str, ...], num: int, device: str) -> float:
    """Return the seconds that telling `num` pictures is expected to take, as many views of each as the recipe has."""
    if not hasattr(recipe, "num_views"):
        return SMALL_JOB
    each = trial_of(recipe, class_names, device).per_step * FORWARD / recipe.training.batch_size
    return float(SMALL_JOB + each * num * recipe.num_views)


def trial_of(recipe: Any, class_names: tuple[str, ...], device: str) -> Trial:
    """Return what one network of a recipe costs; recipes that differ in length or balance alone cost the same."""
    one = recipe
    if hasattr(one, "scope"):
        one = one.changed(scope="conditional", stacked=False, epochs_by_size=())
    if hasattr(one, "balance"):  # whose weights a loss has and which pictures a batch has cost nothing
        one = one.changed(balance="none")
    if hasattr(one, "tta"):  # views are of predictions alone
        one = one.changed(tta=0)
    if hasattr(one, "training"):
        steps = 2 + TIMED_STEPS  # the first one warms up, the last one has the look
        one = one.changed(training=one.training.changed(steps=steps, epochs=None, eval_every=NEVER))
    same_cost = digest_of([one.digest(), len(class_names), device])
    if same_cost not in _TRIALS:
        trial = _tried(one, class_names, device)
        if trial.start < QUICK:  # so short that what is done once in a process would count
            trial = _tried(one, class_names, device)
        _TRIALS[same_cost] = trial
    return _TRIALS[same_cost]


def _tried(recipe: Any, class_names: tuple[str, ...], device: str) -> Trial:
    parts = _noise(recipe, class_names, max(2, 64 // len(class_names)))
    done: list[float] = []
    how = How(device=device, progress=lambda step, steps: done.append(time.perf_counter()))
    started = time.perf_counter()
    with one_thread():
        fitted = recipe.fit(*parts, seed=0, how=how)
    seconds = time.perf_counter() - started
    per_step = max(done[TIMED_STEPS] - done[0], 1e-4) / TIMED_STEPS if len(done) > TIMED_STEPS else 0.0
    with tempfile.TemporaryDirectory() as folder:
        fitted.save(Path(folder))
        size = float(sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file()))
    return Trial(max(0.0, seconds - per_step * len(done)), per_step, size)


def _networks(recipe: Any, class_names: tuple[str, ...]) -> int:
    return 1 if getattr(recipe, "scope", "conditional") == "conditional" else len(class_names)


def disk(plan: Plan, store: Store, device: str) -> float:
    """Return the bytes that open jobs and the pictures will take, from saving one network of each recipe."""
    names = plan.source.class_names
    view = plan.study.classifier.view
    total = float(len(plan.source.labels) * (view.channels or 3) * view.size**2)
    for job, arm in {job.key: (job, arm) for (arm, _), jobs in plan.jobs_by_arm().items() for job in jobs}.values():
        recipe = recipe_of(plan, arm, job)
        if recipe is not None and not store.has(job.key):
            total += trial_of(recipe, names, device).size * _networks(recipe, names)
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


def _noise(recipe: Any, class_names: tuple[str, ...], per_class: int) -> list[LabeledImages]:
    """A training and a validation part of noise in a recipe's view."""
    labels = np.repeat(np.arange(len(class_names)), per_class)
    shape = (len(labels), recipe.view.channels, recipe.view.size, recipe.view.size)
    pixels = [rng.numpy_rng(0, "noise", part).integers(0, 256, shape, dtype=np.uint8) for part in range(2)]
    return [LabeledImages.of_arrays(part, labels, class_names) for part in pixels]
