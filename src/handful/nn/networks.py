"""Small convolutional classifiers for any size and number of channels: base, V2 and V3.

The three are the family of a published student study on CIFAR-10 (filters 8-32-16, then 16-32-64-128, then a fifth
block of 512 with dropout that rises with depth). What the study leaves open is fixed here: 3x3 filters with padding 1,
ReLU, 2x2 max pooling after every block. A pooling is skipped where the map would fall under 2 px, so that the same
network also fits 8 px pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import nn

MIN_MAP = 2


class SmallCNN(nn.Module):
    """Blocks of convolution (+ batch norm), ReLU, pooling and dropout, then a classifier head.

    Args:
        channels, size: shape of the input, [B, channels, size, size].
        widths: filters per block.
        dropouts: dropout rate after each block.
        hidden, hidden_dropout: width of the hidden layer of the head (0: none) and the dropout after it.
        norm: batch norm after each convolution.
    """

    def __init__(
        self,
        channels: int,
        size: int,
        num_classes: int,
        *,
        widths: Sequence[int],
        dropouts: Sequence[float],
        hidden: int = 0,
        hidden_dropout: float = 0.0,
        norm: bool = True,
    ) -> None:
        super().__init__()
        blocks: list[nn.Module] = []
        for width, dropout in zip(widths, dropouts, strict=True):
            blocks.append(nn.Conv2d(channels, width, 3, padding=1, bias=not norm))
            if norm:
                blocks.append(nn.BatchNorm2d(width))
            blocks.append(nn.ReLU())
            if size // 2 >= MIN_MAP:
                blocks.append(nn.MaxPool2d(2))
                size //= 2
            if dropout:
                blocks.append(nn.Dropout(dropout))
            channels = width
        self.features = nn.Sequential(*blocks, nn.Flatten())
        flat = channels * size * size
        head: list[nn.Module] = [nn.Linear(flat, hidden), nn.ReLU(), nn.Dropout(hidden_dropout)] if hidden else []
        self.head = nn.Sequential(*head, nn.Linear(hidden or flat, num_classes))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head(self.features(images))  # [B, C, H, W] => [B, K]
        return logits


def base(channels: int, size: int, num_classes: int, dropout: float | None) -> nn.Module:
    """Filters 8-32-16, no batch norm; `dropout` after every block (default none)."""
    rate = dropout or 0.0
    return SmallCNN(channels, size, num_classes, widths=(8, 32, 16), dropouts=(rate,) * 3, norm=False)


def v2(channels: int, size: int, num_classes: int, dropout: float | None) -> nn.Module:
    """Filters 16-32-64-128 with batch norm, a hidden layer of 256 with `dropout` (default 0.4)."""
    rate = 0.4 if dropout is None else dropout
    return SmallCNN(
        channels, size, num_classes, widths=(16, 32, 64, 128), dropouts=(0.0,) * 4, hidden=256, hidden_dropout=rate
    )


def v3(channels: int, size: int, num_classes: int, dropout: float | None) -> nn.Module:
    """Filters 32-64-128-256-512 with batch norm; dropout rises from 0.2 to 0.5, or is `dropout` in every block."""
    ramp = (0.2, 0.275, 0.35, 0.425, 0.5) if dropout is None else (dropout,) * 5
    return SmallCNN(channels, size, num_classes, widths=(32, 64, 128, 256, 512), dropouts=ramp)


NETWORKS: dict[str, Callable[[int, int, int, float | None], nn.Module]] = {"base": base, "v2": v2, "v3": v3}
