"""A small residual network for few pictures, which first takes light and contrast out of each picture."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import nn
from torch.nn import functional as F

from handful.nn.network import Network, NetworkRecipe, PooledHead

LARGE = 48  # px from which the stem halves the picture
MIN_MAP = 2


class Residual(NetworkRecipe):
    """Four stages of residual blocks (He et al. 2016) with `width`, 2, 4 and 8 times as many filters.

    Before each stage but the first the maps are halved by averaging, which shifts less than strided filters do (Zhang
    2019), as long as 2 px remain; pictures of 48 px or more are halved by the stem too.

    Args:
        width: filters of the first stage.
        depth: blocks of each stage.
        standardised: each picture is first brought to mean 0 and deviation 1 in each channel (instance normalisation,
            Ulyanov et al. 2016), so that neither the light nor the colour of the light counts.
    """

    kind: Literal["residual"] = "residual"
    width: Annotated[int, Field(ge=1)] = 32
    depth: Annotated[int, Field(ge=1)] = 1
    standardised: bool = True

    def build(self, channels: int, size: int, num_classes: int, dropout: float | None) -> Network:
        kernel, stride = (5, 2) if size >= LARGE else (3, 1)
        stem = nn.Conv2d(channels, self.width, kernel, stride, kernel // 2, bias=False)
        layers: list[nn.Module] = [Standardised()] if self.standardised else []
        layers.append(nn.Sequential(stem, nn.BatchNorm2d(self.width), nn.ReLU()))
        size, given = size // stride, self.width
        for stage in range(4):
            wide = self.width * 2**stage
            halves = stage > 0 and size // 2 >= MIN_MAP
            blocks = [Block(given if block == 0 else wide, wide, halves and block == 0) for block in range(self.depth)]
            layers.append(nn.Sequential(*blocks))
            size, given = size // 2 if halves else size, wide
        return Network(
            nn.Sequential(*layers), PooledHead(given, num_classes, dropout=0.2 if dropout is None else dropout)
        )


class Standardised(nn.Module):
    """[B, C, H, W] => the same, each picture's channels with mean 0 and deviation 1; a flat channel becomes 0."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return F.instance_norm(images)


class Block(nn.Module):
    """Two 3x3 convolutions with batch norm beside a way around them; `halves` averages 2x2 pixels before both."""

    def __init__(self, given: int, wide: int, halves: bool) -> None:
        super().__init__()
        self.halve = nn.AvgPool2d(2) if halves else nn.Identity()
        self.first = nn.Sequential(nn.Conv2d(given, wide, 3, padding=1, bias=False), nn.BatchNorm2d(wide))
        self.second = nn.Sequential(nn.Conv2d(wide, wide, 3, padding=1, bias=False), nn.BatchNorm2d(wide))
        around = nn.Sequential(nn.Conv2d(given, wide, 1, bias=False), nn.BatchNorm2d(wide))
        self.around = nn.Identity() if given == wide else around

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        images = self.halve(images)
        made: torch.Tensor = F.relu(self.second(F.relu(self.first(images))) + self.around(images))
        return made
