"""Differentiable augmentation of what a discriminator sees, real and synthetic alike (Zhao et al. 2020)."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field

from handful.config import Recipe

Fraction = Annotated[float, Field(ge=0, le=1)]
NUM_DRAWS = 7


class DiffAugment(Recipe):
    """Colour, translation and cutout, in this order; 0 turns one off. The defaults are those of the paper.

    Unlike `Augmentation` it does not reach the pictures that a generator makes, as long as the discriminator can tell
    augmented pictures from others: the generator's gradient passes through it.

    Args:
        brightness: a value from [-x, x] is added, in units of half the range of a pixel.
        saturation: the distance of each pixel from its grey is multiplied by a factor from [1 - x, 1 + x].
        contrast: the distance of each value from the picture's mean is multiplied by a factor from [1 - x, 1 + x].
        translation: largest shift along each axis, as a fraction of the side, in whole pixels; mid-grey comes in.
        cutout: side of a square of mid-grey, as a fraction of the picture's; its centre lies anywhere in it.
    """

    brightness: Fraction = 0.5
    saturation: Fraction = 1.0
    contrast: Fraction = 0.5
    translation: Fraction = 0.125
    cutout: Fraction = 0.5

    def draws(self, num: int, stream: torch.Generator, device: str) -> torch.Tensor:
        """Return what `apply` needs for `num` pictures, float [num, 7] in [0, 1)."""
        return torch.rand(num, NUM_DRAWS, generator=stream, device=stream.device).to(device)

    def apply(self, images: torch.Tensor, draws: torch.Tensor) -> torch.Tensor:
        """Return augmented pictures, float [B, C, H, W]; values may leave [-1, 1], as in the paper.

        Args:
            images: float [B, C, H, W] in [-1, 1].
            draws: float [B, 7] in [0, 1).

        Checked against a plain computation, picture by picture and pixel by pixel.
        """
        spread = (2 * draws[:, :3] - 1)[:, :, None, None, None]
        if self.brightness:
            images = images + self.brightness * spread[:, 0]
        if self.saturation:
            grey = images.mean(dim=1, keepdim=True)
            images = grey + (images - grey) * (1 + self.saturation * spread[:, 1])
        if self.contrast:
            mean = images.mean(dim=(1, 2, 3), keepdim=True)
            images = mean + (images - mean) * (1 + self.contrast * spread[:, 2])
        height, width = images.shape[2:]
        if self.translation:
            down = _shift(draws[:, 3], height, self.translation, images)
            right = _shift(draws[:, 4], width, self.translation, images)
            images = down[:, None] @ images @ right[:, None].transpose(2, 3)
        if self.cutout:
            rows = _covered(draws[:, 5], height, self.cutout)
            columns = _covered(draws[:, 6], width, self.cutout)
            images = images * ~(rows[:, None, :, None] & columns[:, None, None, :])
        return images


def _shift(draws: torch.Tensor, side: int, fraction: float, like: torch.Tensor) -> torch.Tensor:
    """Matrices [B, side, side] that move by a whole number of pixels in [-fraction, fraction] * side; 0 comes in."""
    most = _pixels(side, fraction)
    by = (draws * (2 * most + 1)).floor()[:, None, None] - most
    at = torch.arange(side, device=draws.device)
    return (at[:, None] - at == by).to(like)


def _covered(draws: torch.Tensor, side: int, fraction: float) -> torch.Tensor:
    """Bool [B, side], True along the stretch of fraction * side pixels around a pixel drawn uniformly."""
    length = _pixels(side, fraction)
    start = (draws * (side + 1 - length % 2)).floor()[:, None] - length // 2
    at = torch.arange(side, device=draws.device)
    return (at >= start) & (at < start + length)


def _pixels(side: int, fraction: float) -> int:
    """A fraction of the side in whole pixels, halves up."""
    return int(side * fraction + 0.5)
