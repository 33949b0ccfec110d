"""Structural similarity between pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from handful.errors import DataError
from handful.measure.given import require_number

WINDOW = 7
K1, K2, RANGE = 0.01, 0.03, 255.0
CHUNK_VALUES = 4_000_000
MOST_PICTURES = 128
BLOCK = 65_536


def ssim_pairs(first: Any, second: Any) -> NDArray[np.float64]:
    """Return float64 [N, M], the structural similarity of every picture of one set with every one of the other.

    SSIM = mean over windows of (2 mx my + C1)(2 cov + C2) / ((mx^2 + my^2 + C1)(vx + vy + C2)), with a uniform 7x7
    window, sample covariance, C1 = (0.01 * 255)^2, C2 = (0.03 * 255)^2, windows that fit wholly inside, and the mean
    over channels. In pictures under 7 px the window is the largest odd one that fits.

    One window of all pairs is three small matrix products in float32 (covariances of centred windows, numerator and
    denominator of the means and variances), so the cost per pair is that of arithmetic alone.

    Args:
        first: uint8 [N, C, H, W], NumPy or torch.
        second: uint8 [M, C, H, W].

    Raises:
        DataError: shapes or dtypes that do not fit together.

    Source: Wang, Bovik, Sheikh and Simoncelli (2004), "Image quality assessment", eq. 13, in the form of scikit-image's
    `structural_similarity(channel_axis=0, data_range=255)`, which it equals to 1e-6.
    """
    a, b = np.asarray(first), np.asarray(second)
    if a.ndim != 4 or b.ndim != 4 or a.shape[1:] != b.shape[1:] or a.dtype != np.uint8 or b.dtype != np.uint8:
        raise DataError(
            f"ssim: two uint8 sets [N, C, H, W] of one shape are needed, got {a.dtype} {list(a.shape)} and "
            f"{b.dtype} {list(b.shape)}"
        )
    out = np.empty((len(a), len(b)))
    num = max(1, min(MOST_PICTURES, CHUNK_VALUES // max(1, int(np.prod(a.shape[1:])))))
    for i in range(0, len(a), num):
        rows = [_Windows.of(channel) for channel in a[i : i + num].transpose(1, 2, 3, 0)]
        for j in range(0, len(b), num):
            columns = map(_Windows.of, b[j : j + num].transpose(1, 2, 3, 0))
            out[i : i + num, j : j + num] = sum(map(_mean_over_windows, rows, columns)) / a.shape[1]
    return out.clip(-1, 1)


def mean_ssim(*, real: Any, synthetic: Any) -> float:
    """Return the mean SSIM over all pairs of a real and a synthetic picture; higher is more alike, not better.

    Args:
        real: uint8 [N, C, H, W], N >= 1.
        synthetic: uint8 [M, C, H, W], M >= 1.

    Raises:
        DataError: one of the sets is empty.
    """
    _require("mean SSIM", 1, real=len(real), synthetic=len(synthetic))
    return float(ssim_pairs(synthetic, real).mean())


def best_ssim(*, real: Any, synthetic: Any) -> float:
    """Return the mean over synthetic pictures of the SSIM with the most similar real one; 1 for exact copies.

    Args:
        real: uint8 [N, C, H, W], N >= 1.
        synthetic: uint8 [M, C, H, W], M >= 1.

    Raises:
        DataError: one of the sets is empty.
    """
    _require("best-match SSIM", 1, real=len(real), synthetic=len(synthetic))
    return float(ssim_pairs(synthetic, real).max(axis=1).mean())


def ssim_within(*, synthetic: Any) -> float:
    """Return the mean SSIM over pairs of different pictures of one set; near 1 where a generator collapsed.

    Args:
        synthetic: uint8 [M, C, H, W], M >= 2.

    Raises:
        DataError: fewer than two pictures.

    Source: Odena, Olah and Shlens (2017), "Conditional image synthesis with auxiliary classifier GANs", section 4.2,
    who use MS-SSIM; here it is the SSIM of `ssim_pairs`.
    """
    _require("SSIM within a set", 2, synthetic=len(synthetic))
    pairs = ssim_pairs(synthetic, synthetic)
    return float((pairs.sum() - np.trace(pairs)) / (len(pairs) * (len(pairs) - 1)))


def _require(measure: str, smallest: int, **numbers: int) -> None:
    faults: list[str] = []
    require_number(measure, smallest, faults, **numbers)
    if faults:
        raise DataError(*faults)


@dataclass(frozen=True)
class _Windows:
    """One channel of some pictures, the picture last: values [H, W, N], float32; mean and half the sum of squared
    deviations of every window [h, w, N], float64."""

    side: int
    values: NDArray[np.float32]
    mean: NDArray[np.float64]
    half: NDArray[np.float64]

    @classmethod
    def of(cls, channel: NDArray[np.uint8]) -> _Windows:
        side = min(WINDOW, *channel.shape[:2])
        side -= 1 - side % 2
        exact = np.ascontiguousarray(channel, dtype=np.float64)
        total, squares = _window_sum(exact, side), _window_sum(exact * exact, side)
        mean = total / side**2
        return cls(side, exact.astype(np.float32), mean, (squares - total * mean) / 2)

    def centred(self, row: int, out: NDArray[np.float32]) -> None:
        """Write the windows of one row, minus their means, to [w, side * side, N]."""
        w, _, num = out.shape
        windows = sliding_window_view(self.values[row : row + self.side], self.side, axis=1)  # side, w, N, side
        mean = self.mean[row].astype(np.float32)
        for dy in range(self.side):
            part = out[:, dy * self.side : (dy + 1) * self.side]
            np.subtract(windows[dy].transpose(0, 2, 1), mean.reshape(w, 1, num), out=part)


def _window_sum(x: NDArray[np.float64], side: int) -> NDArray[np.float64]:
    """Sums over all side x side windows that fit inside, [H, W, N] => [h, w, N]; exact, the values are whole."""
    c = np.pad(x, ((1, 0), (1, 0), (0, 0))).cumsum(axis=0).cumsum(axis=1)
    return np.asarray(c[side:, side:] - c[:-side, side:] - c[side:, :-side] + c[:-side, :-side])


def _mean_over_windows(a: _Windows, b: _Windows) -> NDArray[np.float64]:
    """[N, M] of one channel. Both factors of the covariance term are multiplied by half the degrees of freedom."""
    (h, w, n), m, area = a.mean.shape, b.mean.shape[2], a.side**2
    c1, c2 = (K1 * RANGE) ** 2, (K2 * RANGE) ** 2 * max(1, area - 1) / 2
    spread_a, level_a, level_b, one_a, one_b = (
        a.half + c2,
        a.mean**2 + c1,
        b.mean**2,
        np.ones((h, w, n)),
        np.ones((h, w, m)),
    )
    means_a, means_b = _stack(2 * a.mean, one_a), _stack(b.mean, c1 * one_b)
    low_a = _stack(spread_a * level_a, spread_a, level_a, one_a)
    low_b = _stack(one_b, level_b, b.half, b.half * level_b)
    windows_a, windows_b = np.empty((w, area + 1, n), np.float32), np.empty((w, area + 1, m), np.float32)
    windows_a[:, area], windows_b[:, area] = c2, 1
    step = min(w, max(1, BLOCK // (n * m)))
    total, kept = np.zeros((n, m)), np.empty((3, step, n, m), np.float32)  # memory that is fresh costs more than sums
    for row in range(h):
        a.centred(row, windows_a[:, :area])
        b.centred(row, windows_b[:, :area])
        for start in range(0, w, step):
            part = slice(start, start + step)
            value, means, low = kept[:, : min(step, w - start)]
            np.matmul(windows_a[part].transpose(0, 2, 1), windows_b[part], out=value)
            np.matmul(means_a[row, part].transpose(0, 2, 1), means_b[row, part], out=means)
            np.matmul(low_a[row, part].transpose(0, 2, 1), low_b[row, part], out=low)
            value *= means
            value /= low
            total += value.sum(axis=0)
    return np.asarray(total / (h * w))


def _stack(*terms: NDArray[np.float64]) -> NDArray[np.float32]:
    """[h, w, N] each => [h, w, terms, N]."""
    return np.stack(terms, axis=2, dtype=np.float32, casting="same_kind")
