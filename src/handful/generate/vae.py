"""Convolutional variational autoencoders, told the class or one per class."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional as F

from handful import rng
from handful.data.images import LabeledImages
from handful.errors import StoreError
from handful.generate.contract import Generator, GeneratorRecipe, check_train, fit_digest, from_card
from handful.nn.batches import Batch
from handful.nn.train import How, Training, train_networks

VAL_SEED = 0


class VAE(GeneratorRecipe):
    """Auto-encoding variational Bayes (Kingma and Welling 2014, eq. 10) with convolutions.

    The encoder halves the picture `depth` times; the decoder doubles it back. Any size from 4 px up.

    Args:
        per_class: one network for each class; False: one network told the class (Sohn et al. 2015), which sees a
            one-hot class beside the encoder's features and beside the code.
        latent: length of the code.
        width: filters of the first block; each further block has twice as many.
        depth: number of halvings; fewer where the map would fall under 2 px.
        reconstruction: `bce` (pixels as probabilities) or `mse` (Gaussian with variance 1/2), summed over the picture.
        beta: weight of the KL term (Higgins et al. 2017); 1 is the evidence bound.
        warmup: share of the steps over which the KL weight rises linearly from 0.
        training: optimizer, schedule, steps, per network.
    """

    kind: Literal["vae"] = "vae"
    rebuilds: ClassVar[bool] = True
    per_class: bool = False
    latent: Annotated[int, Field(ge=1)] = 32
    width: Annotated[int, Field(ge=1)] = 32
    depth: Annotated[int, Field(ge=1, le=8)] = 3
    reconstruction: Literal["bce", "mse"] = "bce"
    beta: Annotated[float, Field(ge=0)] = 1.0
    warmup: Annotated[float, Field(ge=0, le=1)] = 0.2
    training: Training = Training(steps=1500, lr=2e-3, weight_decay=0.0, eval_every=100, keep="best")

    def fit(
        self, train: LabeledImages, val: LabeledImages | None, *, seed: int, how: How | None = None
    ) -> VAEGenerator:
        check_train(self, train, val)
        how = how or How()
        present = np.flatnonzero(train.counts)
        networks, history = [], {}
        for name, labels in [(str(label), [int(label)]) for label in present] if self.per_class else [("all", None)]:
            own = train if labels is None else train.of_class(labels[0])
            own_val = val if labels is None or val is None else val.of_class(labels[0])
            with rng.forked(rng.derive(seed, "init", name)):
                network = self.network(train.pixels.shape[1], train.pixels.shape[2], 0 if labels else train.num_classes)
                network.reset()
            history[name] = self._train(network, own, own_val, rng.derive(seed, "fit", name), how.part(name))
            networks.append(network.cpu())
        return VAEGenerator(
            recipe=self,
            class_names=train.class_names,
            counts=tuple(train.counts.tolist()),
            shape=tuple(train.pixels.shape[1:]),
            fitted=fit_digest(self, train, seed),
            history=history,
            networks=tuple(networks),
        )

    def network(self, channels: int, size: int, num_classes: int) -> ConvVAE:
        """Return an untrained network; `num_classes` 0: not told the class."""
        return ConvVAE(channels, size, num_classes, latent=self.latent, width=self.width, depth=self.depth)

    def _train(
        self, network: ConvVAE, part: LabeledImages, val: LabeledImages | None, seed: int, how: How
    ) -> dict[str, Any]:
        network.to(how.device)
        pixels = torch.from_numpy(np.array(part.pixels)).to(how.device)
        labels = torch.from_numpy(part.labels.copy()).to(how.device)
        warm = max(1, round(self.warmup * self.training.steps_for(len(part))))

        def step(batch: Batch) -> Iterator[tuple[str, torch.Tensor]]:
            index = torch.from_numpy(batch.index).to(how.device)
            weight = self.beta * min(1.0, (batch.step + 1) / warm)
            yield "vae", self.loss(network, pixels[index].float() / 255, labels[index], weight)

        evaluate = None
        if val is not None and len(val):
            val_pixels = torch.from_numpy(np.array(val.pixels)).to(how.device).float() / 255
            val_labels = torch.from_numpy(val.labels.copy()).to(how.device)

            def evaluate() -> dict[str, float]:
                torch.manual_seed(VAL_SEED)  # the same noise at every look, inside the loop's own stream
                return {"loss": float(self.loss(network, val_pixels, val_labels, self.beta))}

        history = train_networks(
            {"vae": network}, step, recipe=self.training, num=len(part), seed=seed, evaluate=evaluate, how=how
        )
        return history.to_json()

    def loss(self, network: ConvVAE, images: torch.Tensor, labels: torch.Tensor, beta: float) -> torch.Tensor:
        """Return the mean over pictures of reconstruction + beta KL, in nats per picture.

        Args:
            images: float [B, C, H, W] in [0, 1].
            labels: int64 [B].
        """
        mu, logvar = network.encode(images, labels)
        code = mu + torch.randn_like(mu) * (0.5 * logvar).exp()
        logits = network.decode(code, labels)
        if self.reconstruction == "bce":
            error = F.binary_cross_entropy_with_logits(logits, images, reduction="sum")
        else:
            error = F.mse_loss(logits.sigmoid(), images, reduction="sum")
        return (error + beta * kl_to_standard_normal(mu, logvar).sum()) / len(images)


@dataclass(frozen=True)
class VAEGenerator(Generator):
    """Fitted networks: one told the class, or one per class that has training pictures, in the order of classes."""

    networks: tuple[ConvVAE, ...] = field(repr=False)

    def _make(self, labels: NDArray[np.int64], seeds: Sequence[int]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        assert isinstance(self.recipe, VAE)
        size = self.recipe.latent
        codes = torch.stack([torch.randn(size, generator=rng.torch_rng(seed, "vae")) for seed in seeds])
        pixels = self._through(labels, lambda network, told: network.decode(codes, told))
        return pixels, np.full(len(labels), -1, dtype=np.int64)

    def rebuild(self, images: LabeledImages) -> NDArray[np.uint8]:
        """Return every picture decoded from the mean of its code."""
        labels = self.checked(images.labels)
        inputs = torch.from_numpy(np.array(images.pixels)).float() / 255

        def through(network: ConvVAE, told: torch.Tensor) -> torch.Tensor:
            return network.decode(network.encode(inputs, told)[0], told)

        return self._through(labels, through)

    def _through(
        self, labels: NDArray[np.int64], run: Callable[[ConvVAE, torch.Tensor], torch.Tensor]
    ) -> NDArray[np.uint8]:
        """Logits of `run` as pixels; of each class's own network where there is one per class."""
        told = torch.from_numpy(labels.copy())
        with torch.inference_mode():
            if len(self.networks) == 1 and self.networks[0].num_classes:
                logits = run(self.networks[0].eval(), told)
            else:
                present = [label for label, count in enumerate(self.counts) if count]
                logits = torch.empty(len(labels), *self.shape)
                for label in np.unique(labels):  # the whole chunk through each network: its size stays fixed
                    made = run(self.networks[present.index(int(label))].eval(), told)
                    logits[told == int(label)] = made[told == int(label)]
            pixels: NDArray[np.uint8] = (logits.sigmoid() * 255).round().to(torch.uint8).numpy()
        return pixels

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        tensors = {
            f"{place}.{name}": tensor.detach().contiguous()
            for place, network in enumerate(self.networks)
            for name, tensor in network.state_dict().items()
        }
        save_file(tensors, folder / "generator.safetensors")
        (folder / "generator.json").write_text(json.dumps(self.card(), indent=1), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path, card: dict[str, Any]) -> VAEGenerator:
        fields = from_card(VAE, card, folder)
        recipe, (channels, size, _) = fields["recipe"], fields["shape"]
        num = sum(count > 0 for count in fields["counts"]) if recipe.per_class else 1
        told = 0 if recipe.per_class else len(fields["class_names"])
        with rng.forked():
            networks = tuple(recipe.network(channels, size, told) for _ in range(num))
        tensors = load_file(folder / "generator.safetensors")
        for place, network in enumerate(networks):
            mark = f"{place}."
            own = {name[len(mark) :]: tensor for name, tensor in tensors.items() if name.startswith(mark)}
            try:
                network.load_state_dict(own)
            except RuntimeError as error:
                raise StoreError(f"{folder}: the weights do not fit the card: {error}") from None
        return cls(**fields, networks=tuple(network.eval() for network in networks))


