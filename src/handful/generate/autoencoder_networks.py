"""The networks of the autoencoder: S4's, and one of any size and depth."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Literal

import torch
from torch import nn
from torch.nn import functional as F

from handful.generate.halving import Doubling, start_as_he, with_class
from handful.nn.encoders import S4_MAP, S4_SIZE, Halving, S4Encoder, sides, widths

Part = Literal["both", "encode", "decode"]


class Coder(nn.Module, ABC):
    """What both networks share: pictures to codes, codes to logits of pictures, or both in one call."""

    def forward(
        self, given: torch.Tensor, labels: torch.Tensor, masks: Sequence[torch.Tensor] = (), part: Part = "both"
    ) -> torch.Tensor:
        """Return logits of the pixels [B, C, H, W], or with `encode` the codes [B, latent].

        Args:
            given: pictures [B, C, H, W]; with `decode` codes [B, latent].
            labels: int64 [B], heeded where the network is told the class.
            masks: a factor per value of the encoder's maps, for dropout; used in training mode only.
        """
        if part == "decode":
            return self.decode(given, labels)
        code = self.encode(given, labels, masks)
        return code if part == "encode" else self.decode(code, labels)

    @abstractmethod
    def encode(self, images: torch.Tensor, labels: torch.Tensor, masks: Sequence[torch.Tensor]) -> torch.Tensor: ...

    @abstractmethod
    def decode(self, code: torch.Tensor, labels: torch.Tensor) -> torch.Tensor: ...


class ConvAutoencoder(Coder):
    """Halving convolutions, a linear code, and doubling convolutions; told the class where `num_classes` > 0.

    Args:
        channels, size: of the pictures, [B, channels, size, size].
        num_classes: length of the one-hot class beside the encoder's features and beside the code; 0: none.
        latent: length of the code.
        width, depth: see `Halving`.
    """

    def __init__(self, channels: int, size: int, num_classes: int, *, latent: int, width: int, depth: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.down = Halving(channels, size, width=width, depth=depth)
        flat = math.prod(self.down.map)
        self.code = nn.Linear(flat + num_classes, latent)
        self.expand = nn.Linear(latent + num_classes, flat)
        self.up = Doubling(channels, size, width=width, depth=depth)
        start_as_he(self)

    def encode(self, images: torch.Tensor, labels: torch.Tensor, masks: Sequence[torch.Tensor]) -> torch.Tensor:
        flat = self.down(images, masks).flatten(1)
        code: torch.Tensor = self.code(with_class(flat, labels, self.num_classes))
        return code

    def decode(self, code: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.up(self.expand(with_class(code, labels, self.num_classes)))
        return logits


class S4Autoencoder(Coder):
    """The autoencoder of S4 (Nieto 2023, figure 1) for 28 px grey pictures, never told the class.

    `S4Encoder`, and back: two transposed convolutions of stride 2 with output padding 1 and no padding:
    (5 - 1) * 2 + 4 + 1 = 13 with a 4x4 filter, then (13 - 1) * 2 + 3 + 1 = 28 with a 3x3 one (3x3 and then 5x5 would
    reach 28 too, twice the same filter never does). Not published, and chosen here: `width` filters in between, ReLU
    after every layer but the last, and the sigmoid at the end.
    """

    def __init__(self, channels: int, size: int, *, latent: int, width: int) -> None:
        super().__init__()
        self.down = S4Encoder(channels, size, latent=latent, width=width)
        self.expand = nn.Linear(latent, math.prod(S4_MAP))
        self.third = nn.ConvTranspose2d(S4_MAP[0], width, 4, stride=2, output_padding=1)
        self.fourth = nn.ConvTranspose2d(width, 1, 3, stride=2, output_padding=1)

    def encode(self, images: torch.Tensor, labels: torch.Tensor, masks: Sequence[torch.Tensor]) -> torch.Tensor:
        code: torch.Tensor = self.down(images, masks)
        return code

    def decode(self, code: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        maps = F.relu(self.expand(code)).view(-1, *S4_MAP)
        logits: torch.Tensor = self.fourth(F.relu(self.third(maps)))
        return logits


def mask_shapes(network: str, channels: int, size: int, *, width: int, depth: int) -> tuple[tuple[int, int, int], ...]:
    """Return (C, H, W) of each map of the encoder that dropout thins out."""
    if network == "s4":
        return ((width, S4_SIZE - 2, S4_SIZE - 2), (S4_MAP[0], 11, 11))
    sizes = sides(size, depth)
    filters = widths(channels, width, len(sizes) - 1)
    return tuple((filters[place], sizes[place], sizes[place]) for place in range(1, len(sizes)))
