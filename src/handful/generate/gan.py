"""Generative adversarial networks: a DCGAN for few pictures, and the published ones as presets."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import nn
from torch.nn import functional as F

from handful import rng
from handful.config import Recipe
from handful.errors import ConfigError
from handful.generate.dcgan import DCGANDiscriminator, DCGANGenerator, mask_shapes
from handful.generate.diffaugment import DiffAugment
from handful.generate.gan_presets import PRESETS
from handful.generate.neural import LossFn, Memory, Nets, NeuralRecipe, Noise
from handful.nn.train import Training

Half = Annotated[float, Field(ge=0, le=0.5)]
Positive = Annotated[int, Field(ge=1)]
BEFORE_WINDOW = 1e6  # as far outside as nothing else gets


class Window(Recipe):
    """Losses between which, and the epoch from which, a generator's weights are fit to be kept, as S0 chose them.

    Args:
        from_epoch: nothing before counts.
        generator, discriminator: lowest and highest mean loss since the look before.
    """

    from_epoch: Annotated[int, Field(ge=0)] = 100
    generator: tuple[float, float] = (0.5, 3.0)
    discriminator: tuple[float, float] = (0.3, 2.0)

    @model_validator(mode="after")
    def _ranges(self) -> Self:
        faults = [
            f"{name} is {list(getattr(self, name))}: the lowest comes first"
            for name in ("generator", "discriminator")
            if getattr(self, name)[0] > getattr(self, name)[1]
        ]
        if faults:
            raise ConfigError(*faults)
        return self


class GAN(NeuralRecipe):
    """A generator against a discriminator (Goodfellow et al. 2014), both DCGANs (Radford et al. 2016).

    `GAN.preset("s1")` is a row of PRESETS (`s1`, `s0-1`, `s0-2`, `s0-3`), in a study file
    `{ kind = "gan", from = "s1" }`. Any size from 4 px up.

    Args:
        latent: length of the latent vector.
        width: filters of the generator's last hidden layer; each layer before has twice as many, at most 8 times.
        discriminator_width: of the discriminator's first layer; None: `width`.
        norm: of the discriminator: `batch`, `spectral` (Miyato et al. 2018) or `none`. The generator has batch norm.
        dropout: rate after each hidden layer of the discriminator.
        told: how a discriminator told the class sees it, `projection` or `maps`; the generator sees a one-hot class
            beside its latent vector.
        loss: `bce` (non-saturating, Goodfellow et al. 2014, section 3) or `hinge` (Miyato et al. 2018, eq. 16, 17).
        r1: gamma of the penalty gamma/2 |gradient at real pictures|^2 (Mescheder et al. 2018, eq. 9); 0: none.
        flipped: share of the labels real / synthetic that the discriminator is told wrongly.
        softened: with `bce`, the discriminator's targets are drawn from [0, x] and [1 - x, 1].
        diffaugment: differentiable augmentation of all that the discriminator sees (Zhao et al. 2020); None: none.
        watch: what chooses the weights where `training` keeps the best: `distance`, the kernel distance of samples to
            the validation part, or `window`, the last look at which both losses lie inside `window` (or the nearest).
        window: the losses, and the epoch from which, weights may be kept.
    """

    kind: Literal["gan"] = "gan"
    latent: Positive = 64
    width: Positive = 32
    discriminator_width: Positive | None = None
    norm: Literal["batch", "spectral", "none"] = "batch"
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    told: Literal["projection", "maps"] = "projection"
    loss: Literal["bce", "hinge"] = "bce"
    r1: Annotated[float, Field(ge=0)] = 0.0
    flipped: Half = 0.0
    softened: Half = 0.0
    diffaugment: DiffAugment | None = DiffAugment()
    watch: Literal["distance", "window"] = "distance"
    window: Window = Window()
    training: Training = Training(
        steps=2000,
        lr=4e-4,
        betas=(0.5, 0.999),
        optimizer="adam",
        weight_decay=0.0,
        schedule="constant",
        eval_every=200,
        ema=0.995,
        keep="last",
    )
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = PRESETS
    sampled: ClassVar[tuple[str, ...]] = ("generator",)
    stackable: ClassVar[bool] = True
    val_loss: ClassVar[bool] = False

    @model_validator(mode="after")
    def _possible(self) -> Self:
        faults = []
        if self.r1 and self.norm == "batch":
            faults.append(
                f"r1={self.r1} and norm='batch': batch norm mixes the pictures that the penalty looks at one by one; "
                "set norm to 'spectral' or 'none', or r1 to 0"
            )
        if self.stacked and self.norm == "spectral":
            faults.append("stacked and norm='spectral': its power iteration cannot be stacked; set norm or stacked")
        if self.softened and self.loss == "hinge":
            faults.append(f"softened={self.softened} and loss='hinge': hinge has no targets; use 'bce' or flipped")
        if faults:
            raise ConfigError(*faults)
        return self

    @property
    def phases(self) -> tuple[tuple[str, LossFn], ...]:
        return ("discriminator", self.loss_discriminator), ("generator", self.loss_generator)

    def networks(self, channels: int, size: int, num_classes: int) -> dict[str, nn.Module]:
        return {
            "generator": DCGANGenerator(channels, size, num_classes, latent=self.latent, width=self.width),
            "discriminator": self._discriminator(channels, size, num_classes),
        }

    def _discriminator(self, channels: int, size: int, num_classes: int) -> DCGANDiscriminator:
        return DCGANDiscriminator(
            channels,
            size,
            num_classes,
            width=self.discriminator_width or self.width,
            dropout=self.dropout,
            norm=self.norm,
            told=self.told,
        )

    def noise(self, shape: tuple[int, int, int, int], stream: torch.Generator, device: str) -> Noise:
        """Return latent vectors, and where used dropout masks, augmentation and label noise, each [B, ...].

        The discriminator looks three times in a step: at `real` and `made` pictures, then at those `scored` for the
        generator; each look has draws of its own.
        """
        num, _, size, _ = shape
        masked = sum(math.prod(one) for one in mask_shapes(size, self.discriminator_width or self.width))

        def uniform(length: int) -> torch.Tensor:
            return torch.rand(num, length, generator=stream, device=stream.device).to(device)

        def normal() -> torch.Tensor:
            return torch.randn(num, self.latent, generator=stream, device=stream.device).to(device)

        noise = {"latent_made": normal(), "latent_scored": normal()}
        for look in ("real", "made", "scored"):
            if self.diffaugment is not None:
                noise[f"augment_{look}"] = self.diffaugment.draws(num, stream, device)
            if self.dropout:
                noise[f"keep_{look}"] = uniform(masked) >= self.dropout
        for look in ("real", "made"):
            if self.flipped:
                noise[f"flip_{look}"] = uniform(1)[:, 0] < self.flipped
            if self.softened:
                noise[f"soften_{look}"] = uniform(1)[:, 0] * self.softened
        return noise

    def loss_discriminator(
        self, nets: Nets, images: torch.Tensor, labels: torch.Tensor, noise: Noise, done: float
    ) -> torch.Tensor:
        """Return the loss at real plus that at synthetic pictures (plus the penalty), each a mean over pictures."""
        made = nets["generator"](noise["latent_made"], labels).detach()
        loss = self._loss_at(self._judged(nets, made, labels, noise, "made"), noise, "made")
        real = 2 * images - 1
        if not self.r1:
            return loss + self._loss_at(self._judged(nets, real, labels, noise, "real"), noise, "real")

        def total(pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            logits = self._judged(nets, pictures, labels, noise, "real")
            return logits.sum(), logits

        gradient, (_, logits) = torch.func.grad_and_value(total, has_aux=True)(real)
        penalty: torch.Tensor = self.r1 / 2 * (gradient**2).sum(dim=(1, 2, 3)).mean()
        return loss + self._loss_at(logits, noise, "real") + penalty

    def loss_generator(
        self, nets: Nets, images: torch.Tensor, labels: torch.Tensor, noise: Noise, done: float
    ) -> torch.Tensor:
        """Return how far the discriminator is from taking synthetic pictures for real, a mean over pictures."""
        made = nets["generator"](noise["latent_scored"], labels)
        logits = self._judged(nets, made, labels, noise, "scored")
        return F.softplus(-logits).mean() if self.loss == "bce" else -logits.mean()

    def _judged(
        self, nets: Nets, pictures: torch.Tensor, labels: torch.Tensor, noise: Noise, look: str
    ) -> torch.Tensor:
        if self.diffaugment is not None:
            pictures = self.diffaugment.apply(pictures, noise[f"augment_{look}"])
        logits: torch.Tensor = nets["discriminator"](pictures, labels, noise.get(f"keep_{look}"))
        return logits

    def _loss_at(self, logits: torch.Tensor, noise: Noise, look: str) -> torch.Tensor:
        """The discriminator's mean loss at pictures of one kind, `real` or `made`."""
        target = torch.full_like(logits, look == "real")
        if self.softened:
            target = (target - noise[f"soften_{look}"]).abs()
        if self.flipped:
            target = (target - noise[f"flip_{look}"].to(target)).abs()
        if self.loss == "bce":
            return F.binary_cross_entropy_with_logits(logits, target)
        return F.relu(1 - (2 * target - 1) * logits).mean()

    def draw(self, nets: Nets, labels: torch.Tensor, seeds: Sequence[int], memory: Memory) -> torch.Tensor:
        latent = torch.stack([torch.randn(self.latent, generator=rng.torch_rng(seed, "gan")) for seed in seeds])
        made: torch.Tensor = nets["generator"](latent.to(labels.device), labels)
        return (made + 1) / 2

    def outside(self, means: Mapping[str, float], epoch: float) -> float:
        """Return how far the losses lie outside the window, the larger of the two; inside, the less the later.

        Args:
            means: mean losses by phase since the look before.
            epoch: passes over the training part done.

        Returns:
            A positive number outside, -epoch inside, so that the last look inside is the lowest.
        """
        if epoch < self.window.from_epoch:
            return BEFORE_WINDOW
        ranges = {"generator": self.window.generator, "discriminator": self.window.discriminator}
        gap = max(max(low - means[name], means[name] - high) for name, (low, high) in ranges.items())
        return gap if gap > 0 else -epoch

    def alarm(self, means: Mapping[str, float]) -> str | None:
        """Return what to say where the discriminator has won: it tells nearly all pictures, nothing fools it."""
        least, most = self._won
        if means["discriminator"] > least + 0.1 or means["generator"] < min(0.9 * most, 4.0):
            return None
        return (
            f"the discriminator has won: its loss is {means['discriminator']:.3g}, the generator's "
            f"{means['generator']:.3g}; diffaugment, flipped or dropout make its task harder"
        )

    @property
    def _won(self) -> tuple[float, float]:
        """Losses of discriminator and generator where nothing but the label noise is left.

        Told wrongly with probability p, the best logits are +-log((1 - p) / p), or +-1 under the hinge loss.
        """
        p = self.softened / 2 * (1 - self.flipped) + (1 - self.softened / 2) * self.flipped
        if self.loss == "hinge":
            return 4 * p, 1.0
        return (-2 * (p * math.log(p) + (1 - p) * math.log(1 - p)), -math.log(p)) if p else (0.0, math.inf)
