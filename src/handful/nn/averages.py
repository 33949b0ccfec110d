"""Averages of the weights that a training passes through, and batch norms measured for such an average."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from handful.nn.training import Training

Weights = dict[str, torch.Tensor]


def weights_of(network: nn.Module) -> Weights:
    """Return a copy that later steps cannot reach; `state_dict` alone would alias the live weights."""
    return {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}


class Averages:
    """The averages that a recipe asks for: exponential (`ema`), or equal from a step on (`swa_start`), or none.

    Args:
        networks: by name, on their device.
        steps: of the whole training.
    """

    def __init__(self, networks: Mapping[str, nn.Module], recipe: Training, steps: int) -> None:
        self.networks, self.ema = networks, recipe.ema
        self.first = None if recipe.swa_start is None else math.floor(recipe.swa_start * steps)
        wanted = self.ema is not None or self.first is not None
        self.kept = {name: weights_of(network) for name, network in networks.items()} if wanted else {}

    def update(self, step: int) -> None:
        """Take in the weights after a step (0-based)."""
        if self.ema is not None:
            self._towards(1 - min(self.ema, (1 + step) / (10 + step)))
        elif self.first is not None and step >= self.first:
            self._towards(1 / (step - self.first + 1))

    def _towards(self, share: float) -> None:
        with torch.no_grad():
            for name, network in self.networks.items():
                live, kept = network.state_dict(), self.kept[name]
                moving = [key for key, tensor in live.items() if tensor.is_floating_point()]
                torch._foreach_lerp_([kept[key] for key in moving], [live[key] for key in moving], share)
                for key in live.keys() - set(moving):
                    kept[key].copy_(live[key])

    @contextmanager
    def looked_at(self) -> Iterator[None]:
        """Run a block with the exponential averages in the networks, where they are kept."""
        if self.ema is None:
            yield
            return
        live = {name: weights_of(network) for name, network in self.networks.items()}
        self.put()
        yield
        for name, network in self.networks.items():
            network.load_state_dict(live[name])

    def put(self) -> None:
        """Put the averages into the networks."""
        for name, network in self.networks.items():
            network.load_state_dict(self.kept[name])


def measure_norms(networks: Mapping[str, nn.Module], forwards: Iterator[Callable[[], None]]) -> None:
    """Give batch norms the mean statistics of some batches, those in evaluation mode excepted (Izmailov et al. 2018).

    Args:
        networks: by name, put into training mode.
        forwards: one function per batch, which passes it through the networks.
    """
    for network in networks.values():
        network.train()
    norms = [module for network in networks.values() for module in network.modules() if isinstance(module, _BatchNorm)]
    norms = [norm for norm in norms if norm.track_running_stats and norm.num_batches_tracked is not None]
    if not norms:
        return
    before = [
        (norm.momentum, norm.num_batches_tracked.clone()) for norm in norms if norm.num_batches_tracked is not None
    ]
    for norm in norms:
        norm.momentum = None  # the plain mean over batches; the first one then replaces what was there
        norm.num_batches_tracked.zero_()  # type: ignore[union-attr]
    for forward in forwards:
        forward()
    for norm, (momentum, tracked) in zip(norms, before, strict=True):
        norm.momentum = momentum
        norm.num_batches_tracked.copy_(tracked)  # type: ignore[union-attr]
