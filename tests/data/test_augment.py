"""Classical augmentation against torchvision, and what names a draw."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as T

from handful.data.augment import Augmentation
from handful.data.colour import grey, jitter, shift_hue
from handful.data.draws import NUM_DRAWS, Draws
from handful.data.warp import homography, rotations, warp
from handful.errors import ConfigError

NOTHING = Augmentation(rotation=0.0, perspective=(0.0, 0.0), brightness=0.0, contrast=0.0, saturation=0.0, hue=0.0)
SIZES = [(32, 32), (33, 33), (24, 40)]


def pictures(num=4, channels=3, height=32, width=32, seed=0):
    return torch.rand(num, channels, height, width, generator=torch.Generator().manual_seed(seed))


def smooth(height=32, width=32):
    """Pictures in which a quarter of a pixel matters, but not the way of rounding."""
    return T.gaussian_blur(pictures(height=height, width=width), [5, 5])


def draws(num=4, seed=0, **fixed):
    """Random draws with columns put to a value: choice0=..., angle=..."""
    columns = {"rotate": 0, "bend": 1, "colour": 2, "angle": 3, "depth": 4, "horizontal": 17, "vertical": 18}
    found = Draws(num, seed).at(np.zeros(num, dtype=np.int64), np.arange(num))
    for name, value in fixed.items():
        found[:, columns[name]] = value
    return found


def inner(images, share=0.25):
    """The middle, where no border is mixed in."""
    height, width = images.shape[-2:]
    y, x = int(height * share), int(width * share)
    return images[..., y : height - y, x : width - x]


# ---------------------------------------------------------------- against torchvision


@pytest.mark.parametrize(("height", "width"), SIZES)
@pytest.mark.parametrize("degrees", [-90.0, -33.0, 7.5, 15.0, 180.0])
def test_rotation_is_that_of_torchvision(degrees, height, width):
    images = smooth(height, width)
    ours = warp(images, rotations(torch.full((4,), math.radians(degrees))))
    theirs = T.rotate(images, degrees, interpolation=InterpolationMode.BILINEAR)
    torch.testing.assert_close(inner(ours), inner(theirs), atol=1e-4, rtol=0)


def test_a_positive_angle_turns_counter_clockwise_as_seen():
    image = torch.zeros(1, 1, 9, 9)
    image[0, 0, 4, 8] = 1  # on the right
    turned = warp(image, rotations(torch.tensor([math.pi / 2])))
    assert turned[0, 0, 0, 4] > 0.99  # at the top


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_perspective_is_that_of_torchvision(height, width):
    """torchvision's points are relative to the outer corner of pixel (0, 0), ours to the centre."""
    images = smooth(height, width)
    recipe = NOTHING.changed(perspective=(0.05, 0.2))
    matrices = recipe.homographies(draws(), height, width)
    shifts = draws()[:, 5:13].reshape(4, 4, 2) * (0.05 + 0.15 * draws()[:, 4]).view(4, 1, 1)
    half = torch.tensor([width / 2, height / 2])
    corners = torch.tensor([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]]) * half
    for image, matrix, shift in zip(images, matrices, shifts, strict=True):
        end = corners * (1 - shift)
        theirs = T.perspective(
            image[None],
            (corners + half).tolist(),
            (end + half).tolist(),
            interpolation=InterpolationMode.BILINEAR,
        )
        torch.testing.assert_close(inner(warp(image[None], matrix[None])), inner(theirs), atol=1e-3, rtol=0)


def test_a_homography_takes_each_point_to_its_own():
    start, end = (
        torch.rand(5, 4, 2, dtype=torch.float64) + torch.tensor([[0, 0], [3, 0], [3, 3], [0, 3]]),
        torch.rand(5, 4, 2, dtype=torch.float64) + torch.tensor([[0, 0], [3, 0], [3, 3], [0, 3]]),
    )
    mapped = torch.cat([end, torch.ones(5, 4, 1, dtype=torch.float64)], -1) @ homography(start, end).transpose(1, 2)
    torch.testing.assert_close(mapped[..., :2] / mapped[..., 2:], start)


