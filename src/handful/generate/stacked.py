"""Many networks of one shape as one: their weights stacked along a leading axis."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

State = tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]


class Stacked(nn.Module):
    """K networks of one shape; every parameter and buffer is [K, ...].

    Gradients of a sum over the networks, and optimizers that work value by value, act on each network as if it were
    alone. It is called through `bound`, inside `torch.vmap` over `states`.

    Args:
        networks: of one architecture.
    """

    def __init__(self, networks: list[nn.Module]) -> None:
        super().__init__()
        self._template = (copy.deepcopy(networks[0]).to("meta").train(),)  # in a tuple: no module of this one
        parameters, buffers = torch.func.stack_module_state(networks)
        self._names = {_flat(name): name for name in [*parameters, *buffers]}
        for name, tensor in parameters.items():
            self.register_parameter(_flat(name), nn.Parameter(tensor.detach()))
        for name, tensor in buffers.items():
            self.register_buffer(_flat(name), tensor)

    def states(self) -> State:
        """Return parameters and buffers by their names in one network; buffers are written in place by a call."""
        return (
            {self._names[name]: tensor for name, tensor in self.named_parameters()},
            {self._names[name]: tensor for name, tensor in self.named_buffers()},
        )

    def bound(self, state: State) -> Callable[..., Any]:
        """Return one network with one slice of `states` as a function of its inputs."""
        template = self._template[0]
        return lambda *given, **named: torch.func.functional_call(template, state, given, named)


def unstacked_into(network: nn.Module, stack: Stacked, place: int) -> None:
    """Copy the weights of the network at `place` of a stack into a network of its own."""
    parameters, buffers = stack.states()
    network.load_state_dict({name: tensor[place].detach() for name, tensor in {**parameters, **buffers}.items()})


def _flat(name: str) -> str:
    return name.replace(".", "__")
