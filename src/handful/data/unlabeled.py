"""Pictures without labels, as files or as arrays, at the size a classifier sees them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handful.data import decode as decoding
from handful.data.arrays import channels_first
from handful.data.files import shown
from handful.data.images import LabeledImages, View
from handful.data.load import load_unlabeled
from handful.data.source import capped
from handful.errors import DataError


@dataclass(frozen=True)
class Unlabeled:
    """Pictures at a view.

    Args:
        ids: str [N], a file name or the place in the arrays.
        pixels: uint8 [N, C, size, size].
        faults: (file, why) of each file that could not be read.
        ignored: files beside them that are no pictures by their names.
    """

    ids: tuple[str, ...]
    pixels: NDArray[np.uint8]
    faults: tuple[tuple[str, str], ...]
    ignored: tuple[str, ...] = ()


def pictures_of(given: Any, view: View, channels: int, *, skip_unreadable: bool = False) -> Unlabeled:
    """Return pictures at a view, in the order given.

    Args:
        given: a path (see `load_unlabeled`), a list, an iterator or an array of paths of pictures, arrays uint8
            [N, H, W, C], [N, C, H, W] or [N, H, W], a list of pictures [H, W], [H, W, C] or [C, H, W], or a
            `LabeledImages`.
        view: size and resize policy.
        channels: 1 or 3; grey and colour become each other as in `decode.resized`.

    Raises:
        DataError: anything else, nothing at all, an array that may be one colour picture, or, without
            `skip_unreadable`, files that cannot be read.
    """
    if isinstance(given, np.ndarray) and given.dtype.kind in "UO":
        given = given.tolist()
    if isinstance(given, Iterator):
        given = list(given)
    if isinstance(given, str | os.PathLike):
        ids, pixels, faults, ignored = load_unlabeled(Path(given), view, channels, skip_unreadable=skip_unreadable)
        return Unlabeled(ids, pixels, tuple(faults), ignored)
    if isinstance(given, LabeledImages):
        return _of_arrays(given.pixels, view, channels)
    if isinstance(given, np.ndarray):
        return _of_arrays(_stack(given, channels), view, channels)
    if not isinstance(given, Sequence):
        raise DataError(f"expected paths or uint8 arrays, got {type(given).__name__}")
    if not given:
        raise DataError("an empty list: there is nothing to predict")
    if all(isinstance(one, str | os.PathLike) for one in given):
        return _of_files([str(one) for one in given], view, channels, skip_unreadable)
    return _of_arrays([_single(one, place) for place, one in enumerate(given)], view, channels)


def _of_files(paths: list[str], view: View, channels: int, skip_unreadable: bool) -> Unlabeled:
    read: list[NDArray[np.uint8]] = []
    ids: list[str] = []
    faults: list[tuple[str, str]] = []
    for path in paths:
        try:
            read.append(decoding.at_view(decoding.decoded(_bytes_of(path)), view, channels))
            ids.append(path)
        except DataError as error:
            faults.append((path, str(error)))
    if faults and not (skip_unreadable and read):
        raise DataError(*capped([f"{shown(path)}: {why}" for path, why in faults]))
    return Unlabeled(tuple(ids), np.stack(read), tuple(faults))


def _bytes_of(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise DataError(error.strerror or str(error)) from None


def _of_arrays(pictures: Sequence[NDArray[np.uint8]] | NDArray[np.uint8], view: View, channels: int) -> Unlabeled:
    if not len(pictures):
        raise DataError("no pictures: there is nothing to predict")
    pixels = np.stack([decoding.resized(picture, view, channels) for picture in pictures])
    return Unlabeled(tuple(map(str, range(len(pixels)))), pixels, ())


def _stack(given: NDArray[Any], channels: int) -> NDArray[np.uint8]:
    """Many pictures as uint8 [N, C, H, W]; what may as well be one colour picture is refused."""
    last = given.ndim == 3 and given.shape[2] in (1, 3)
    if last or (given.ndim == 3 and given.shape[0] == channels == 3):
        raise DataError(
            f"an array of shape {list(given.shape)} is one picture {'[H, W, C]' if last else '[C, H, W]'} or many grey "
            "ones [N, H, W]; add the batch axis, array[None], for one picture, or give grey ones as array[:, None]"
        )
    return channels_first(given)


def _single(picture: Any, place: int) -> NDArray[np.uint8]:
    """One picture of a list as uint8 [C, H, W]."""
    if not isinstance(picture, np.ndarray) or picture.ndim not in (2, 3):
        got = f"shape {list(picture.shape)}" if isinstance(picture, np.ndarray) else type(picture).__name__
        raise DataError(f"item {place} of the list: expected [H, W], [H, W, C] or [C, H, W], got {got}")
    try:
        found: NDArray[np.uint8] = channels_first(picture[None])[0]
    except DataError as error:
        raise DataError(*(f"item {place} of the list: {fault}" for fault in error.faults)) from None
    return found
