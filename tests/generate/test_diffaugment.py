"""Differentiable augmentation: against a plain computation, and as part of a training step."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from handful.errors import ConfigError
from handful.generate.diffaugment import NUM_DRAWS, DiffAugment

NOTHING = {"brightness": 0.0, "saturation": 0.0, "contrast": 0.0, "translation": 0.0, "cutout": 0.0}


def some(num, size=8, channels=3, seed=0):
    rng = torch.Generator().manual_seed(seed)
    images = torch.rand(num, channels, size, size, generator=rng, dtype=torch.float64) * 2 - 1
    return images, torch.rand(num, NUM_DRAWS, generator=rng, dtype=torch.float64)


def plain(recipe, image, draw):
    """One picture [C, H, W], step by step and pixel by pixel."""
    image = image + recipe.brightness * (2 * draw[0] - 1)
    grey = image.mean(axis=0, keepdims=True)
    image = grey + (image - grey) * (1 + recipe.saturation * (2 * draw[1] - 1))
    image = image.mean() + (image - image.mean()) * (1 + recipe.contrast * (2 * draw[2] - 1))
    side = image.shape[1]
    most, box = int(side * recipe.translation + 0.5), int(side * recipe.cutout + 0.5)
    down, right = (int(draw[at] * (2 * most + 1)) - most for at in (3, 4))
    top, left = (int(draw[at] * (side + 1 - box % 2)) - box // 2 for at in (5, 6))
    out = np.zeros_like(image)
    for y in range(side):
        for x in range(side):
            covered = top <= y < top + box and left <= x < left + box
            if 0 <= y - down < side and 0 <= x - right < side and not covered:
                out[:, y, x] = image[:, y - down, x - right]
    return out


@pytest.mark.parametrize("size", [4, 7, 8, 15])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("fields", [{}, {"translation": 0.5, "cutout": 0.3, "brightness": 0.1}])
def test_it_is_the_plain_computation(size, channels, fields):
    recipe = DiffAugment(**fields)
    images, draws = some(40, size, channels)
    expected = [plain(recipe, image, draw) for image, draw in zip(images.numpy(), draws.numpy(), strict=True)]
    np.testing.assert_allclose(recipe.apply(images, draws).numpy(), np.stack(expected), atol=1e-12)


@pytest.mark.parametrize("name", NOTHING)
def test_each_part_alone_does_what_it_says_and_zero_turns_it_off(name):
    images, draws = some(30)
    assert torch.equal(DiffAugment(**NOTHING).apply(images, draws), images)
    made = DiffAugment(**{**NOTHING, name: 0.5}).apply(images, draws)
    assert not torch.equal(made, images)
    if name == "brightness":
        shift = made - images
        torch.testing.assert_close(shift, shift[:, :1, :1, :1].expand_as(shift))
        assert 0.4 < float(shift.abs().max()) <= 0.5
    elif name == "saturation":
        torch.testing.assert_close(made.mean(dim=1), images.mean(dim=1))
    elif name == "contrast":
        torch.testing.assert_close(made.mean(dim=(1, 2, 3)), images.mean(dim=(1, 2, 3)))
    else:
        kept = made != 0
        share = kept.double().mean(dim=(1, 2, 3))
        assert 0 < float(share.min()) < float(share.max()) <= 1


def test_grey_pictures_have_no_saturation():
    images, draws = some(5, channels=1)
    assert torch.allclose(DiffAugment(**{**NOTHING, "saturation": 1.0}).apply(images, draws), images)


def test_every_shift_and_every_place_of_the_box_is_drawn_equally_often():
    size, num = 8, 18_000
    rng = torch.Generator().manual_seed(0)
    draws = DiffAugment().draws(num, rng, "cpu")
    dot = torch.zeros(num, 1, size, size)
    dot[:, :, 4, 4] = 1
    where = DiffAugment(**{**NOTHING, "translation": 0.25}).apply(dot, draws).flatten(1).argmax(1)
    for axis in (where // size, where % size):
        share = torch.bincount(axis, minlength=size)[2:7] / num
        assert share.sum() == 1
        assert (share - 0.2).abs().max() < 0.02
    holes = DiffAugment(**{**NOTHING, "cutout": 0.125}).apply(torch.ones(num, 1, size, size), draws) == 0
    assert (holes.flatten(1).sum(1) == 1).all()
    assert (holes.float().mean(0) - 1 / 64).abs().max() < 0.005


def test_the_gradient_passes_through():
    images, draws = some(3, size=4)
    recipe = DiffAugment()
    assert torch.autograd.gradcheck(lambda inputs: recipe.apply(inputs, draws), images.requires_grad_())


def test_it_runs_under_vmap_and_a_picture_does_not_depend_on_its_company():
    images, draws = some(12)
    whole = DiffAugment().apply(images, draws)
    stacked = torch.vmap(DiffAugment().apply)(images.view(3, 4, 3, 8, 8), draws.view(3, 4, NUM_DRAWS))
    torch.testing.assert_close(stacked.view_as(whole), whole)
    torch.testing.assert_close(DiffAugment().apply(images[5:6], draws[5:6]), whole[5:6])


def test_draws_come_from_the_stream_alone():
    one, again = (DiffAugment().draws(4, torch.Generator().manual_seed(3), "cpu") for _ in range(2))
    assert torch.equal(one, again)
    assert one.shape == (4, NUM_DRAWS)
    assert bool(((one >= 0) & (one < 1)).all())


def test_impossible_fields_are_all_named():
    with pytest.raises(ConfigError, match=r"(?s)cutout.*unknown key 'contrst'; did you mean 'contrast'"):
        DiffAugment(cutout=1.5, contrst=0.1)