def test_corners_move_inwards_by_no_more_than_asked():
    recipe = NOTHING.changed(perspective=(0.1, 0.3))
    some = draws(200, angle=0.5)
    matrices = torch.linalg.inv(recipe.homographies(some, 32, 32))  # from input to output positions
    corners = torch.tensor([[-16.0, -16.0, 1], [16, -16, 1], [16, 16, 1], [-16, 16, 1]])
    moved = corners @ matrices.transpose(1, 2)
    share = 1 - (moved[..., :2] / moved[..., 2:]) / corners[:, :2]
    assert share.min() > -1e-4
    assert 0.25 < share.max() < 0.3 + 1e-4


COLOURS = ["brightness", "contrast", "saturation", "hue"]
NEUTRAL = {"brightness": 1.0, "contrast": 1.0, "saturation": 1.0, "hue": 0.0}


def jittered(images, **values):
    """`jitter` with one value for every picture, neutral where none is given."""
    return jitter(images, **{name: torch.full((len(images),), values.get(name, NEUTRAL[name])) for name in COLOURS})


@pytest.mark.parametrize(
    ("name", "value"),
    [(name, value) for name in COLOURS[:3] for value in (0.0, 0.4, 0.9, 1.3, 2.0)]
    + [("hue", value) for value in (-0.5, -0.2, 0.03, 0.35, 0.5)],
)
def test_each_colour_is_that_of_torchvision(name, value):
    images = pictures()
    adjust = getattr(T, f"adjust_{name}")
    torch.testing.assert_close(jittered(images, **{name: value}), adjust(images, value), atol=1e-5, rtol=0)


def test_colours_come_in_the_order_brightness_contrast_saturation_hue():
    images, expected = pictures(), pictures()
    values = {"brightness": 1.2, "contrast": 1.5, "saturation": 0.6, "hue": 0.1}
    for name in COLOURS:
        expected = getattr(T, f"adjust_{name}")(expected, values[name])
    torch.testing.assert_close(jittered(images, **values), expected, atol=1e-5, rtol=0)


def test_each_picture_has_factors_of_its_own():
    images = pictures()
    factors = torch.tensor([0.5, 0.8, 1.1, 1.4])
    made = jitter(images, brightness=factors, contrast=factors.flip(0), saturation=factors, hue=factors / 4)
    for place in range(4):
        one, other = factors[place].item(), factors.flip(0)[place].item()
        alone = jittered(images[place : place + 1], brightness=one, contrast=other, saturation=one, hue=one / 4)
        torch.testing.assert_close(made[place : place + 1], alone)


@pytest.mark.parametrize("value", [0.0, 0.4, 1.7])
def test_grey_pictures_have_brightness_and_contrast_alone(value):
    images = pictures(channels=1)
    torch.testing.assert_close(jittered(images, brightness=value), T.adjust_brightness(images, value))
    torch.testing.assert_close(jittered(images, contrast=value), T.adjust_contrast(images, value))
    torch.testing.assert_close(jittered(images, saturation=value, hue=value / 4), images)


def test_grey_is_the_luma_of_torchvision():
    torch.testing.assert_close(grey(pictures()), T.rgb_to_grayscale(pictures()))
    torch.testing.assert_close(grey(pictures(channels=1)), pictures(channels=1))


def test_hue_leaves_grey_black_and_white_pixels_and_is_periodic():
    flat = torch.tensor([0.0, 0.3, 1.0]).view(3, 1, 1, 1).expand(3, 3, 4, 4)
    torch.testing.assert_close(shift_hue(flat, torch.full((3,), 0.3)), flat)
    torch.testing.assert_close(shift_hue(pictures(), torch.ones(4)), pictures(), atol=1e-5, rtol=0)
    red = torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1, 1)
    torch.testing.assert_close(shift_hue(red, torch.tensor([1 / 3])).flatten(), torch.tensor([0.0, 1.0, 0.0]))


