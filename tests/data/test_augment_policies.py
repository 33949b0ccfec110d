"""RandAugment and TrivialAugment: each operation against torchvision, and who gets which."""

from __future__ import annotations

import math

import pytest
import torch
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as T

from handful.data.policies import OPERATIONS, RandAugment, Strongest, TrivialAugment, operate

LIMITS = Strongest(shear=0.3, translate=0.25, rotate=30, factor=0.9, bits=4)
BILINEAR = InterpolationMode.BILINEAR
LEVEL = 0.6


def pictures(num=5, channels=3, size=32):
    return T.gaussian_blur(torch.rand(num, channels, size, size, generator=torch.Generator().manual_seed(0)), [5, 5])


def uint8(images):
    return (images * 255).round().to(torch.uint8)


def after(name, images, level=LEVEL, sign=1.0):
    """`operate` with one operation on every picture."""
    which = torch.full((len(images),), (OPERATIONS.index(name) + 0.5) / len(OPERATIONS))
    return operate(images, which, torch.full((len(images),), level), torch.full((len(images),), sign), LIMITS)


def affine(images, angle=0.0, translate=(0, 0), shear=(0.0, 0.0)):
    return T.affine(images, angle, list(translate), 1.0, list(shear), interpolation=BILINEAR)


DEGREES = math.degrees(math.atan(0.3 * LEVEL))
SHIFT = 0.25 * 32 * LEVEL  # 4.8 pixels; torchvision takes whole ones


@pytest.mark.parametrize("sign", [0.0, 1.0])
@pytest.mark.parametrize("name", ["shear_x", "shear_y", "rotate", "translate_x", "translate_y"])
def test_geometry_is_that_of_torchvision(name, sign):
    images, way = pictures(), 1 if sign else -1
    level = 0.625 if name.startswith("translate") else LEVEL
    expected = {
        "shear_x": lambda: affine(images, shear=(way * DEGREES, 0.0)),
        "shear_y": lambda: affine(images, shear=(0.0, way * DEGREES)),
        "rotate": lambda: T.rotate(images, way * 30 * LEVEL, interpolation=BILINEAR),
        "translate_x": lambda: affine(images, translate=(way * 5, 0)),
        "translate_y": lambda: affine(images, translate=(0, way * 5)),
    }[name]()
    middle = (..., slice(9, -9), slice(9, -9))
    torch.testing.assert_close(after(name, images, level, sign)[middle], expected[middle], atol=1e-4, rtol=0)


@pytest.mark.parametrize("sign", [0.0, 1.0])
@pytest.mark.parametrize("name", ["brightness", "saturation", "contrast", "sharpness"])
def test_factors_are_those_of_torchvision(name, sign):
    images = pictures()
    expected = getattr(T, f"adjust_{name}")(images, 1 + (0.9 if sign else -0.9) * LEVEL)
    torch.testing.assert_close(after(name, images, sign=sign), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("level", [0.0, 0.3, 0.6, 1.0])
def test_tones_are_those_of_torchvision(level, channels):
    images = uint8(pictures(channels=channels)).float() / 255
    bits = 8 - round(level * 4)
    torch.testing.assert_close(uint8(after("posterize", images, level)), T.posterize(uint8(images), bits))
    torch.testing.assert_close(after("solarize", images, level), T.solarize(images, 1 - level))
    torch.testing.assert_close(after("autocontrast", images, level), T.autocontrast(images), atol=1e-5, rtol=0)
    torch.testing.assert_close(uint8(after("equalize", images, level)), T.equalize(uint8(images)))


def test_pictures_of_one_value_survive_every_operation():
    flat = torch.tensor([0.0, 0.4, 1.0]).view(3, 1, 1, 1).expand(3, 3, 8, 8).contiguous()
    for name in OPERATIONS:
        assert torch.isfinite(after(name, flat)).all(), name
    torch.testing.assert_close(uint8(after("equalize", flat)), T.equalize(uint8(flat)))


def test_each_picture_of_a_batch_gets_the_operation_it_drew():
    images = pictures(len(OPERATIONS))
    which = (torch.arange(len(OPERATIONS)) + 0.5) / len(OPERATIONS)
    level, sign = torch.full((len(which),), LEVEL), torch.ones(len(which))
    made = operate(images, which, level, sign, LIMITS)
    for place, name in enumerate(OPERATIONS):
        torch.testing.assert_close(made[place], after(name, images[place : place + 1])[0], atol=1e-5, rtol=0)
    torch.testing.assert_close(made[0], images[0])


def test_operations_are_drawn_evenly_and_magnitude_0_does_little():
    images = pictures(2000, 1, 4)
    draws = torch.rand(2000, 9, generator=torch.Generator().manual_seed(1))
    counts = torch.bincount((draws[:, 0] * len(OPERATIONS)).long(), minlength=len(OPERATIONS))
    assert counts.min() > 90
    same = ((RandAugment(num_ops=1, magnitude=0).apply(images, draws) - images).abs().amax((1, 2, 3)) < 1 / 254).float()
    assert 12.5 / 14 < same.mean() < 13.5 / 14, "all but autocontrast; 16 pixels are too few to equalize"
    assert ((TrivialAugment().apply(images, draws) - images).abs().amax((1, 2, 3)) > 0.05).float().mean() > 0.4


def test_randaugment_applies_as_many_operations_as_asked():
    images, draws = pictures(300), torch.rand(300, 9, generator=torch.Generator().manual_seed(2))
    one, two = (RandAugment(num_ops=num, magnitude=15).apply(images, draws) for num in (1, 2))
    second = (draws[:, 3:4].flatten() * len(OPERATIONS)).long() == 0  # identity
    torch.testing.assert_close(one[second], two[second])
    assert (one - two)[~second].abs().amax((1, 2, 3)).gt(1e-3).float().mean() > 0.7
