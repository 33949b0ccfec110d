"""Colour and tone of whole batches, every factor a number per picture. Checked against torchvision's functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

LUMA = (0.2989, 0.587, 0.114)  # ITU-R 601


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
    images = (images * brightness.view(-1, 1, 1, 1)).clamp_(0, 1)
    mean = grey(images.mean(dim=(2, 3), keepdim=True))  # of the luma, which is linear
    images.mul_(contrast.view(-1, 1, 1, 1)).add_(mean * (1 - contrast.view(-1, 1, 1, 1))).clamp_(0, 1)
    if images.shape[1] == 1:
        return images
    if bool((saturation != 1).any()):
        light = grey(images).mul_(1 - saturation.view(-1, 1, 1, 1))
        images.mul_(saturation.view(-1, 1, 1, 1)).add_(light).clamp_(0, 1)
    return shift_hue(images, hue) if bool((hue != 0).any()) else images


def grey(images: torch.Tensor) -> torch.Tensor:
    """Return float [B, 1, H, W], the ITU-R 601 luma of RGB pictures; grey ones as they are."""
    if images.shape[1] == 1:
        return images
    red, green, blue = images.unbind(1)
    return (red * LUMA[0]).add_(green, alpha=LUMA[1]).add_(blue, alpha=LUMA[2]).unsqueeze(1)


def shift_hue(images: torch.Tensor, hue: torch.Tensor) -> torch.Tensor:
    """Return RGB pictures with `hue` [B] (in turns) added in HSV (Smith 1978)."""
    import torch

    red, green, blue = images.unbind(1)
    top = torch.maximum(torch.maximum(red, green), blue)
    low = torch.minimum(torch.minimum(red, green), blue)
    span = top.sub_(low)
    # with all three scaled to [0, 1], the hue in sixths of the circle is 1 + g - r + b, and its negative where b > g
    turn = (green + blue).sub_(red).sub_(low).div_(span.clamp_min(1e-12)).add_(1)
    turn = turn.copysign_(green - blue).add_(6 * hue.view(-1, 1, 1))
    turn.sub_((turn * (1 / 6)).floor_(), alpha=6)
    made = torch.empty_like(images)
    torch.add((turn - 3).abs_().sub_(1).clamp_(0, 1).mul_(span), low, out=made[:, 0])
    torch.add((turn - 2).abs_().neg_().add_(2).clamp_(0, 1).mul_(span), low, out=made[:, 1])
    torch.add(turn.sub_(4).abs_().neg_().add_(2).clamp_(0, 1).mul_(span), low, out=made[:, 2])
    return made


def sharpen(images: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    """Return pictures blended with their smoothed copy: 0 is the smoothed one, 1 the picture, above 1 sharper.

    The kernel is PIL's SMOOTH, (1 1 1, 1 5 1, 1 1 1) / 13; border pixels stay. `factor` is [B].
    """
    import torch
    from torch.nn import functional as F

    if min(images.shape[-2:]) < 3:
        return images
    channels = images.shape[1]
    kernel = torch.full((channels, 1, 3, 3), 1 / 13, device=images.device, dtype=images.dtype)
    kernel[:, :, 1, 1] = 5 / 13
    smooth = images.clone()
    smooth[..., 1:-1, 1:-1] = F.conv2d(images, kernel, groups=channels)
    return (smooth + (images - smooth) * factor.view(-1, 1, 1, 1)).clamp_(0, 1)


def posterize(images: torch.Tensor, bits: torch.Tensor) -> torch.Tensor:
    """Return pictures in which only the `bits` [B] highest of the eight bits of each value are left."""
    step = 2.0 ** (8 - bits).view(-1, 1, 1, 1)
    return ((images * 255).round_() / step).floor_() * step / 255


def solarize(images: torch.Tensor, threshold: torch.Tensor) -> torch.Tensor:
    """Return pictures with the values at or above `threshold` [B] in [0, 1] inverted."""
    import torch

    return torch.where(images >= threshold.view(-1, 1, 1, 1), 1 - images, images)


def stretch_contrast(images: torch.Tensor) -> torch.Tensor:
    """Return pictures whose channels each fill [0, 1]; a channel of one value stays ("autocontrast")."""
    import torch

    low, high = images.amin((2, 3), keepdim=True), images.amax((2, 3), keepdim=True)
    span = high - low
    return torch.where(span == 0, images, (images - low) / torch.where(span == 0, 1.0, span))


def equalize(images: torch.Tensor) -> torch.Tensor:
    """Return pictures with the histogram of each channel's 256 values made even, as PIL's `ImageOps.equalize` does."""
    import torch

    values = (images * 255).round_().long().flatten(2)  # [B, C, HW]
    counts = torch.zeros(*values.shape[:2], 256, dtype=torch.long, device=images.device)
    counts.scatter_add_(2, values, torch.ones_like(values))
    last = counts.gather(2, values.amax(2, keepdim=True))  # pictures in the highest value present
    step = (values.shape[2] - last) // 255
    before = counts.cumsum(2) - counts
    table = ((before + step // 2) // step.clamp_min(1)).clamp_(0, 255)
    table = torch.where(step == 0, torch.arange(256, device=images.device), table)
    return (table.gather(2, values).to(images.dtype) / 255).reshape(images.shape)
