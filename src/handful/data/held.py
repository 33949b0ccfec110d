"""Pictures at a view, on their way from the scan of a source to its first load, so that neither decodes them again."""

from __future__ import annotations

import threading

import numpy as np
from numpy.typing import NDArray

from handful.data.images import View

_NONE = np.zeros((0, 1, 1, 1), np.uint8)


class Held:
    """Pictures of one scan at one view, by the digests of their decoded originals; given out once, then gone.

    Args:
        view: that they are seen at.
        content: S32 [N], digests of the originals; empty where a picture cannot be read.
        pixels: uint8 [N, C, size, size], C is the view's channels, 3 where it has none of its own.
    """

    def __init__(self, view: View, content: NDArray[np.bytes_], pixels: NDArray[np.uint8]) -> None:
        self.view = view
        self._lock = threading.Lock()
        self._pictures: tuple[dict[bytes, int], NDArray[np.uint8]] | None = (
            {digest: row for row, digest in enumerate(content.tolist()) if digest},
            pixels,
        )

    def take(self, view: View, channels: int, grey: bool) -> tuple[dict[bytes, int], NDArray[np.uint8]]:
        """Return (digest -> row of the pixels, pixels) and hold them no longer; nothing where they are of no use.

        The pixels of a picture follow from its digest, so that they are the right ones whatever the files hold now.

        Args:
            view: size and policy that are wanted.
            channels: 1 or 3, that are wanted: the first ones of the pixels.
            grey: whether all pictures that are wanted are grey, so that any of their three channels will do.
        """
        with self._lock:
            pictures, self._pictures = self._pictures, None
        if pictures is None or (view.size, view.resize) != (self.view.size, self.view.resize):
            return {}, _NONE
        fits = channels == pictures[1].shape[1] or (channels == 1 and grey)
        return pictures if fits else ({}, _NONE)
