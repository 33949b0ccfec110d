"""A summary counts what is there: parameters, shapes and multiply-adds, for any network of the table."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from handful.nn.network import Network, PooledHead
from handful.nn.networks import network_of
from handful.nn.summary import summarize


def products_of(network: nn.Module, images: torch.Tensor) -> int:
    """Multiply-adds of convolutions and linear layers, by their formulas and the shapes that pass."""
    found = []

    def note(module: nn.Module, given: tuple[torch.Tensor, ...], made: torch.Tensor) -> None:
        if isinstance(module, nn.Conv2d):
            found.append(made.numel() * module.weight[0].numel())
        elif isinstance(module, nn.Linear):
            found.append(made.numel() * module.in_features)

    hooks = [module.register_forward_hook(note) for module in network.modules()]
    with torch.no_grad():
        network.eval()(images)
    for hook in hooks:
        hook.remove()
    return sum(found)


@pytest.mark.parametrize(("kind", "channels", "size"), [("base", 1, 8), ("v2", 3, 28), ("v3", 3, 32)])
def test_totals_are_those_of_the_parameters_the_formulas_and_torch(kind: str, channels: int, size: int) -> None:
    network = network_of(kind).build(channels, size, 7, None)
    told, images = summarize(network, channels, size), torch.zeros(1, channels, size, size)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(images)
    assert told.multiply_adds == products_of(network, images) == counter.get_total_flops() // 2
    assert told.parameters == told.trained == sum(one.numel() for one in network.parameters())
    for parts in (told.layers, told.stages):
        assert sum(part.parameters for part in parts) == told.parameters
        assert sum(part.multiply_adds for part in parts) == told.multiply_adds
    assert told.layers[-1].output == told.stages[-1].output == (7,)
    assert told.stages[-1].name == "head"


class Parts(nn.Module):
    """A body with a parameter of its own, a layer called twice, and a product of no layer."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(3))
        self.twice = nn.Conv2d(3, 3, 1, bias=False)
        self.blocks = nn.ModuleList([nn.Conv2d(3, 3, 1, bias=False)])

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        maps = self.twice(self.twice(images * self.scale.view(1, 3, 1, 1)))
        maps = self.blocks[0](maps)
        return (maps.flatten(2) @ maps.flatten(2).transpose(1, 2)).mean(dim=2)


def test_shared_layers_count_once_and_products_between_layers_count() -> None:
    body = Parts()
    told = summarize(Network(body, PooledHead(3, 2), [body]), 3, 4)
    assert told.parameters == 3 + 9 + 9 + 8
    each = 16 * 3 * 3
    assert [layer.multiply_adds for layer in told.layers if layer.name == "body.twice"] == [each, each]
    assert [layer.parameters for layer in told.layers if layer.name == "body.twice"] == [9, 0]
    assert told.multiply_adds == 3 * each + 3 * 3 * 16 + 6
    (own,) = [layer for layer in told.layers if layer.name == "body"]
    assert (own.parameters, own.multiply_adds) == (3, 3 * 3 * 16)


def test_a_stage_that_is_called_part_by_part_has_its_last_shape() -> None:
    body = Parts()
    told = summarize(Network(body, PooledHead(3, 2), [body.twice, body.blocks]), 3, 4)
    assert [stage.name for stage in told.stages] == ["body.twice", "body.blocks", "head"]
    assert told.stages[1].output == (3, 4, 4)
    assert told.stages[1].multiply_adds == 16 * 3 * 3


def test_stages_that_are_only_listed_together_are_named_by_both() -> None:
    one, other = ({"kind": "lite0", "weights": "random"}, {"kind": "lite2", "weights": "random"})
    network = network_of({"kind": "fusion", "first": one, "second": other}).build(3, 32, 4, None)
    told = summarize(network, 3, 32)
    assert told.parameters == sum(one.numel() for one in network.parameters())
    assert sum(stage.parameters for stage in told.stages) == told.parameters
    assert all("body.first" in stage.name and "body.second" in stage.name for stage in told.stages[:-1])


def test_frozen_stages_are_not_trained_and_the_network_is_left_as_it_was() -> None:
    network = network_of("v2").build(3, 16, 4, None)
    network.train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    told = summarize(network, 3, 16, frozen=network.stages)
    head = sum(one.numel() for one in network.head.parameters())
    assert told.trained == head < told.parameters
    assert [stage.trained for stage in told.stages] == [0] * (len(told.stages) - 1) + [head]
    assert network.training
    assert all(module.training for module in network.modules())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())


def test_memory_is_four_bytes_a_number() -> None:
    network = network_of("base").build(1, 8, 3, None)
    told = summarize(network, 1, 8)
    assert told.weight_bytes == 4 * told.parameters
    assert told.training_bytes(2) - told.training_bytes(1) == 4 * told.activations
    assert told.training_bytes(1) == 4 * (4 * told.parameters + told.activations)


def test_a_published_network_has_its_published_numbers() -> None:
    """ResNet18 for 1,000 classes at 224 px: 11,689,512 parameters 1.81 G multiply-adds (torchvision's card)."""
    told = summarize(network_of({"kind": "resnet18", "weights": "random"}).build(3, 224, 1000, None), 3, 224)
    assert told.parameters == 11_689_512
    assert told.multiply_adds == 1_814_073_344
    assert [stage.output for stage in told.stages[-2:]] == [(512, 7, 7), (1000,)]
