"""Pictures that come as arrays: given by the caller, in an .npz, in IDX files, or with scikit-learn."""

from __future__ import annotations

import gzip
import math
import os
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handful.data.archives import unpacked_limit
from handful.data.files import shown
from handful.errors import DataError, unknown

_PIXEL_KEYS = ("images", "x", "pixels", "data", "X")
_LABEL_KEYS = ("labels", "y", "Y")
_PARTS = ("train", "val", "test")
_IDX = {"train": "train", "test": "t10k"}


@dataclass(frozen=True)
class Arrays:
    """Pictures in memory.

    Args:
        pixels: uint8 [N, C, H, W].
        labels: int64 [N], in [0, K).
        class_names: K names.
        parts: str [N], '' | 'train' | 'val' | 'test'.
        ids: str [N].
    """

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]
    class_names: tuple[str, ...]
    parts: tuple[str, ...]
    ids: tuple[str, ...]


def from_arrays(pixels: Any, labels: Any, class_names: Sequence[str] | None = None) -> Arrays:
    """Return pictures from uint8 [N, H, W], [N, H, W, C] or [N, C, H, W] and N labels, whole numbers or text.

    Raises:
        DataError: another shape or type, or numbers of pictures and labels that differ.
    """
    return _joined({"": (channels_first(pixels), np.asarray(labels))}, class_names)


def from_npz(path: Path) -> Arrays:
    """Return the pictures in an .npz of `images` (or x, pixels, data, X) and `labels` (or y, Y).

    `class_names` may stand beside them. x_train, y_train, x_test, y_test (and x_val, y_val) are kept as parts.

    Raises:
        DataError: not an .npz, other keys, object arrays, or arrays that `from_arrays` refuses.
    """
    found = _load_npz(path)
    names = found.pop("class_names", None)
    class_names = None if names is None else [str(name) for name in names.tolist()]
    by_part = {part for part in _PARTS if f"x_{part}" in found or f"y_{part}" in found}
    keys = {f"{kind}_{part}" for part in by_part for kind in "xy"}
    if by_part:
        allowed = keys
    else:
        pixel_keys, label_keys = found.keys() & set(_PIXEL_KEYS), found.keys() & set(_LABEL_KEYS)
        allowed = pixel_keys | label_keys if len(pixel_keys) == len(label_keys) == 1 else set()
    if not allowed or found.keys() != allowed:
        raise DataError(
            f"{shown(str(path))}: holds {', '.join(sorted(found)) or 'nothing'}; expected one of "
            f"{', '.join(_PIXEL_KEYS)} and one of {', '.join(_LABEL_KEYS)}, or x_train, y_train, x_test, y_test; "
            "class_names may be beside them, nothing else"
        )
    try:
        if by_part:
            given = {p: (channels_first(found[f"x_{p}"]), found[f"y_{p}"]) for p in _PARTS if p in by_part}
        else:
            given = {"": (channels_first(found[pixel_keys.pop()]), found[label_keys.pop()])}
        return _joined(given, class_names)
    except DataError as error:
        raise DataError(*(f"{shown(str(path))}: {fault}" for fault in error.faults)) from None


def is_idx(folder: Path) -> bool:
    """Return whether a folder holds IDX files as Fashion-MNIST and MNIST are published."""
    return any(os.path.exists(_idx_path(folder, stem, kind)) for stem in _IDX.values() for kind in ("images", "labels"))


def from_idx(folder: Path) -> Arrays:
    """Return the pictures in a folder with the four IDX files of Fashion-MNIST, gzip or plain, parts kept.

    Raises:
        DataError: every file that is missing, cut short, or no IDX file.
    """
    found: dict[str, NDArray[np.uint8]] = {}
    faults: list[str] = []
    for part, stem in _IDX.items():
        for kind, ndim in (("images", 3), ("labels", 1)):
            path = _idx_path(folder, stem, kind)
            try:
                found[part + kind] = _read_idx(path, ndim)
            except DataError as error:
                faults += [f"{shown(str(path))}: {fault}" for fault in error.faults]
    if faults:
        raise DataError(*faults)
    given = {part: (found[part + "images"][:, None], found[part + "labels"]) for part in _IDX}
    return _joined(given, None)


