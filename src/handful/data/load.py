"""Pictures at the size a recipe sees them: decoded once for each source and view, then found in the cache."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from handful.config import digest_of
from handful.data import decode as decoding
from handful.data.cache import cache_dir, keep_filled, recall
from handful.data.files import Files, FolderFiles, Listing, each, open_files, shown
from handful.data.images import LabeledImages, Origin, View
from handful.data.layout import pictures_in
from handful.data.originals import ArrayOriginals
from handful.data.source import Source, capped
from handful.errors import DataError

__all__ = ["cache_dir", "load", "load_unlabeled"]
_UINT8 = np.dtype(np.uint8)


def load(source: Source, view: View, rows: NDArray[np.int64] | Sequence[int] | None = None) -> LabeledImages:
    """Return the pictures of a source at a view, in row order; their origins carry the digests of the originals.

    Decoded once per (source digest, view), and not here where opening the source was told the view: a second call finds
    them in `cache_dir()`, checks that they are whole and decodes nothing; larger than 64 MiB they are memory-mapped,
    read-only. A source from arrays is not cached.

    Args:
        source: where the pictures come from.
        view: size, resize policy, channels; None channels are those of the whole source.
        rows: only these rows, in this order.

    Raises:
        DataError: a file is gone or has changed since the source was opened.
    """
    channels = view.channels or source.channels
    shape = (len(source), channels, view.size, view.size)
    if isinstance(source.originals, ArrayOriginals):
        pixels = _of_arrays(source, source.originals, view, shape)
    else:
        key = digest_of(
            {
                "load": 1,
                "decode": decoding.VERSION,
                "source": source.digest,
                "view": {"size": view.size, "resize": view.resize, "channels": channels},
            }
        )
        place = cache_dir() / "views" / f"{key}.npy"
        found = recall(place, shape)
        pixels = keep_filled(place, _UINT8, shape, lambda out: _fill(out, source, view)) if found is None else found
    images = LabeledImages(pixels, source.labels, source.class_names, Origin.of_real(source.content))
    return images if rows is None else images.take(np.asarray(rows, dtype=np.int64))


def load_unlabeled(
    path: str | Path, view: View, channels: int, *, skip_unreadable: bool = False
) -> tuple[tuple[str, ...], NDArray[np.uint8], list[tuple[str, str]], tuple[str, ...]]:
    """Return (ids, pixels uint8 [N, channels, size, size], faults, ignored) of a folder, an archive or a picture file.

    Args:
        path: a picture, a folder (with everything below it), a .zip, .tar.gz, .tgz or .tar.
        view: size and resize policy.
        channels: 1 or 3.
        skip_unreadable: return the faults, as (path, why), beside the pictures that can be read.

    Ids are paths inside the folder or archive, sorted. `ignored` are the files there that are no pictures by their
    names, hidden ones left out.

    Raises:
        DataError: no picture, or, without `skip_unreadable`, every picture that cannot be read.
    """
    files, listing = _unlabeled(Path(path))
    paths, ignored = pictures_in(listing)
    faults = list(listing.faults)
    pixels = np.zeros((len(paths), channels, view.size, view.size), np.uint8)
    readable = np.ones(len(paths), np.bool_)
    for position, picture in each(files, paths, lambda data: decoding.at_view(decoding.decoded(data), view, channels)):
        if isinstance(picture, DataError):
            faults.append((paths[position], str(picture)))
            readable[position] = False
        else:
            pixels[position] = picture
    faults.sort()
    if faults and not (skip_unreadable and readable.any()):
        raise DataError(*capped([f"{shown(place)}: {why}" for place, why in faults]))
    if not paths:
        raise DataError(f"{shown(str(path))}: no pictures ({' '.join(sorted(decoding.PICTURE_SUFFIXES))})")
    if not readable.all():
        pixels = pixels[readable]
    return tuple(paths[row] for row in np.flatnonzero(readable)), pixels, faults, ignored


def _fill(out: NDArray[np.uint8], source: Source, view: View) -> None:
    channels = out.shape[1]
    place, pixels = ({}, out) if source.held is None else source.held.take(view, channels, source.channels == 1)
    missing = []
    for row, content in enumerate(source.content.tolist()):
        if (held := place.get(content)) is None:
            missing.append(row)
        else:
            out[row] = pixels[held, :channels]

    for row, small in source.each(lambda picture: decoding.resized(picture, view, channels), missing):
        out[row] = small


def _of_arrays(
    source: Source, originals: ArrayOriginals, view: View, shape: tuple[int, int, int, int]
) -> NDArray[np.uint8]:
    if originals.pixels.shape[1:] == shape[1:]:
        return originals.pixels[originals.rows]
    pixels = np.zeros(shape, np.uint8)
    _fill(pixels, source, view)
    return pixels


def _unlabeled(path: Path) -> tuple[Files, Listing]:
    if not os.path.exists(path):
        raise DataError(f"{shown(str(path))}: no such file or folder")
    files = open_files(path)
    if files is not None:
        return files, files.listing()
    if decoding.is_picture(path.name):
        return FolderFiles(path.parent), Listing((path.name,))
    raise DataError(f"{shown(str(path))}: not a picture by its name; give a picture, a folder, a .zip or a .tar.gz")