# ---------------------------------------------------------------- the recipe


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [4, 7, 32])
def test_the_recipe_of_nothing_leaves_pictures_unchanged(channels, size):
    values = (pictures(64, channels, size, size) * 255).round()
    made = NOTHING.apply(values / 255, draws(64))
    torch.testing.assert_close(made, values / 255, atol=2e-5, rtol=0)
    assert torch.equal((made * 255).round(), values), "not by one value in 255"


def test_probability_0_leaves_pictures_unchanged_and_probability_1_changes_all():
    images = pictures(64)
    torch.testing.assert_close(Augmentation(probability=0.0).apply(images, draws(64)), images, atol=2e-5, rtol=0)
    for field in ({"rotation": 30.0}, {"perspective": (0.1, 0.2)}, {"brightness": 0.5}, {"hue": 0.3}):
        made = NOTHING.changed(**field).apply(images, draws(64))
        assert ((made - images).abs().amax(dim=(1, 2, 3)) > 1e-3).all()


def test_probability_is_the_share_of_pictures_for_each_choice_apart():
    recipe = Augmentation(probability=0.3)
    images = pictures(600, 1, 4, 4)
    some = draws(600)
    for field, column in (({"rotation": 40.0}, 0), ({"perspective": (0.1, 0.3)}, 1), ({"brightness": 0.5}, 2)):
        made = NOTHING.changed(probability=0.3, **field).apply(images, some)
        changed = (made - images).abs().amax(dim=(1, 2, 3)) > 1e-4
        assert (changed == (some[:, column] < 0.3)).float().mean() > 0.99  # a draw near zero changes little
    assert abs((some[:, :3] < recipe.probability).float().mean(0) - 0.3).max() < 0.06


def test_angles_are_spread_evenly_between_the_limits():
    turns = NOTHING.changed(rotation=20.0).homographies(draws(2000), 32, 32)
    degrees = torch.rad2deg(torch.atan2(turns[:, 1, 0], turns[:, 0, 0]))
    assert degrees.abs().max() <= 20
    np.testing.assert_allclose(np.quantile(degrees, [0.25, 0.5, 0.75]), [-10, 0, 10], atol=1.5)


def test_flips_happen_only_when_asked_to_half_of_the_pictures_and_are_exact():
    images, some = pictures(400, 1, 6, 6), draws(400)
    for name, side, column in (("horizontal", -1, 17), ("vertical", -2, 18)):
        made = NOTHING.changed(**{f"flip_{name}": True}).apply(images, some)
        flipped = some[:, column] < 0.5
        assert 0.4 < flipped.float().mean() < 0.6
        torch.testing.assert_close(made[flipped], images[flipped].flip(side), atol=1e-5, rtol=0)
        torch.testing.assert_close(made[~flipped], images[~flipped], atol=1e-5, rtol=0)
    both = NOTHING.changed(flip_horizontal=True, flip_vertical=True)
    made = both.apply(images, draws(400, horizontal=0.1, vertical=0.1))
    torch.testing.assert_close(made, images.flip(-1, -2), atol=1e-5, rtol=0)


def test_all_three_flips_give_each_of_the_eight_turned_and_mirrored_pictures_as_often():
    image, some = pictures(1), draws(800)
    flips = NOTHING.changed(flip_horizontal=True, flip_vertical=True, flip_diagonal=True)
    made = flips.apply(image.expand(len(some), -1, -1, -1), some)
    eight = [turned for k in range(4) for turned in (image.rot90(k, (-2, -1)), image.rot90(k, (-2, -1)).flip(-1))]
    found = torch.stack([(made - one).abs().amax((1, 2, 3)) < 1e-5 for one in eight]).sum(1)
    assert found.sum() == len(some)
    assert ((found > 65) & (found < 140)).all()  # 100 expected of each, deviation 9.4
    alone = NOTHING.changed(flip_diagonal=True).apply(image.expand(len(some), -1, -1, -1), some)
    mirrored = (alone - image.transpose(-1, -2)).abs().amax((1, 2, 3)) < 1e-5
    assert 340 < mirrored.sum() < 460
    torch.testing.assert_close(alone[~mirrored], image.expand(len(some), -1, -1, -1)[~mirrored], atol=1e-5, rtol=0)


