"""The one training loop.

It owns batches, the optimizers, schedules, validation, early stopping with the best weights restored, progress and a
checkpoint that holds everything. A method supplies its networks and its step. Each step runs with torch's global
stream seeded from (seed, step), so that a resumed run equals the uninterrupted one without storing any RNG state.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import nn

from handful import rng
from handful.config import Recipe, digest_of
from handful.errors import HandfulError
from handful.nn.batches import Batch, Batches

Positive = Annotated[int, Field(ge=1)]


class Training(Recipe):
    """How long and with what optimizer networks are trained.

    Args:
        steps: optimizer steps, the default budget; equal for all arms of a study.
        epochs: passes over the training part instead of `steps`, for published protocols.
        batch_size: pictures per step.
        optimizer: `adam`, `adamw` or `sgd` (Nesterov, with `momentum`).
        lr: learning rate, the peak of the schedule.
        betas: the two decay rates of adam and adamw.
        weight_decay: L2 for adam and sgd, decoupled for adamw.
        schedule: `cosine` (to zero), `step` (times `gamma` every `step_size` steps), `plateau` (times `gamma` when
            the watched value has not improved for `plateau_patience` evaluations) or `constant`.
        warmup_steps: steps of linear increase from zero, before any schedule.
        eval_every: steps between two looks at validation; the last step is always one.
        patience: evaluations without improvement after which training stops; None: never.
        keep: weights kept at the end: `best` by the watched value on validation, or `last`. None: `best` with
            `patience`, else `last`, because a validation part of a few dozen pictures picks worse weights than the
            end of a schedule does (docs/decisions/0004).
    """

    steps: Positive = 600
    epochs: Positive | None = None
    batch_size: Positive = 32
    optimizer: Literal["adam", "adamw", "sgd"] = "adamw"
    lr: Annotated[float, Field(gt=0)] = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    weight_decay: Annotated[float, Field(ge=0)] = 1e-4
    schedule: Literal["cosine", "step", "plateau", "constant"] = "cosine"
    warmup_steps: Annotated[int, Field(ge=0)] = 0
    step_size: Positive = 200
    gamma: Annotated[float, Field(gt=0, le=1)] = 0.5
    plateau_patience: Positive = 2
    eval_every: Positive = 50
    patience: Positive | None = None
    keep: Literal["best", "last"] | None = None

    @property
    def keeps_best(self) -> bool:
        """Whether validation chooses the weights."""
        return self.keep == "best" or (self.keep is None and self.patience is not None)

    @property
    def validates(self) -> tuple[tuple[str, Any, Any], ...]:
        """(field, its value, the value that does without) of every field that needs a validation part."""
        found: list[tuple[str, Any, Any]] = []
        if self.keep == "best":
            found.append(("keep", "best", "last"))
        if self.patience is not None:
            found.append(("patience", self.patience, None))
        if self.schedule == "plateau":
            found.append(("schedule", "plateau", "cosine"))
        return tuple(found)

    def steps_for(self, num: int) -> int:
        """Return the optimizer steps for N training pictures."""
        return self.steps if self.epochs is None else max(1, math.ceil(self.epochs * num / self.batch_size))

    def lr_at(self, step: int, steps: int) -> float:
        """Return the learning rate of a step (0-based) of `steps`, without what `plateau` has taken off."""
        if step < self.warmup_steps:
            return self.lr * (step + 1) / self.warmup_steps
        if self.schedule == "cosine":
            done = (step - self.warmup_steps) / max(1, steps - self.warmup_steps)
            return self.lr * 0.5 * (1 + math.cos(math.pi * done))
        if self.schedule == "step":
            return float(self.lr * self.gamma ** ((step - self.warmup_steps) // self.step_size))
        return self.lr


@dataclass(frozen=True)
class How:
    """How something is computed, never what: nothing here changes a result on one device type.

    Args:
        device: torch device.
        checkpoint: file that a long fit saves itself to and resumes from; None: none.
        checkpoint_seconds: least time between two saves.
        progress: called with (steps done, steps in all).
    """

    device: str = "cpu"
    checkpoint: Path | None = None
    checkpoint_seconds: float = 20.0
    progress: Callable[[int, int], None] | None = None

    def part(self, name: str) -> How:
        """Return the same for one of several networks, with a checkpoint file of its own."""
        if self.checkpoint is None:
            return self
        return replace(self, checkpoint=self.checkpoint.with_name(f"{self.checkpoint.name}.{name}"))


@dataclass
class History:
    """What training saw: one entry per evaluation, in lists of equal length, and how it ended.

    `train_loss` is the mean over the steps since the evaluation before. `values` holds what `evaluate` returned.
    """

    steps: list[int] = field(default_factory=list)
    train_loss: list[dict[str, float]] = field(default_factory=list)
    values: list[dict[str, float]] = field(default_factory=list)
    lr: list[float] = field(default_factory=list)
    steps_done: int = 0
    pictures_seen: int = 0
    best_step: int = 0
    stopped_early: bool = False

    def to_json(self) -> dict[str, Any]:
        return dict(vars(self))


@contextmanager
def one_thread() -> Iterator[None]:
    """Run a block with one torch thread: the same bits on any number of cores, and no fight between processes."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


