"""Geometry of whole batches: matrices from output to input positions, and the one resampling that applies them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def rotations(angle: torch.Tensor) -> torch.Tensor:
    """Return float [B, 3, 3], rotations by `angle` [B] in radians, counter-clockwise as the picture is seen."""
    import torch

    cos, sin, zero, one = angle.cos(), angle.sin(), torch.zeros_like(angle), torch.ones_like(angle)
    rows = [cos, -sin, zero, sin, cos, zero, zero, zero, one]
    return torch.stack(rows, dim=1).reshape(-1, 3, 3)


def affine(shift: torch.Tensor, zoom: torch.Tensor, shear: torch.Tensor) -> torch.Tensor:
    """Return float [B, 3, 3] that shear, zoom and then shift a picture about its centre.

    Args:
        shift: [B, 2], pixels right and down.
        zoom: [B], above 1 the picture grows.
        shear: [B, 2], radians along x and y, as in torchvision's `affine`, against which it is checked.
    """
    import torch

    tan_x, tan_y = shear.tan().unbind(1)
    zero, one = torch.zeros_like(zoom), torch.ones_like(zoom)
    rows = [1 + tan_x * tan_y, tan_x, zero, tan_y, one, zero, zero, zero, zoom]
    inverse = torch.stack(rows, dim=1).reshape(-1, 3, 3) / zoom.view(-1, 1, 1)
    return inverse @ translations(shift)


def translations(shift: torch.Tensor) -> torch.Tensor:
    """Return float [B, 3, 3] that shift a picture by [B, 2] pixels right and down."""
    import torch

    matrices = torch.eye(3, device=shift.device, dtype=shift.dtype).repeat(len(shift), 1, 1)
    matrices[:, :2, 2] = -shift
    return matrices


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
    y = (torch.arange(height, device=images.device, dtype=images.dtype) - (height - 1) / 2).view(1, 1, -1, 1)
    x = (torch.arange(width, device=images.device, dtype=images.dtype) - (width - 1) / 2).view(1, 1, 1, -1)
    to_unit = torch.tensor([2 / width, 2 / height], device=images.device, dtype=images.dtype).view(1, 2, 1)
    rows = matrices.to(images)
    above, below = (rows[:, :2] * to_unit).unsqueeze(3), rows[:, 2:].unsqueeze(3)  # [B, 2 or 1, 3, 1]
    grid, depth = (m[:, :, :1] * x + (m[:, :, 1:2] * y + m[:, :, 2:]) for m in (above, below))  # [B, 2 or 1, H, W]
    grid = grid.div_(depth).permute(0, 2, 3, 1)  # planes of x and of y: grid_sample reads these fastest
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
