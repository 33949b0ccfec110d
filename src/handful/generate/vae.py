"""Convolutional variational autoencoders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field, model_validator
from torch import nn
from torch.nn import functional as F

from handful import rng
from handful.data.images import View
from handful.generate.neural import LossFn, Memory, Nets, NeuralRecipe, Noise
from handful.generate.vae_networks import S1VAE, ConvVAE
from handful.nn.encoders import S1_BLOCKS, Encoder
from handful.nn.train import Training

_PUBLISHED: dict[str, Any] = {
    "optimizer": "adam",
    "weight_decay": 0.0,
    "schedule": "constant",
    "eval_every": 500,
    "keep": "last",
}


class VAE(NeuralRecipe):
    """Auto-encoding variational Bayes (Kingma and Welling 2014, eq. 10) with convolutions.

    The encoder halves the picture `depth` times; the decoder doubles it back. A network told the class (Sohn et al.
    2015) sees a one-hot class beside the encoder's features and beside the code.

    Preset `s0` is that of study S0: told the class, BCE, 800 epochs with Adam at 1e-3 (it tried 1e-4 as well). S0 kept
    one model per class; with scope `per-class` the one-hot class, the same for every picture, is left out. Layers, code
    length and batch size are not published. Preset `s1` is S1's network for 64 px, one per class, a code of 512, Adam
    at 1e-4 for 10,000 epochs, in the reading `s1-75`; `network="s1-stride"` is the other. S1 names its reconstruction
    error BCE and describes a mean squared error: both are here. Its batch size is not published.

    Args:
        network: `conv`, for any size from 4 px up, or S1's table in one of its two readings, `s1-75` and `s1-stride`,
            for 64 px; see `ConvVAE` and `S1VAE`.
        latent: length of the code.
        width: filters of the first block; each further block has twice as many.
        depth: number of halvings, fewer where the map would fall under 2 px; None: 3, in S1's network always 6 layers.
        reconstruction: `bce` (pixels as probabilities) or `mse` (Gaussian with variance 1/2), summed over the picture.
        beta: weight of the KL term (Higgins et al. 2017); 1 is the evidence bound.
        warmup: share of the steps over which the KL weight rises linearly from 0.
    """

    kind: Literal["vae"] = "vae"
    rebuilds: ClassVar[bool] = True
    encodes: ClassVar[bool] = True
    sampled: ClassVar[tuple[str, ...]] = ("vae",)
    network: Literal["conv", "s1-75", "s1-stride"] = "conv"
    latent: Annotated[int, Field(ge=1)] = 32
    width: Annotated[int, Field(ge=1)] = 32
    depth: Annotated[int, Field(ge=1, le=8)] | None = None
    reconstruction: Literal["bce", "mse"] = "bce"
    beta: Annotated[float, Field(ge=0)] = 1.0
    warmup: Annotated[float, Field(ge=0, le=1)] = 0.2
    training: Training = Training(steps=1500, lr=2e-3, weight_decay=0.0, eval_every=100, keep="best")
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "s0": {"training": Training(**_PUBLISHED, epochs=800, lr=1e-3)},
        "s1": {
            "network": "s1-75",
            "view": View(size=64, channels=3),
            "scope": "per-class",
            "latent": 512,
            "warmup": 0.0,
            "training": Training(**_PUBLISHED, epochs=10_000, lr=1e-4),
        },
    }

    @model_validator(mode="after")
    def _s1_has_its_depth(self) -> VAE:
        if self.network != "conv" and self.depth not in (None, S1_BLOCKS):
            raise ValueError(f"the network {self.network!r} has 6 layers, got depth={self.depth}; leave it out")
        return self

    def describe(self) -> dict[str, Any]:
        described = super().describe()
        return described if self.network == "conv" else {**described, "version": 2}  # its weights have new names

    @property
    def encoder(self) -> Encoder:
        """The convolutions, before the class is told."""
        self.one_encoder()
        depth = (3 if self.depth is None else self.depth) if self.network == "conv" else None
        return Encoder(family=self.network, width=self.width, depth=depth)

    def networks(self, channels: int, size: int, num_classes: int) -> dict[str, nn.Module]:
        given = {"latent": self.latent, "width": self.width}
        if self.network == "conv":
            return {"vae": ConvVAE(channels, size, num_classes, **given, depth=3 if self.depth is None else self.depth)}
        return {"vae": S1VAE(channels, size, num_classes, **given, wider=self.network == "s1-75")}

    def noise(self, shape: tuple[int, int, int, int], stream: torch.Generator, device: str) -> Noise:
        return {"code": torch.randn(shape[0], self.latent, generator=stream, device=device)}

    @property
    def phases(self) -> tuple[tuple[str, LossFn], ...]:
        return (("vae", self.loss),)

    def loss(self, nets: Nets, images: torch.Tensor, labels: torch.Tensor, noise: Noise, done: float) -> torch.Tensor:
        """Return the mean over pictures of reconstruction + beta KL, in nats per picture."""
        mu, logvar = nets["vae"](images, labels, "encode")
        logits = nets["vae"](mu + noise["code"] * (0.5 * logvar).exp(), labels, "decode")
        if self.reconstruction == "bce":
            error = F.binary_cross_entropy_with_logits(logits, images, reduction="sum")
        else:
            error = F.mse_loss(logits.sigmoid(), images, reduction="sum")
        beta = self.beta * (min(1.0, done / self.warmup) if self.warmup else 1.0)
        return (error + beta * kl_to_standard_normal(mu, logvar).sum()) / len(images)

    def draw(self, nets: Nets, labels: torch.Tensor, seeds: Sequence[int], memory: Memory) -> torch.Tensor:
        codes = torch.stack([torch.randn(self.latent, generator=rng.torch_rng(seed, "vae")) for seed in seeds])
        pictures: torch.Tensor = nets["vae"](codes.to(labels.device), labels, "decode").sigmoid()
        return pictures

    def rebuild_with(self, nets: Nets, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Return every picture decoded from the mean of its code."""
        code = nets["vae"](images, labels, "encode")[0]
        pictures: torch.Tensor = nets["vae"](code, labels, "decode").sigmoid()
        return pictures


def kl_to_standard_normal(mu: torch.Tensor, logvar: torch.Tensor) -> torch.Tensor:
    """Return [B], KL(N(mu, diag exp logvar) || N(0, I)) in nats (Kingma and Welling 2014, appendix B)."""
    return -0.5 * (1 + logvar - mu**2 - logvar.exp()).sum(dim=1)
