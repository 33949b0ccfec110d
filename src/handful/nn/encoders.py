"""What encoders are made of: those of the autoencoders and VAEs, and the networks that a classifier makes of them.

An encoder gives what a classifier may inherit: the convolutions, before the class is told to a network that is told
it, and in S4's network, which never is, also the linear code. It sees pictures in [0, 1], not normalised further.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field, model_validator
from torch import nn
from torch.nn import functional as F

from handful.errors import ConfigError, DataError
from handful.nn.dropout import Dropout
from handful.nn.network import Network, NetworkRecipe, Start

Family = Literal["conv", "s4", "s1-75", "s1-stride"]
LEAST = 2
S4_SIZE, S4_MAP = 28, (32, 5, 5)
S1_SIZE, S1_WIDER, S1_BLOCKS, S1_SLOPE = 64, 75, 6, 0.02
Masks = Sequence[torch.Tensor]


def sides(size: int, depth: int) -> tuple[int, ...]:
    """Return the sides of the maps, from `size` down: halved (rounded up) `depth` times, but not under 2 px."""
    out = [size]
    while len(out) <= depth and out[-1] > LEAST:
        out.append((out[-1] + 1) // 2)
    return tuple(out)


def widths(channels: int, width: int, halvings: int) -> tuple[int, ...]:
    """Return the channels of the maps: those of the picture, then `width` doubled with every further halving."""
    return (channels, *(width * 2**block for block in range(halvings)))


class Halving(nn.Module):
    """Blocks of a 3x3 convolution with stride 2, batch norm and ReLU: [B, C, S, S] => maps of shape `map`.

    Args:
        channels, size: of the pictures, [B, channels, size, size].
        width: filters of the first block; each further block has twice as many.
        depth: number of blocks; fewer where the map would fall under 2 px.
        dropout: rate after every block; a generator gives masks instead.
    """

    def __init__(self, channels: int, size: int, *, width: int, depth: int, dropout: float = 0.0) -> None:
        super().__init__()
        sizes = sides(size, depth)
        filters = widths(channels, width, len(sizes) - 1)
        self.map = (filters[-1], sizes[-1], sizes[-1])
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(before, after, 3, stride=2, padding=1), nn.BatchNorm2d(after), nn.ReLU(), *_drop(dropout)
            )
            for before, after in pairwise(filters)
        )

    def forward(self, images: torch.Tensor, masks: Masks = ()) -> torch.Tensor:
        """Return maps [B, *map] for pictures; in training each block's map is multiplied by its mask."""
        maps = images
        for place, block in enumerate(self.blocks):
            maps = block(maps)
            if self.training and masks:
                maps = maps * masks[place]
        return maps


class S4Block(nn.Module):
    """A 3x3 convolution without padding, ReLU, dropout and 2x2 max pooling."""

    def __init__(self, before: int, after: int, dropout: float) -> None:
        super().__init__()
        self.conv = nn.Conv2d(before, after, 3)
        self.rest = nn.Sequential(nn.ReLU(), *_drop(dropout))

    def forward(self, maps: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        maps = self.rest(self.conv(maps))
        return F.max_pool2d(maps if mask is None else maps * mask, 2)


class S4Encoder(nn.Module):
    """The encoder of S4 (Nieto 2023, figures 1 and 2) for 28 px grey pictures: [B, 1, 28, 28] => codes [B, latent].

    28 - 26 - 13 - 11 - 5: two convolutions, each with ReLU, dropout and 2x2 max pooling, reach the published 32 x 5 x 5
    where every one takes off 2 px, a filter of k px with padding (k - 3) / 2: here 3x3 without padding. Then a linear
    layer and ReLU. Not published, and chosen here: `width` filters of the first.

    Raises:
        DataError: other pictures.
    """

    def __init__(self, channels: int, size: int, *, latent: int, width: int, dropout: float = 0.0) -> None:
        require_fit("s4", channels, size)
        super().__init__()
        self.blocks = nn.ModuleList([S4Block(1, width, dropout), S4Block(width, S4_MAP[0], dropout)])
        self.code = nn.Linear(math.prod(S4_MAP), latent)

    def forward(self, images: torch.Tensor, masks: Masks = ()) -> torch.Tensor:
        """Return codes [B, latent]; in training the map of each convolution is multiplied by its mask."""
        maps = images
        for place, block in enumerate(self.blocks):
            maps = block(maps, masks[place] if self.training and masks else None)
        return F.relu(self.code(maps.flatten(1)))


class S1Encoder(nn.Module):
    """The six convolutions of table 1 of S1: [B, C, 64, 64] => maps [B, 32 width, 2, 2].

    All filters are 3x3 with padding 1; a convolution is followed by leaky ReLU (0.02) and batch norm, as published.
    With stride 2 in every layer, six of them take 64 px to 1024 x 1 x 1, not to the published 4096 = 1024 x 2 x 2. Two
    readings fit: pictures of 75 px (75 - 38 - 19 - 10 - 5 - 3 - 2), here those of 64 px enlarged bilinearly; or a first
    layer of stride 1 (64 - 64 - 32 - 16 - 8 - 4 - 2).

    Args:
        width: filters of the first block, 32 in S1; each further block has twice as many.
        wider: the first reading.

    Raises:
        DataError: another size.
    """

    def __init__(self, channels: int, size: int, *, width: int, wider: bool, dropout: float = 0.0) -> None:
        require_fit("s1-75", channels, size)
        super().__init__()
        self.wider = wider
        filters = widths(channels, width, S1_BLOCKS)
        self.map = (filters[-1], 2, 2)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(before, after, 3, 1 if place == 0 and not wider else 2, 1),
                nn.LeakyReLU(S1_SLOPE),
                nn.BatchNorm2d(after),
                *_drop(dropout),
            )
            for place, (before, after) in enumerate(pairwise(filters))
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        maps = images
        if self.wider:
            maps = F.interpolate(images, size=(S1_WIDER, S1_WIDER), mode="bilinear", align_corners=False)
        for block in self.blocks:
            maps = block(maps)
        return maps


