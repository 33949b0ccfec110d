"""Structural similarity between pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from handful.errors import DataError

if TYPE_CHECKING:
    import torch

WINDOW = 7
K1, K2, RANGE = 0.01, 0.03, 255.0
CHUNK_VALUES = 4_000_000


def ssim_pairs(first: Any, second: Any) -> NDArray[np.float64]:
    """Return float64 [N, M], the structural similarity of every picture of one set with every one of the other.

    SSIM = mean over windows of (2 mx my + C1)(2 cov + C2) / ((mx^2 + my^2 + C1)(vx + vy + C2)), with a uniform 7x7
    window, sample covariance, C1 = (0.01 * 255)^2, C2 = (0.03 * 255)^2, windows that fit wholly inside, and the mean
    over channels. In pictures under 7 px the window is the largest odd one that fits.

    Args:
        first: uint8 [N, C, H, W], NumPy or torch.
        second: uint8 [M, C, H, W].

    Raises:
        DataError: shapes or dtypes that do not fit together.

    Source: Wang, Bovik, Sheikh and Simoncelli (2004), "Image quality assessment", eq. 13, in the form of scikit-image's
    `structural_similarity(channel_axis=0, data_range=255)`, which it equals to 1e-9.
    """
    import torch

    a, b = (torch.from_numpy(np.array(np.asarray(images))) for images in (first, second))
    if a.ndim != 4 or b.ndim != 4 or a.shape[1:] != b.shape[1:] or a.dtype != torch.uint8 or b.dtype != torch.uint8:
        raise DataError(
            f"ssim: two uint8 sets [N, C, H, W] of one shape are needed, got {a.dtype} {list(a.shape)} and "
            f"{b.dtype} {list(b.shape)}"
        )
    side = min(WINDOW, *a.shape[-2:])
    side -= 1 - side % 2
    a, b = a.double(), b.double()
    mean_a, mean_b = _window_mean(a, side), _window_mean(b, side)
    unbias = side * side / (side * side - 1) if side > 1 else 1.0
    var_a = unbias * (_window_mean(a * a, side) - mean_a**2)
    var_b = unbias * (_window_mean(b * b, side) - mean_b**2)
    c1, c2 = (K1 * RANGE) ** 2, (K2 * RANGE) ** 2
    out = torch.empty(len(a), len(b), dtype=torch.float64)
    chunk = max(1, CHUNK_VALUES // max(1, a[0].numel() if len(a) else 1))
    for row in range(len(a)):
        for start in range(0, len(b), chunk):
            part = slice(start, start + chunk)
            cov = unbias * (_window_mean(a[row] * b[part], side) - mean_a[row] * mean_b[part])
            top = (2 * mean_a[row] * mean_b[part] + c1) * (2 * cov + c2)
            low = (mean_a[row] ** 2 + mean_b[part] ** 2 + c1) * (var_a[row] + var_b[part] + c2)
            out[row, part] = (top / low).mean(dim=(1, 2, 3))
    return out.numpy()


def mean_ssim(*, real: Any, synthetic: Any) -> float:
    """Return the mean SSIM over all pairs of a real and a synthetic picture; higher is more alike, not better.

    Args:
        real: uint8 [N, C, H, W], N >= 1.
        synthetic: uint8 [M, C, H, W], M >= 1.

    Raises:
        DataError: one of the sets is empty.
    """
    if len(real) == 0 or len(synthetic) == 0:
        raise DataError(f"mean SSIM needs a picture on both sides, got {len(real)} real and {len(synthetic)} synthetic")
    return float(ssim_pairs(synthetic, real).mean())


def _window_mean(images: torch.Tensor, side: int) -> torch.Tensor:
    """Means over all side x side windows that fit inside: [N, C, H, W] => [N, C, H-side+1, W-side+1]."""
    from torch.nn import functional as F

    return F.avg_pool2d(images, side, stride=1)
