"""One look at every picture file: what it decodes to, remembered by the bytes of the files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from handful.config import digest_of
from handful.data import decode as decoding
from handful.data.cache import cache_dir, keep, recall, scratch
from handful.data.files import LARGE_BATCH, Files, each
from handful.data.held import Held
from handful.data.images import CONTENT, View, content_of_planes
from handful.data.sets import Sets
from handful.errors import DataError

Progress = Callable[[int, int], None]
Fact = tuple[bytes, tuple[int, int], bool]
Seen = tuple[Fact, NDArray[np.uint8] | None]


class Facts(NamedTuple):
    """What is known of N pictures.

    Args:
        content: S32 [N], digest of the decoded original.
        sizes: int64 [N, 2], width and height.
        grey: bool [N], one channel or equal channels.
        why: N reasons why a picture cannot be read, '' where it can.
    """

    content: NDArray[np.bytes_]
    sizes: NDArray[np.int64]
    grey: NDArray[np.bool_]
    why: tuple[str, ...]


def scan(
    files: Files, paths: Sequence[str], progress: Progress | None = None, view: View | None = None
) -> tuple[Facts, Held | None]:
    """Return the facts of these files and, where a view is given and they had to be decoded, their pictures at it.

    Each is decoded once; a second scan of the same bytes decodes nothing.
    """
    key = digest_of({"scan": 1, "decode": decoding.VERSION, "files": files.key(paths)})
    place = cache_dir() / "scans" / f"{key}.npy"
    rows = recall(place, (len(paths),))
    if rows is not None:
        return _facts(rows), None
    channels = 0 if view is None else view.channels or 3

    def seen(data: bytes) -> Seen:
        image = decoding.decoded(data)
        fact = _fact_of(decoding.planes_of(image), (image.height, image.width))
        return fact, None if view is None else decoding.at_view(image, view, channels)

    rows, held = _gathered(each(files, paths, seen, LARGE_BATCH), len(paths), progress, view)
    keep(place, rows)
    return _facts(rows), held


def scan_sets(found: Sets, progress: Progress | None = None, view: View | None = None) -> tuple[Facts, Held | None]:
    """Return what `scan` does of the pictures of a set; remembered where the set has a key."""
    num = len(found.ids)
    key = digest_of({"scan-sets": 1, "decode": decoding.VERSION, "set": found.key, "ids": list(found.ids)})
    place = cache_dir() / "scans" / f"{key}.npy"
    rows = recall(place, (num,)) if found.key else None
    if rows is not None:
        return _facts(rows), None
    channels = 0 if view is None else view.channels or 3

    def seen(picture: NDArray[np.uint8]) -> Seen:
        planes = [plane.tobytes() for plane in picture]
        return _fact_of(planes, picture.shape[1:]), None if view is None else decoding.resized(picture, view, channels)

    rows, held = _gathered(found.originals.each(range(num), seen), num, progress, view)
    if found.key:
        keep(place, rows)
    return _facts(rows), held


def _gathered(
    pictures: Iterable[tuple[int, Seen | DataError]], num: int, progress: Progress | None, view: View | None
) -> tuple[NDArray[Any], Held | None]:
    """Facts as `_structured` makes them, and the pictures at the view, the same whatever order they come in."""
    facts: dict[int, Fact | DataError] = {}
    pixels = None if view is None else scratch((num, view.channels or 3, view.size, view.size))
    for position, found in pictures:
        facts[position], small = (found, None) if isinstance(found, DataError) else found
        if pixels is not None and small is not None:
            pixels[position] = small
        if progress:
            progress(len(facts), num)
    rows = _structured(facts)
    return rows, None if view is None or pixels is None else Held(view, rows["content"], pixels)


def _structured(found: Mapping[int, Fact | DataError]) -> NDArray[Any]:
    """Facts or errors by their place as one structured array, its text as wide as the longest reason."""
    rows = {
        place: (b"", (0, 0), False, str(fact)) if isinstance(fact, DataError) else (*fact, "")
        for place, fact in found.items()
    }
    longest = max((len(row[3]) for row in rows.values()), default=0)
    kind = [("content", CONTENT), ("size", np.int64, 2), ("grey", np.bool_), ("why", f"U{longest or 1}")]
    return np.array([rows[place] for place in range(len(rows))], dtype=kind)


def _facts(rows: NDArray[Any]) -> Facts:
    return Facts(rows["content"].copy(), rows["size"].copy(), rows["grey"].copy(), tuple(rows["why"].tolist()))


def facts_of(pictures: Sequence[NDArray[np.uint8]] | NDArray[np.uint8]) -> Facts:
    """Return the facts of pictures in memory, uint8 [C, H, W] each."""
    facts = [_fact_of([plane.tobytes() for plane in picture], picture.shape[1:]) for picture in pictures]
    return _facts(_structured(dict(enumerate(facts))))


def _fact_of(planes: Sequence[bytes], shape: tuple[int, ...]) -> Fact:
    content, grey = content_of_planes(planes, shape)
    return content, (shape[1], shape[0]), grey
