"""The way from a row of a source back to its decoded original, in files or in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from handful.data.decode import decode
from handful.data.files import Files, each
from handful.data.held import HELD
from handful.errors import DataError


class Originals(Protocol):
    """Reads decoded originals by their place; holds no open file."""

    CAN_CHANGE: ClassVar[bool]

    def decoded(self, places: Sequence[int]) -> Iterator[tuple[int, NDArray[np.uint8] | DataError]]:
        """Yield (position in `places`, uint8 [C, H, W] or why there is none), in the order cheapest to read."""
        ...

    def taken(self, places: Sequence[int]) -> Originals:
        """Return the originals at these places, in this order."""
        ...


@dataclass(frozen=True)
class FileOriginals:
    """Pictures in files."""

    CAN_CHANGE: ClassVar[bool] = True

    files: Files
    paths: tuple[str, ...]

    def decoded(self, places: Sequence[int]) -> Iterator[tuple[int, NDArray[np.uint8] | DataError]]:
        yield from each(self.files, [self.paths[place] for place in places], _decoded)

    def taken(self, places: Sequence[int]) -> FileOriginals:
        return FileOriginals(self.files, tuple(self.paths[place] for place in places))


@dataclass(frozen=True, eq=False)
class ArrayOriginals:
    """Pictures in memory: uint8 [M, C, H, W], of which these rows are meant."""

    CAN_CHANGE: ClassVar[bool] = False

    pixels: NDArray[np.uint8]
    rows: NDArray[np.int64]

    def decoded(self, places: Sequence[int]) -> Iterator[tuple[int, NDArray[np.uint8] | DataError]]:
        for position, place in enumerate(places):
            yield position, self.pixels[self.rows[place]]

    def taken(self, places: Sequence[int]) -> ArrayOriginals:
        return ArrayOriginals(self.pixels, self.rows[np.asarray(places, dtype=np.int64)])


def _decoded(data: bytes) -> NDArray[np.uint8]:
    held = HELD.pop(data)
    return decode(data) if held is None else held
