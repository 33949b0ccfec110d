"""The one training loop.

It owns batches, the optimizers, schedules, validation, early stopping with the best weights restored, progress and a
checkpoint that holds everything. A method supplies its networks and its step. Each step runs with torch's global
stream seeded from (seed, step), so that a resumed run equals the uninterrupted one without storing any RNG state.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, model_validator
from torch import nn

from handful import rng
from handful.config import Recipe, digest_of
from handful.errors import ConfigError, HandfulError
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
        schedule: `cosine` (to zero), `step` (times `gamma` every `step_size` steps, or epochs with `step_unit`),
            `plateau` (times `gamma` when the watched value has not improved for `plateau_patience` evaluations) or
            `constant`.
        warmup_steps: steps of linear increase from zero, before any schedule.
        eval_every: steps between two looks at validation; the last step is always one.
        patience: evaluations without improvement after which training stops; None: never.
        keep: weights kept at the end: `best` by the watched value on validation, or `last`. None: `best` with
            `patience`, else `last`, because a validation part of a few dozen pictures picks worse weights than the
            end of a schedule does (docs/decisions/0004).
        ema: decay of a moving average of the weights, which is what is evaluated and kept (Polyak and Juditsky 1992).
            After t steps the decay is at most (1 + t) / (10 + t), so that a short run does not end near its start.
        precision: of forward and backward passes under autocast; `float16` scales the loss against underflow
            (Micikevicius et al. 2018). Weights and optimizer stay in float32.
        accumulate: parts that a batch is cut into; their gradients are averaged into one optimizer step.
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
    step_unit: Literal["steps", "epochs"] = "steps"
    gamma: Annotated[float, Field(gt=0, le=1)] = 0.5
    plateau_patience: Positive = 2
    eval_every: Positive = 50
    patience: Positive | None = None
    keep: Literal["best", "last"] | None = None
    ema: Annotated[float, Field(gt=0, lt=1)] | None = None
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    accumulate: Positive = 1

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        if self.batch_size % self.accumulate:
            raise ConfigError(f"accumulate={self.accumulate} does not divide batch_size={self.batch_size}")
        return self

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

    def lr_at(self, step: int, steps: int, num: int) -> float:
        """Return the learning rate of a step (0-based) of `steps` over N pictures, without what `plateau` took off."""
        if step < self.warmup_steps:
            return self.lr * (step + 1) / self.warmup_steps
        if self.schedule == "cosine":
            done = (step - self.warmup_steps) / max(1, steps - self.warmup_steps)
            return self.lr * 0.5 * (1 + math.cos(math.pi * done))
        if self.schedule == "step":
            since = step - self.warmup_steps
            passed = since if self.step_unit == "steps" else since * self.batch_size // num
            return float(self.lr * self.gamma ** (passed // self.step_size))
        return self.lr


@dataclass(frozen=True)
class How:
    """How something is computed, never what: nothing here changes a result on one device type.

    Args:
        device: torch device.
        checkpoint: file that a long fit saves itself to and resumes from; None: none.
        checkpoint_seconds: least time between two saves.
        leaves_checkpoint: a finished fit leaves its checkpoint, from which it is whole again at once, to be removed
            by who runs several; else it is removed.
        progress: called with (steps done, steps in all).
    """

    device: str = "cpu"
    checkpoint: Path | None = None
    checkpoint_seconds: float = 20.0
    leaves_checkpoint: bool = False
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


@dataclass(frozen=True)
class Group:
    """Parameters that share a learning rate: the schedule's times `factor(step)`; where it is 0 they are frozen."""

    parameters: Sequence[nn.Parameter]
    factor: Callable[[int], float] = lambda step: 1.0


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
    also: Callable[[Mapping[str, float], int], dict[str, float]] | None = None,
    watch: str = "loss",
    balance: NDArray[np.int64] | None = None,
    groups: Mapping[str, Sequence[Group]] | None = None,
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
        also: further values, of the mean training losses since the look before and the step.
        balance: labels int [num], for class-balanced batches.
        groups: the trained parameters of a network in groups, by its name; else they are one group.
        how: device, checkpoint, progress.

    Raises:
        HandfulError: a loss is not finite.
    """
    how = how or How()
    steps = recipe.steps_for(num)
    batches = Batches(num, recipe.batch_size, seed, balance)
    grouped = {name: (groups or {}).get(name) or [_whole(network)] for name, network in networks.items()}
    optimizers = {name: _optimizer(own, recipe) for name, own in grouped.items()}
    fit = digest_of([recipe.describe(), seed, num, sorted(networks)])
    scaler = torch.amp.GradScaler(torch.device(how.device).type, enabled=recipe.precision == "float16")
    loop = _Loop(networks, grouped, optimizers, scaler, recipe, torch.device(how.device).type)
    state = _State()
    if how.checkpoint and how.checkpoint.exists():
        state = loop.resume(how.checkpoint, how.device, fit)
    saved = time.monotonic()
    for network in networks.values():
        network.train()
    with rng.forked(device=how.device):
        while state.step < steps and not state.history.stopped_early:
            rng.reseed(rng.derive(seed, "step", state.step), how.device)
            lr = recipe.lr_at(state.step, steps, num) * state.plateau_factor
            loop.one_step(step, batches.at(state.step), lr, state)
            state.step += 1
            if state.step % recipe.eval_every == 0 or state.step == steps:
                with loop.averaged_weights():
                    _look(networks, recipe, evaluate, also, watch, lr, state, loop.best)
            if how.checkpoint and time.monotonic() - saved >= how.checkpoint_seconds:
                loop.save(how.checkpoint, state, fit)
                saved = time.monotonic()
            if how.progress:
                how.progress(state.step, steps)
    if how.checkpoint and how.leaves_checkpoint:
        loop.save(how.checkpoint, state, fit)
    for name, network in networks.items():
        if recipe.keeps_best and math.isfinite(state.best):
            network.load_state_dict(loop.best[name])
        elif recipe.ema is not None:
            network.load_state_dict(loop.averages[name])
        network.eval()
    state.history.steps_done = state.step
    state.history.pictures_seen = state.step * recipe.batch_size
    if how.checkpoint and not how.leaves_checkpoint:
        how.checkpoint.unlink(missing_ok=True)
    return state.history


class _Loop:
    """Networks, their optimizers, and the averages and best weights kept beside them."""

    def __init__(
        self,
        networks: Mapping[str, nn.Module],
        groups: Mapping[str, Sequence[Group]],
        optimizers: Mapping[str, torch.optim.Optimizer],
        scaler: torch.amp.GradScaler,
        recipe: Training,
        device_type: str,
    ) -> None:
        self.networks, self.groups, self.optimizers = networks, groups, optimizers
        self.scaler, self.recipe = scaler, recipe
        self.device_type = device_type
        self.dtype = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[recipe.precision]
        self.parameters: dict[str, list[nn.Parameter]] = {}
        self.best = {name: _weights(network) for name, network in networks.items()}
        self.averages = {name: _weights(network) for name, network in networks.items()} if recipe.ema else {}

    def one_step(self, step: Step, batch: Batch, lr: float, state: _State) -> None:
        for trained, optimizer in self.optimizers.items():
            factors = [group.factor(batch.step) for group in self.groups[trained]]
            for settings, factor in zip(optimizer.param_groups, factors, strict=True):
                settings["lr"] = lr * factor
            live = zip(self.groups[trained], factors, strict=True)  # what has no gradient, the optimizer leaves alone
            self.parameters[trained] = [one for group, factor in live if factor for one in group.parameters]
        parts = batch.parts(self.recipe.accumulate)
        losses = [step(part) for part in parts]
        while (name := self._backward(losses, state)) is not None:
            self.scaler.step(self.optimizers[name])
        self.scaler.update()
        if self.recipe.ema is not None:
            self._average(min(self.recipe.ema, (1 + state.step) / (10 + state.step)))
        state.since += 1

    def _backward(self, losses: list[Iterator[tuple[str, torch.Tensor]]], state: _State) -> str | None:
        """Fill the gradients of the next network that the step names, over all parts of the batch; None: no more."""
        name = None
        for place, part in enumerate(losses):
            if self.recipe.precision == "float32":
                name, loss = next(part, (None, None))
            else:
                with torch.autocast(self.device_type, self.dtype):
                    name, loss = next(part, (None, None))
            if name is None or loss is None:
                return None
            if place == 0:
                self.optimizers[name].zero_grad(set_to_none=True)
            if len(losses) > 1:
                loss = loss / len(losses)
            self.scaler.scale(loss).backward(inputs=self.parameters[name])  # type: ignore[no-untyped-call]
            state.sums[name] = state.sums.get(name, 0.0) + loss.detach()  # stays on the device: no wait in every step
        return name

    def _average(self, decay: float) -> None:
        with torch.no_grad():
            for name, network in self.networks.items():
                live, kept = network.state_dict(), self.averages[name]
                moving = [key for key, tensor in live.items() if tensor.is_floating_point()]
                torch._foreach_lerp_([kept[key] for key in moving], [live[key] for key in moving], 1 - decay)
                for key in live.keys() - set(moving):
                    kept[key].copy_(live[key])

    @contextmanager
    def averaged_weights(self) -> Iterator[None]:
        """Run a block with the averages in the networks, where averages are kept."""
        if not self.averages:
            yield
            return
        live = {name: _weights(network) for name, network in self.networks.items()}
        for name, network in self.networks.items():
            network.load_state_dict(self.averages[name])
        yield
        for name, network in self.networks.items():
            network.load_state_dict(live[name])

    def save(self, path: Path, state: _State, fit: str) -> None:
        aside = path.with_name(f"{path.name}.{os.getpid()}.part")
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(
            {
                "fit": fit,
                "networks": {name: network.state_dict() for name, network in self.networks.items()},
                "optimizers": {name: optimizer.state_dict() for name, optimizer in self.optimizers.items()},
                "scaler": self.scaler.state_dict(),
                "best_weights": self.best,
                "averages": self.averages,
                "state": {**vars(state), "history": state.history.to_json()},
            },
            aside,
        )
        os.replace(aside, path)

    def resume(self, path: Path, device: str, fit: str) -> _State:
        saved = torch.load(path, weights_only=True, map_location=device)
        if saved["fit"] != fit:
            raise HandfulError(f"{path}: the checkpoint of another fit; delete it or give another file")
        for name, network in self.networks.items():
            network.load_state_dict(saved["networks"][name])
            self.optimizers[name].load_state_dict(saved["optimizers"][name])
        self.scaler.load_state_dict(saved["scaler"])
        self.best, self.averages = saved["best_weights"], saved["averages"]
        fields = saved["state"]
        return _State(**{**fields, "history": History(**fields["history"])})


def _look(
    networks: Mapping[str, nn.Module],
    recipe: Training,
    evaluate: Callable[[], dict[str, float]] | None,
    also: Callable[[Mapping[str, float], int], dict[str, float]] | None,
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
    if also is not None:
        values = {**values, **also(means, state.step)}
    history.train_loss.append(means)
    history.values.append(values)
    history.lr.append(lr)
    state.sums, state.since = {}, 0
    if not values:
        return
    if watch not in values:
        if recipe.keeps_best or recipe.schedule == "plateau":
            raise HandfulError(f"training: {watch!r} is to be watched, but validation gave only {sorted(values)}")
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


def _whole(network: nn.Module) -> Group:
    return Group([parameter for parameter in network.parameters() if parameter.requires_grad])


def _optimizer(groups: Sequence[Group], recipe: Training) -> torch.optim.Optimizer:
    parameters = [{"params": list(group.parameters)} for group in groups]
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
