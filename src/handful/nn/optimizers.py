"""The optimizers of a training, and the groups of parameters that have learning rates of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from handful.errors import ConfigError
from handful.nn.training import Training

WEIGHTED = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


@dataclass(frozen=True)
class Group:
    """Parameters that share a learning rate: the schedule's times `factor(step)`; where it is 0 they are frozen."""

    parameters: Sequence[nn.Parameter]
    factor: Callable[[int], float] = lambda step: 1.0
    decays: bool = True


def groups_of(network: nn.Module, given: Sequence[Group] | None, recipe: Training) -> list[Group]:
    """Return the groups of a network, those given or all it trains as one; cut in two where norms do not decay."""
    groups = list(given or [Group([one for one in network.parameters() if one.requires_grad])])
    if recipe.decay_norms:
        return groups
    return [part for group in groups for part in _apart(group) if part.parameters]


def _apart(group: Group) -> tuple[Group, Group]:
    weights = [one for one in group.parameters if one.ndim > 1]
    others = [one for one in group.parameters if one.ndim <= 1]
    return Group(weights, group.factor, group.decays), Group(others, group.factor, decays=False)


def optimizer_of(groups: Sequence[Group], recipe: Training) -> torch.optim.Optimizer:
    """Return the optimizer of a recipe, one parameter group per group."""
    decay = recipe.weight_decay
    parameters = [
        {"params": list(group.parameters), "weight_decay": decay if group.decays else 0.0} for group in groups
    ]
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(parameters, lr=recipe.lr, momentum=recipe.momentum, nesterov=recipe.momentum > 0)
    kind = torch.optim.Adam if recipe.optimizer == "adam" else torch.optim.AdamW
    return kind(parameters, lr=recipe.lr, betas=recipe.betas, fused=True)


def weighted(name: str, network: nn.Module) -> list[torch.Tensor]:
    """Return the weights of a network's convolutions and linear layers, which L1 is for.

    Raises:
        ConfigError: it has none.
    """
    found = [module.weight for module in network.modules() if isinstance(module, WEIGHTED)]
    if not found:
        raise ConfigError(f"l1: {name!r} has no convolution or linear layer of its own; leave l1 out")
    return found
