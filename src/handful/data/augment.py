"""Classical augmentation of whole batches on the device: one warp and one pass of colour for every picture.

The random numbers of a picture are named by (seed, epoch, slot): the same picture in the same epoch is augmented the
same way for any batch size and on any engine.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from handful import rng
from handful.config import Recipe

if TYPE_CHECKING:
    import torch

Fraction = Annotated[float, Field(ge=0, le=1)]
NUM_DRAWS = 19  # 3 choices, 1 angle, 1 depth, 8 corners, 4 colours, 2 flips


class Augmentation(Recipe):
    """Random rotation, perspective and colour jitter; flips only where asked for.

    Args:
        rotation: largest angle in degrees, either way; what comes in from outside is the reflected picture.
        perspective: smallest and largest shift of the corners, as a fraction of the side (0, 0: none).
        brightness, contrast, saturation: factors are drawn from [1 - x, 1 + x].
        hue: shift drawn from [-x, x], in turns of the colour circle (0.5 is the whole circle).
        flip_horizontal, flip_vertical: flip half of the pictures; unsafe where a class is another one's mirror image.
        probability: chance of each of rotation, perspective and colour, per picture.
    """

    rotation: Annotated[float, Field(ge=0, le=180)] = 15.0
    perspective: tuple[Fraction, Fraction] = (0.0, 0.1)
    brightness: Fraction = 0.2
    contrast: Fraction = 0.2
    saturation: Fraction = 0.2
    hue: Annotated[float, Field(ge=0, le=0.5)] = 0.02
    flip_horizontal: bool = False
    flip_vertical: bool = False
    probability: Fraction = 1.0

    @field_validator("perspective")
    @classmethod
    def _in_order(cls, given: tuple[float, float]) -> tuple[float, float]:
        if given[0] > given[1]:
            raise ValueError(f"the smallest shift {given[0]} is more than the largest {given[1]}")
        return given

    def apply(self, images: torch.Tensor, draws: torch.Tensor) -> torch.Tensor:
        """Return augmented pictures, float [B, C, H, W] in [0, 1].

        Args:
            images: float [B, C, H, W] in [0, 1].
            draws: float [B, NUM_DRAWS] in [0, 1), from `Draws`.
        """
        warped = warp(images, self.homographies(draws, images.shape[-2], images.shape[-1]))
        chosen = (draws[:, 2] < self.probability).to(images.dtype)
        spread = draws[:, 13:17] * 2 - 1
        return jitter(
            warped,
            brightness=1 + spread[:, 0] * self.brightness * chosen,
            contrast=1 + spread[:, 1] * self.contrast * chosen,
            saturation=1 + spread[:, 2] * self.saturation * chosen,
            hue=spread[:, 3] * self.hue * chosen,
        )

    def homographies(self, draws: torch.Tensor, height: int, width: int) -> torch.Tensor:
        """Return float [B, 3, 3], from output to input positions in pixels relative to the picture's centre."""
        import torch

        rotated = (draws[:, 0] < self.probability).to(draws.dtype)
        angle = (draws[:, 3] * 2 - 1) * math.radians(self.rotation) * rotated
        turn = rotations(angle)
        turn[:, :, 0] *= torch.where((draws[:, 17] < 0.5) & torch.tensor(self.flip_horizontal), -1.0, 1.0)[:, None]
        turn[:, :, 1] *= torch.where((draws[:, 18] < 0.5) & torch.tensor(self.flip_vertical), -1.0, 1.0)[:, None]
        low, high = self.perspective
        if high == 0:
            return turn
        depth = (low + (high - low) * draws[:, 4]) * (draws[:, 1] < self.probability)
        inward = draws[:, 5:13].reshape(-1, 4, 2) * depth[:, None, None]  # each corner moves inwards
        signs = torch.tensor([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]], device=draws.device)
        half = torch.tensor([width / 2, height / 2], device=draws.device)
        corners = (signs * half).expand(len(draws), 4, 2)
        return turn @ homography(corners, corners * (1 - inward))


class Draws:
    """The uniform random numbers that name every augmentation of N pictures.

    Args:
        num: number of slots N.
        seed: root seed.
    """

    def __init__(self, num: int, seed: int) -> None:
        self.num, self.seed = num, seed
        self._epochs: dict[int, NDArray[np.float32]] = {}

    def at(self, epoch: NDArray[np.int64], slot: NDArray[np.int64]) -> torch.Tensor:
        """Return float32 [B, NUM_DRAWS] for the draws (epoch, slot) [B]."""
        import torch

        out = np.empty((len(slot), NUM_DRAWS), dtype=np.float32)
        for one in np.unique(epoch):
            if int(one) not in self._epochs:
                while len(self._epochs) > 1:
                    del self._epochs[min(self._epochs)]
                stream = rng.numpy_rng(self.seed, "augment", int(one))
                self._epochs[int(one)] = stream.random((self.num, NUM_DRAWS), dtype=np.float32)
            out[epoch == one] = self._epochs[int(one)][slot[epoch == one]]
        return torch.from_numpy(out)


