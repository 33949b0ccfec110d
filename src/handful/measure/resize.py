"""How pictures come to the size of an extractor: part of what a distance means, and of its name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from handful.errors import ConfigError, unknown

if TYPE_CHECKING:
    import torch

Resizer = Literal["bilinear", "bicubic", "tensorflow"]
RESIZERS: tuple[Resizer, ...] = ("bilinear", "bicubic", "tensorflow")


def resize(images: torch.Tensor, size: int, resizer: Resizer) -> torch.Tensor:
    """Return float32 [N, C, size, size] in [0, 255]: pictures stretched to a square.

    `bilinear` and `bicubic` widen their filter when a picture shrinks (antialias), as Pillow does; nothing is
    rounded, and bicubic overshoot is cut off at the end. `tensorflow` is bilinear as TensorFlow 1 had it, without
    antialias and with pixels' corners for centres: the Fréchet inception distance was defined with it.

    Args:
        images: [N, C, H, W], values in [0, 255], any number type.

    Source: Parmar, Zhang and Zhu, On Aliased Resizing and Surprising Subtleties in GAN Evaluation (2022). Checked
    against Pillow's on floating-point pictures (1e-3) and torch-fidelity's (1e-4).
    """
    from torch.nn import functional as F

    if resizer not in RESIZERS:
        raise ConfigError(unknown("resizer", resizer, RESIZERS))
    images = images.float()
    if images.shape[-2:] == (size, size):
        return images
    if resizer == "tensorflow":
        return _corners(_corners(images, size, 3), size, 2)
    return F.interpolate(images, (size, size), mode=resizer, align_corners=False, antialias=True).clamp(0, 255)


def _corners(images: torch.Tensor, size: int, dim: int) -> torch.Tensor:
    """One side resized: output pixel i lies at i * side / size and mixes its two neighbours."""
    import torch

    side = images.shape[dim]
    place = torch.arange(size, dtype=torch.float32, device=images.device) * (side / size)
    low = place.long().clamp_max(side - 1)
    share = (place - low).view(-1, 1) if dim == 2 else place - low
    below, above = images.index_select(dim, low), images.index_select(dim, (low + 1).clamp_max(side - 1))
    return below + (above - below) * share
