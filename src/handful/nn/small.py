"""Small convolutional classifiers for any size and number of channels: base, V2 and V3.

The three are the family of a published student study on CIFAR-10 (filters 8-32-16, then 16-32-64-128, then a fifth
block of 512 with dropout that rises with depth). What the study leaves open is fixed here: 3x3 filters with padding 1,
ReLU, 2x2 max pooling after every block. A pooling is skipped where the map would fall under 2 px, so that the same
network also fits 8 px pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import nn

from handful.nn.dropout import Dropout
from handful.nn.network import Network, NetworkRecipe

MIN_MAP = 2


def small_network(
    channels: int,
    size: int,
    num_classes: int,
    *,
    widths: Sequence[int],
    dropouts: Sequence[float],
    hidden: int = 0,
    hidden_dropout: float = 0.0,
    norm: bool = True,
) -> Network:
    """Return blocks of convolution (+ batch norm), ReLU, pooling and dropout, then a classifier head.

    Args:
        channels, size: shape of the input, [B, channels, size, size].
        widths: filters per block.
        dropouts: dropout rate after each block.
        hidden, hidden_dropout: width of the hidden layer of the head (0: none) and the dropout after it.
        norm: batch norm after each convolution.
    """
    blocks: list[nn.Module] = []
    for width, dropout in zip(widths, dropouts, strict=True):
        block: list[nn.Module] = [nn.Conv2d(channels, width, 3, padding=1, bias=not norm)]
        if norm:
            block.append(nn.BatchNorm2d(width))
        block.append(nn.ReLU())
        if size // 2 >= MIN_MAP:
            block.append(nn.MaxPool2d(2))
            size //= 2
        if dropout:
            block.append(Dropout(dropout))
        blocks.append(nn.Sequential(*block))
        channels = width
    flat = channels * size * size
    head: list[nn.Module] = [nn.Linear(flat, hidden), nn.ReLU(), Dropout(hidden_dropout)] if hidden else []
    top = nn.Sequential(nn.Flatten(), *head, nn.Linear(hidden or flat, num_classes))
    return Network(nn.Sequential(*blocks), top, stages=blocks)


class Base(NetworkRecipe):
    """Filters 8-32-16, no batch norm; dropout after every block where a rate is given (its own: none)."""

    kind: Literal["base"] = "base"

    def build(self, channels: int, size: int, num_classes: int, dropout: float | None) -> Network:
        rates = (dropout or 0.0,) * 3
        return small_network(channels, size, num_classes, widths=(8, 32, 16), dropouts=rates, norm=False)


class V2(NetworkRecipe):
    """Filters 16-32-64-128 with batch norm, a hidden layer of 256 with dropout (its own: 0.4)."""

    kind: Literal["v2"] = "v2"

    def build(self, channels: int, size: int, num_classes: int, dropout: float | None) -> Network:
        rate = 0.4 if dropout is None else dropout
        widths, none = (16, 32, 64, 128), (0.0,) * 4
        return small_network(channels, size, num_classes, widths=widths, dropouts=none, hidden=256, hidden_dropout=rate)


class V3(NetworkRecipe):
    """Filters 32-64-128-256-512 with batch norm; dropout rises from 0.2 to 0.5, or one rate in every block."""

    kind: Literal["v3"] = "v3"

    def build(self, channels: int, size: int, num_classes: int, dropout: float | None) -> Network:
        ramp = (0.2, 0.275, 0.35, 0.425, 0.5) if dropout is None else (dropout,) * 5
        return small_network(channels, size, num_classes, widths=(32, 64, 128, 256, 512), dropouts=ramp)
