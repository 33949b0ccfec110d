"""What every classifying network is: a body that sees, a head that decides; and the recipe that describes one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Self

import torch
from pydantic import BeforeValidator
from torch import nn

from handful.config import Recipe
from handful.errors import ConfigError
from handful.nn.dropout import Dropout


def _rates(given: Any) -> Any:
    rates = given if isinstance(given, list | tuple) and len(given) == 2 else [given]
    if not all(isinstance(one, int | float) and not isinstance(one, bool) and 0 <= one < 1 for one in rates):
        raise ConfigError(f"{given!r} is neither a rate in [0, 1) nor two of them, of the first and the last layer")
    return tuple(given) if isinstance(given, list) else given


# of all layers, or of the first and the last
DropoutRates = Annotated[float | tuple[float, float], BeforeValidator(_rates)]


class Network(nn.Module):
    """Pictures to logits, in two parts that can be trained, frozen, inherited and looked into apart.

    Args:
        body: float [B, C, H, W] => maps [B, D, h, w], or features [B, D].
        head: what the body gives => logits [B, K].
        stages: parts of the body from the pictures on, each the unit of freezing and of its own learning rate; every
            parameter of the body is in one of them.
    """

    def __init__(self, body: nn.Module, head: nn.Module, stages: Sequence[nn.Module] | None = None) -> None:
        super().__init__()
        self.body, self.head = body, head
        self._stages = tuple(stages_of(body) if stages is None else stages)  # a tuple: no second name in state_dict

    @property
    def stages(self) -> tuple[nn.Module, ...]:
        return self._stages

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head(self.body(images))  # [B, C, H, W] => [B, K]
        return logits

    def features(self, images: torch.Tensor) -> torch.Tensor:
        """Return float [B, D]: what the body gives, maps averaged over their places."""
        return pooled(self.body(images))


def pooled(maps: torch.Tensor) -> torch.Tensor:
    """[B, D, h, w] => [B, D], the mean over places; [B, D] as it is."""
    return maps.mean(dim=(2, 3)) if maps.ndim == 4 else maps


def stages_of(body: nn.Module) -> list[nn.Module]:
    """Return the children of a body that have parameters, in order; those of a plain sequence one by one."""
    found: list[nn.Module] = []
    for child in body.children():
        if isinstance(child, nn.Sequential | nn.ModuleList):
            found += [one for one in child.children() if any(True for _ in one.parameters())]
        elif any(True for _ in child.parameters()):
            found.append(child)
    return found or [body]


class PooledHead(nn.Module):
    """Global average pooling, hidden layers with ReLU and dropout, and a linear layer (the dense heads of S3).

    Args:
        width: D of the maps [B, D, h, w] or features [B, D] it is given.
        hidden: widths of the hidden layers; none: a linear layer alone.
        dropout: before every linear layer but the first, and before the last.
    """

    def __init__(self, width: int, num_classes: int, *, hidden: Sequence[int] = (), dropout: float = 0.0) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for wide in hidden:
            layers += [nn.Linear(width, wide), nn.ReLU()]
            width = wide
            if dropout:
                layers.append(Dropout(dropout))
        if dropout and not hidden:
            layers.append(Dropout(dropout))
        self.layers = nn.Sequential(*layers, nn.Linear(width, num_classes))

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.layers(pooled(given))
        return logits


@dataclass(frozen=True)
class Start:
    """Where a network's weights came from before it was trained.

    Args:
        source: `random`, 'file PATH', 'package NAME VERSION', 'download URL', 'function MODULE:NAME' or
            'encoder DIGEST', with ', from' and one of these where the encoder's own training started from weights.
        digest: SHA-256 (hex) of the weights it started from; empty for random ones.
        mean, std: of the channels of pictures in [0, 1], which those weights expect; None: those of the training part.
    """

    source: str = "random"
    digest: str = ""
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None

    def to_json(self) -> dict[str, Any]:
        return {"source": self.source, "digest": self.digest}


class NetworkRecipe(Recipe, ABC):
    """A description of a network; rows of `handful.nn.networks.NETWORKS`."""

    kind: str

    @abstractmethod
    def build(self, channels: int, size: int, num_classes: int, dropout: float | None) -> Network:
        """Return the network with random weights from torch's global stream, which the caller forks.

        Args:
            channels, size: of the pictures, [B, channels, size, size].
            dropout: one rate for all its dropout layers; None: its own.

        Raises:
            ConfigError: it does not take pictures of this size.
        """

    @property
    def code(self) -> tuple[str, ...]:
        """Functions outside of handful, `module:name`, that `build` runs; often none."""
        return ()

    @property
    def least(self) -> int:
        """Side in px of the smallest pictures that it is known to take; 1 where any may do."""
        return 1

    @property
    def pretrained(self) -> bool:
        """Whether it starts from weights that were fitted to other pictures before."""
        return False

    def takes(self, channels: int) -> int:
        """Return the channels that its networks take of pictures with so many; 3 for grey ones: they are repeated."""
        return channels

    def resolved(self, size: int) -> Self:
        """Return the recipe with the content of the weights it starts from pinned; asked while a study is planned.

        Raises:
            ConfigError: it does not take pictures of this size.
            WeightsError: the weights are not to be had.
        """
        return self

    def start(self, network: Network) -> Start:
        """Put the weights it starts from into a network that `build` made; by default it keeps its random ones.

        Raises:
            WeightsError: they are not to be had; never a silent start from random weights.
        """
        return Start()


def with_dropout(network: nn.Module, rate: float | None) -> None:
    """Set the rate of every dropout layer of a network; None leaves them."""
    for module in network.modules():
        if rate is not None and isinstance(module, nn.Dropout | nn.Dropout2d):
            module.p = rate


def built(recipe: NetworkRecipe, channels: int, size: int, num_classes: int, dropout: DropoutRates | None) -> Network:
    """Return a recipe's network as `NetworkRecipe.build` does, its dropout one rate or a linear ramp over its layers.

    Args:
        dropout: (first, last) gives the dropout layers of the network, in their order, rates from the first to the
            last.

    Raises:
        ConfigError: a ramp for a network with fewer than two dropout layers.
    """
    if not isinstance(dropout, tuple):
        return recipe.build(channels, size, num_classes, dropout)
    network = recipe.build(channels, size, num_classes, max(dropout))  # at a rate of 0 it may leave layers out
    layers = [one for one in network.modules() if isinstance(one, nn.Dropout | nn.Dropout2d)]
    first, last = dropout
    if len(layers) < 2:
        raise ConfigError(
            f"dropout={list(dropout)} is a ramp over dropout layers, and network {recipe.kind!r} has {len(layers)}: "
            "give one rate"
        )
    for place, layer in enumerate(layers):
        layer.p = first + (last - first) * place / (len(layers) - 1)
    return network
