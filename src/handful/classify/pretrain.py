"""Contrastive pre-training of a classifier's own network on the training part alone, without its labels (SimCLR)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field, model_validator
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional as F

from handful import rng
from handful.classify.cnn import channel_stats
from handful.config import Recipe, digest_of, load_part
from handful.data.augment import Augmentation
from handful.data.draws import Draws
from handful.data.images import LabeledImages, View, require_real
from handful.errors import ConfigError, DataError
from handful.nn.batches import Batch
from handful.nn.network import DropoutRates, NetworkRecipe, Start, built, pooled
from handful.nn.networks import AnyNetwork
from handful.nn.train import How, Training, train_networks
from handful.nn.weight_files import write_tensors

FILE = "pretrained.safetensors"
OF_NO_CLASS = 2  # outputs of the head that a network is built with and that is thrown away


class SimCLR(Recipe):
    """SimCLR (Chen et al. 2020): two augmentations of a picture are pulled together, all other pictures pushed away.

    What the network's body gives, averaged over places, goes through a projection of two layers; the loss is
    `nt_xent`. Labels are never read. The projection is thrown away, the body's weights are what a classifier inherits.

    Args:
        view: how pictures are seen; None: the view of the classifier.
        network: whose body it is; None: the classifier's network. Where it is given, the classifier has it too.
        dropout: one rate for all its dropout layers, or a ramp (first, last); None: the classifier's.
        augment: what makes two pictures of one. It has no flips unless they are asked for.
        temperature: of the loss.
        hidden, projection: widths of the projection's two layers.
        training: budget, optimizer and schedule. It reads no validation, so it cannot keep the best weights.
    """

    VERSION: ClassVar[int] = 3  # 1: the head of a body with weights at zero; 2: dropout by torch's masks on a CPU
    kind: Literal["simclr"] = "simclr"
    view: View | None = None
    network: AnyNetwork | None = None
    dropout: DropoutRates | None = None
    augment: Augmentation = Augmentation.preset("strong", zoom=(0.8, 1.8))
    temperature: Annotated[float, Field(gt=0, le=10)] = 0.5
    hidden: Annotated[int, Field(ge=1)] = 256
    projection: Annotated[int, Field(ge=1)] = 128
    training: Training = Training(steps=1000, batch_size=128, warmup_steps=50, eval_every=100)

    @model_validator(mode="after")
    def _reads_no_validation(self) -> SimCLR:
        needs = self.training.validates
        if needs:
            raise ConfigError(*(f"training.{name} is {found!r}: it reads no validation" for name, found, _ in needs))
        return self

    @property
    def encoder(self) -> NetworkRecipe | None:
        """The network of a classifier that inherits it; None: its own."""
        return self.network

    def fit(
        self, train: LabeledImages, val: LabeledImages | None = None, *, seed: int, how: How | None = None
    ) -> Pretrained:
        """Return the body fitted to `train`; `val` is not read.

        Args:
            train: real pictures in this recipe's view, at least two.
            seed: initialisation, order, augmentation and dropout.
            how: device, checkpoint, progress.

        Raises:
            LeakError: a picture is synthetic.
            DataError: fewer than two pictures.
            ConfigError: no network is given.
        """
        if self.network is None:
            raise ConfigError("pre-training alone, outside of an arm, needs a network: network='v3', for example")
        if len(train) < 2:
            raise DataError(f"contrastive pre-training compares pictures: it needs 2 or more, got {len(train)}")
        require_real(train, "the training part of the pre-training")
        how = how or How()
        channels, size = train.pixels.shape[1], train.pixels.shape[2]
        with rng.forked(rng.derive(seed, "init")):
            network = built(self.network, channels, size, OF_NO_CLASS, self.dropout)
            if not any(True for _ in network.head.parameters()):
                raise ConfigError(
                    f"network {self.network.kind!r} has no head apart from its body, so there is no body to pre-train: "
                    "give it the attributes `body` and `head`"
                )
            start = self.network.start(network)
            module = Contrasted(network.body, _scale(start, train), channels, size, self.hidden, self.projection)
        module = module.to(how.device)
        pixels = torch.from_numpy(np.array(train.pixels)).to(how.device)
        one, other = (Draws(len(train), rng.derive(seed, name)) for name in ("first", "second"))

        def step(batch: Batch) -> Iterator[tuple[str, torch.Tensor]]:
            index = torch.from_numpy(batch.index).to(how.device)
            images = pixels[index]
            seen = [
                self.augment.apply(images, draws.at(batch.epoch, batch.slot).to(how.device)) for draws in (one, other)
            ]
            first, second = module(torch.cat(seen)).chunk(2)
            yield "encoder", nt_xent(first, second, temperature=self.temperature, pictures=index)

        history = train_networks(
            {"encoder": module}, step, recipe=self.training, num=len(train), seed=rng.derive(seed, "order"), how=how
        )
        weights = {name: tensor.detach().cpu().clone() for name, tensor in module.body.state_dict().items()}
        contents = [content.decode() for content in train.origin.content.tolist()]
        return Pretrained(
            recipe=self,
            weights=weights,
            fitted=digest_of([self.describe(), start.digest, seed, contents]),
            mean=tuple(module.mean.view(-1).tolist()),
            std=tuple(module.std.view(-1).tolist()),
            history=history.to_json(),
            source=start.source,
        )


class Contrasted(nn.Module):
    """A network's body behind its normalisation, with a projection: pictures [B, C, H, W] => [B, projection]."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(
        self,
        body: nn.Module,
        scale: tuple[torch.Tensor, torch.Tensor],
        channels: int,
        size: int,
        hidden: int,
        projection: int,
    ) -> None:
        super().__init__()
        self.body = body
        self.register_buffer("mean", scale[0].view(1, -1, 1, 1))
        self.register_buffer("std", scale[1].view(1, -1, 1, 1))
        body.eval()
        with torch.no_grad():
            wide = self.features(torch.zeros(1, channels, size, size)).shape[1]
        self.projection = nn.Sequential(nn.Linear(wide, hidden), nn.ReLU(), nn.Linear(hidden, projection))

    def features(self, images: torch.Tensor) -> torch.Tensor:
        return pooled(self.body((images - self.mean) / self.std))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        projected: torch.Tensor = self.projection(self.features(images))
        return projected


