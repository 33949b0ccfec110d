"""A network of the table, trained from random weights or from those it starts with."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, model_validator
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional as F

from handful import rng
from handful.classify.contract import Classifier, ClassifierRecipe, check_parts
from handful.classify.loss import Loss
from handful.classify.tuning import Tuning
from handful.classify.views import flips_of, num_flips, views_of
from handful.config import recipe_from
from handful.data.balance import Balance, balance_of, weights_of
from handful.data.draws import Draws
from handful.data.images import LabeledImages
from handful.data.mirrored import with_mirrored
from handful.errors import ConfigError, DataError, StoreError
from handful.nn.batches import Batch, Batches
from handful.nn.custom import require_trust
from handful.nn.inherited import Inherited
from handful.nn.network import DropoutRates, Network, Start, built, pooled
from handful.nn.networks import AnyNetwork
from handful.nn.train import How, train_networks
from handful.nn.weight_files import write_tensors
from handful.scores import auc

Told = tuple[str, torch.Tensor, dict[str, torch.Tensor]]
CHUNK = 256
LOOKED_AT = 500  # training pictures whose scores are taken at the end of a fit
MOST_KEPT = 2**31  # bytes of a frozen body's maps


class CNN(ClassifierRecipe):
    """A network of the table, from the weights it starts with: random ones, or those its recipe names.

    Args:
        network: a name of `handful.nn.networks.NETWORKS` (`base`, `v2`, `v3`, ...), or a recipe of one with fields.
        dropout: one rate for all its dropout layers (in a model of timm, for its head), or (first, last), a linear ramp
            over them from the pictures on; None: the network's own.
        tuning: what of it is trained when: frozen, thawed in turn, learning rates by depth.
        tta: views drawn from `augment` whose probabilities are averaged with those of the picture itself (test-time
            augmentation); they depend on the picture's content alone. `flips`: the mirror images that `augment`
            allows instead, none where it allows none. It holds for `predict_proba`, not for the looks at validation
            while training.
    """

    VERSION: ClassVar[int] = 2  # 1: dropout by torch's own masks on a CPU

    kind: Literal["cnn"] = "cnn"
    network: AnyNetwork = Field(default="v3")  # type: ignore[assignment]  # read by its validator
    dropout: DropoutRates | None = None
    tuning: Tuning = Tuning()
    tta: Annotated[int, Field(ge=0)] | Literal["flips"] = 0

    @model_validator(mode="after")
    def _views_are_drawn(self) -> CNN:
        if self.tta and self.augment is None:
            raise ConfigError(f"tta={self.tta} draws its views from augment, which is None: give one, or leave tta out")
        return self

    @property
    def num_views(self) -> int:
        """How many pictures the network sees for each that is to be told."""
        if not self.tta or self.augment is None:
            return 1
        return num_flips(self.augment) if self.tta == "flips" else 1 + self.tta

    def views(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Return the `num_views` views of each picture, float [B, C, H, W] in [0, 1] each."""
        if not self.tta or self.augment is None:
            return [images]
        return list(flips_of(images, self.augment) if self.tta == "flips" else views_of(images, self.augment, self.tta))

    def resolved(self) -> Self:
        return self.changed(network=self.network.resolved(self.view.size))

    def fit(
        self,
        train: LabeledImages,
        val: LabeledImages | None,
        *,
        seed: int,
        order_seed: int | None = None,
        flaws: Collection[str] = (),
        encoder: Inherited | None = None,
        how: How | None = None,
    ) -> CNNClassifier:
        check_parts(self, train, val, flaws, encoder)
        train = with_mirrored(train, self.mirror_pairs)
        how = how or How()
        order_seed = seed if order_seed is None else order_seed
        channels = train.pixels.shape[1]
        module, start = started(self, train, seed, encoder)
        module = module.to(how.device)
        pixels, labels = _on_device(train, how.device)
        balance = balance_of(self.balance)
        loss = Loss.of(balance, train.counts, how.device, self.label_smoothing)
        stream = _Stream(self, train, balance, order_seed)
        partners = _Stream(self, train, balance, rng.derive(order_seed, "partners"))
        given = _Given(self, module, pixels)

        def seen(batch: Batch, draws: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            index = torch.from_numpy(batch.index).to(how.device)
            return given.at(index, draws), labels[index]

        def step(batch: Batch) -> Iterator[Told]:
            self.tuning.set_modes(module.network, batch.step)
            batch, draws = stream.at(batch, how.device)
            images, own = seen(batch, draws)
            if self.mix is None:
                logits = given.logits(images)
                yield "classifier", loss(logits, own), {"accuracy": _hits(logits, own).mean()}
            else:
                others, other = seen(*partners.at(batch, how.device))
                images, share = self.mix.apply(images, others, draws)
                logits = given.logits(images)
                hits = share * _hits(logits, own) + (1 - share) * _hits(logits, other)
                yield "classifier", loss(logits, own, other, share), {"accuracy": hits.mean()}

        evaluate, contents = None, set(train.origin.content.tolist())
        some = rng.numpy_rng(order_seed, "looked at").permutation(len(train))[:LOOKED_AT]
        looked_at = torch.from_numpy(np.sort(some)).to(how.device)
        if val is not None and len(val):
            val_pixels, val_labels = _on_device(val, how.device)
            contents |= set(val.origin.content.tolist())

            def evaluate() -> dict[str, float]:
                return _validate(module, val_pixels, val_labels)

        history = train_networks(
            {"classifier": module},
            step,
            recipe=self.training,
            num=len(train),
            seed=order_seed,
            evaluate=evaluate,
            groups={"classifier": self.tuning.groups(module.network, module)},
            how=how,
        )
        final = {"train": _final(module, pixels[looked_at], labels[looked_at])}
        if val is not None and len(val):
            final["val"] = _final(module, val_pixels, val_labels)
        told = {**history.to_json(), "final": final}
        if encoder is not None:
            told["pretraining"], contents = encoder.history, contents | encoder.seen
        return CNNClassifier(
            self, train.class_names, channels, frozenset(contents), told, module.cpu(), start.to_json()
        )


def started(recipe: CNN, train: LabeledImages, seed: int, encoder: Inherited | None = None) -> tuple[Normalised, Start]:
    """Return the network of a recipe as its training starts, and where its weights came from."""
    channels, size = train.pixels.shape[1], train.pixels.shape[2]
    with rng.forked(rng.derive(seed, "init")):
        network = built(recipe.network, channels, size, train.num_classes, recipe.dropout)
        start = recipe.network.start(network)
        if encoder is not None:  # after the start, which the head keeps
            start = encoder.put_into(network)
    if start.mean is None or start.std is None:
        mean, std = channel_stats(train.pixels)
    else:
        mean, std = torch.tensor(start.mean), torch.tensor(start.std)
    return Normalised(network, mean, std), start


class _Given:
    """What a network is given in training: pictures, or what its frozen body made of them once."""

    def __init__(self, recipe: CNN, module: Normalised, pixels: torch.Tensor) -> None:
        self._augment, self._module, self._pixels = recipe.augment, module, pixels
        self._maps: torch.Tensor | None = None
        if recipe.tuning.frozen and recipe.augment is None and recipe.mix is None:
            self._maps = self._once()

    def at(self, index: torch.Tensor, draws: torch.Tensor) -> torch.Tensor:
        if self._maps is not None:
            return self._maps[index]
        images = self._pixels[index]
        return images.float() / 255 if self._augment is None else self._augment.apply(images, draws)

    def logits(self, given: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = self._module(given) if self._maps is None else self._module.network.head(given)
        return made

    def _once(self) -> torch.Tensor | None:
        """What the body gives for every picture; None where that is more than MOST_KEPT bytes."""
        self._module.eval()
        kept, size = [], 0
        with torch.no_grad():
            for chunk in torch.split(self._pixels, CHUNK):
                kept.append(self._module.maps(chunk.float() / 255))
                size += kept[-1].numel() * 4
                if size > MOST_KEPT:
                    return None
        return torch.cat(kept)


class _Stream:
    """Batches of a training part as its balance draws them, and the numbers that name their augmentation."""

    def __init__(self, recipe: CNN, train: LabeledImages, balance: Balance, seed: int) -> None:
        labels = train.labels if balance.level else None
        self._batches = Batches(len(train), recipe.training.batch_size, seed, labels, balance.level)
        self._parts = recipe.training.accumulate
        self._draws = Draws(len(train), seed)
        self._named = recipe.augment is not None or recipe.mix is not None

    def at(self, given: Batch, device: str) -> tuple[Batch, torch.Tensor]:
        batch = self._batches.at(given.step).parts(self._parts)[given.part]
        return batch, self._draws.at(batch.epoch, batch.slot).to(device) if self._named else torch.empty(0)


@dataclass(frozen=True)
class CNNClassifier(Classifier):
    """A fitted network.

    Args:
        module: the network behind its normalisation, in evaluation mode.
        start: `source` and `digest` of the weights it started from.
    """

    recipe: CNN
    module: Normalised
    start: dict[str, str]

    def predict_proba(self, images: LabeledImages | NDArray[np.uint8], *, device: str = "cpu") -> NDArray[np.float32]:
        at_once = max(1, CHUNK // self.recipe.num_views)
        probs = [chunk.cpu().numpy() for chunk in self._each(images, device, self.probabilities, at_once)]
        return np.concatenate([np.empty((0, len(self.class_names)), dtype=np.float32), *probs])

    def probabilities(self, images: torch.Tensor) -> torch.Tensor:
        """Return [N, K], what `predict_proba` does, for float pictures in [0, 1] on the network's device."""
        views = self.recipe.views(images)
        # one pass: an ONNX file holds the network once
        together: torch.Tensor = self.module(torch.cat(views)).softmax(dim=1)
        return together.reshape(len(views), -1, together.shape[1]).mean(0)

    def described(self) -> dict[str, Any]:
        mean, std = (value.flatten().tolist() for value in (self.module.mean, self.module.std))
        return {"network": self.recipe.to_json()["network"], "start": self.start, "mean": mean, "std": std}

    def features(self, images: LabeledImages | NDArray[np.uint8], *, device: str = "cpu") -> NDArray[np.float32]:
        found = [chunk.cpu().numpy() for chunk in self._each(images, device, self._pooled)]
        return np.concatenate(found) if found else np.empty((0, 0), dtype=np.float32)

    def _pooled(self, images: torch.Tensor) -> torch.Tensor:
        return pooled(self.module.maps(images))

    def _each(
        self,
        images: LabeledImages | NDArray[np.uint8],
        device: str,
        function: Callable[[torch.Tensor], torch.Tensor],
        at_once: int = CHUNK,
    ) -> Iterator[torch.Tensor]:
        """What a function gives for the pictures, float in [0, 1], chunk by chunk, in evaluation mode."""
        pixels = images.pixels if isinstance(images, LabeledImages) else images
        want = (self.channels, self.recipe.view.size, self.recipe.view.size)
        if pixels.ndim != 4 or pixels.shape[1:] != want or pixels.dtype != np.uint8:
            raise DataError(
                f"this classifier takes uint8 pictures {['N', *want]}, got {pixels.dtype} {list(pixels.shape)}"
            )
        self.module.to(device).eval()
        for start in range(0, len(pixels), at_once):
            chunk = torch.from_numpy(np.array(pixels[start : start + at_once])).to(device)
            with torch.inference_mode():
                made = function(chunk.float() / 255)
            yield made

    def save(self, folder: str | Path) -> None:
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        seen = np.frombuffer(b"".join(sorted(self.seen)), dtype=np.uint8).reshape(-1, 32)
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in self.module.state_dict().items()}
        write_tensors(folder / "classifier.safetensors", {**tensors, "seen": torch.from_numpy(seen.copy())})
        card = {
            "handful": "classifier",
            "recipe": self.recipe.to_json(),
            "class_names": list(self.class_names),
            "channels": self.channels,
            "history": self.history,
            "start": self.start,
        }
        (folder / "classifier.json").write_text(json.dumps(card, indent=1), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path, card: dict[str, Any], *, trust_code: bool = False) -> CNNClassifier:
        recipe = recipe_from(CNN, card["recipe"], str(folder))
        if not trust_code:
            require_trust(recipe.network, folder)
        names, channels = tuple(card["class_names"]), int(card["channels"])
        tensors = load_file(folder / "classifier.safetensors")
        seen = frozenset(row.tobytes() for row in tensors.pop("seen").numpy())
        with rng.forked():
            network = built(recipe.network, channels, recipe.view.size, len(names), recipe.dropout)
        module = Normalised(network, torch.zeros_like(tensors["mean"]), torch.ones_like(tensors["std"]))
        try:
            module.load_state_dict(tensors)
        except RuntimeError as error:
            raise StoreError(f"{folder}: the weights do not fit the card: {error}") from None
        return cls(recipe, names, channels, seen, dict(card["history"]), module.eval(), dict(card["start"]))


class Normalised(nn.Module):
    """A network behind the channel mean and standard deviation that its weights expect, both [C]."""

    mean: torch.Tensor
    std: torch.Tensor

    network: Network

    def __init__(self, network: Network, mean: torch.Tensor, std: torch.Tensor) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", mean.view(1, -1, 1, 1))
        self.register_buffer("std", std.view(1, -1, 1, 1))
        self.to(memory_format=torch.channels_last)  # 1.3 times faster on a CPU

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.network.head(self.maps(images))
        return logits

    def maps(self, images: torch.Tensor) -> torch.Tensor:
        """Return what the body gives for pictures in [0, 1]; one channel becomes three where `mean` has three."""
        scaled = ((images - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
        made: torch.Tensor = self.network.body(scaled)
        return made


def channel_stats(pixels: NDArray[np.uint8]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return mean and standard deviation per channel, float32 [C] each, of pictures in [0, 1]."""
    values = np.arange(256) / 255
    counts = np.stack([np.bincount(pixels[:, c].reshape(-1), minlength=256) for c in range(pixels.shape[1])])
    share = counts / counts.sum(axis=1, keepdims=True)
    mean = share @ values
    std = np.sqrt(np.maximum(share @ values**2 - mean**2, 0))
    return torch.tensor(mean, dtype=torch.float32), torch.tensor(np.maximum(std, 1e-3), dtype=torch.float32)


def class_weights(counts: NDArray[np.int64]) -> torch.Tensor:
    """Return float32 [K], N / (K n_c): the mean weight of a training picture is 1; 0 for a class without pictures."""
    return torch.tensor(weights_of(Balance(weights="inverse"), counts), dtype=torch.float32)


def _on_device(images: LabeledImages, device: str) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.from_numpy(np.array(images.pixels)).to(device), torch.from_numpy(images.labels.copy()).to(device)


def _hits(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """float [B], 1 where the most probable class is the label."""
    return (logits.detach().argmax(1) == labels).float()


def _final(module: nn.Module, pixels: torch.Tensor, labels: torch.Tensor) -> dict[str, float]:
    """What `_validate` says at the end of a fit, in evaluation mode and without augmentation, and of how many."""
    with torch.no_grad():
        return {**_validate(module, pixels, labels), "num": len(labels)}


def _validate(module: nn.Module, pixels: torch.Tensor, labels: torch.Tensor) -> dict[str, float]:
    """Class-balanced cross-entropy (each class counts the same), accuracy, balanced accuracy and AUC on validation."""
    logits = torch.cat([module(pixels[i : i + CHUNK].float() / 255) for i in range(0, len(pixels), CHUNK)])
    weights = class_weights(np.bincount(labels.cpu().numpy(), minlength=logits.shape[1])).to(logits.device)
    right = (logits.argmax(1) == labels).float()
    finite = bool(torch.isfinite(logits).all())
    area = auc(labels.cpu().numpy(), logits.softmax(1).cpu().numpy()) if finite else math.nan
    return {
        "loss": float(F.cross_entropy(logits, labels, weight=weights)),
        "accuracy": float(right.mean()),
        "balanced_accuracy": float((right * weights[labels]).mean()),
        **({"auc": area} if math.isfinite(area) else {}),
    }
