"""Near copies: pictures whose perceptual hashes differ in a few bits."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from handful.data.decode import resized
from handful.data.images import View

VIEW = View(size=32, resize="stretch")
BITS = 64
_BLOCK = 4096
# the 8 lowest frequencies above zero of the DCT-II, [8, 32]
_COSINES = np.cos(np.pi * np.outer(np.arange(1, 9), 2 * np.arange(VIEW.size) + 1) / (2 * VIEW.size))
# bits are summed in pairs, the sums in pairs, ... (Warren, Hacker's Delight, 2nd ed., figure 5-1)
_SUMS = [
    (np.uint64(width), np.uint64(sum((2**width - 1) << low for low in range(0, BITS, 2 * width))))
    for width in (1, 2, 4, 8, 16, 32)
]


def hashes(pictures: Sequence[NDArray[np.uint8]] | NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Return uint64 [N]: the 64-bit DCT hash ("pHash") of each picture.

    The picture is stretched to 32 x 32, turned into luma and transformed by the DCT-II; a bit is set where one of the
    8 x 8 coefficients of frequencies 1 to 8 is above their median. Brightness and contrast do not count, small changes
    of size, sharpness, compression or colour move few bits, and mirroring or turning moves about half of them. A
    picture of one colour has hash 0. Pictures that only look alike (a centred garment on black) can be as near as
    copies are: confirm on pixels where that matters.

    Args:
        pictures: uint8 [C, H, W] each, C is 1 or 3; [N, C, 32, 32] is taken as it is, without a loop.

    Source: Zauner, Implementation and Benchmarking of Perceptual Image Hash Functions (2010), section 3.2.1, there
    with the first 8 x 8 coefficients after the zeroth row and column as here.
    """
    whole = isinstance(pictures, np.ndarray) and pictures.shape[2:] == (VIEW.size, VIEW.size)
    found = np.empty(len(pictures), dtype=np.uint64)
    for start in range(0, len(pictures), _BLOCK):
        block = pictures[start : start + _BLOCK]
        if whole:
            grey = luma(np.asarray(block))
        else:
            grey = np.stack([luma(resized(picture, VIEW, len(picture))[None])[0] for picture in block])
        found[start : start + _BLOCK] = _hashed(grey)
    return found


def luma(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the ITU-R 601 luma, uint8 [N, H, W], of uint8 [N, C, H, W]; to the bit what Pillow's mode L has."""
    if pixels.shape[1] == 1:
        return pixels[:, 0]
    red, green, blue = (pixels[:, channel].astype(np.uint32) for channel in range(3))
    return ((19595 * red + 38470 * green + 7471 * blue + 0x8000) >> 16).astype(np.uint8)


def near_pairs(hashes: NDArray[np.uint64], distance: int) -> NDArray[np.int64]:
    """Return int64 [P, 2], sorted: the pairs of rows whose hashes differ in at most `distance` bits, first < second.

    The search is complete. So that a thousand equal hashes are no million of pairs, rows of one hash are paired with
    the first of them only, and that one stands for them all in pairs with other hashes; the clusters are the same.

    Two hashes that differ in at most d bits agree in at least one of d + 1 bands of bits, so only rows that agree in a
    band are compared (Manku, Jain and Das Sarma, Detecting Near-Duplicates for Web Crawling, 2007). Memory is
    proportional to N and P; time to the number of rows that agree in a band.

    Args:
        hashes: uint64 [N].
        distance: in bits, 0 to 64.
    """
    if not 0 <= distance <= BITS:
        raise ValueError(f"distance is {distance} bits; must be in [0, {BITS}]")
    values, first, place = np.unique(hashes, return_index=True, return_inverse=True)
    rows = np.arange(len(hashes))
    again = first[place] != rows
    found = [np.column_stack([first[place[again]], rows[again]])]
    edges = np.linspace(0, BITS, min(distance, BITS - 1) + 2).astype(int)
    for low, high in pairwise(edges) if distance else ():
        band = (values >> np.uint64(low)) & np.uint64(2 ** int(high - low) - 1)
        order = np.argsort(band, kind="stable")
        ordered, kept = band[order], values[order]
        left, step = np.arange(len(order)), 1
        while len(left := left[left < len(order) - step]):
            left = left[ordered[left] == ordered[left + step]]
            close = left[distances(kept[left], kept[left + step]) <= distance]
            found.append(np.column_stack([first[order[close]], first[order[close + step]]]))
            step += 1
    pairs = np.sort(np.concatenate(found).astype(np.int64), axis=1)
    return np.unique(pairs, axis=0)


def distances(hashes: NDArray[np.uint64], others: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return int64 [N], how many bits each hash differs in from the other one at its place."""
    bits = hashes ^ others
    for shift, mask in _SUMS:
        bits = (bits & mask) + ((bits >> shift) & mask)
    return bits.astype(np.int64)


def correlations(pixels: NDArray[np.uint8], pairs: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return float64 [P] in [-1, 1], Pearson's correlation of the luma of each pair, 0 where one is of one colour.

    Args:
        pixels: uint8 [N, C, H, W], C is 1 or 3.
        pairs: int [P, 2] of rows.
    """
    found = [np.empty(0)]
    for start in range(0, len(pairs), _BLOCK):
        block = pairs[start : start + _BLOCK]
        one, other = (_centred(luma(pixels[block[:, side]])) for side in (0, 1))
        energy = np.sqrt((one**2).sum(axis=(1, 2)) * (other**2).sum(axis=(1, 2)))
        found.append((one * other).sum(axis=(1, 2)) / np.where(energy > 0, energy, 1))
    return np.concatenate(found)


def clusters(num: int, pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return int64 [num], the smallest row that each row is connected with by pairs; its own where by none.

    Args:
        num: of rows.
        pairs: int [P, 2] of rows in [0, num).
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    edges = coo_array((np.ones(len(pairs), dtype=np.int8), (pairs[:, 0], pairs[:, 1])), shape=(num, num))
    _, component = connected_components(edges, directed=False)
    _, first, place = np.unique(component, return_index=True, return_inverse=True)
    return first[place].astype(np.int64)


def _hashed(grey: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """uint8 [N, 32, 32] => uint64 [N]; coefficients are rounded, so that symmetric pictures do not hash noise."""
    coefficients = np.rint(_COSINES @ _centred(grey) @ _COSINES.T).reshape(len(grey), BITS)
    bits = coefficients > np.median(coefficients, axis=1, keepdims=True)
    return np.packbits(bits, axis=1, bitorder="little").view("<u8")[:, 0].astype(np.uint64)


def _centred(grey: NDArray[np.uint8]) -> NDArray[np.float64]:
    centred: NDArray[np.float64] = grey - grey.mean(axis=(1, 2), keepdims=True)
    return centred
