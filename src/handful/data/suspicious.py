"""Pictures that can be read and still look wrong: tiny, blank, of an odd shape or size, or misnamed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from handful.data.near import luma
from handful.data.source import Source
from handful.data.stored import Stored

TINY = 8
LONGEST = 4.0
HUGE = 16.0
FLAT = 1.0
_BLOCK = 4096


class Suspicion(NamedTuple):
    """A picture's row, what kind of thing is odd, and why in numbers."""

    row: int
    kind: str
    why: str


def find_suspicious(
    source: Source, pixels: NDArray[np.uint8], stored: Sequence[Stored] | None
) -> tuple[Suspicion, ...]:
    """Return the pictures that look wrong, by kind and then by row; a picture can be there for several reasons.

    `tiny`: shorter side below 8 px. `blank`: the luma of the small view has a standard deviation below 1 of 255.
    `shape`: longer side more than 4 times the shorter. `large`: more than 16 times the median number of pixels.
    `name`: the first bytes of the file are of another format than its name says.

    Args:
        source: N pictures.
        pixels: uint8 [N, C, S, S], a small view of them.
        stored: N headers of the files; None: `name` is not asked, as of sources in memory, which have no files.
    """
    found = [*_by_size(source.sizes), *_blank(pixels)]
    if stored is not None:
        found += _misnamed(source, stored)
    return tuple(sorted(found, key=lambda one: (one.kind, one.row)))


def _by_size(sizes: NDArray[np.int64]) -> Iterator[Suspicion]:
    areas = sizes.prod(axis=1)
    median = float(np.median(areas))
    for row, (width, height) in enumerate(sizes.tolist()):
        shorter, longer = sorted((width, height))
        if shorter < TINY:
            yield Suspicion(row, "tiny", f"{width} x {height} px; shorter side below {TINY}")
        if longer > LONGEST * shorter:
            yield Suspicion(row, "shape", f"{width} x {height} px; one side {longer / shorter:.1f} times the other")
        if areas[row] > HUGE * median:
            times = areas[row] / median
            yield Suspicion(row, "large", f"{width} x {height} px; {times:.0f} times the pixels of the median picture")


def _blank(pixels: NDArray[np.uint8]) -> Iterator[Suspicion]:
    for start in range(0, len(pixels), _BLOCK):
        deviation = luma(pixels[start : start + _BLOCK]).std(axis=(1, 2), dtype=np.float32)
        for row in np.flatnonzero(deviation < FLAT).tolist():
            why = f"nearly one colour: standard deviation {deviation[row]:.1f} of 255"
            yield Suspicion(start + row, "blank", why)


def _misnamed(source: Source, stored: Sequence[Stored]) -> Iterator[Suspicion]:
    for row, held in enumerate(stored):
        suffix = PurePosixPath(source.ids[row]).suffix.lower()
        if held.format and suffix not in held.suffixes:
            yield Suspicion(row, "name", f"named {suffix}, holds {held.format}")
