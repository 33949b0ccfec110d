"""Two networks that look at the same pictures and decide together: their maps, joined in the middle."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, Self

import torch
from pydantic import BeforeValidator, Field, SerializeAsAny
from torch import nn
from torch.nn import functional as F

from handful.config import digest_of
from handful.nn.backbones import HIDDEN_DROPOUT, Backbone
from handful.nn.network import Network, NetworkRecipe, PooledHead, Start, pooled
from handful.nn.single import single_of

Part = Annotated[NetworkRecipe, BeforeValidator(single_of), SerializeAsAny()]


class Fusion(NetworkRecipe):
    """Middle fusion: the bodies of two networks, their maps pooled to the smaller grid, joined, and one new head.

    A published student study fused AlexNet and MobileNetV2 so, their convolutions frozen (`Tuning(frozen=True)`). Each
    body sees pictures as its own weights expect them, and starts as it would alone; a body that gives features and no
    maps joins after the other's maps are averaged.

    Args:
        first, second: networks of the table, without their heads.
        hidden: widths of dense layers between the pooled maps and the last layer.
    """

    kind: Literal["fusion"] = "fusion"
    first: Part = Field(default="alexnet")  # type: ignore[assignment]  # read by its validator
    second: Part = Field(default="mobilenet_v2")  # type: ignore[assignment]
    hidden: tuple[Annotated[int, Field(gt=0)], ...] = ()

    @property
    def parts(self) -> tuple[NetworkRecipe, NetworkRecipe]:
        """The two networks, those of published ones without the dense layers of their heads."""
        return _without_head(self.first), _without_head(self.second)

    @property
    def code(self) -> tuple[str, ...]:
        return self.first.code + self.second.code

    @property
    def least(self) -> int:
        return max(part.least for part in self.parts)

    @property
    def pretrained(self) -> bool:
        return any(part.pretrained for part in self.parts)

    def takes(self, channels: int) -> int:
        return max(part.takes(channels) for part in self.parts)

    def resolved(self, size: int) -> Self:
        return self.changed(first=self.first.resolved(size), second=self.second.resolved(size))

    def build(self, channels: int, size: int, num_classes: int, dropout: float | None) -> FusionNetwork:
        channels = self.takes(channels)
        parts = [part.build(channels, size, num_classes, dropout) for part in self.parts]
        body = FusedBody(parts[0].body, parts[1].body, channels)
        body.eval()
        with torch.no_grad():
            width = body(torch.zeros(1, channels, size, size)).shape[1]
        rate = HIDDEN_DROPOUT if dropout is None else dropout
        head = PooledHead(width, num_classes, hidden=self.hidden, dropout=rate)
        return FusionNetwork(body.train(), head, parts)

    def start(self, network: Network) -> Start:
        assert isinstance(network, FusionNetwork)
        assert isinstance(network.body, FusedBody)
        starts = [recipe.start(part) for recipe, part in zip(self.parts, network.parts, strict=True)]
        if all(start == Start() for start in starts):
            return Start()
        source = "; ".join(f"{name}: {start.source}" for name, start in zip(("first", "second"), starts, strict=True))
        digest = digest_of([start.digest for start in starts])
        shown = [start for start in starts if start.mean is not None and start.std is not None]
        if not shown:
            return Start(source, digest)
        for place, start in enumerate(starts):
            seen = start if start in shown else shown[0]
            network.body.set_scale(place, seen.mean or (), seen.std or ())
        channels = network.body.mean.shape[1]
        return Start(source, digest, (0.0,) * channels, (1.0,) * channels)


class FusedBody(nn.Module):
    """Two bodies behind their own channel means and standard deviations: pictures => [B, D1 + D2, h, w].

    h and w are those of the smaller grid; where one body gives features, [B, D1 + D2].
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, first: nn.Module, second: nn.Module, channels: int) -> None:
        super().__init__()
        self.first, self.second = first, second
        self.register_buffer("mean", torch.zeros(2, channels, 1, 1))
        self.register_buffer("std", torch.ones(2, channels, 1, 1))

    def set_scale(self, place: int, mean: Sequence[float], std: Sequence[float]) -> None:
        self.mean[place, :, 0, 0] = torch.tensor(mean)
        self.std[place, :, 0, 0] = torch.tensor(std)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        first = self.first((images - self.mean[0]) / self.std[0])
        second = self.second((images - self.mean[1]) / self.std[1])
        if first.ndim == 2 or second.ndim == 2:
            return torch.cat([pooled(first), pooled(second)], dim=1)
        grid = (min(first.shape[2], second.shape[2]), min(first.shape[3], second.shape[3]))
        return torch.cat([F.adaptive_avg_pool2d(first, grid), F.adaptive_avg_pool2d(second, grid)], dim=1)


class FusionNetwork(Network):
    """A network of two bodies; `parts` are the networks these came from. Stages are paired from the last ones on."""

    def __init__(self, body: nn.Module, head: nn.Module, parts: Sequence[Network]) -> None:
        super().__init__(body, head, _paired(parts[0].stages, parts[1].stages))
        self._parts = tuple(parts)  # a tuple: no second name in state_dict

    @property
    def parts(self) -> tuple[Network, ...]:
        return self._parts


def _paired(first: Sequence[nn.Module], second: Sequence[nn.Module]) -> list[nn.Module]:
    num = max(len(first), len(second))
    return [
        nn.ModuleList([stages[len(stages) - back] for stages in (first, second) if back <= len(stages)])
        for back in range(num, 0, -1)
    ]


def _without_head(recipe: NetworkRecipe) -> NetworkRecipe:
    return recipe.changed(hidden=()) if isinstance(recipe, Backbone) else recipe
