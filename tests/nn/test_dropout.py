"""Dropout with a cheaper mask: torch's in distribution, in its gradient and everywhere but on a CPU in training."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from handful.nn.dropout import Dropout


@pytest.mark.parametrize("rate", [0.05, 0.2, 0.5, 0.9])
@pytest.mark.parametrize("shape", [(64, 512), (16, 8, 17, 13)])
def test_values_are_dropped_with_the_rate_and_the_others_scaled(rate: float, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    made = Dropout(rate)(torch.ones(shape))
    share = float((made == 0).float().mean())
    assert share == pytest.approx(rate, abs=5 * (rate * (1 - rate) / made.numel()) ** 0.5)
    assert made[made != 0].unique().tolist() == pytest.approx([1 / (1 - rate)], rel=1e-3)


def test_neighbours_are_dropped_independently() -> None:
    torch.manual_seed(1)
    stays = (Dropout(0.3)(torch.ones(400_000)) != 0).double()
    for shift in range(1, 9):  # a word of 64 bits is four values
        together = float((stays[:-shift] * stays[shift:]).mean())
        assert together == pytest.approx(0.49, abs=0.005), shift
    by_place = stays.view(-1, 4).mean(dim=0)
    assert by_place.tolist() == pytest.approx([0.7] * 4, abs=0.006)


def test_the_gradient_goes_through_the_same_mask() -> None:
    torch.manual_seed(2)
    images = torch.rand(4, 3, 5, 6).to(memory_format=torch.channels_last).requires_grad_()
    made = Dropout(0.4)(images)
    made.sum().backward()
    assert images.grad is not None
    assert torch.allclose(made, images * images.grad)
    assert made.is_contiguous(memory_format=torch.channels_last)
    assert made.dtype == images.dtype


def test_the_global_stream_decides() -> None:
    images, layer = torch.ones(10, 33), Dropout(0.5)
    made = [(torch.manual_seed(seed), layer(images))[1] for seed in (3, 3, 4)]
    assert torch.equal(made[0], made[1])
    assert not torch.equal(made[0], made[2])


def test_while_evaluating_and_at_the_ends_it_is_torchs() -> None:
    images = torch.rand(5, 7)
    assert torch.equal(Dropout(0.5).eval()(images), images)
    assert torch.equal(Dropout(0.0)(images), images)
    assert not Dropout(1.0)(images).any()
    turned = torch.rand(6, 5).t()
    made = [(torch.manual_seed(5), layer(turned))[1] for layer in (Dropout(0.5), nn.Dropout(0.5))]
    assert torch.equal(made[0], made[1]), "of another layout"
    assert Dropout(0.5)(torch.empty(0, 3)).shape == (0, 3)
    assert isinstance(Dropout(0.5), nn.Dropout)