Step = Callable[[Batch], Iterator[tuple[str, torch.Tensor]]]


@dataclass
class _State:
    """Everything a checkpoint holds beside the networks and optimizers."""

    step: int = 0
    best: float = math.inf
    stale: int = 0
    plateau_stale: int = 0
    plateau_factor: float = 1.0
    history: History = field(default_factory=History)
    sums: dict[str, torch.Tensor | float] = field(default_factory=dict)
    since: int = 0


def train_networks(
    networks: Mapping[str, nn.Module],
    step: Step,
    *,
    recipe: Training,
    num: int,
    seed: int,
    evaluate: Callable[[], dict[str, float]] | None = None,
    watch: str = "loss",
    balance: NDArray[np.int64] | None = None,
    how: How | None = None,
) -> History:
    """Train networks in place and return what was seen on the way.

    Args:
        networks: by name, each with an optimizer of its own.
        step: yields (name of a network, loss) for a batch, once or more; after each the named network takes one
            optimizer step. A generator and a discriminator are two yields.
        recipe: how long and with what.
        num: number of training pictures that `Batch.index` points into.
        seed: root of the order and of what the step draws.
        evaluate: values on validation, networks in eval mode; `values[watch]`, lower is better, chooses the weights.
        balance: labels int [num], for class-balanced batches.
        how: device, checkpoint, progress.

    Raises:
        HandfulError: a loss is not finite.
    """
    how = how or How()
    steps = recipe.steps_for(num)
    batches = Batches(num, recipe.batch_size, seed, balance)
    optimizers = {name: _optimizer(network, recipe) for name, network in networks.items()}
    fit = digest_of([recipe.describe(), seed, num, sorted(networks)])
    state, best_weights = _State(), {name: _weights(network) for name, network in networks.items()}
    if how.checkpoint and how.checkpoint.exists():
        state, best_weights = _resume(how.checkpoint, networks, optimizers, how.device, fit)
    saved = time.monotonic()
    for network in networks.values():
        network.train()
    with rng.forked(device=how.device):
        while state.step < steps and not state.history.stopped_early:
            torch.manual_seed(rng.derive(seed, "step", state.step))
            lr = recipe.lr_at(state.step, steps) * state.plateau_factor
            _one_step(step, batches.at(state.step), optimizers, lr, state)
            state.step += 1
            if state.step % recipe.eval_every == 0 or state.step == steps:
                _look(networks, recipe, evaluate, watch, lr, state, best_weights)
            if how.checkpoint and time.monotonic() - saved >= how.checkpoint_seconds:
                _save(how.checkpoint, networks, optimizers, state, best_weights, fit)
                saved = time.monotonic()
            if how.progress:
                how.progress(state.step, steps)
    if recipe.keeps_best and evaluate is not None:
        for name, network in networks.items():
            network.load_state_dict(best_weights[name])
    for network in networks.values():
        network.eval()
    state.history.steps_done = state.step
    state.history.pictures_seen = state.step * recipe.batch_size
    if how.checkpoint:
        how.checkpoint.unlink(missing_ok=True)
    return state.history


