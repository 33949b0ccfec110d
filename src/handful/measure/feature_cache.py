"""Features kept between runs: one row per picture, found again by the content of the picture.

An extractor has a folder. What one computation adds is one shard of at most SHARD rows: an array of contents, and one
of features. A shard is written once and never changed, so that any number of processes may read, write and clear away;
what two of them compute at the same time is there twice, and equal. The oldest shards go when there are too many.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from handful.data.cache import cache_dir, keep, recall
from handful.data.images import CONTENT

Features = NDArray[np.float32]
Contents = NDArray[np.bytes_]
Progress = Callable[[int, int], None]
SHARD = 512
MOST_BYTES, MOST_SHARDS = 2 * 2**30, 4096
_NAME = re.compile(r"([0-9a-f]{32})-(\d+)x(\d+)\.index\.npy")


def cached_features(
    key: str,
    content: Contents,
    compute: Callable[[NDArray[np.int64]], Features],
    progress: Progress | None = None,
) -> Features:
    """Return float32 [N, D], the features of N pictures, of which `compute` makes those that are not kept.

    Args:
        key: digest (hex) of everything that the features depend on beside the picture.
        content: S32 [N], digests of the pictures; equal ones are computed once.
        compute: from positions int64 [M] in `content`, ascending, M <= SHARD, to float32 [M, D]; a row must depend
            on its picture alone.
        progress: called with (pictures done, pictures in all).
    """
    folder = cache_dir() / "features" / key[:32]
    content = content.astype(CONTENT)
    first = np.sort(np.unique(content, return_index=True)[1])
    once = content[first]
    rows = _kept(folder, once)
    missing = first[[place for place, digest in enumerate(once.tolist()) if digest not in rows]]
    for start in range(0, len(missing), SHARD):
        if progress:
            progress(len(once) - len(missing) + start, len(once))
        part = missing[start : start + SHARD]
        made = np.ascontiguousarray(compute(part), dtype=np.float32)
        _keep(folder, content[part], made)
        rows.update(zip(content[part].tolist(), made, strict=True))
    if progress:
        progress(len(once), len(once))
    if not rows:
        return compute(np.zeros(0, dtype=np.int64))
    return np.stack([rows[digest] for digest in content.tolist()])


def _kept(folder: Path, wanted: Contents) -> dict[bytes, Features]:
    """The rows that are in the cache, by content."""
    found: dict[bytes, Features] = {}
    missing, likely = set(wanted.tolist()), _stem(wanted)
    for index, num, width in sorted(_shards(folder), key=lambda shard: not shard[0].name.startswith(likely)):
        if not missing:
            break
        contents = recall(index, (num,))
        if contents is None or contents.dtype != CONTENT:
            continue
        here = [place for place, digest in enumerate(contents.tolist()) if digest in missing]
        if here and (features := recall(_rows_of(index), (num, width))) is not None and features.dtype == np.float32:
            index.touch(exist_ok=True)
            for place in here:
                found[contents[place]] = np.array(features[place])
            missing -= {contents[place] for place in here}
    return found


def _keep(folder: Path, content: Contents, features: Features) -> None:
    num, width = features.shape
    index = folder / f"{_stem(content)}-{num}x{width}.index.npy"
    keep(_rows_of(index), features)
    keep(index, content)  # last: an index is there only when its rows are
    _clear_away(folder.parent)


def _clear_away(root: Path) -> None:
    """Remove the shards not read for longest until the rest fits, and with them what a killed process left behind."""
    files = defaultdict(list)
    for path in sorted(root.glob("*/*")):
        files[path.parent / (path.name.partition(".")[0] or path.name)].append(path)  # an index sorts before its rows
    shards = []
    for paths in files.values():
        with suppress(OSError):  # another process has just removed it
            found = [path.stat() for path in paths]
            shards.append((max(one.st_mtime_ns for one in found), sum(one.st_size for one in found), paths))
    total = 0
    for place, (_, size, paths) in enumerate(sorted(shards, reverse=True)):
        total += size
        if place and (total > MOST_BYTES or place >= MOST_SHARDS):
            for path in paths:
                path.unlink(missing_ok=True)


def _stem(content: Contents) -> str:
    """The name of a shard of these pictures, so that a set asked for again is found first."""
    return hashlib.sha256(content.tobytes()).hexdigest()[:32]


def _shards(folder: Path) -> list[tuple[Path, int, int]]:
    """Every index file with N and D, in the order of the names."""
    if not folder.is_dir():
        return []
    named = ((path, _NAME.fullmatch(path.name)) for path in sorted(folder.iterdir()))
    return [(path, int(match[2]), int(match[3])) for path, match in named if match]


def _rows_of(index: Path) -> Path:
    return index.with_name(index.name.replace(".index.npy", ".npy"))