class ConvVAE(nn.Module):
    """Encoder and decoder of stride-2 convolutions with batch norm and ReLU.

    Args:
        channels, size: of the pictures, [B, channels, size, size].
        num_classes: length of the one-hot class it is told; 0: none.
        latent, width, depth: see `VAE`.
    """

    def __init__(self, channels: int, size: int, num_classes: int, *, latent: int, width: int, depth: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        sizes = [size]
        while len(sizes) <= depth and sizes[-1] > 2:
            sizes.append((sizes[-1] + 1) // 2)
        widths = [channels] + [width * 2**block for block in range(len(sizes) - 1)]
        down: list[nn.Module] = []
        for before, after in pairwise(widths):
            down += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.BatchNorm2d(after), nn.ReLU()]
        up: list[nn.Module] = []
        for place in range(len(sizes) - 1, 0, -1):
            even = 1 - sizes[place - 1] % 2  # the inverse of rounding up
            up.append(nn.ConvTranspose2d(widths[place], max(widths[place - 1], width), 3, 2, 1, output_padding=even))
            up += [nn.BatchNorm2d(max(widths[place - 1], width)), nn.ReLU()]
        self.map = (widths[-1], sizes[-1], sizes[-1])
        flat = widths[-1] * sizes[-1] ** 2
        self.down = nn.Sequential(*down, nn.Flatten())
        self.code = nn.Linear(flat + num_classes, 2 * latent)
        self.expand = nn.Linear(latent + num_classes, flat)
        self.up = nn.Sequential(*up, nn.Conv2d(max(channels, width), channels, 3, padding=1))

    def reset(self) -> None:
        """Draw every weight again from torch's global stream."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear | nn.BatchNorm2d):
                module.reset_parameters()

    def encode(self, images: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return mean and log variance of the code, [B, latent] each."""
        mu, logvar = self.code(self._told(self.down(images), labels)).chunk(2, dim=1)
        return mu, logvar.clamp(-20, 10)

    def decode(self, code: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Return logits of the pixels, [B, C, H, W]."""
        maps = self.expand(self._told(code, labels)).view(-1, *self.map)
        logits: torch.Tensor = self.up(F.relu(maps))
        return logits

    def _told(self, values: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        if not self.num_classes:
            return values
        return torch.cat([values, F.one_hot(labels, self.num_classes).to(values)], dim=1)


def kl_to_standard_normal(mu: torch.Tensor, logvar: torch.Tensor) -> torch.Tensor:
    """Return [B], KL(N(mu, diag exp logvar) || N(0, I)) in nats (Kingma and Welling 2014, appendix B)."""
    return -0.5 * (1 + logvar - mu**2 - logvar.exp()).sum(dim=1)
