"""How near synthetic pictures are to training pictures, and how near is too near."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator

from handful.errors import ConfigError

COARSE = "pixels16"
SIDE = 16
QUANTILE = 0.01
RATIO = 1 / 3
_BLOCK = 1024


def pixel_features(pixels: NDArray[np.uint8], side: int = SIDE) -> NDArray[np.float32]:
    """Return float32 [N, D], pictures as means over a grid, for Euclidean distances that read as grey levels.

    The distance of two rows is the root mean square difference of the two small pictures, 0 to 255: the same for any
    size and number of channels.

    Args:
        pixels: uint8 [N, C, H, W].
        side: the grid is side x side cells, or H x W where a picture is smaller than that.
    """
    import torch
    from torch.nn import functional as F

    num, channels, height, width = pixels.shape
    grid = min(side, height), min(side, width)
    small = torch.empty(num, channels, *grid)
    for start in range(0, num, _BLOCK):
        block = torch.from_numpy(np.array(pixels[start : start + _BLOCK], dtype=np.float32))
        small[start : start + _BLOCK] = F.adaptive_avg_pool2d(block, grid)
    return np.asarray(small.flatten(1).numpy() / np.sqrt(channels * grid[0] * grid[1]), dtype=np.float32)


def distances(features: NDArray[np.floating], others: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return float64 [N, M], Euclidean distances of features [N, D] and [M, D]."""
    one, other = features.astype(np.float64), others.astype(np.float64)
    squares = (one**2).sum(axis=1)[:, None] + (other**2).sum(axis=1)[None] - 2 * one @ other.T
    found: NDArray[np.float64] = np.sqrt(np.maximum(squares, 0))
    return found


@dataclass(frozen=True)
class Nearest:
    """The nearest of some pictures to each of N others.

    Args:
        distance: float64 [N] to it; 0 exactly for equal features.
        second: float64 [N] to the next one; infinite where there is none.
        place: int64 [N], which one it is.
    """

    distance: NDArray[np.float64]
    second: NDArray[np.float64]
    place: NDArray[np.int64]


def nearest(features: NDArray[np.floating], others: NDArray[np.floating], *, but_itself: bool = False) -> Nearest:
    """Return the nearest of `others` [M, D], at least one, to each of `features` [N, D].

    Args:
        but_itself: both are the same rows, and none is its own neighbour; at least two are needed.
    """
    places = np.empty((len(features), 2), dtype=np.int64)
    for start in range(0, len(features), _BLOCK):
        between = distances(features[start : start + _BLOCK], others)
        rows = np.arange(len(between))
        if but_itself:
            between[rows, start + rows] = np.inf
        for rank in range(2):
            places[start + rows, rank] = found = between.argmin(axis=1)
            between[rows, found] = np.inf
    difference = features.astype(np.float64)[:, None] - others[places].astype(np.float64)  # [N, 2, D]
    both = np.linalg.norm(difference, axis=2)
    if len(others) - but_itself < 2:
        both[:, 1] = np.inf
    return Nearest(both[:, 0], both[:, 1], places[:, 0])


def copy_threshold(features: NDArray[np.floating], quantile: float = QUANTILE) -> float | None:
    """Return how near real pictures of a class come to each other: a quantile of their leave-one-out distances.

    A synthetic picture nearer than that to a training picture is nearer than nearly every other real picture would
    be. Up to about a hundred pictures the 1 % quantile is the smallest distance there is, see `share_by_chance`.
    None for fewer than two pictures: they say nothing of how near is near.

    Args:
        features: [N, D] of the training pictures of one class.
        quantile: in [0, 1], interpolated linearly.
    """
    if len(features) < 2:
        return None
    return threshold_of(nearest(features, features, but_itself=True), quantile)


def threshold_of(alone: Nearest, quantile: float = QUANTILE) -> float:
    """Return the `copy_threshold` of pictures from what is nearest to each of them but itself."""
    return float(np.quantile(alone.distance, quantile))


def near_copies(found: Nearest, threshold: float, ratio: float = RATIO) -> NDArray[np.bool_]:
    """Return bool [N], true for near copies: nearer than the threshold, and near to that one picture alone.

    The second condition, a distance under `ratio` of that to the next training picture (the memorisation criterion of
    Yoon et al. 2023), is for pictures in the middle of a class: they are nearer to every training picture than these
    are to each other, and copies of none. A distance of 0 always is a copy.

    Args:
        threshold: see `copy_threshold`.
        ratio: in (0, 1]; 1 leaves the threshold alone to decide.
    """
    alone = found.distance <= ratio * found.second
    return np.asarray(((found.distance < threshold) & alone) | (found.distance == 0))


def share_by_chance(num: int, quantile: float = QUANTILE) -> float:
    """Return the share of independent real pictures that are under the `copy_threshold` of `num` >= 2 pictures.

    At least the quantile. Where the threshold is the smallest distance of a pair, one more picture is in the smallest
    pair of num + 1 with probability 2 / (num + 1), whatever the distribution. `near_copies` are fewer.
    """
    return min(1.0, max(quantile, 2 / (num + 1)))


def mean_pairwise(features: NDArray[np.floating]) -> float:
    """Return the mean distance over all pairs of N >= 2 rows."""
    num, total = len(features), 0.0
    for start in range(0, num, _BLOCK):
        between = distances(features[start : start + _BLOCK], features)
        between[np.arange(len(between)), np.arange(start, start + len(between))] = 0
        total += float(between.sum())
    return total / (num * (num - 1))


def features_of(name: str, pixels: NDArray[np.uint8], device: str = "cpu") -> NDArray[np.float32]:
    """Return float32 [N, D] for Euclidean distances.

    Args:
        name: `pixels16` (see `pixel_features`), or an extractor, see `handful.measure.extractors.extractor_of`.
        pixels: uint8 [N, C, H, W].
        device: torch device, for extractors that are networks.

    Raises:
        ConfigError: no extractor has this name.
    """
    if name == COARSE:
        return pixel_features(pixels)
    from handful.measure.extractors import extractor_of

    return extractor_of(name).features(pixels, device)


def _known_features(name: str) -> str:
    if name != COARSE:
        from handful.measure.extractors import extractor_of

        try:
            extractor_of(name)
        except ConfigError as error:
            raise ConfigError(
                *(f"{fault}; {COARSE!r} is pixels averaged to 16 x 16" for fault in error.faults)
            ) from None
    return name


AnyFeatures = Annotated[str, AfterValidator(_known_features)]
