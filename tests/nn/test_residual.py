"""The small residual network: shapes at any size, and light that does not count."""

from __future__ import annotations

import pytest
import torch

from handful.nn.residual import Residual, Standardised


def built(size: int, channels: int = 3, **fields: object) -> torch.nn.Module:
    torch.manual_seed(0)
    return Residual(**fields).build(channels, size, 5, None).eval()


@pytest.mark.parametrize(("size", "channels"), [(8, 1), (28, 1), (32, 3), (48, 3), (65, 3)])
def test_it_takes_pictures_of_any_size(size: int, channels: int) -> None:
    network = built(size, channels, width=4)
    assert network(torch.rand(2, channels, size, size)).shape == (2, 5)
    inside = {id(one) for stage in network.stages for one in stage.parameters()}
    assert inside == {id(one) for one in network.body.parameters()}


def test_width_and_depth_set_the_filters_and_the_blocks() -> None:
    network = built(16, width=4, depth=2)
    convolutions = [one for one in network.modules() if isinstance(one, torch.nn.Conv2d)]
    wide = [one.out_channels for one in convolutions if one.kernel_size == (3, 3)]
    assert wide == [4] * 5 + [8] * 4 + [16] * 4 + [32] * 4
    assert network.features(torch.rand(1, 3, 16, 16)).shape == (1, 32)


def test_standardised_is_each_channel_less_its_mean_over_its_deviation() -> None:
    images = torch.rand(3, 2, 9, 9)
    deviation = images.var(dim=(2, 3), correction=0, keepdim=True).add(1e-5).sqrt()
    expected = (images - images.mean(dim=(2, 3), keepdim=True)) / deviation
    torch.testing.assert_close(Standardised().train()(images), expected)
    torch.testing.assert_close(Standardised()(torch.full((1, 3, 4, 4), 0.3)), torch.zeros(1, 3, 4, 4))


def test_the_light_and_its_colour_do_not_count_unless_they_are_asked_for() -> None:
    images = torch.rand(4, 3, 32, 32)
    lit = images * torch.tensor([0.5, 0.7, 0.9]).view(1, 3, 1, 1) + 0.05
    moved = [
        (network(lit) - network(images)).abs().max().item()
        for network in (built(32, width=4), built(32, width=4, standardised=False))
    ]
    assert moved[0] < 0.05 * moved[1]
