"""One look at every picture file: what it decodes to, remembered by the bytes of the files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from handful.config import digest_of
from handful.data import decode as decoding
from handful.data.cache import cache_dir, keep, recall
from handful.data.files import Files, each
from handful.data.held import HELD
from handful.data.images import CONTENT, content_of
from handful.data.sets import Sets
from handful.errors import DataError

Progress = Callable[[int, int], None]


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


def scan(files: Files, paths: Sequence[str], progress: Progress | None = None) -> Facts:
    """Return the facts of these files. Each is decoded once; a second scan of the same bytes decodes nothing."""
    key = digest_of({"scan": 1, "decode": decoding.VERSION, "files": files.key(paths)})
    place = cache_dir() / "scans" / f"{key}.npy"
    rows = recall(place, (len(paths),))
    if rows is None:
        rows = _rows(files, paths, progress)
        keep(place, rows)
    return _facts(rows)


def scan_sets(found: Sets, progress: Progress | None = None) -> Facts:
    """Return the facts of the pictures of a set, one decoded at a time; remembered where the set has a key."""
    num = len(found.ids)
    key = digest_of({"scan-sets": 1, "decode": decoding.VERSION, "set": found.key, "ids": list(found.ids)})
    place = cache_dir() / "scans" / f"{key}.npy"
    rows = recall(place, (num,)) if found.key else None
    if rows is None:
        made: dict[int, Any] = {}
        for position, picture in found.originals.decoded(range(num)):
            made[position] = picture if isinstance(picture, DataError) else _fact_of(picture)
            if progress:
                progress(len(made), num)
        rows = _structured(made)
        if found.key:
            keep(place, rows)
    return _facts(rows)


def _rows(files: Files, paths: Sequence[str], progress: Progress | None) -> NDArray[Any]:
    found: dict[int, Any] = {}
    for position, fact in each(files, paths, _fact):
        found[position] = fact
        if progress:
            progress(len(found), len(paths))
    return _structured(found)


def _structured(found: dict[int, Any]) -> NDArray[Any]:
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
    content = content_of(pictures)
    sizes = np.array([picture.shape[:0:-1] for picture in pictures], dtype=np.int64).reshape(len(pictures), 2)
    grey = np.array([_is_grey(picture) for picture in pictures], dtype=np.bool_)
    return Facts(content, sizes, grey, ("",) * len(pictures))


def _fact(data: bytes) -> tuple[bytes, tuple[int, int], bool]:
    picture = decoding.decode(data)
    HELD.put(data, picture)
    return _fact_of(picture)


def _fact_of(picture: NDArray[np.uint8]) -> tuple[bytes, tuple[int, int], bool]:
    return content_of([picture])[0], (picture.shape[2], picture.shape[1]), _is_grey(picture)


def _is_grey(picture: NDArray[np.uint8]) -> bool:
    return len(picture) == 1 or bool((picture[0] == picture[1]).all() and (picture[0] == picture[2]).all())