def _one_step(
    step: Step, batch: Batch, optimizers: Mapping[str, torch.optim.Optimizer], lr: float, state: _State
) -> None:
    for name, loss in step(batch):
        optimizer = optimizers[name]
        for group in optimizer.param_groups:
            group["lr"] = lr
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # untyped in torch
        optimizer.step()
        state.sums[name] = state.sums.get(name, 0.0) + loss.detach()  # stays on the device: no wait in every step
    state.since += 1


def _look(
    networks: Mapping[str, nn.Module],
    recipe: Training,
    evaluate: Callable[[], dict[str, float]] | None,
    watch: str,
    lr: float,
    state: _State,
    best_weights: dict[str, dict[str, torch.Tensor]],
) -> None:
    """Look at validation, keep the best weights, and decide on early stopping and on the plateau schedule."""
    history = state.history
    history.steps.append(state.step)
    means = {name: float(total) / state.since for name, total in state.sums.items()}
    for name, mean in means.items():
        if not math.isfinite(mean):
            raise HandfulError(
                f"training: the loss of {name!r} became {mean} in the {state.since} steps before step {state.step}; "
                "a lower lr is the usual remedy"
            )
    values: dict[str, float] = {}
    if evaluate is not None:
        for network in networks.values():
            network.eval()
        with torch.no_grad():
            values = evaluate()
        for network in networks.values():
            network.train()
    history.train_loss.append(means)
    history.values.append(values)
    history.lr.append(lr)
    state.sums, state.since = {}, 0
    if not values:
        return
    if not math.isfinite(values[watch]):
        raise HandfulError(f"training: the {watch!r} watched on validation is {values[watch]} at step {state.step}")
    if values[watch] < state.best:
        state.best, state.stale, state.plateau_stale = values[watch], 0, 0
        history.best_step = state.step
        best_weights.update({name: _weights(network) for name, network in networks.items()})
        return
    state.stale += 1
    state.plateau_stale += 1
    if recipe.schedule == "plateau" and state.plateau_stale >= recipe.plateau_patience:
        state.plateau_factor *= recipe.gamma
        state.plateau_stale = 0
    history.stopped_early = recipe.patience is not None and state.stale >= recipe.patience


def _optimizer(network: nn.Module, recipe: Training) -> torch.optim.Optimizer:
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(
            parameters,
            lr=recipe.lr,
            momentum=recipe.momentum,
            nesterov=recipe.momentum > 0,
            weight_decay=recipe.weight_decay,
        )
    kind = torch.optim.Adam if recipe.optimizer == "adam" else torch.optim.AdamW
    return kind(parameters, lr=recipe.lr, betas=recipe.betas, weight_decay=recipe.weight_decay, fused=True)


def _weights(network: nn.Module) -> dict[str, torch.Tensor]:
    """A copy that later steps cannot reach; `state_dict` alone would alias the live weights."""
    return {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}


def _save(
    path: Path,
    networks: Mapping[str, nn.Module],
    optimizers: Mapping[str, torch.optim.Optimizer],
    state: _State,
    best_weights: Mapping[str, dict[str, torch.Tensor]],
    fit: str,
) -> None:
    aside = path.with_name(f"{path.name}.{os.getpid()}.part")
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(
        {
            "fit": fit,
            "networks": {name: network.state_dict() for name, network in networks.items()},
            "optimizers": {name: optimizer.state_dict() for name, optimizer in optimizers.items()},
            "best_weights": dict(best_weights),
            "state": {**vars(state), "history": state.history.to_json()},
        },
        aside,
    )
    os.replace(aside, path)


def _resume(
    path: Path,
    networks: Mapping[str, nn.Module],
    optimizers: Mapping[str, torch.optim.Optimizer],
    device: str,
    fit: str,
) -> tuple[_State, dict[str, dict[str, torch.Tensor]]]:
    saved = torch.load(path, weights_only=True, map_location=device)
    if saved["fit"] != fit:
        raise HandfulError(f"{path}: the checkpoint of another fit; delete it or give another file")
    for name, network in networks.items():
        network.load_state_dict(saved["networks"][name])
        optimizers[name].load_state_dict(saved["optimizers"][name])
    fields = saved["state"]
    return _State(**{**fields, "history": History(**fields["history"])}), saved["best_weights"]
