"""Policies that draw operations instead of being tuned: RandAugment and TrivialAugment, per picture, on batches."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SerializeAsAny

from handful.config import Recipe, choose
from handful.data import colour
from handful.data.warp import affine, rotations, warp

if TYPE_CHECKING:
    import torch

BINS = 31  # magnitudes 0 to 30, as both papers
OPERATIONS = (
    "identity",
    "shear_x",
    "shear_y",
    "translate_x",
    "translate_y",
    "rotate",
    "brightness",
    "saturation",
    "contrast",
    "sharpness",
    "posterize",
    "solarize",
    "autocontrast",
    "equalize",
)


@dataclass(frozen=True)
class Strongest:
    """What the largest magnitude does.

    Args:
        shear: tangent of the angle.
        translate: fraction of the side.
        rotate: degrees.
        factor: brightness, saturation, contrast and sharpness go to 1 - factor or 1 + factor.
        bits: how many of eight bits posterize takes away.
        pixels: no shift is longer than this.
    """

    shear: float
    translate: float
    rotate: float
    factor: float
    bits: int
    pixels: float = math.inf


class Policy(Recipe, ABC):
    """A rule that draws operations and their strength for each picture.

    What comes in from outside is the reflected picture, as everywhere here; the papers fill it with grey.
    """

    kind: str

    @abstractmethod
    def apply(self, images: torch.Tensor, draws: torch.Tensor) -> torch.Tensor:
        """Return float [B, C, H, W] in [0, 1]; `draws` [B, 9] in [0, 1): operation, magnitude and sign, thrice."""


class RandAugment(Policy):
    """Operations drawn at random, all of one magnitude (Cubuk et al. 2020), ranges as in torchvision.

    Args:
        num_ops: operations per picture, one after another.
        magnitude: 0 (nothing) to 30.
    """

    kind: Literal["randaugment"] = "randaugment"
    num_ops: Annotated[int, Field(ge=1, le=3)] = 2
    magnitude: Annotated[int, Field(ge=0, le=BINS - 1)] = 9

    def apply(self, images: torch.Tensor, draws: torch.Tensor) -> torch.Tensor:
        limits = Strongest(shear=0.3, translate=150 / 331, rotate=30, factor=0.9, bits=4)
        for one in draws.reshape(len(draws), 3, 3).unbind(1)[: self.num_ops]:
            images = operate(images, one[:, 0], (one[:, 1] * 0) + self.magnitude / (BINS - 1), one[:, 2], limits)
        return images


class TrivialAugment(Policy):
    """One operation per picture at a magnitude drawn from all (Müller and Hutter 2021, the wide ranges).

    A shift of the paper's 32 pixels would turn a small picture into its reflection: no shift is longer than 150/331 of
    the side. Rotation goes up to 135 degrees.
    """

    kind: Literal["trivialaugment"] = "trivialaugment"

    def apply(self, images: torch.Tensor, draws: torch.Tensor) -> torch.Tensor:
        limits = Strongest(shear=0.99, translate=150 / 331, rotate=135, factor=0.99, bits=6, pixels=32)
        level = (draws[:, 1] * BINS).floor() / (BINS - 1)
        return operate(images, draws[:, 0], level, draws[:, 2], limits)


POLICIES: dict[str, type[Policy]] = {"randaugment": RandAugment, "trivialaugment": TrivialAugment}
AnyPolicy = Annotated[Policy, BeforeValidator(lambda given: choose(POLICIES, given, "policy")), SerializeAsAny()]


def operate(
    images: torch.Tensor, which: torch.Tensor, level: torch.Tensor, sign: torch.Tensor, limits: Strongest
) -> torch.Tensor:
    """Return pictures after one operation each.

    Args:
        which: [B] in [0, 1), spread evenly over OPERATIONS.
        level: [B] in [0, 1], share of the strongest.
        sign: [B] in [0, 1), below a half the operation goes the other way where it has two.
    """
    import torch

    place = (which * len(OPERATIONS)).floor().long().clamp_max(len(OPERATIONS) - 1)
    made = images.clone()
    signed = torch.where(sign < 0.5, -level, level)
    moved = torch.nonzero((place >= 1) & (place <= 5)).flatten()
    if len(moved):
        made[moved] = warp(images[moved], _matrices(place[moved], signed[moved], limits, images.shape))
    for number, name in enumerate(OPERATIONS):
        rows = torch.nonzero(place == number).flatten()
        if number > 5 and len(rows):
            made[rows] = _tone(name, images[rows], level[rows], 1 + signed[rows] * limits.factor, limits)
    return made


def _matrices(place: torch.Tensor, signed: torch.Tensor, limits: Strongest, shape: Any) -> torch.Tensor:
    """float [B, 3, 3] of the operations 1 to 5."""
    import torch

    at = torch.stack([(place == number) * signed for number in range(6)], dim=1)
    longest = [min(limits.translate * side, limits.pixels) for side in (shape[3], shape[2])]
    shift = at[:, 3:5] * torch.tensor(longest, device=signed.device)
    shear = (at[:, 1:3] * limits.shear).atan()
    return rotations(at[:, 5] * math.radians(limits.rotate)) @ affine(shift, torch.ones_like(signed), shear)


def _tone(
    name: str, images: torch.Tensor, level: torch.Tensor, factor: torch.Tensor, limits: Strongest
) -> torch.Tensor:
    if name in ("brightness", "saturation", "contrast"):
        one = factor * 0 + 1
        factors = {other: factor if other == name else one for other in ("brightness", "saturation", "contrast")}
        return colour.jitter(images, **factors, hue=factor * 0)
    if name == "sharpness":
        return colour.sharpen(images, factor)
    if name == "posterize":
        return colour.posterize(images, 8 - (level * limits.bits).round())
    if name == "solarize":
        return colour.solarize(images, 1 - level)
    return colour.stretch_contrast(images) if name == "autocontrast" else colour.equalize(images)
