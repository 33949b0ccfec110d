"""A small wide residual network, for few pictures trained from scratch."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import torch
from pydantic import Field, field_validator
from torch import nn

from handful.nn.dropout import Dropout
from handful.nn.network import Network, NetworkRecipe, PooledHead

WIDTHS = (16, 32, 64)
COARSE_FROM = 48  # px: larger pictures are halved by the first convolution, for a quarter of the work


class Wide(NetworkRecipe):
    """A wide residual network, WRN-depth-width (Zagoruyko and Komodakis 2016), blocks with activation first.

    A 3x3 convolution of 16 filters, three groups of (depth - 4) / 6 blocks with 16, 32 and 64 times `width` filters,
    the second and third at half the resolution of the one before, batch norm, ReLU, the mean over places, a linear
    layer. Dropout stands between the two convolutions of a block; its own rate is 0. WRN-16-2 has 0.69 million
    parameters. At 3 channels and 32 px it is the network of the paper.

    Args:
        depth: 6 n + 4 layers: 10, 16, 22, 28, 40.
        width: filters relative to a plain residual network.
        stride: of the first convolution; None: 2 from 48 px on, else 1.
    """

    kind: Literal["wide"] = "wide"
    depth: Annotated[int, Field(ge=10, le=100)] = 16
    width: Annotated[int, Field(ge=1, le=20)] = 2
    stride: Annotated[int, Field(ge=1, le=2)] | None = None

    @field_validator("depth")
    @classmethod
    def _has_whole_blocks(cls, depth: int) -> int:
        if (depth - 4) % 6:
            raise ValueError(f"depth is 6 n + 4 (10, 16, 22, 28, ...), got {depth}")
        return depth

    def build(self, channels: int, size: int, num_classes: int, dropout: float | None) -> Network:
        stride = self.stride or (2 if size >= COARSE_FROM else 1)
        stem = nn.Conv2d(channels, WIDTHS[0], 3, stride=stride, padding=1, bias=False)
        stages, given = [nn.Sequential(stem)], WIDTHS[0]
        for place, narrow in enumerate(WIDTHS):
            blocks: list[nn.Module] = []
            for row in range((self.depth - 4) // 6):
                blocks.append(WideBlock(given, narrow * self.width, 2 if place and not row else 1, dropout or 0.0))
                given = narrow * self.width
            stages.append(nn.Sequential(*blocks))
        stages[-1].append(nn.BatchNorm2d(given)).append(nn.ReLU())
        body = nn.Sequential(*stages)
        for module in body.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        return Network(body, PooledHead(given, num_classes), stages)


def _renamed(block: nn.Module, state: dict[str, Any], prefix: str, *others: Any) -> None:
    """Weights saved when dropout stood among the layers, which moved the second convolution on by one."""
    if (older := f"{prefix}rest.4.weight") in state:
        state[f"{prefix}rest.3.weight"] = state.pop(older)


class WideBlock(nn.Module):
    """x + conv(dropout(conv(a))) with a = ReLU(norm(x)); where the shape changes, a 1x1 convolution of a for x."""

    def __init__(self, given: int, width: int, stride: int, dropout: float) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.BatchNorm2d(given), nn.ReLU())
        changes = given != width or stride != 1
        self.shortcut = nn.Conv2d(given, width, 1, stride=stride, bias=False) if changes else None
        self.rest = nn.Sequential(
            nn.Conv2d(given, width, 3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
        )
        self.dropout = Dropout(dropout)  # apart, so that the weights have the same names at every rate
        self.register_load_state_dict_pre_hook(_renamed)  # type: ignore[no-untyped-call]

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        active = self.first(images)
        kept = images if self.shortcut is None else self.shortcut(active)
        first, norm, relu, second = self.rest
        made: torch.Tensor = kept + second(self.dropout(relu(norm(first(active)))))
        return made
