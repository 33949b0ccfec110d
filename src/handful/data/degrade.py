"""What is taken from pictures of a batch: sharpness (blur) and a patch (random erasing, cutout)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def blur(images: torch.Tensor, sigma: torch.Tensor, radius: int) -> torch.Tensor:
    """Return pictures smoothed by a Gaussian of `sigma` [B] pixels, cut off at `radius`; borders are reflected.

    A sigma of 0 leaves a picture as it is. Checked against torchvision's `gaussian_blur`.
    """
    import torch
    from torch.nn import functional as F

    num, channels, height, width = images.shape
    radius = min(radius, height - 1, width - 1)  # what a reflection has
    place = torch.arange(-radius, radius + 1, device=images.device, dtype=images.dtype)
    weights = torch.exp(-((place / sigma.clamp_min(1e-3).view(-1, 1)) ** 2) / 2)  # [B, 2 radius + 1]
    weights = (weights / weights.sum(1, keepdim=True)).repeat_interleave(channels, 0).unsqueeze(1)
    padded = F.pad(images, [radius] * 4, mode="reflect").reshape(
        1, num * channels, *(s + 2 * radius for s in (height, width))
    )
    rows = F.conv2d(padded, weights.unsqueeze(2), groups=num * channels)
    return F.conv2d(rows, weights.unsqueeze(3), groups=num * channels).reshape(images.shape)


def erase(images: torch.Tensor, boxes: torch.Tensor) -> torch.Tensor:
    """Return pictures with a box filled by their own mean colour.

    Args:
        images: float [B, C, H, W].
        boxes: int [B, 4], left, top, right, bottom, the last two not included; an empty box leaves a picture as it is.
    """
    import torch

    mean = images.mean((2, 3), keepdim=True)
    return torch.where(inside(boxes, *images.shape[-2:]), mean, images)


def inside(boxes: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Return bool [B, 1, H, W], true in each picture's box [B, 4] (left, top, right, bottom)."""
    import torch

    left, top, right, bottom = boxes.view(-1, 4, 1, 1, 1).unbind(1)
    y = torch.arange(height, device=boxes.device).view(1, 1, -1, 1)
    x = torch.arange(width, device=boxes.device).view(1, 1, 1, -1)
    return (x >= left) & (x < right) & (y >= top) & (y < bottom)


def erasing_boxes(
    draws: torch.Tensor, height: int, width: int, area: tuple[float, float], ratio: tuple[float, float]
) -> torch.Tensor:
    """Return int [B, 4], boxes inside the picture (Zhong et al. 2020).

    Args:
        draws: [B, 4] in [0, 1): area, ratio, place from left and from top.
        area: smallest and largest share of the picture.
        ratio: smallest and largest height / width, drawn evenly in its logarithm; cut where a side is too short.
    """
    import torch

    share = area[0] + (area[1] - area[0]) * draws[:, 0]
    low, high = math.log(ratio[0]), math.log(ratio[1])
    tall = torch.exp((low + (high - low) * draws[:, 1]) / 2)
    side = (share * height * width).sqrt()
    tall, wide = (side * tall).round().clamp_max(height), (side / tall).round().clamp_max(width)
    left, top = (draws[:, 2] * (width - wide + 1)).floor(), (draws[:, 3] * (height - tall + 1)).floor()
    return torch.stack([left, top, left + wide, top + tall], dim=1).long()
