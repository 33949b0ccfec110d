"""Pictures that can be read and still look wrong: tiny, blank, of an odd shape or size, or misnamed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from handful.data.near import luma
from handful.data.originals import FileOriginals
from handful.data.source import Source

TINY = 8
LONGEST = 4.0
HUGE = 16.0
FLAT = 1.0
_STARTS = (
    (b"\xff\xd8\xff", "JPEG", (".jpg", ".jpeg")),
    (b"\x89PNG\r\n\x1a\n", "PNG", (".png",)),
    (b"GIF8", "GIF", (".gif",)),
    (b"BM", "BMP", (".bmp",)),
    (b"II*\0", "TIFF", (".tif", ".tiff")),
    (b"MM\0*", "TIFF", (".tif", ".tiff")),
    (b"P1", "PBM", (".pbm", ".ppm")),
    (b"P4", "PBM", (".pbm", ".ppm")),
    (b"P2", "PGM", (".pgm", ".ppm")),
    (b"P5", "PGM", (".pgm", ".ppm")),
    (b"P3", "PPM", (".ppm",)),
    (b"P6", "PPM", (".ppm",)),
)
_BLOCK = 4096


class Suspicion(NamedTuple):
    """A picture's row, what kind of thing is odd, and why in numbers."""

    row: int
    kind: str
    why: str


def find_suspicious(source: Source, pixels: NDArray[np.uint8], *, files: bool = True) -> tuple[Suspicion, ...]:
    """Return the pictures that look wrong, by kind and then by row; a picture can be there for several reasons.

    `tiny`: shorter side below 8 px. `blank`: the luma of the small view has a standard deviation below 1 of 255.
    `shape`: longer side more than 4 times the shorter. `large`: more than 16 times the median number of pixels.
    `name`: the first bytes of the file are of another format than its name says.

    Args:
        source: N pictures.
        pixels: uint8 [N, C, S, S], a small view of them.
        files: read the files for their first bytes; sources in memory have none.
    """
    found = [*_by_size(source.sizes), *_blank(pixels)]
    if files and isinstance(source.originals, FileOriginals):
        found += _misnamed(source.originals)
    return tuple(sorted(found, key=lambda one: (one.kind, one.row)))


def format_of(start: bytes) -> tuple[str, tuple[str, ...]] | None:
    """Return (format, suffixes it is stored under) by the first bytes of a file, None where they are of none known."""
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return "WebP", (".webp",)
    return next(((name, suffixes) for magic, name, suffixes in _STARTS if start.startswith(magic)), None)


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


def _misnamed(originals: FileOriginals) -> Iterator[Suspicion]:
    for row, content in originals.files.read(originals.paths):
        held = format_of(content[:12]) if isinstance(content, bytes) else None
        suffix = PurePosixPath(originals.paths[row]).suffix.lower()
        if held is not None and suffix not in held[1]:
            yield Suspicion(row, "name", f"named {suffix}, holds {held[0]}")
