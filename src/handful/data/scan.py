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
from handful.data.images import CONTENT, content_of
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
    return Facts(rows["content"].copy(), rows["size"].copy(), rows["grey"].copy(), tuple(rows["why"].tolist()))


def _rows(files: Files, paths: Sequence[str], progress: Progress | None) -> NDArray[Any]:
    """The facts as one structured array, its text as wide as the longest reason."""
    found: dict[int, Any] = {}
    for position, fact in each(files, paths, _fact):
        found[position] = (b"", (0, 0), False, str(fact)) if isinstance(fact, DataError) else (*fact, "")
        if progress:
            progress(len(found), len(paths))
    longest = max((len(row[3]) for row in found.values()), default=0)
    kind = [("content", CONTENT), ("size", np.int64, 2), ("grey", np.bool_), ("why", f"U{longest or 1}")]
    return np.array([found[position] for position in range(len(paths))], dtype=kind)


def facts_of(pictures: Sequence[NDArray[np.uint8]] | NDArray[np.uint8]) -> Facts:
    """Return the facts of pictures in memory, uint8 [C, H, W] each."""
    content = content_of(pictures)
    sizes = np.array([picture.shape[:0:-1] for picture in pictures], dtype=np.int64).reshape(len(pictures), 2)
    grey = np.array([_is_grey(picture) for picture in pictures], dtype=np.bool_)
    return Facts(content, sizes, grey, ("",) * len(pictures))


def _fact(data: bytes) -> tuple[bytes, tuple[int, int], bool]:
    picture = decoding.decode(data)
    return content_of([picture])[0], (picture.shape[2], picture.shape[1]), _is_grey(picture)


def _is_grey(picture: NDArray[np.uint8]) -> bool:
    return len(picture) == 1 or bool((picture[0] == picture[1]).all() and (picture[0] == picture[2]).all())
