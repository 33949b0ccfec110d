"""Where decoded pictures and scans are kept between runs, and how an entry gets there whole or not at all."""

from __future__ import annotations

import os
import sys
import tempfile
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAP_ABOVE = 64 * 2**20
_TRAILER = 8
_CHUNK = 16 * 2**20


def cache_dir() -> Path:
    """Return the folder of cached scans and views: HANDFUL_CACHE, else `handful` in the user's cache folder.

    The user's cache folder is XDG_CACHE_HOME or ~/.cache on Linux, ~/Library/Caches on macOS, %LOCALAPPDATA% on
    Windows. Everything in it can be deleted at any time; it is made again when needed.
    """
    if given := os.environ.get("HANDFUL_CACHE"):
        return Path(given).expanduser()
    if sys.platform == "darwin":
        user = Path.home() / "Library" / "Caches"
    elif sys.platform == "win32":
        user = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    else:
        user = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return user / "handful"


def recall(path: Path, shape: tuple[int, ...]) -> NDArray[Any] | None:
    """Return the array kept at `path`, or None where there is none or its bytes are not those that were written.

    Args:
        path: an entry written by `keep` or `keep_filled`.
        shape: what its shape must be.

    Larger than 64 MiB it is memory-mapped, read-only.
    """
    try:
        large = path.stat().st_size > MAP_ABOVE
        array: NDArray[Any] = np.load(path, mmap_mode="r" if large else None, allow_pickle=False)
        with path.open("rb") as file:
            file.seek(-_TRAILER, os.SEEK_END)
            trailer = file.read()
    except (OSError, ValueError, EOFError, SyntaxError, MemoryError, OverflowError):  # a spoilt header: any of these
        return None
    if array.shape != shape or not array.flags.c_contiguous or trailer != _checksum(array):
        return None
    return array


def keep(path: Path, array: NDArray[Any]) -> None:
    """Write an array to `path`, aside first and then renamed, so that no reader ever sees half of it."""

    def write(aside: Path) -> None:
        with aside.open("wb") as file:
            np.save(file, array, allow_pickle=False)
            file.write(_checksum(array))

    publish(path, write)


def keep_filled(
    path: Path, dtype: np.dtype[Any], shape: tuple[int, ...], fill: Callable[[NDArray[Any]], None]
) -> NDArray[Any]:
    """Return an array that `fill` has filled, kept at `path`; one larger than 64 MiB is never whole in memory.

    Where the cache cannot be written, the array is made in memory and a warning says so.
    """
    if int(np.prod(shape, dtype=np.int64)) * dtype.itemsize <= MAP_ABOVE:
        array: NDArray[Any] = np.zeros(shape, dtype)
        fill(array)
        keep(path, array)
        return array

    def write(aside: Path) -> None:
        mapped = np.lib.format.open_memmap(aside, mode="w+", dtype=dtype, shape=shape)
        fill(mapped)
        mapped.flush()
        with aside.open("ab") as file:
            file.write(_checksum(mapped))

    publish(path, write)
    kept = recall(path, shape)
    if kept is None:
        kept = np.zeros(shape, dtype)
        fill(kept)
    return kept


def scratch(shape: tuple[int, ...]) -> NDArray[np.uint8] | None:
    """Return zeros, uint8, that are wanted for a short time; None where there is no room for them.

    Larger than 64 MiB they are in a file without a name in the cache folder, which goes when they do.
    """
    if int(np.prod(shape, dtype=np.int64)) <= MAP_ABOVE:
        return np.zeros(shape, np.uint8)
    try:
        cache_dir().mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=cache_dir()) as file:
            return np.memmap(file, np.uint8, "w+", shape=shape)
    except OSError:
        return None


def publish(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` make a file aside, then give it its name `path`; a cache that cannot be written is a warning."""
    aside: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name[:20]}-", dir=path.parent)
        os.close(handle)
        aside = Path(name)
        write(aside)
        os.replace(aside, path)
    except OSError as error:
        warnings.warn(
            f"{path.parent}: the cache cannot be written ({error.strerror or error}), so pictures are decoded again "
            "every time; set HANDFUL_CACHE to a folder that can be written",
            stacklevel=2,
        )
    finally:
        if aside is not None:
            aside.unlink(missing_ok=True)


def _checksum(array: NDArray[Any]) -> bytes:
    """CRC-32 against spoilt disks and half-copied caches; whoever can write the cache is trusted."""
    flat = array.reshape(-1).view(np.uint8) if array.size else np.zeros(0, np.uint8)
    crc = zlib.crc32(f"{array.dtype.descr}{array.shape}".encode())
    for start in range(0, len(flat), _CHUNK):
        crc = zlib.crc32(flat[start : start + _CHUNK].data, crc)
    return f"{crc:08x}".encode()
