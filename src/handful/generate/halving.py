"""The way back from what `handful.nn.encoders.Halving` makes: convolutions that double it to exactly its size."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from handful.nn.encoders import sides, widths


class Doubling(nn.Module):
    """The way back: ReLU, transposed 3x3 convolutions with stride 2, batch norm and ReLU, then a 3x3 convolution.

    Args:
        channels, size, width, depth: of the `Halving` it inverts in shape.
    """

    def __init__(self, channels: int, size: int, *, width: int, depth: int) -> None:
        super().__init__()
        sizes = sides(size, depth)
        filters = widths(channels, width, len(sizes) - 1)
        self.map = (filters[-1], sizes[-1], sizes[-1])
        blocks: list[nn.Module] = []
        for place in range(len(sizes) - 1, 0, -1):
            even = 1 - sizes[place - 1] % 2  # the inverse of rounding up
            after = filters[max(place - 1, 1)]
            blocks += [nn.ConvTranspose2d(filters[place], after, 3, 2, 1, output_padding=even)]
            blocks += [nn.BatchNorm2d(after), nn.ReLU()]
        self.blocks = nn.Sequential(nn.ReLU(), *blocks, nn.Conv2d(width, channels, 3, padding=1))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return logits of the pixels [B, channels, size, size] for features [B, C * S * S]."""
        logits: torch.Tensor = self.blocks(features.view(-1, *self.map))
        return logits


def start_as_he(network: nn.Module) -> None:
    """Draw every convolution and linear layer anew from torch's global stream, N(0, 2 / fan in) (He et al. 2015).

    What comes in keeps its size on the way through from the first step on, so that few steps already show it. Biases
    start at 0.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def with_class(values: torch.Tensor, labels: torch.Tensor, num_classes: int) -> torch.Tensor:
    """Return values [B, D] with the one-hot class beside them, [B, D + num_classes]; as they are where it is 0."""
    if not num_classes:
        return values
    return torch.cat([values, F.one_hot(labels, num_classes).to(values)], dim=1)
