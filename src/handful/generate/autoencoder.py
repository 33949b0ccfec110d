"""Autoencoders, plain and denoising: new pictures by rebuilding, mixing or perturbing the codes of real ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, model_validator
from torch import nn
from torch.nn import functional as F

from handful import rng
from handful.data.images import LabeledImages
from handful.generate.autoencoder_networks import ConvAutoencoder, S4Autoencoder, mask_shapes
from handful.generate.neural import LossFn, Memory, Nets, NeuralRecipe, Noise
from handful.nn.encoders import Encoder
from handful.nn.train import Training

SHAPES = {"conv": {"width": 32, "depth": 3}, "s4": {"width": 16, "depth": 2}}
PERTURBED = 0.5
CODED = 500


class Autoencoder(NeuralRecipe):
    """An autoencoder (Hinton and Salakhutdinov 2006) whose pictures come from the codes of its training pictures.

    A code has no distribution to sample from, so a new picture starts at training pictures of its class: `new` says
    how. A generator therefore keeps what it starts from, codes or pictures, beside its network.

    Preset `s0` is study S0's choice: denoising, more layers, MSE, SGD, one network per class, the best on validation;
    600 epochs for classes with many pictures and 800 for those with few. S0 gives no border and neither layers, noise
    nor learning rate: 30 pictures, 4 blocks, 0.1 and 0.5 are choices made here. Validation is looked at every 50 steps,
    where S0 did after every epoch. It kept the last 80 reconstructions, before that the best: the selections `last`,
    and `ssim` with match="best". Preset `s4` is S4's as it was trained: Adam at 1e-3, minibatches of 100, 20 epochs,
    the last weights. S4's error is a mean over pixels in [0, 1]: half a sum over 784 pixels, as its equation 1 has it,
    could not be as small as the numbers it prints.

    Args:
        network: `conv` (any size from 4 px, told the class in scope `conditional`), or `s4`, the published network for
            28 px grey pictures, which is never told the class; see `ConvAutoencoder` and `S4Autoencoder`.
        latent: length of the code.
        width: filters of the first block; None: 32, in `s4` 16.
        depth: number of halvings, fewer where the map would fall under 2 px; None: 3, in `s4` always 2.
        denoising: standard deviation of the Gaussian added to the pictures in training, on their scale of [0, 1], not
            clipped; the target stays clean (Vincent et al. 2008). 0: a plain autoencoder.
        dropout: share of the values of the encoder's maps set to 0 in training; the others grow to make up for it.
        reconstruction: `mse`, `l1` or `bce` (pixels as probabilities), each a mean over pictures, channels and pixels.
        new: `interpolate`, a random convex combination of the codes of two training pictures of the class, decoded;
            `perturb`, a code plus Gaussian noise of half the class's standard deviation of every value (DeVries and
            Taylor 2017), decoded; `reconstruct`, a training picture, with the noise of `denoising` added, rebuilt. The
            parent is the training picture, of two the nearer. Of a class with one training picture the first two are
            its reconstruction, every time.
    """

    kind: Literal["autoencoder"] = "autoencoder"
    rebuilds: ClassVar[bool] = True
    encodes: ClassVar[bool] = True
    sampled: ClassVar[tuple[str, ...]] = ("autoencoder",)
    network: Literal["conv", "s4"] = "conv"
    latent: Annotated[int, Field(ge=1)] = 32
    width: Annotated[int, Field(ge=1)] | None = None
    depth: Annotated[int, Field(ge=1, le=8)] | None = None
    denoising: Annotated[float, Field(ge=0, le=2)] = 0.0
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    reconstruction: Literal["mse", "l1", "bce"] = "mse"
    new: Literal["interpolate", "perturb", "reconstruct"] = "interpolate"
    training: Training = Training(steps=1500, lr=2e-3, weight_decay=0.0, eval_every=100)

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "s0": {
            "scope": "per-class",
            "depth": 4,
            "denoising": 0.1,
            "new": "reconstruct",
            "epochs_by_size": ((0, 800), (30, 600)),
            "training": Training(
                epochs=800, batch_size=16, optimizer="sgd", lr=0.5, weight_decay=0.0, schedule="constant", keep="best"
            ),
        },
        "s4": {
            "network": "s4",
            "latent": 64,
            "dropout": 0.2,
            "training": Training(
                epochs=20, batch_size=100, optimizer="adam", weight_decay=0.0, schedule="constant", eval_every=600
            ),
        },
    }

    @model_validator(mode="after")
    def _s4_has_its_depth(self) -> Autoencoder:
        if self.network == "s4" and self.depth not in (None, SHAPES["s4"]["depth"]):
            raise ValueError(f"the network 's4' has 2 halvings, got depth={self.depth}; leave it out or use 'conv'")
        return self

    @property
    def form(self) -> dict[str, int]:
        """Width and depth with their defaults filled in."""
        given = {"width": self.width, "depth": self.depth}
        return {name: SHAPES[self.network][name] if value is None else value for name, value in given.items()}

    def describe(self) -> dict[str, Any]:
        described = super().describe()
        return described if self.network == "conv" else {**described, "version": 2}  # its weights have new names

    @property
    def encoder(self) -> Encoder:
        """The convolutions, before the class is told; of S4's network, which never is, also the linear code."""
        self.one_encoder()
        width = self.form["width"]
        if self.network == "s4":
            return Encoder(family="s4", latent=self.latent, width=width, dropout=self.dropout)
        return Encoder(family="conv", depth=self.form["depth"], width=width, dropout=self.dropout)

    def networks(self, channels: int, size: int, num_classes: int) -> dict[str, nn.Module]:
        if self.network == "s4":
            return {"autoencoder": S4Autoencoder(channels, size, latent=self.latent, width=self.form["width"])}
        return {"autoencoder": ConvAutoencoder(channels, size, num_classes, latent=self.latent, **self.form)}

    def noise(self, shape: tuple[int, int, int, int], stream: torch.Generator, device: str) -> Noise:
        """Return what is added to the pictures, and a dropout mask per map of the encoder; `{}` where neither is on."""
        drawn = {}
        if self.denoising:
            drawn["added"] = self.denoising * torch.randn(shape, generator=stream, device=device)
        if self.dropout:
            for place, one in enumerate(mask_shapes(self.network, shape[1], shape[2], **self.form)):
                stays = torch.rand((shape[0], *one), generator=stream, device=device) >= self.dropout
                drawn[f"mask{place}"] = stays / (1 - self.dropout)
        return drawn

    @property
    def phases(self) -> tuple[tuple[str, LossFn], ...]:
        return (("autoencoder", self.loss),)

    def loss(self, nets: Nets, images: torch.Tensor, labels: torch.Tensor, noise: Noise, done: float) -> torch.Tensor:
        """Return the error between the clean pictures and what comes of the noisy ones, a mean over all values."""
        given = images + noise["added"] if self.denoising else images
        masks = [noise[f"mask{place}"] for place in range(len(noise) - bool(self.denoising))]
        logits = nets["autoencoder"](given, labels, masks)
        if self.reconstruction == "bce":
            return F.binary_cross_entropy_with_logits(logits, images)
        error = F.mse_loss if self.reconstruction == "mse" else F.l1_loss
        return error(logits.sigmoid(), images)

    def remember(self, nets: Nets, train: LabeledImages) -> Memory:
        """Return labels and source rows of the training pictures, and the pictures or their codes."""
        kept = {"labels": torch.from_numpy(train.labels.copy()), "rows": torch.from_numpy(train.origin.parent.copy())}
        pixels = torch.from_numpy(np.array(train.pixels))
        if self.new == "reconstruct":
            return {**kept, "pixels": pixels}
        device = next(_module(nets).parameters()).device
        codes = []
        for images, labels in zip(torch.split(pixels, CODED), torch.split(kept["labels"], CODED), strict=True):
            told = labels.to(device)
            codes.append(nets["autoencoder"](images.to(device).float() / 255, told, part="encode"))
        return {**kept, "codes": torch.cat(codes)}

    def draw(self, nets: Nets, labels: torch.Tensor, seeds: Sequence[int], memory: Memory) -> torch.Tensor:
        members, given = _members(memory), []
        start = memory["pixels"].float() / 255 if self.new == "reconstruct" else memory["codes"]
        for label, seed in zip(labels.tolist(), seeds, strict=True):
            stream = rng.numpy_rng(seed, "autoencoder")
            own = _own(members, label)
            nearer, farther, weight = _chosen(own, stream)
            if self.new == "interpolate":
                given.append(torch.lerp(start[nearer], start[farther], weight))
                continue
            normal = torch.from_numpy(stream.standard_normal(tuple(start.shape[1:]), dtype=np.float32)).to(start)
            if self.new == "perturb":
                scale = PERTURBED * start[torch.from_numpy(own)].std(dim=0, correction=0)
            else:
                scale = torch.tensor(self.denoising).to(start)
            given.append(start[nearer] + scale * normal)
        part = "both" if self.new == "reconstruct" else "decode"
        pictures: torch.Tensor = nets["autoencoder"](torch.stack(given), labels, part=part).sigmoid()
        return pictures

    def parents(self, labels: NDArray[np.int64], seeds: Sequence[int], memory: Memory) -> NDArray[np.int64]:
        members, rows = _members(memory), memory["rows"].cpu().numpy()
        streams = [rng.numpy_rng(seed, "autoencoder") for seed in seeds]
        nearer = [_chosen(_own(members, int(label)), stream)[0] for label, stream in zip(labels, streams, strict=True)]
        return np.asarray(rows[nearer], dtype=np.int64)

    def rebuild_with(self, nets: Nets, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        pictures: torch.Tensor = nets["autoencoder"](images, labels).sigmoid()
        return pictures


def _module(nets: Mapping[str, Any]) -> nn.Module:
    module = nets["autoencoder"]
    assert isinstance(module, nn.Module)
    return module


def _members(memory: Memory) -> dict[int, NDArray[np.int64]]:
    labels = memory["labels"].cpu().numpy()
    return {int(label): np.flatnonzero(labels == label) for label in np.unique(labels)}


def _own(members: Mapping[int, NDArray[np.int64]], label: int) -> NDArray[np.int64]:
    """Rows of a class; of any other where this network has none of it, whose picture nobody looks at then."""
    return members[label] if label in members else next(iter(members.values()))


def _chosen(own: NDArray[np.int64], stream: np.random.Generator) -> tuple[int, int, float]:
    """Two different members (the same, where there is one only) and the weight of the second, uniform in [0, 1/2]."""
    one, other = stream.choice(own, size=2, replace=len(own) == 1).tolist()
    return one, other, stream.uniform(0, 0.5)
