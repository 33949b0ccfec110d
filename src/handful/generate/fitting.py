"""Fitting one network after another, or all as one program, with looks at samples on the way."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from handful import rng
from handful.data.draws import Draws
from handful.data.images import LabeledImages
from handful.errors import ConfigError, DataError
from handful.generate.stacked import Stacked, unstacked_into
from handful.generate.watch import Watch, alarms
from handful.nn.batches import Batch, Batches
from handful.nn.train import History, How, Training, train_networks

if TYPE_CHECKING:
    from handful.generate.neural import LossFn, NeuralRecipe, Noise

VAL_SEED = 0
LOOKED_AT = 1000  # pictures of validation that go through the networks together


class Fit:
    """One network, or pair of networks, with its pictures and its budget; `nets` are given before it runs."""

    nets: dict[str, nn.Module]

    def __init__(
        self,
        recipe: NeuralRecipe,
        name: str,
        train: LabeledImages,
        val: LabeledImages | None,
        training: Training,
        seed: int,
        how: How,
    ) -> None:
        self.recipe, self.name, self.training, self.seed = recipe, name, training, seed
        self.train, self.val = train, val if val is not None and len(val) else None
        self.how, self.device = replace(how.part(name), leaves_checkpoint=True), how.device
        self.pixels = torch.from_numpy(np.array(train.pixels)).to(how.device)
        self.labels = torch.from_numpy(train.labels.copy()).to(how.device)
        self.steps = training.steps_for(len(train))
        self._draws = Draws(len(train), seed)
        self._notes: list[dict[str, Any]] = []
        num = 0 if self.val is None else len(self.val)
        if training.keeps_best and recipe.watch == "loss" and not num:
            self.training = training.changed(keep="last", patience=None)
            self._notes = [
                {"step": 0, "kind": "validation", "said": "no validation pictures: the last weights are kept"}
            ]
        if training.keeps_best and recipe.watch == "distance" and num < 2:
            raise DataError(
                f"watch='distance' needs two validation pictures for network {name!r}, there are {num}; "
                "keep the last weights, or take a larger validation part"
            )

    def tell(self, before: int, steps: int) -> None:
        """Tell progress as steps of the whole fit, of which `before` come before this network."""
        if (progress := self.how.progress) is not None:
            self.how = replace(self.how, progress=lambda done, _: progress(before + done, steps))

    def finished(self) -> None:
        """Remove the checkpoint that a finished network leaves until the whole fit is done."""
        if self.how.checkpoint is not None:
            self.how.checkpoint.unlink(missing_ok=True)

    def run(self) -> dict[str, Any]:
        for network in self.nets.values():
            network.to(self.device)
        windowed = self.recipe.watch == "window"
        passes = self.training.batch_size / len(self.train)
        also = (lambda means, step: {"window": self.recipe.outside(means, step * passes)}) if windowed else None
        history = train_networks(
            self.nets,
            self._step,
            recipe=self.training,
            num=len(self.train),
            seed=self.seed,
            evaluate=self.look,
            also=also,
            watch=self.recipe.watch,
            how=self.how,
        )
        return self.told(history)

    def told(self, history: History) -> dict[str, Any]:
        """The history as JSON values, with its alarms."""
        looks = [{"step": step, **values} for step, values in zip(history.steps, history.values, strict=True)]
        own = []
        for step, means in zip(history.steps, history.train_loss, strict=True):
            if (said := self.recipe.alarm(means)) is not None:
                own.append({"step": step, "kind": "losses", "said": said})
        return {**history.to_json(), "alarms": self._notes + alarms(looks, own[:1])}

    def seen(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor, Noise]:
        """Images float [B, C, H, W] in [0, 1], labels [B] and the noise of a batch."""
        index = torch.from_numpy(batch.index).to(self.device)
        images = self.pixels[index]
        if self.recipe.augment is None:
            images = images.float() / 255
        else:
            images = self.recipe.augment.apply(images, self._draws.at(batch.epoch, batch.slot).to(self.device))
        shape = (images.shape[0], images.shape[1], images.shape[2], images.shape[3])
        stream = rng.torch_rng(self.seed, "noise", batch.step, batch.part, device=self.device)
        return images, self.labels[index], self.recipe.noise(shape, stream, self.device)

    def _step(self, batch: Batch) -> Iterator[tuple[str, torch.Tensor]]:
        images, labels, noise = self.seen(batch)
        for name, loss in self.recipe.phases:
            yield name, loss(self.nets, images, labels, noise, (batch.step + 1) / self.steps)

    @cached_property
    def _watch(self) -> Watch:
        return Watch(self.train, self.val)

    def look(self) -> dict[str, float]:
        """Values at one look: the loss on validation, and what samples say."""
        values: dict[str, float] = {}
        if self.val is not None and self.recipe.val_loss:
            values["loss"] = self._loss_on(self.val)
        nets = {name: self.nets[name] for name in self.recipe.sampled}
        memory = self.recipe.remember(nets, self.train)
        labels = torch.from_numpy(self._watch.labels).to(self.device)
        made = as_pixels(self.recipe.glimpse(nets, labels, self._watch.seeds, memory))
        return {**values, **self._watch.look(made, self._watch.labels)}

    def _loss_on(self, part: LabeledImages) -> float:
        """The mean loss on a part, LOOKED_AT pictures at a time so that memory does not grow with it."""
        num, channels, height, width = part.pixels.shape
        stream = rng.torch_rng(VAL_SEED, "val", device=self.device)
        drawn = self.recipe.noise((num, channels, height, width), stream, self.device)
        total = 0.0
        for first in range(0, num, LOOKED_AT):
            rows = slice(first, first + LOOKED_AT)
            images = torch.from_numpy(np.array(part.pixels[rows])).to(self.device).float() / 255
            labels = torch.from_numpy(part.labels[rows].copy()).to(self.device)
            noise = {name: tensor[rows] for name, tensor in drawn.items()}
            losses = (loss(self.nets, images, labels, noise, 1.0) for _, loss in self.recipe.phases)
            total += sum(map(float, losses)) * (len(labels) / num)
        return total


def run_stacked(fits: list[Fit]) -> dict[str, Any]:
    """Train networks of one shape as one program; each sees the batches and the noise it would see on its own."""
    recipe, first = fits[0].recipe, fits[0]
    if first.training.swa_start is not None:
        raise ConfigError("swa_start measures batch norms anew, which networks trained as one lack: set stacked=false")
    for fit in fits:
        for network in fit.nets.values():
            network.to(fit.device)
    stacks = {name: Stacked([fit.nets[name] for fit in fits]) for name in first.nets}
    batches = [Batches(len(fit.train), first.training.batch_size, fit.seed) for fit in fits]

    def step(batch: Batch) -> Iterator[tuple[str, torch.Tensor]]:
        seen = [fit.seen(own.at(batch.step)) for fit, own in zip(fits, batches, strict=True)]
        images, labels = torch.stack([one[0] for one in seen]), torch.stack([one[1] for one in seen])
        noise = {name: torch.stack([one[2][name] for one in seen]) for name in seen[0][2]}
        done = (batch.step + 1) / first.steps
        for name, loss in recipe.phases:

            def one(states: Any, images: torch.Tensor, labels: torch.Tensor, noise: Noise, loss: LossFn = loss) -> Any:
                nets = {name: stack.bound(states[name]) for name, stack in stacks.items()}
                return loss(nets, images, labels, noise, done)

            states = {name: stack.states() for name, stack in stacks.items()}
            yield name, torch.vmap(one)(states, images, labels, noise).sum()

    def look() -> dict[str, float]:
        found = {}
        for place, fit in enumerate(fits):
            for name, stack in stacks.items():
                unstacked_into(fit.nets[name], stack, place)
                fit.nets[name].eval()
            found.update({f"{fit.name}/{key}": value for key, value in fit.look().items()})
        return found

    history = train_networks(
        stacks,
        step,
        recipe=first.training,
        num=len(fits),  # `step` asks each network's own batches
        seed=first.seed,
        evaluate=look,
        how=first.how,
    )
    told = {}
    for place, fit in enumerate(fits):
        for name, stack in stacks.items():
            unstacked_into(fit.nets[name], stack, place)
        mark = f"{fit.name}/"
        own = deepcopy(history)
        own.values = [
            {key[len(mark) :]: value for key, value in values.items() if key.startswith(mark)}
            for values in history.values
        ]
        own.train_loss = [{name: mean / len(fits) for name, mean in means.items()} for means in history.train_loss]
        told[fit.name] = fit.told(own)
    return told


def as_pixels(images: torch.Tensor) -> NDArray[np.uint8]:
    """Return float pictures in [0, 1] as uint8."""
    pixels: NDArray[np.uint8] = (images.float().clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()
    return pixels