def require_fit(family: Family, channels: int, size: int) -> None:
    """Raise DataError where a family does not take such pictures."""
    if family == "s4" and (channels, size) != (1, S4_SIZE):
        raise DataError(
            f"the network 's4' takes grey pictures of {S4_SIZE} px, got {channels} channels of {size} px; give the "
            "recipe view=View(size=28, channels=1), or use network='conv'"
        )
    if family in ("s1-75", "s1-stride") and size != S1_SIZE:
        raise DataError(
            f"S1's network is for pictures of {S1_SIZE} px, got {size} px; give the recipe view=View(size=64), or "
            "use network='conv', which takes any size"
        )


def _drop(rate: float) -> list[nn.Module]:
    return [Dropout(rate)] if rate else []


class Encoder(NetworkRecipe):
    """A classifier on what an autoencoder or a VAE codes pictures with: the encoder, then one linear layer.

    S4's classifier (Nieto 2023, figure 2) is `Encoder(family="s4", relu=True)`: its linear layer is followed by ReLU,
    then by softmax. ReLU there makes no logit lower than 0: a class whose logit would be negative gets the share of
    a 0 and no gradient that could raise it, and where all are, the answer is uniform. The default is plain logits.

    Weights are random unless an arm's `pretrain` gives those of a fitted encoder.

    Args:
        family: `conv`, the halving convolutions, for any size from 4 px; `s4`, for 28 px grey pictures; `s1-75` and
            `s1-stride`, for 64 px; see `Halving`, `S4Encoder` and `S1Encoder`.
        latent: length of the linear code of `s4`, 64 by default; the other families have none.
        width: filters of the first block; None: 32, in `s4` 16.
        depth: number of blocks of `conv`, 3 by default.
        dropout: rate after every block (in `s4` before its pooling), as while its encoder was fitted; a classifier's
            own `dropout` changes it.
        relu: ReLU between the linear layer and the softmax.
    """

    kind: Literal["encoder"] = "encoder"
    family: Family = "conv"
    latent: Annotated[int, Field(ge=1)] | None = None
    width: Annotated[int, Field(ge=1)] | None = None
    depth: Annotated[int, Field(ge=1, le=8)] | None = None
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    relu: bool = False

    own: ClassVar[dict[str, int]] = {"conv": 32, "s4": 16, "s1-75": 32, "s1-stride": 32}

    @model_validator(mode="after")
    def _family_has_it(self) -> Encoder:
        faults = []
        if self.latent is not None and self.family != "s4":
            faults.append(f"latent={self.latent}: only the family 's4' has a code, got {self.family!r}; leave it out")
        if self.depth is not None and self.family != "conv":
            faults.append(f"depth={self.depth}: the family {self.family!r} has a depth of its own; leave it out")
        if faults:
            raise ConfigError(*faults)
        return self

    def body(self, channels: int, size: int, dropout: float | None = None) -> Halving | S4Encoder | S1Encoder:
        """Return the encoder with random weights from torch's global stream.

        Raises:
            DataError: the family does not take these pictures.
        """
        width, rate = self.width or self.own[self.family], self.dropout if dropout is None else dropout
        if self.family == "conv":
            return Halving(channels, size, width=width, depth=self.depth or 3, dropout=rate)
        if self.family == "s4":
            return S4Encoder(channels, size, latent=self.latent or 64, width=width, dropout=rate)
        return S1Encoder(channels, size, width=width, wider=self.family == "s1-75", dropout=rate)

    def build(self, channels: int, size: int, num_classes: int, dropout: float | None) -> Network:
        body = self.body(channels, size, dropout)
        num = body.code.out_features if isinstance(body, S4Encoder) else math.prod(body.map)
        head: list[nn.Module] = [nn.Flatten(), nn.Linear(num, num_classes), *([nn.ReLU()] if self.relu else [])]
        return Network(body, nn.Sequential(*head))

    def start(self, network: Network) -> Start:
        """Keep the random weights, behind the scale of pictures that an encoder is fitted on: [0, 1] as they are."""
        channels = next(network.body.parameters()).shape[1]
        return Start(mean=(0.0,) * channels, std=(1.0,) * channels)