def from_digits() -> Arrays:
    """Return the 1,797 handwritten digits that ship with scikit-learn: grey, 8 x 8, their 0..16 brought to 0..255."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    return from_arrays(np.rint(digits.images * (255 / 16)).astype(np.uint8), digits.target)


def channels_first(pixels: Any) -> NDArray[np.uint8]:
    """Return uint8 [N, C, H, W] from uint8 [N, H, W], [N, H, W, C] or [N, C, H, W]; no value is changed."""
    given = np.asarray(pixels)
    if given.dtype.kind == "f":
        raise DataError(
            f"pixels are {given.dtype}; must be uint8 in [0, 255]: where they are in [0, 1], give "
            "(pixels * 255).round().astype('uint8')"
        )
    shape = list(given.shape)
    if given.dtype != np.uint8:
        raise DataError(f"pixels are {given.dtype} {shape}; must be uint8 in [0, 255]")
    if 0 in shape:
        raise DataError(f"pixels of shape {shape} hold no picture")
    if given.ndim == 3:
        return given[:, None]
    first, last = (given.ndim == 4 and shape[axis] in (1, 3) for axis in (1, 3))
    if first and last:
        raise DataError(
            f"pixels of shape {shape} can be read as [N, C, H, W] or [N, H, W, C]; "
            "give a LabeledImages (always [N, C, H, W]), or grey pictures as [N, H, W]"
        )
    if not first and not last:
        raise DataError(f"pixels have shape {shape}; must be [N, H, W], [N, H, W, C] or [N, C, H, W] with C 1 or 3")
    return given if first else np.ascontiguousarray(given.transpose(0, 3, 1, 2))


def _joined(given: dict[str, tuple[NDArray[np.uint8], NDArray[Any]]], class_names: Sequence[str] | None) -> Arrays:
    faults = []
    for part, (pixels, labels) in given.items():
        where = f"{part}: " if part else ""
        if labels.ndim == 2 and labels.shape[1] == 1:
            given[part] = pixels, labels[:, 0]
        elif labels.ndim != 1:
            faults.append(f"{where}labels have shape {list(labels.shape)}; must be [N], a class each, not one-hot")
        if labels.dtype.kind not in "iuU":
            faults.append(f"{where}labels are {labels.dtype}; must be whole numbers or text")
        if len(pixels) != len(labels):
            faults.append(f"{where}{len(pixels)} pictures and {len(labels)} labels; must be equal")
    if len({pixels.shape[1:] for pixels, _ in given.values()}) > 1:
        shapes = ", ".join(f"{part} {list(pixels.shape)}" for part, (pixels, _) in given.items())
        faults.append(f"the parts have pictures of several shapes: {shapes}")
    if len({labels.dtype.kind == "U" for _, labels in given.values()}) > 1:
        faults.append("labels are numbers in one part and text in another")
    if faults:
        raise DataError(*faults)
    labels, names = _numbered(np.concatenate([labels for _, labels in given.values()]), class_names)
    blocks = [pixels for pixels, _ in given.values()]
    parts = tuple(part for part, (pixels, _) in given.items() for _ in range(len(pixels)))
    ids = tuple(f"{part}/{i}" if part else str(i) for part, (pixels, _) in given.items() for i in range(len(pixels)))
    return Arrays(blocks[0] if len(blocks) == 1 else np.concatenate(blocks), labels, names, parts, ids)


def _numbered(labels: NDArray[Any], class_names: Sequence[str] | None) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Labels as places in the class names, which are the distinct labels, sorted, where none are given."""
    if class_names is None:
        values, places = np.unique(labels, return_inverse=True)
        return places.reshape(-1).astype(np.int64), tuple(str(value) for value in values.tolist())
    names = tuple(str(name) for name in class_names)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(*(f"class {name!r} is named twice" for name in twice))
    if labels.dtype.kind == "U":
        place = {name: number for number, name in enumerate(names)}
        strangers = sorted(set(labels.tolist()) - place.keys())
        if strangers:
            raise DataError(*(unknown("label", name, names) for name in strangers))
        return np.array([place[label] for label in labels.tolist()], dtype=np.int64), names
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= len(names):
        raise DataError(f"labels from {low} to {high}; with {len(names)} class names they must be in [0, {len(names)})")
    return labels.astype(np.int64), names


def _load_npz(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
        if unpacked > unpacked_limit(path):
            raise DataError(f"{shown(str(path))}: unpacks to {unpacked} bytes, more than 100 times its size and 1 GiB")
        with np.load(path, allow_pickle=False) as arrays:
            return {key: arrays[key] for key in arrays.files}
    except DataError:
        raise
    except Exception as error:  # spoilt bytes make NumPy and zipfile raise nearly anything
        raise DataError(f"{shown(str(path))}: cannot be read as .npz ({error})") from None


def _idx_path(folder: Path, stem: str, kind: str) -> Path:
    name = f"{stem}-{kind}-idx{3 if kind == 'images' else 1}-ubyte"
    plain = folder / name
    return plain if os.path.exists(plain) else folder / f"{name}.gz"


def _read_idx(path: Path, ndim: int) -> NDArray[np.uint8]:
    """IDX: two zero bytes, 8 (uint8), the number of dimensions, each dimension big-endian, the values."""
    if not path.exists():
        raise DataError("no such file; the folder needs all four IDX files")
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rb") as file:
            header = file.read(4 + 4 * ndim)
            if len(header) < 4 + 4 * ndim or header[:4] != bytes([0, 0, 8, ndim]):
                raise DataError(f"not an IDX file of {ndim}-dimensional uint8")
            shape = tuple(int(side) for side in np.frombuffer(header, ">u4", offset=4))
            wanted = math.prod(shape)
            if wanted > unpacked_limit(path):
                raise DataError(f"says it holds {wanted} bytes, more than 100 times its size and 1 GiB")
            content = file.read(wanted + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"cannot be read ({error})") from None
    if len(content) != wanted:
        raise DataError(f"holds {'more' if len(content) > wanted else 'fewer'} than the {wanted} bytes it says")
    return np.frombuffer(content, np.uint8).reshape(shape)
