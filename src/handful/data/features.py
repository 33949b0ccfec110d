"""Simple features of small pictures, for questions that need no network: what is alike, what differs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from handful.data.near import luma

_SIDE = 16
_LEVELS = 4
_CELLS, _BINS = 8, 9
Features = NDArray[np.float32]


def colour_features(pixels: NDArray[np.uint8]) -> Features:
    """Return float32 [N, D] for Euclidean distances: 16 x 16 pixels of every channel, and a histogram of colours.

    The pixels are means of equal squares; the histogram has 4 levels a channel (64 bins in colour, 4 in grey), as
    square roots of shares. Both halves are scaled to a total variance of one over these N pictures.

    Args:
        pixels: uint8 [N, C, S, S], S a multiple of 16.
    """
    num, channels, size, _ = pixels.shape
    step = size // _SIDE
    coarse = pixels.reshape(num, channels, _SIDE, step, _SIDE, step).mean(axis=(3, 5), dtype=np.float32)
    codes = np.zeros((num, size * size), dtype=np.int64)
    for channel in range(channels):
        codes = codes * _LEVELS + pixels[:, channel].reshape(num, -1) // (256 // _LEVELS)
    bins = _LEVELS**channels
    places = codes + bins * np.arange(num)[:, None]
    shares = np.bincount(places.reshape(-1), minlength=num * bins).reshape(num, bins) / codes.shape[1]
    halves = (coarse.reshape(num, -1), np.sqrt(shares))
    return np.concatenate([_scaled(half) for half in halves], axis=1)


def shape_features(pixels: NDArray[np.uint8]) -> Features:
    """Return float32 [N, 576] of length one: square roots of histograms of oriented gradients, 8 x 8 cells, 9 bins.

    Centred and free of brightness and contrast: gradients do not see the mean, the length takes out the scale. Bins
    are of the direction modulo 180 degrees, each gradient shared between the two nearest.

    Args:
        pixels: uint8 [N, C, S, S], S a multiple of 8.

    Source: Dalal and Triggs, Histograms of Oriented Gradients for Human Detection (2005), without overlapping blocks.
    """
    grey = luma(pixels).astype(np.float32)
    num, size, _ = grey.shape
    down, across = np.gradient(grey, axis=(1, 2))
    strength = np.hypot(across, down)
    angle = np.mod(np.arctan2(down, across), np.pi) * (_BINS / np.pi)
    low = np.floor(angle).astype(np.int64)
    weight = angle - low
    step = size // _CELLS
    cell = (np.arange(size)[:, None] // step * _CELLS + np.arange(size)[None] // step) * _BINS
    base = cell + np.arange(num)[:, None, None] * (_CELLS * _CELLS * _BINS)
    length = num * _CELLS * _CELLS * _BINS
    found = np.zeros(length)
    for place, share in ((low, 1 - weight), (low + 1, weight)):
        found += np.bincount((base + place % _BINS).reshape(-1), (strength * share).reshape(-1), minlength=length)
    roots = np.sqrt(found).reshape(num, -1).astype(np.float32)
    scaled: Features = roots / np.maximum(np.linalg.norm(roots, axis=1, keepdims=True), 1e-6)
    return scaled


def squared_distances(features: Features, others: Features) -> Features:
    """Return float32 [N, M], squared Euclidean distances, never below zero."""
    products = features @ others.T
    squares = (features**2).sum(axis=1)[:, None] + (others**2).sum(axis=1)[None] - 2 * products
    positive: Features = np.maximum(squares, 0)
    return positive


def _scaled(values: NDArray[np.floating]) -> Features:
    centred = values - values.mean(axis=0)
    total = float((centred**2).sum() / len(centred))
    scaled: Features = (centred / np.sqrt(total) if total > 1e-12 else centred).astype(np.float32)
    return scaled
