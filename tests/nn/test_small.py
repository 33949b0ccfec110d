"""The small networks: shapes, widths, dropout and numbers of weights."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from handful.errors import ConfigError
from handful.nn.network import built
from handful.nn.networks import NETWORKS

WIDTHS = {"base": [8, 32, 16], "v2": [16, 32, 64, 128], "v3": [32, 64, 128, 256, 512]}


@pytest.fixture(autouse=True)
def _own_stream():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def build(name, channels=3, size=32, num_classes=10, dropout=None):
    return NETWORKS[name]().build(channels, size, num_classes, dropout).eval()


def kinds(network, kind):
    return [module for module in network.modules() if isinstance(module, kind)]


@pytest.mark.parametrize("size", [4, 5, 7, 8, 9, 16, 28, 32, 33, 64])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", WIDTHS)
def test_any_size_gives_logits_and_no_map_falls_under_2_px(name, channels, size):
    network, maps = build(name, channels, size, 7), []
    for module in kinds(network, (nn.Conv2d, nn.MaxPool2d)):
        module.register_forward_hook(lambda module, given, made: maps.append(tuple(made.shape[-2:])))
    with torch.no_grad():
        logits = network(torch.rand(2, channels, size, size))
    assert logits.shape == (2, 7)
    assert torch.isfinite(logits).all()
    assert min(min(side) for side in maps) >= 2
    halvings, side = 0, size
    while halvings < len(WIDTHS[name]) and side // 2 >= 2:
        halvings, side = halvings + 1, side // 2
    assert maps[-1] == (side, side), "pooled after every block, as far as the size allows"


@pytest.mark.parametrize("name", WIDTHS)
def test_widths_filters_and_norms_are_as_documented(name):
    network = build(name)
    filters = kinds(network, nn.Conv2d)
    assert [one.out_channels for one in filters] == WIDTHS[name]
    assert {(one.kernel_size, one.padding, one.stride) for one in filters} == {((3, 3), (1, 1), (1, 1))}
    assert len(kinds(network, nn.BatchNorm2d)) == (0 if name == "base" else len(filters))
    assert [one.bias is None for one in filters] == [name != "base"] * len(filters)
    assert len(kinds(network, nn.MaxPool2d)) == min(len(filters), 4)  # a fifth would leave 1 px
    assert [one.out_features for one in kinds(network, nn.Linear)] == ([256, 10] if name == "v2" else [10])


@pytest.mark.parametrize(
    ("name", "dropout", "rates"),
    [
        ("base", None, []),
        ("base", 0.3, [0.3] * 3),
        ("v2", None, [0.4]),
        ("v2", 0.1, [0.1]),
        ("v2", 0.0, [0.0]),
        ("v3", None, [0.2, 0.275, 0.35, 0.425, 0.5]),
        ("v3", 0.25, [0.25] * 5),
        ("v3", 0.0, []),
    ],
)
def test_dropout_rates_are_as_documented(name, dropout, rates):
    assert [one.p for one in kinds(build(name, dropout=dropout), nn.Dropout)] == rates


@pytest.mark.parametrize(
    ("name", "count"),
    [
        # convolutions 9*3*8+8 = 224, 9*8*32+32 = 2336, 9*32*16+16 = 4624; 4x4 px are left: 16*16*10+10 = 2570
        ("base", 224 + 2336 + 4624 + 2570),
        # convolutions without bias 9*3*16 = 432, 9*16*32 = 4608, 9*32*64 = 18432, 9*64*128 = 73728; batch norms
        # 2*(16+32+64+128) = 480; 2x2 px are left: 512*256+256 = 131328; head 256*10+10 = 2570
        ("v2", 432 + 4608 + 18432 + 73728 + 480 + 131328 + 2570),
        # convolutions 9*3*32 = 864, 9*32*64 = 18432, 9*64*128 = 73728, 9*128*256 = 294912, 9*256*512 = 1179648; batch
        # norms 2*(32+64+128+256+512) = 1984; four poolings leave 2x2 px and the fifth is skipped: 512*4*10+10 = 20490
        ("v3", 864 + 18432 + 73728 + 294912 + 1179648 + 1984 + 20490),
    ],
)
def test_the_number_of_weights_at_32_px_rgb_is_that_computed_by_hand(name, count):
    assert sum(parameter.numel() for parameter in build(name).parameters()) == count


@pytest.mark.parametrize("name", WIDTHS)
def test_every_weight_is_reached_by_the_gradient(name):
    network = build(name, size=8).train()
    network(torch.rand(4, 3, 8, 8)).square().sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


@pytest.mark.parametrize(
    ("name", "rates"),
    [("v3", [0.1, 0.2, 0.3, 0.4, 0.5]), ("wide", [0.1, 0.18, 0.26, 0.34, 0.42, 0.5])],
)
def test_two_rates_are_a_ramp_over_the_dropout_layers(name, rates):
    network = built(NETWORKS[name](), 3, 32, 10, (0.1, 0.5))
    assert [one.p for one in kinds(network, nn.Dropout)] == pytest.approx(rates)
    down = built(NETWORKS[name](), 3, 32, 10, (0.1, 0.0))
    assert [one.p for one in kinds(down, nn.Dropout)][:: len(rates) - 1] == [0.1, 0.0]
    assert len(kinds(down, nn.Dropout)) == len(rates)


def test_a_ramp_over_a_single_dropout_layer_is_refused():
    with pytest.raises(
        ConfigError, match=r"dropout=\[0.1, 0.5\] is a ramp over dropout layers, and network 'v2' has 1"
    ):
        built(NETWORKS["v2"](), 3, 32, 10, (0.1, 0.5))