def rotations(angle: torch.Tensor) -> torch.Tensor:
    """Return float [B, 3, 3], rotations by `angle` [B] in radians, counter-clockwise as the picture is seen."""
    import torch

    cos, sin, zero, one = angle.cos(), angle.sin(), torch.zeros_like(angle), torch.ones_like(angle)
    rows = [cos, -sin, zero, sin, cos, zero, zero, zero, one]
    return torch.stack(rows, dim=1).reshape(-1, 3, 3)


def homography(start: torch.Tensor, end: torch.Tensor) -> torch.Tensor:
    """Return float [B, 3, 3], the homographies that take `end` points to `start` points, both [B, 4, 2].

    The eight unknowns solve the usual linear system (Hartley and Zisserman 2004, section 4.1) with h33 = 1.
    """
    import torch

    x, y = end.unbind(-1)  # [B, 4]
    u, v = start.unbind(-1)
    zero, one = torch.zeros_like(x), torch.ones_like(x)
    rows_u = torch.stack([x, y, one, zero, zero, zero, -u * x, -u * y], dim=-1)
    rows_v = torch.stack([zero, zero, zero, x, y, one, -v * x, -v * y], dim=-1)
    system = torch.cat([rows_u, rows_v], dim=1)  # [B, 8, 8]
    solved = torch.linalg.solve(system, torch.cat([u, v], dim=1))
    return torch.cat([solved, torch.ones_like(solved[:, :1])], dim=1).reshape(-1, 3, 3)


def warp(images: torch.Tensor, matrices: torch.Tensor) -> torch.Tensor:
    """Return the pictures resampled bilinearly, with reflected borders.

    Args:
        images: float [B, C, H, W].
        matrices: float [B, 3, 3], from output to input positions in pixels relative to the centre.
    """
    import torch
    from torch.nn import functional as F

    height, width = images.shape[-2:]
    y, x = torch.meshgrid(
        torch.arange(height, device=images.device, dtype=images.dtype) - (height - 1) / 2,
        torch.arange(width, device=images.device, dtype=images.dtype) - (width - 1) / 2,
        indexing="ij",
    )
    points = torch.stack([x, y, torch.ones_like(x)], dim=-1).reshape(1, -1, 3)  # [1, HW, 3]
    mapped = points @ matrices.to(images).transpose(1, 2)
    scale = torch.tensor([2 / width, 2 / height], device=images.device, dtype=images.dtype)
    grid = (mapped[..., :2] / mapped[..., 2:]) * scale
    grid = grid.reshape(-1, height, width, 2)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="reflection", align_corners=False)


def jitter(
    images: torch.Tensor,
    *,
    brightness: torch.Tensor,
    contrast: torch.Tensor,
    saturation: torch.Tensor,
    hue: torch.Tensor,
) -> torch.Tensor:
    """Return pictures with their colours changed, in the order brightness, contrast, saturation, hue.

    Factors are [B]; 1 (0 for hue) leaves a picture as it is. Blends and hue are those of torchvision's
    `adjust_*` functions, against which they are checked. Grey pictures have no saturation and no hue.
    """
    images = (images * brightness.view(-1, 1, 1, 1)).clamp(0, 1)
    mean = grey(images).mean(dim=(1, 2, 3), keepdim=True)
    images = (mean + (images - mean) * contrast.view(-1, 1, 1, 1)).clamp(0, 1)
    if images.shape[1] == 1:
        return images
    light = grey(images)
    images = (light + (images - light) * saturation.view(-1, 1, 1, 1)).clamp(0, 1)
    return shift_hue(images, hue) if bool((hue != 0).any()) else images


def grey(images: torch.Tensor) -> torch.Tensor:
    """Return float [B, 1, H, W], the ITU-R 601 luma of RGB pictures; grey ones as they are."""
    if images.shape[1] == 1:
        return images
    return (0.2989 * images[:, 0] + 0.587 * images[:, 1] + 0.114 * images[:, 2]).unsqueeze(1)


def shift_hue(images: torch.Tensor, hue: torch.Tensor) -> torch.Tensor:
    """Return RGB pictures with `hue` [B] (in turns) added in HSV (Smith 1978)."""
    import torch

    red, green, blue = images.unbind(1)
    top, low = images.amax(1), images.amin(1)
    span = top - low
    safe = torch.where(span == 0, torch.ones_like(span), span)
    turn = torch.where(
        top == red,
        (green - blue) / safe,
        torch.where(top == green, 2 + (blue - red) / safe, 4 + (red - green) / safe),
    )
    turn = (turn / 6 + hue.view(-1, 1, 1)) % 1.0 * 6
    offset = torch.tensor([5.0, 3.0, 1.0], device=images.device, dtype=images.dtype).view(1, 3, 1, 1)
    k = (offset + turn.unsqueeze(1)) % 6
    ramp = torch.minimum(k, 4 - k).clamp(0, 1)
    return top.unsqueeze(1) - span.unsqueeze(1) * ramp
