"""The way from a row of a source back to its decoded original, in files or in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from handful.data.decode import decode
from handful.data.files import Files, each, in_batches
from handful.errors import DataError

BATCH_BYTES = 2**19  # of decoded pictures that one thread works on at a time
ResultT = TypeVar("ResultT")
Work = Callable[[NDArray[np.uint8]], ResultT]


class Originals(Protocol):
    """Reads decoded originals by their place; holds no open file."""

    CAN_CHANGE: ClassVar[bool]

    def decoded(self, places: Sequence[int]) -> Iterator[tuple[int, NDArray[np.uint8] | DataError]]:
        """Yield (position in `places`, uint8 [C, H, W] or why there is none), in the order cheapest to read."""
        ...

    def each(self, places: Sequence[int], work: Work[ResultT]) -> Iterator[tuple[int, ResultT | DataError]]:
        """Yield (position in `places`, what `work` made of the picture, or why it could not), in no particular order.

        `work` runs in several threads; of the pictures themselves, few are in memory at any time.
        """
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
        yield from each(self.files, [self.paths[place] for place in places], decode)

    def each(self, places: Sequence[int], work: Work[ResultT]) -> Iterator[tuple[int, ResultT | DataError]]:
        yield from each(self.files, [self.paths[place] for place in places], lambda data: work(decode(data)))

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

    def each(self, places: Sequence[int], work: Work[ResultT]) -> Iterator[tuple[int, ResultT | DataError]]:
        yield from each_of(self.decoded(places), work)

    def taken(self, places: Sequence[int]) -> ArrayOriginals:
        return ArrayOriginals(self.pixels, self.rows[np.asarray(places, dtype=np.int64)])


def each_of(
    pictures: Iterable[tuple[int, NDArray[np.uint8] | DataError]], work: Work[ResultT]
) -> Iterator[tuple[int, ResultT | DataError]]:
    """Yield what `Originals.each` does, of decoded pictures that come one after the other."""

    def worked(batch: list[tuple[int, NDArray[np.uint8] | DataError]]) -> list[tuple[int, ResultT | DataError]]:
        return [(at, picture if isinstance(picture, DataError) else work(picture)) for at, picture in batch]

    weighed = ((item, 0 if isinstance(item[1], DataError) else item[1].nbytes) for item in pictures)
    for made in in_batches(weighed, worked, BATCH_BYTES):
        yield from made