def test_pictures_that_are_not_square_are_not_mirrored_at_the_diagonal():
    with pytest.raises(ConfigError, match="square"):
        NOTHING.changed(flip_diagonal=True).apply(torch.rand(2, 3, 8, 12), draws(2))


def test_flips_are_off_by_default():
    assert not Augmentation().flip_horizontal
    assert not Augmentation().flip_vertical
    assert not Augmentation().flip_diagonal
    assert (torch.linalg.det(Augmentation().homographies(draws(300), 32, 32)) > 0).all(), "no mirror image"


def test_what_comes_in_from_outside_is_the_reflected_picture():
    image = pictures(1, 1, 8, 8)
    shifted = torch.eye(3)[None].clone()
    shifted[0, 0, 2] = 3.0  # the output at x is the input at x + 3
    expected = torch.cat([image, image.flip(-1)], dim=-1)[..., 3:11]
    torch.testing.assert_close(warp(image, shifted), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("channels", [1, 3])
def test_values_stay_in_range_and_shapes_stay(channels):
    strong = Augmentation(
        rotation=180.0,
        perspective=(0.1, 0.6),
        brightness=1.0,
        contrast=1.0,
        saturation=1.0,
        hue=0.5,
        flip_horizontal=True,
        flip_vertical=True,
    )
    images = pictures(64, channels, 12, 20).round()  # the ends of the range
    made = strong.apply(images, draws(64))
    assert made.shape == images.shape
    assert made.dtype == torch.float32
    assert torch.isfinite(made).all()
    assert made.min() >= 0
    assert made.max() <= 1 + 1e-6


@pytest.mark.parametrize(
    "field",
    [{"rotation": 181.0}, {"brightness": 1.5}, {"hue": 0.6}, {"probability": -0.1}, {"perspective": (0.0, 2.0)}],
)
def test_impossible_values_are_refused(field):
    with pytest.raises(ConfigError, match=f"Augmentation.{next(iter(field))}"):
        Augmentation(**field)


# ---------------------------------------------------------------- the draws


def test_draws_are_uniform_and_named_by_seed_epoch_and_slot():
    whole = Draws(500, seed=3).at(np.full(500, 2), np.arange(500))
    assert whole.shape == (500, NUM_DRAWS)
    assert whole.dtype == torch.float32
    assert 0 <= whole.min() < whole.max() < 1
    assert (whole.mean(0) - 0.5).abs().max() < 0.06
    for seed, epoch in ((3, 1), (4, 2)):
        assert not torch.equal(Draws(500, seed).at(np.full(500, epoch), np.arange(500)), whole)
    assert len(whole.unique(dim=0)) == 500


def test_draws_do_not_depend_on_the_order_of_asking_or_on_the_batch():
    source, fresh = Draws(9, 0), {}
    for epoch in range(4):
        for slot in range(9):
            fresh[epoch, slot] = Draws(9, 0).at(np.array([epoch]), np.array([slot]))[0]
    names = np.random.default_rng(0).permutation(list(fresh))
    for start in range(0, len(names), 7):
        epoch, slot = names[start : start + 7].T
        for mine, name in zip(source.at(epoch, slot), zip(epoch, slot, strict=True), strict=True):
            assert torch.equal(mine, fresh[name])


def test_a_picture_is_augmented_alike_in_any_batch():
    images, some, recipe = pictures(12), draws(12), Augmentation(flip_horizontal=True)
    whole = recipe.apply(images, some)
    for rows in ([3], [11, 0, 5], [7, 7]):
        torch.testing.assert_close(recipe.apply(images[rows], some[rows]), whole[rows], atol=1e-5, rtol=0)


def test_augmenting_leaves_the_pictures_and_the_global_stream_alone():
    images, before, state = pictures(), pictures(), torch.get_rng_state()
    Augmentation().apply(images, draws())
    assert torch.equal(images, before)
    assert torch.equal(torch.get_rng_state(), state)
