"""Presets, affine, crop, blur and erasing, each against torchvision for the same parameters."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as T

from handful.data.augment import NOTHING, PRESETS, Augmentation, augmented_copies
from handful.data.degrade import blur, erase, erasing_boxes
from handful.data.draws import COLUMNS, NUM_DRAWS, Draws
from handful.data.images import LabeledImages, require_real
from handful.data.warp import affine, warp
from handful.errors import ConfigError, LeakError


def pictures(num=4, channels=3, height=32, width=32, seed=0):
    return torch.rand(num, channels, height, width, generator=torch.Generator().manual_seed(seed))


def draws(num, seed=0):
    return Draws(num, seed).at(np.zeros(num, dtype=np.int64), np.arange(num))


def test_every_draw_belongs_to_one_decision():
    taken = [place for columns in COLUMNS.values() for place in range(NUM_DRAWS)[columns]]
    assert sorted(taken) == list(range(NUM_DRAWS))


@pytest.mark.parametrize(
    ("shift", "zoom", "shear"),
    [
        ((3, -5), 1.0, (0, 0)),
        ((0, 0), 1.3, (0, 0)),
        ((0, 0), 1.0, (12, 0)),
        ((0, 0), 1.0, (0, -9)),
        ((2, 1), 0.9, (7, 5)),
    ],
)
@pytest.mark.parametrize("side", [32, 33])
def test_affine_is_that_of_torchvision(shift, zoom, shear, side):
    images = T.gaussian_blur(pictures(height=side, width=side), [5, 5])
    radians = torch.tensor([[math.radians(angle) for angle in shear]] * 4)
    ours = warp(images, affine(torch.tensor([shift] * 4).float(), torch.full((4,), zoom), radians))
    theirs = T.affine(
        images,
        angle=0.0,
        translate=list(shift),
        scale=zoom,
        shear=list(shear),
        interpolation=InterpolationMode.BILINEAR,
    )
    middle = (..., slice(9, -9), slice(9, -9))  # where no border is mixed in
    torch.testing.assert_close(ours[middle], theirs[middle], atol=1e-4, rtol=0)


def test_a_crop_is_a_window_of_the_picture_padded_by_its_reflection():
    images, some = pictures(60, 3, 16, 16), draws(60)
    made = Augmentation(**{**NOTHING, "crop": 0.25}).apply(images, some)
    padded = T.pad(images, [4, 4, 4, 4], padding_mode="symmetric")
    found = set()
    for picture, wide in zip(made, padded, strict=True):
        at = [
            (y, x) for y in range(9) for x in range(9) if (wide[:, y : y + 16, x : x + 16] - picture).abs().max() < 1e-4
        ]
        assert len(at) == 1
        found |= set(at)
    assert len(found) > 25, "places differ"


@pytest.mark.parametrize("sigma", [0.4, 1.0, 2.0])
def test_blur_is_that_of_torchvision(sigma):
    images = pictures(channels=3)
    torch.testing.assert_close(
        blur(images, torch.full((4,), sigma), 4), T.gaussian_blur(images, [9, 9], [sigma, sigma]), atol=1e-5, rtol=0
    )


def test_each_picture_is_blurred_by_its_own_width_and_0_leaves_it():
    images = pictures()
    made = blur(images, torch.tensor([0.0, 0.5, 1.0, 2.0]), 6)
    torch.testing.assert_close(made[:1], images[:1])
    roughness = (made[..., 1:] - made[..., :-1]).abs().mean((1, 2, 3))
    assert (roughness.diff() < 0).all()


def test_erasing_is_that_of_torchvision():
    images, boxes = pictures(2), torch.tensor([[3, 5, 10, 9], [0, 0, 32, 32]])
    for image, box, made in zip(images, boxes.tolist(), erase(images, boxes), strict=True):
        left, top, right, bottom = box
        mean = image.mean((1, 2), keepdim=True)
        torch.testing.assert_close(made, T.erase(image, top, left, bottom - top, right - left, mean))


def test_erased_boxes_have_the_area_asked_for_and_lie_inside():
    some = torch.rand(2000, 4, generator=torch.Generator().manual_seed(0))
    left, top, right, bottom = erasing_boxes(some, 48, 64, (0.1, 0.2), (0.5, 2.0)).unbind(1)
    assert (left >= 0).all() and (top >= 0).all() and (right <= 64).all() and (bottom <= 48).all()  # noqa: PT018
    tall, wide = (bottom - top).float(), (right - left).float()
    share, ratio = tall * wide / (48 * 64), tall / wide
    assert 0.085 < share.min() < 0.11
    assert 0.19 < share.max() < 0.215
    assert 0.4 < ratio.min() < 0.6
    assert 1.7 < ratio.max() < 2.3
    assert abs(ratio.log().mean()) < 0.05, "tall as often as wide"


def test_cutout_covers_a_quarter_and_erasing_leaves_its_share_of_pictures_alone():
    images, some = pictures(400, 1, 16, 16), draws(400)
    made = Augmentation.preset("cutout").apply(images, some)
    assert (((made - images).abs() > 1e-3).float().mean((1, 2, 3)) > 0.2).all()
    half = Augmentation(**{**NOTHING, "erase": (0.1, 0.2)}).apply(images, some)
    untouched = ((half - images).abs().amax((1, 2, 3)) < 1e-4).float().mean()
    assert 0.42 < untouched < 0.58


# ---------------------------------------------------------------- presets and tables


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("channels", [1, 3])
def test_every_preset_augments_within_range_and_never_flips_alone(name, channels):
    recipe, images = Augmentation.preset(name), pictures(40, channels, 24, 24)
    assert not recipe.flip_horizontal
    assert not recipe.flip_vertical
    assert not recipe.flip_diagonal
    made = recipe.apply(images, draws(40))
    assert made.shape == images.shape
    assert torch.isfinite(made).all()
    assert -1e-6 <= made.min() <= made.max() <= 1 + 1e-6
    assert (made - images).abs().max() > 0.02


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_augments_alike_in_any_batch_and_from_bytes(name):
    recipe, some = Augmentation.preset(name), draws(40)
    pixels = (pictures(40, 3, 24, 24) * 255).to(torch.uint8)
    whole = recipe.apply(pixels, some)
    assert torch.equal(whole, recipe.apply(pixels.float() / 255, some))
    for rows in ([3], [39, 0, 21]):
        torch.testing.assert_close(recipe.apply(pixels[rows], some[rows]), whole[rows], atol=1e-5, rtol=0)


def test_strength_grows_from_light_to_strong():
    images, some = (
        torch.nn.functional.interpolate(pictures(200, 3, 6, 6), size=32, mode="bicubic").clamp(0, 1),
        draws(200),
    )
    moved = [
        (Augmentation.preset(name).apply(images, some) - images).abs().mean() for name in ("light", "medium", "strong")
    ]
    assert moved[0] < moved[1] < moved[2]


def test_s1_has_its_published_numbers():
    s1 = Augmentation.preset("s1")
    assert (s1.rotation, s1.perspective, s1.probability) == (15.0, (0.05, 0.1), 1.0)


def test_a_name_or_a_table_from_one_stands_for_a_recipe():
    from handful.study.arms import Arm

    assert Arm("a", augment="strong").augment == Augmentation.preset("strong")
    given = {"from": "strong", "flip_horizontal": True, "erase": [0.1, 0.2]}
    assert Arm("a", augment=given).augment == Augmentation.preset("strong", flip_horizontal=True, erase=(0.1, 0.2))
    assert Arm("a", augment={"policy": "randaugment"}).augment.policy.num_ops == 2
    with pytest.raises(ConfigError, match="unknown augmentation preset 'stong'; did you mean 'strong'"):
        Augmentation.preset("stong")
    with pytest.raises(ConfigError, match="unknown augmentation preset 'stong'"):
        Arm("a", augment="stong")
    with pytest.raises(ConfigError, match="unknown policy 'randagument'; did you mean 'randaugment'"):
        Augmentation(policy="randagument")


def test_ranges_the_wrong_way_round_are_all_named():
    with pytest.raises(ConfigError) as raised:
        Augmentation(zoom=(1.2, 0.8), erase=(0.3, 0.1))
    assert ["zoom" in fault or "erase" in fault for fault in raised.value.faults] == [True, True]


# ---------------------------------------------------------------- copies made once


def digits(num=6):
    pixels = (pictures(num, 1, 12, 12) * 255).to(torch.uint8).numpy()
    return LabeledImages.of_arrays(pixels, np.arange(num) % 2, ("even", "odd"))


def test_copies_know_their_parent_and_maker_and_are_not_real():
    images, recipe = digits().take(np.array([4, 1, 2])), Augmentation()
    made = augmented_copies(images, [0, 1, 2, 0, 0], recipe, seed=1)
    assert made.labels.tolist() == images.labels[[0, 1, 2, 0, 0]].tolist()
    assert made.origin.parent.tolist() == [4, 1, 2, 4, 4]
    assert set(made.origin.maker) == {recipe.digest()}
    assert not made.origin.real.any()
    assert len(set(made.origin.seed.tolist())) == 5
    assert len(set(made.origin.content.tolist())) == 5, "each copy is another one"
    with pytest.raises(LeakError, match="5 of 5 pictures are synthetic"):
        require_real(made, "validation")


def test_a_copy_is_named_by_its_picture_and_number():
    images, recipe = digits(), Augmentation()
    made, again = augmented_copies(images, [0, 0, 3], recipe, 1), augmented_copies(images, [3, 0, 0], recipe, 1)
    np.testing.assert_array_equal(made.pixels, again.pixels[[1, 2, 0]])
    assert (augmented_copies(images, [0], recipe, 2).pixels != made.pixels[:1]).any()
    assert len(augmented_copies(images, [], recipe, 1)) == 0