def nt_xent(
    first: torch.Tensor, second: torch.Tensor, *, temperature: float, pictures: torch.Tensor | None = None
) -> torch.Tensor:
    """Return the normalised temperature-scaled cross-entropy, a mean over the 2B augmentations of B pictures.

    For the augmentations i and j of one picture, with s the cosine: -log(exp(s_ij / t) / sum_{k != i} exp(s_ik / t)).

    Args:
        first, second: projections of the two augmentations of each picture, float [B, D].
        temperature: t, above 0.
        pictures: int64 [B], which picture each row shows; other augmentations of the same picture, where a batch holds
            it twice, are left out of the sum. None: all differ.

    Source: Chen, Kornblith, Norouzi and Hinton 2020, equation 1. Checked against a loop over pairs in float64.
    """
    num = len(first)
    given = F.normalize(torch.cat([first, second]).float(), dim=1)
    similar = given @ given.T / temperature  # [2B, 2B]
    rows = torch.arange(2 * num, device=first.device)
    partner = (rows + num) % (2 * num)
    shown = rows % num if pictures is None else torch.cat([pictures, pictures])
    left_out = shown[:, None] == shown[None, :]
    left_out[rows, partner] = False
    return F.cross_entropy(similar.masked_fill(left_out, -torch.inf), partner)


@dataclass(frozen=True)
class Pretrained:
    """A fitted body; fields as of `handful.nn.inherited.Inherited`.

    Args:
        recipe: what was fitted.
    """

    recipe: SimCLR
    weights: dict[str, torch.Tensor]
    fitted: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    history: dict[str, Any]
    source: str = ""

    def save(self, folder: str | Path) -> None:
        """Write it into a folder: safetensors and a JSON card."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        write_tensors(folder / FILE, {name: tensor.contiguous() for name, tensor in self.weights.items()})
        card = {
            "handful": "pretrained",
            "recipe": self.recipe.to_json(),
            "fitted": self.fitted,
            "mean": list(self.mean),
            "std": list(self.std),
            "history": self.history,
            "source": self.source,
        }
        (folder / "pretrained.json").write_text(json.dumps(card, indent=1), encoding="utf-8")


def load_pretrained(folder: str | Path) -> Pretrained:
    """Return what `Pretrained.save` wrote into a folder.

    Raises:
        StoreError: there is nothing, or it is not complete.
    """
    return load_part(folder, "pretrained", {"simclr": _load})


def _load(folder: Path, card: dict[str, Any]) -> Pretrained:
    return Pretrained(
        SimCLR(**card["recipe"]),
        load_file(folder / FILE),
        str(card["fitted"]),
        tuple(card["mean"]),
        tuple(card["std"]),
        dict(card["history"]),
        str(card.get("source", "")),  # cards of earlier versions have none
    )


def _scale(start: Start, train: LabeledImages) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and standard deviation of the channels that a network's weights expect, [C] each."""
    if start.mean is None or start.std is None:
        return channel_stats(train.pixels)
    return torch.tensor(start.mean), torch.tensor(start.std)
