"""Decoded pictures on their way from the scan of a source to its first load, so that neither decodes them again."""

from __future__ import annotations

import hashlib
import threading

import numpy as np
from numpy.typing import NDArray

MAX_BYTES = 128 * 2**20


class Held:
    """Pictures by the bytes of their files, each given out once; the oldest go where there are too many.

    Args:
        limit: bytes of pixels held at most; a larger picture is not held.
    """

    def __init__(self, limit: int) -> None:
        self.limit, self.size = limit, 0
        self._pictures: dict[bytes, NDArray[np.uint8]] = {}
        self._lock = threading.Lock()

    def put(self, data: bytes, picture: NDArray[np.uint8]) -> None:
        """Hold uint8 [C, H, W], what a file of these bytes decodes to."""
        if picture.nbytes > self.limit:
            return
        key = hashlib.sha256(data).digest()
        with self._lock:
            self._take(key)
            self._pictures[key] = picture
            self.size += picture.nbytes
            while self.size > self.limit:
                self._take(next(iter(self._pictures)))

    def pop(self, data: bytes) -> NDArray[np.uint8] | None:
        """Return what is held for a file of these bytes and hold it no longer, None where nothing is."""
        if not self._pictures:
            return None
        key = hashlib.sha256(data).digest()
        with self._lock:
            return self._take(key)

    def clear(self) -> None:
        """Hold nothing any longer."""
        with self._lock:
            self._pictures.clear()
            self.size = 0

    def _take(self, key: bytes) -> NDArray[np.uint8] | None:
        picture = self._pictures.pop(key, None)
        self.size -= 0 if picture is None else picture.nbytes
        return picture


HELD = Held(MAX_BYTES)
