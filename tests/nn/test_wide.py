"""The wide residual network and the fast one: the published sizes, sound shapes, honest options."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from handful import rng
from handful.errors import ConfigError
from handful.nn.networks import network_of


def build(recipe, channels=3, size=32, num_classes=10, dropout=None):
    with rng.forked(0):
        return network_of(recipe).build(channels, size, num_classes, dropout)


def num_parameters(network):
    return sum(one.numel() for one in network.parameters())


# Zagoruyko and Komodakis 2016, table 4 and 5
@pytest.mark.parametrize(
    ("depth", "width", "millions"), [(40, 1, 0.6), (40, 2, 2.2), (16, 8, 11.0), (22, 8, 17.2), (28, 10, 36.5)]
)
def test_it_has_as_many_parameters_as_the_paper_says(depth, width, millions):
    with torch.device("meta"):
        network = network_of({"kind": "wide", "depth": depth, "width": width}).build(3, 32, 10, None)
    assert round(num_parameters(network) / 1e6, 1) == pytest.approx(millions)


def test_its_default_is_small():
    assert 0.5e6 < num_parameters(build("wide")) < 1e6


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [8, 28, 32, 48, 64])
@pytest.mark.parametrize("kind", ["wide", "fast"])
def test_any_picture_gives_logits(kind, size, channels):
    network = build({"kind": kind, "width": 4} if kind == "fast" else kind, channels, size, 7).eval()
    with torch.inference_mode():
        assert network(torch.rand(2, channels, size, size)).shape == (2, 7)
        maps = network.body(torch.rand(2, channels, size, size))
    assert maps.shape[-1] == (size // 8 if kind == "fast" or size >= 48 else size // 4)


@pytest.mark.parametrize("kind", ["wide", "fast"])
def test_every_parameter_of_the_body_is_in_one_of_four_stages(kind):
    network = build(kind)
    found = [id(one) for stage in network.stages for one in stage.parameters()]
    assert (len(network.stages), sorted(found)) == (4, sorted(id(one) for one in network.body.parameters()))


def test_dropout_stands_in_every_block_where_it_is_given():
    assert not any(one.p for one in build("wide").modules() if isinstance(one, nn.Dropout))
    assert [one.p for one in build("wide", dropout=0.3).modules() if isinstance(one, nn.Dropout)] == [0.3] * 6
    assert [one.p for one in build("fast", dropout=0.3).modules() if isinstance(one, nn.Dropout)] == [0.3]


def test_weights_from_when_dropout_stood_among_the_layers_are_read():
    network = build("wide", dropout=0.3)
    older = {name.replace("rest.3.", "rest.4."): one + 1 for name, one in network.state_dict().items()}
    assert set(older) != set(network.state_dict())
    network.load_state_dict(older)
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, older[name.replace("rest.3.", "rest.4.")])


def test_a_block_that_keeps_the_shape_passes_its_input_on():
    block = build("wide").stages[1][1]
    nn.init.zeros_(block.rest[-1].weight)
    images = torch.randn(1, 32, 8, 8)
    assert torch.equal(block(images), images)


def test_wrong_numbers_are_errors():
    with pytest.raises(ConfigError, match=r"depth is 6 n \+ 4 .* got 18"):
        network_of({"kind": "wide", "depth": 18})
    with pytest.raises(ConfigError, match="8 px or more, the view has 7"):
        build("fast", size=7)
