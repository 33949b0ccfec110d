"""What all generators that train networks share.

A family says what its networks are, what is random in a step, what its losses are and how a picture is drawn. Here is
the rest: which pictures each network sees, how long it is trained, what is looked at on the way, which weights are
kept, sampling in chunks, files.
"""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, model_validator
from safetensors.torch import load_file
from torch import nn

from handful import rng
from handful.data.augment import Augmentation
from handful.data.images import LabeledImages
from handful.errors import ConfigError, StoreError
from handful.generate.contract import Generator, GeneratorRecipe, check_train, fit_digest, from_card
from handful.generate.fitting import Fit, as_pixels, run_stacked
from handful.nn.train import How, Training
from handful.nn.weight_files import write_tensors

Nets = Mapping[str, Callable[..., Any]]
Noise = dict[str, torch.Tensor]
LossFn = Callable[[Nets, torch.Tensor, torch.Tensor, Noise, float], torch.Tensor]
Memory = dict[str, torch.Tensor]

ALL = "all"
REBUILT = 500  # pictures that go through a network at once


class NeuralRecipe(GeneratorRecipe):
    """Fields of every family that trains networks.

    Args:
        scope: `conditional`, one network told the class; `per-class`, one for each class; `specialised`, one trained
            on all classes without being told them, then a copy of it tuned for each class.
        training: optimizer, schedule and budget of the whole fit: with `steps`, networks of single classes share them
            equally; with `epochs`, each network passes that often over its own pictures.
        pooled: with `specialised`, the share of the budget for the network of all classes.
        epochs_by_size: with networks of single classes, ((least pictures, epochs), ...): a class is trained for the
            epochs of the last entry that it has enough pictures for; its least is 0 in the first entry.
        augment: pictures are augmented anew for every batch; None: trained on the pictures as they are.
        watch: what chooses the weights where `training` keeps the best: `loss` on validation; `distance`, the kernel
            distance of samples to the validation part; or `window`, training losses inside a family's window.
        stacked: networks of single classes are trained as one program on stacked weights; the same to within rounding.
    """

    scope: Literal["conditional", "per-class", "specialised"] = "conditional"
    training: Training = Training()
    pooled: Annotated[float, Field(gt=0, lt=1)] = 0.5
    epochs_by_size: tuple[tuple[int, int], ...] = ()
    augment: Augmentation | None = None
    watch: Literal["loss", "distance", "window"] = "loss"
    stacked: bool = False

    sampled: ClassVar[tuple[str, ...]]
    stackable: ClassVar[bool] = True
    val_loss: ClassVar[bool] = True

    @abstractmethod
    def networks(self, channels: int, size: int, num_classes: int) -> dict[str, nn.Module]:
        """Return untrained networks by name, drawn from torch's global stream; `num_classes` 0: not told the class."""

    @abstractmethod
    def noise(self, shape: tuple[int, int, int, int], stream: torch.Generator, device: str) -> Noise:
        """Return all that is random in one step for pictures of `shape` [B, C, H, W]; leading dimension B each."""

    @property
    @abstractmethod
    def phases(self) -> tuple[tuple[str, LossFn], ...]:
        """(network, loss) in the order of a step: each loss is followed by one optimizer step of its network.

        A loss is a pure function of (networks, images float [B, C, H, W] in [0, 1], labels int64 [B], noise, share of
        the steps done in (0, 1]) and a mean over pictures.
        """

    @abstractmethod
    def draw(self, nets: Nets, labels: torch.Tensor, seeds: Sequence[int], memory: Memory) -> torch.Tensor:
        """Return pictures float [B, C, H, W] in [0, 1]; row i depends on labels[i] and seeds[i] alone."""

    def glimpse(self, nets: Nets, labels: torch.Tensor, seeds: Sequence[int], memory: Memory) -> torch.Tensor:
        """Return what a look while training sees: what `draw` gives, or a cheaper likeness of it."""
        return self.draw(nets, labels, seeds, memory)

    def remember(self, nets: Nets, train: LabeledImages) -> Memory:
        """Return what sampling needs of the training part beside the networks; nothing, for most."""
        return {}

    def parents(self, labels: NDArray[np.int64], seeds: Sequence[int], memory: Memory) -> NDArray[np.int64]:
        """Return the source row of each sample's parent, int64 [B]; -1 where there is none."""
        return np.full(len(labels), -1, dtype=np.int64)

    def rebuild_with(self, nets: Nets, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Return pictures float [B, C, H, W] in [0, 1], each through the model and back."""
        raise NotImplementedError

    def one_encoder(self) -> None:
        """Raise where networks of single classes are fitted: a classifier inherits one that saw every class."""
        if self.scope != "conditional":
            raise ConfigError(
                f"scope {self.scope!r} gives every class an encoder of its own; a classifier inherits one that saw all "
                "of them: scope='conditional'"
            )

    def outside(self, means: Mapping[str, float], epoch: float) -> float:
        """Return how far the mean training losses lie outside the window that is kept; for `watch` = `window`.

        `epoch`: passes over the network's training pictures so far. The lowest value is kept.
        """
        raise NotImplementedError

    def alarm(self, means: Mapping[str, float]) -> str | None:
        """Return what to be told of when these were the mean training losses since the look before."""
        return None

    @model_validator(mode="after")
    def _fields_fit(self) -> Self:
        training, faults = self.training, []
        single = self.scope != "conditional"
        if self.stacked:
            if not single:
                faults.append("stacked=True needs scope 'per-class' or 'specialised': there is nothing to stack")
            if not self.stackable:
                faults.append(f"stacked=True: the networks of {self.kind!r} cannot be trained as one program")
            if training.epochs is not None or self.epochs_by_size:
                faults.append("stacked=True needs a budget in steps: classes of unequal size have unequal epochs")
            if training.keeps_best or training.schedule == "plateau" or training.accumulate > 1:
                faults.append("stacked=True needs keep='last', no patience, no plateau schedule and accumulate=1")
            if training.schedule == "step" and training.step_unit == "epochs":
                faults.append("stacked=True needs step_unit='steps'")
        if self.epochs_by_size:
            least = [size for size, _ in self.epochs_by_size]
            if not single:
                faults.append("epochs_by_size needs scope 'per-class' or 'specialised'")
            if least != sorted(set(least)) or least[0] != 0 or any(epochs < 1 for _, epochs in self.epochs_by_size):
                faults.append("epochs_by_size must be ((0, epochs), (more pictures, epochs), ...) in rising order")
        if training.keeps_best and self.watch == "loss" and not self.val_loss:
            faults.append(f"watch='loss': {self.kind!r} has no loss on validation; take 'distance', or keep='last'")
        if self.watch == "window" and type(self).outside is NeuralRecipe.outside:
            faults.append(f"watch='window': {self.kind!r} has no window of losses")
        if self.watch != type(self).model_fields["watch"].default and not training.keeps_best:
            faults.append(f"watch={self.watch!r} chooses nothing unless training.keep is 'best' (or has patience)")
        if faults:
            raise ConfigError(*faults)
        return self

    def fit(
        self, train: LabeledImages, val: LabeledImages | None, *, seed: int, how: How | None = None
    ) -> NeuralGenerator:
        check_train(self, train, val)
        how = how or How()
        told = train.num_classes if self.scope == "conditional" else 0
        fits = self._planned(train, val, seed, how)
        history: dict[str, Any] = {}
        shared, own = (fits[:1], fits[1:]) if self.scope == "specialised" else ([], fits)
        for fit in shared:
            fit.nets = self._fresh(train, told, rng.derive(seed, "init", fit.name))
            history[fit.name] = fit.run()
        for fit in own:
            fresh = not shared
            fit.nets = (
                self._fresh(train, told, rng.derive(seed, "init", fit.name)) if fresh else deepcopy(shared[0].nets)
            )
        if self.stacked:
            history |= run_stacked(own)
        else:
            history |= {fit.name: fit.run() for fit in own}
        for fit in fits:
            fit.finished()
        kept = [{name: fit.nets[name].cpu().eval() for name in self.sampled} for fit in own]
        with torch.inference_mode():
            memories = [self.remember(nets, fit.train) for nets, fit in zip(kept, own, strict=True)]
        return NeuralGenerator(
            recipe=self,
            class_names=train.class_names,
            counts=tuple(train.counts.tolist()),
            shape=tuple(train.pixels.shape[1:]),
            fitted=fit_digest(self, train, seed),
            history=history,
            networks=tuple(kept),
            memories=tuple(memories),
        )

    def _planned(self, train: LabeledImages, val: LabeledImages | None, seed: int, how: How) -> list[Fit]:
        """Every network of the whole fit with its pictures and its budget, in the order of training."""
        present = [int(label) for label in np.flatnonzero(train.counts)]
        fits = []
        if self.scope != "per-class":
            share = 1.0 if self.scope == "conditional" else self.pooled
            fits.append(Fit(self, ALL, train, val, self._budget(None, share, 1), rng.derive(seed, "fit", ALL), how))
        if self.scope != "conditional":
            share = 1.0 if self.scope == "per-class" else 1 - self.pooled
            for label in present:
                part, own_val = train.of_class(label), None if val is None else val.of_class(label)
                budget, own_seed = self._budget(len(part), share, len(present)), rng.derive(seed, "fit", str(label))
                fits.append(Fit(self, str(label), part, own_val, budget, own_seed, how))
        steps = [fit.steps for fit in fits]
        if self.stacked:  # the networks of single classes take their steps together
            steps = steps[: len(steps) - len(present) + 1]
        for place, fit in enumerate(fits):
            fit.tell(sum(steps[:place]), sum(steps))
        return fits

    def _fresh(self, train: LabeledImages, told: int, seed: int) -> dict[str, nn.Module]:
        with rng.forked(seed):
            return self.networks(train.pixels.shape[1], train.pixels.shape[2], told)

    def _budget(self, num: int | None, share: float, networks: int) -> Training:
        """The training of one of `networks` with this share of the whole budget; `num`: pictures of its class."""
        training = self.training
        if num is not None and self.epochs_by_size:
            epochs = next(epochs for least, epochs in reversed(self.epochs_by_size) if num >= least)
            return training.changed(epochs=max(1, round(share * epochs)))
        if training.epochs is not None:
            return training.changed(epochs=max(1, round(share * training.epochs)))
        return training.changed(steps=max(1, round(share * training.steps / networks)))


@dataclass(frozen=True)
class NeuralGenerator(Generator):
    """Fitted networks: one set told the class, or one per class that has training pictures, in the order of classes.

    Args:
        networks: by name, each set in eval mode.
        memories: what sampling needs beside each set.
    """

    recipe: NeuralRecipe
    networks: tuple[dict[str, nn.Module], ...] = field(repr=False)
    memories: tuple[Memory, ...] = field(repr=False)

    def _place(self, label: int) -> int:
        if self.recipe.scope == "conditional":
            return 0
        return sum(count > 0 for count in self.counts[:label])

    def _make(
        self, labels: NDArray[np.int64], seeds: Sequence[int], device: str
    ) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        pixels = np.empty((len(labels), *self.shape), dtype=np.uint8)
        parents = np.empty(len(labels), dtype=np.int64)
        places = np.array([self._place(int(label)) for label in labels])
        told = torch.from_numpy(labels.copy()).to(device)
        for place in np.unique(places):  # the whole chunk through each network: its size stays fixed
            nets = {name: network.to(device) for name, network in self.networks[place].items()}
            memory = {name: tensor.to(device) for name, tensor in self.memories[place].items()}
            with torch.inference_mode():
                made = as_pixels(self.recipe.draw(nets, told, seeds, memory))
            mine = places == place
            pixels[mine], parents[mine] = made[mine], self.recipe.parents(labels, seeds, memory)[mine]
        return pixels, parents

    def rebuild(self, images: LabeledImages, *, device: str = "cpu") -> NDArray[np.uint8]:
        if not self.recipe.rebuilds:
            return super().rebuild(images)
        labels = self.checked(images.labels)
        pixels = np.empty(images.pixels.shape, dtype=np.uint8)
        places = np.array([self._place(int(label)) for label in labels], dtype=np.int64)
        for place in np.unique(places):
            nets = {name: network.to(device) for name, network in self.networks[place].items()}
            rows = np.flatnonzero(places == place)
            for start in range(0, len(rows), REBUILT):
                mine = rows[start : start + REBUILT]
                inputs = torch.from_numpy(np.array(images.pixels[mine])).to(device).float() / 255
                with torch.inference_mode():
                    told = torch.from_numpy(labels[mine]).to(device)
                    pixels[mine] = as_pixels(self.recipe.rebuild_with(nets, inputs, told))
        return pixels

    def encoder_weights(self) -> dict[str, torch.Tensor]:
        _ = self.recipe.encoder  # raises where there is none, or several
        module = self.networks[0][self.recipe.sampled[0]]
        return {name: tensor.detach().cpu().clone() for name, tensor in module.down.state_dict().items()}  # type: ignore[union-attr]

    def save(self, folder: str | Path) -> None:
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        tensors = {}
        for place, (nets, memory) in enumerate(zip(self.networks, self.memories, strict=True)):
            for name, network in nets.items():
                for key, tensor in network.state_dict().items():
                    tensors[f"{place}.{name}.{key}"] = tensor.detach().cpu().contiguous().clone()
            for name, tensor in memory.items():
                tensors[f"{place}.memory.{name}"] = tensor.detach().cpu().contiguous().clone()
        write_tensors(folder / "generator.safetensors", tensors)
        (folder / "generator.json").write_text(json.dumps(self.card(), indent=1), encoding="utf-8")

    @classmethod
    def load(cls, kind: type[NeuralRecipe], folder: Path, card: dict[str, Any]) -> NeuralGenerator:
        """Return the generator that `save` wrote.

        Raises:
            StoreError: the weights do not fit the card.
        """
        fields = from_card(kind, card, folder)
        recipe, (channels, size, _) = fields["recipe"], fields["shape"]
        conditional = recipe.scope == "conditional"
        told, num = (
            (len(fields["class_names"]), 1) if conditional else (0, sum(count > 0 for count in fields["counts"]))
        )
        tensors = load_file(folder / "generator.safetensors")
        networks, memories = [], []
        with rng.forked():
            for place in range(num):
                nets = {name: recipe.networks(channels, size, told)[name] for name in recipe.sampled}
                for name, network in nets.items():
                    try:
                        network.load_state_dict(_under(tensors, f"{place}.{name}."))
                    except RuntimeError as error:
                        raise StoreError(f"{folder}: the weights do not fit the card: {error}") from None
                    network.eval()
                networks.append(nets)
                memories.append(_under(tensors, f"{place}.memory."))
        return cls(**fields, networks=tuple(networks), memories=tuple(memories))


def _under(tensors: Mapping[str, torch.Tensor], mark: str) -> dict[str, torch.Tensor]:
    return {name[len(mark) :]: tensor for name, tensor in tensors.items() if name.startswith(mark)}
