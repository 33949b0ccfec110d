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
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from handful import rng
from handful.config import digest_of
from handful.errors import HandfulError
from handful.nn.averages import Averages, Weights, measure_norms, weights_of
from handful.nn.batches import Batch, Batches
from handful.nn.history import History as History
from handful.nn.how import How as How
from handful.nn.how import one_thread as one_thread
from handful.nn.optimizers import Group as Group
from handful.nn.optimizers import groups_of, optimizer_of, weighted
from handful.nn.training import Training as Training

Told = dict[str, torch.Tensor]
Loss = tuple[str, torch.Tensor] | tuple[str, torch.Tensor, Told]
Step = Callable[[Batch], Iterator[Loss]]
SLOW_ON_CPU = ("float16",)  # some 30 times slower than float32, which takes its place there
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


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
    told: dict[str, torch.Tensor | float] = field(default_factory=dict)
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
            optimizer step. A generator and a discriminator are two yields. A third item, scalars by name such as the
            accuracy of the batch, goes into the history as means.
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
    grouped = {name: groups_of(network, (groups or {}).get(name), recipe) for name, network in networks.items()}
    fit = digest_of([recipe.describe(), seed, num, sorted(networks)])
    loop = _Loop(networks, grouped, recipe, steps, torch.device(how.device).type)
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
                with loop.averages.looked_at():
                    _look(networks, recipe, evaluate, also, watch, lr, state, loop.best)
            if how.checkpoint and time.monotonic() - saved >= how.checkpoint_seconds:
                loop.save(how.checkpoint, state, fit)
                saved = time.monotonic()
            if how.progress:
                how.progress(state.step, steps)
        if how.checkpoint and how.leaves_checkpoint:
            loop.save(how.checkpoint, state, fit)
        if recipe.keeps_best and math.isfinite(state.best):
            for name, network in networks.items():
                network.load_state_dict(loop.best[name])
        elif loop.averages.kept:
            loop.averages.put()
            if recipe.swa_start is not None:
                measure_norms(networks, _one_pass(loop, step, batches, seed, state.step, how.device))
    for network in networks.values():
        network.eval()
    state.history.steps_done = state.step
    state.history.pictures_seen = state.step * recipe.batch_size
    if how.checkpoint and not how.leaves_checkpoint:
        how.checkpoint.unlink(missing_ok=True)
    return state.history


def _one_pass(
    loop: _Loop, step: Step, batches: Batches, seed: int, first: int, device: str
) -> Iterator[Callable[[], None]]:
    """One pass over the training part from step `first` on, without an optimizer step."""
    for number in range(first, first + math.ceil(batches.num / batches.batch_size)):
        rng.reseed(rng.derive(seed, "step", number), device)
        yield lambda number=number: loop.pass_through(step, batches.at(number))  # type: ignore[misc]


class _Loop:
    """Networks, their optimizers, and the averages and best weights kept beside them."""

    def __init__(
        self,
        networks: Mapping[str, nn.Module],
        groups: Mapping[str, Sequence[Group]],
        recipe: Training,
        steps: int,
        device_type: str,
    ) -> None:
        self.networks, self.groups, self.recipe = networks, groups, recipe
        self.optimizers = {name: optimizer_of(own, recipe) for name, own in groups.items()}
        slow = device_type == "cpu" and recipe.precision in SLOW_ON_CPU
        self.precision = "float32" if slow else recipe.precision
        self.scaler = torch.amp.GradScaler(device_type, enabled=self.precision == "float16")
        self.device_type = device_type
        self.factors: dict[str, list[float]] = {}
        self.parameters: dict[str, list[nn.Parameter]] = {}
        self.weighted = {name: weighted(name, network) for name, network in networks.items()} if recipe.l1 else {}
        self.best = {name: weights_of(network) for name, network in networks.items()}
        self.averages = Averages(networks, recipe, steps)

    def one_step(self, step: Step, batch: Batch, lr: float, state: _State) -> None:
        for trained in self.optimizers:
            self._set_rates(trained, batch.step, lr)
        losses = [step(part) for part in batch.parts(self.recipe.accumulate)]
        while (name := self._backward(losses, state)) is not None:
            if self.recipe.clip_norm is not None:
                self.scaler.unscale_(self.optimizers[name])
                nn.utils.clip_grad_norm_(self.parameters[name], self.recipe.clip_norm)
            self.scaler.step(self.optimizers[name])
        self.scaler.update()
        self.averages.update(state.step)
        state.since += 1

    def _set_rates(self, name: str, step: int, lr: float) -> None:
        groups = self.groups[name]
        factors = [group.factor(step) for group in groups]
        for settings, factor in zip(self.optimizers[name].param_groups, factors, strict=True):
            settings["lr"] = lr * factor
        if factors != self.factors.get(name):  # what has no gradient, the optimizer leaves alone
            live = [group for group, factor in zip(groups, factors, strict=True) if factor]
            self.factors[name], self.parameters[name] = factors, [one for group in live for one in group.parameters]

    def autocast(self) -> AbstractContextManager[object]:
        if self.precision == "float32":
            return nullcontext()
        return torch.autocast(self.device_type, DTYPES[self.precision])

    def _backward(self, losses: list[Iterator[Loss]], state: _State) -> str | None:
        """Fill the gradients of the next network that the step names, over all parts of the batch; None: no more."""
        name = None
        for place, part in enumerate(losses):
            with self.autocast():
                made = next(part, None)
            if made is None:
                return None
            name, loss = made[0], made[1]
            if place == 0:
                self.optimizers[name].zero_grad(set_to_none=True)
            whole = loss + self.recipe.l1 * _absolute(self.weighted[name]) if self.recipe.l1 else loss
            if len(losses) > 1:
                loss, whole = loss / len(losses), whole / len(losses)
            self.scaler.scale(whole).backward(inputs=self.parameters[name])  # type: ignore[no-untyped-call]
            state.sums[name] = state.sums.get(name, 0.0) + loss.detach()  # stays on the device: no wait in every step
            for what, value in made[2].items() if len(made) == 3 else ():
                state.told[what] = state.told.get(what, 0.0) + value.detach() / len(losses)
        return name

    def pass_through(self, step: Step, batch: Batch) -> None:
        """Pass a batch through the networks, for what they note on the way."""
        for part in batch.parts(self.recipe.accumulate):
            with self.autocast():
                for _ in step(part):
                    pass

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
                "averages": self.averages.kept,
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
        self.best, self.averages.kept = saved["best_weights"], saved["averages"]
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
    best_weights: dict[str, Weights],
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
    history.train_values.append({name: float(total) / state.since for name, total in state.told.items()})
    history.values.append(values)
    history.lr.append(lr)
    state.sums, state.told, state.since = {}, {}, 0
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
        best_weights.update({name: weights_of(network) for name, network in networks.items()})
        return
    state.stale += 1
    state.plateau_stale += 1
    if recipe.schedule == "plateau" and state.plateau_stale >= recipe.plateau_patience:
        state.plateau_factor *= recipe.gamma
        state.plateau_stale = 0
    history.stopped_early = recipe.patience is not None and state.stale >= recipe.patience


def _absolute(weights: Sequence[torch.Tensor]) -> torch.Tensor:
    return torch.stack(torch._foreach_norm(list(weights), 1)).sum()
