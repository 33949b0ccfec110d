"""The networks of the variational autoencoder: one of any size and depth, and S1's in the two readings of its table."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from itertools import pairwise
from typing import Any, Literal

import torch
from torch import nn

from handful.generate.halving import Doubling, with_class
from handful.nn.encoders import S1_BLOCKS, S1_SLOPE, Halving, S1Encoder, widths

S1_HIDDEN = 1024


class Variational(nn.Module, ABC):
    """Pictures to the mean and log variance of their codes, codes to logits of pictures.

    Args:
        num_classes: length of the one-hot class it is told; 0: none.
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes

    def forward(self, values: torch.Tensor, labels: torch.Tensor, what: Literal["encode", "decode"]) -> Any:
        return self.encode(values, labels) if what == "encode" else self.decode(values, labels)

    @abstractmethod
    def encode(self, images: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return mean and log variance of the code, [B, latent] each."""

    @abstractmethod
    def decode(self, code: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Return logits of the pixels, [B, C, H, W]."""


class ConvVAE(Variational):
    """Encoder and decoder of stride-2 convolutions with batch norm and ReLU, a linear layer on either side of the code.

    Args:
        channels, size: of the pictures, [B, channels, size, size].
        num_classes: length of the one-hot class beside the encoder's features and beside the code; 0: none.
        latent: length of the code.
        width, depth: see `Halving`.
    """

    def __init__(self, channels: int, size: int, num_classes: int, *, latent: int, width: int, depth: int) -> None:
        super().__init__(num_classes)
        self.down = Halving(channels, size, width=width, depth=depth)
        self.map = self.down.map
        flat = math.prod(self.map)
        self.code = nn.Linear(flat + num_classes, 2 * latent)
        self.expand = nn.Linear(latent + num_classes, flat)
        self.up = Doubling(channels, size, width=width, depth=depth)

    def encode(self, images: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return _normal(self.code(with_class(self.down(images).flatten(1), labels, self.num_classes)))

    def decode(self, code: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.up(self.expand(with_class(code, labels, self.num_classes)))
        return logits


class S1VAE(Variational):
    """Table 1 of S1 for 64 px pictures: six convolutions to 4096 values, 1024, a code; 4096, six transposed ones back.

    All filters are 3x3 with padding 1; a convolution is followed by leaky ReLU (0.02) and batch norm, as published.
    With stride 2 in every layer, six of them take 64 px to 1024 x 1 x 1, not to the published 4096 = 1024 x 2 x 2, and
    six transposed ones take 2 px to 128. The two readings that fit both numbers:

    - `s1-75`: the encoder sees pictures of 75 px (75 - 38 - 19 - 10 - 5 - 3 - 2), here those of 64 px enlarged
      bilinearly, and the decoder's output layer has stride 1 (2 - 4 - 8 - 16 - 32 - 64 - 64).
    - `s1-stride`: the encoder's first layer has stride 1 as well, as the mirror of the output layer
      (64 - 64 - 32 - 16 - 8 - 4 - 2).

    Args:
        channels, size: of the pictures; size must be 64.
        num_classes: length of the one-hot class beside the flat features and beside the code; 0: none, as in S1.
        latent: length of the code, 512 in S1.
        width: filters of the first block, 32 in S1; each further block has twice as many.
        wider: the first reading.
    """

    def __init__(self, channels: int, size: int, num_classes: int, *, latent: int, width: int, wider: bool) -> None:
        super().__init__(num_classes)
        filters = widths(channels, width, S1_BLOCKS)
        self.down = S1Encoder(channels, size, width=width, wider=wider)
        self.map = self.down.map
        flat = math.prod(self.map)
        up: list[nn.Module] = []
        for before, after in pairwise(reversed(filters[1:])):
            up += [nn.ConvTranspose2d(before, after, 3, 2, 1, output_padding=1)]
            up += [nn.LeakyReLU(S1_SLOPE), nn.BatchNorm2d(after)]
        self.hidden = nn.Sequential(nn.Linear(flat + num_classes, S1_HIDDEN), nn.SELU(), nn.BatchNorm1d(S1_HIDDEN))
        self.code = nn.Linear(S1_HIDDEN, 2 * latent)
        self.expand = nn.Sequential(nn.Linear(latent + num_classes, flat), nn.SELU())
        self.up = nn.Sequential(*up, nn.ConvTranspose2d(filters[1], channels, 3, 1, 1))

    def encode(self, images: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        flat = self.down(images).flatten(1)
        return _normal(self.code(self.hidden(with_class(flat, labels, self.num_classes))))

    def decode(self, code: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.up(self.expand(with_class(code, labels, self.num_classes)).view(-1, *self.map))
        return logits


def _normal(both: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """[B, 2 latent] => mean and log variance; variances from 2e-9 to 2e4, so that no step overflows."""
    mu, logvar = both.chunk(2, dim=1)
    return mu, logvar.clamp(-20, 10)
