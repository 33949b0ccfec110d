"""A residual network of nine layers that learns CIFAR-10 in a few passes."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import nn

from handful.errors import ConfigError
from handful.nn.dropout import Dropout
from handful.nn.network import Network, NetworkRecipe

LEAST = 8  # px: three poolings


class Fast(NetworkRecipe):
    """ResNet-9, the network of the fast CIFAR-10 recipe of DAWNBench (Page 2018).

    A convolution, three of them with 2x2 max pooling, two residual pairs, the maximum over places, a linear layer
    whose logits are divided by 8; every convolution has batch norm and ReLU. At width 64 it has 6.6 million parameters.

    Args:
        width: filters of the first convolution; the others have 2, 4 and 8 times as many.
    """

    kind: Literal["fast"] = "fast"
    width: Annotated[int, Field(ge=4, le=512)] = 64

    def build(self, channels: int, size: int, num_classes: int, dropout: float | None) -> Network:
        if size < LEAST:
            raise ConfigError(f"network 'fast': takes pictures of {LEAST} px or more, the view has {size} px")
        one, two, four, eight = (self.width * times for times in (1, 2, 4, 8))
        stages = [
            _convolved(channels, one),
            nn.Sequential(_convolved(one, two), nn.MaxPool2d(2), Residual(two)),
            nn.Sequential(_convolved(two, four), nn.MaxPool2d(2)),
            nn.Sequential(_convolved(four, eight), nn.MaxPool2d(2), Residual(eight)),
        ]
        head = nn.Sequential(
            nn.AdaptiveMaxPool2d(1),
            nn.Flatten(),
            *([Dropout(dropout)] if dropout else []),
            nn.Linear(eight, num_classes, bias=False),
            Scaled(0.125),
        )
        return Network(nn.Sequential(*stages), head, stages)


class Residual(nn.Module):
    """x + two convolutions of x."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.rest = nn.Sequential(_convolved(width, width), _convolved(width, width))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = images + self.rest(images)
        return made


class Scaled(nn.Module):
    """Its input times a fixed number."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        return given * self.factor


def _convolved(given: int, width: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(given, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU())
