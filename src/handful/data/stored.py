"""What picture files say of themselves before they are decoded: their format, and the mode their pixels are kept in."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from io import BytesIO
from typing import Any, NamedTuple

from PIL import Image

from handful.data.decode import FORMATS
from handful.data.originals import FileOriginals

MODES = {
    "1": "1 bit",
    "L": "grey",
    "LA": "grey with alpha",
    "La": "grey with alpha",
    "P": "palette",
    "PA": "palette",
    "RGB": "RGB",
    "RGBA": "RGBA",
    "RGBa": "RGBA",
    "RGBX": "RGB",
    "CMYK": "CMYK",
    "YCbCr": "YCbCr",
    "LAB": "Lab",
    "I": "32-bit grey",
    "F": "float grey",
}
_STARTS = (
    (b"\xff\xd8\xff", "JPEG", (".jpg", ".jpeg", ".jfif")),
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


class Stored(NamedTuple):
    """What a file's first bytes say.

    Args:
        format: such as `PNG`; '' where they are of none known.
        suffixes: what such a file may be called.
        mode: `grey`, `RGB`, `palette`, `CMYK`, `16-bit RGB`, ...: of the pixels as they lie in the file, '' where its
            header cannot be read.
    """

    format: str
    suffixes: tuple[str, ...]
    mode: str


def stored_of(originals: FileOriginals) -> tuple[Stored, ...]:
    """Return N headers, in row order; every file is read and none is decoded."""
    found = [Stored("", (), "")] * len(originals.paths)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for row, content in originals.files.read(originals.paths):
            if isinstance(content, bytes):
                found[row] = Stored(*(format_of(content[:12]) or ("", ())), mode_of(content))
    return tuple(found)


def mode_of(content: bytes) -> str:
    """Return the mode of a picture file's pixels in words, '' where its header cannot be read.

    A palette with transparency is `palette with alpha`; the 16 bits of colour files, which Pillow opens as 8, are told
    by the raw mode of their decoder.
    """
    try:
        with Image.open(BytesIO(content), formats=FORMATS) as image:
            mode, alpha = image.mode, "transparency" in image.info
            raw, deep = _raw(image.tile)
    except Exception:  # Pillow's readers raise nearly anything on spoilt bytes, which are untrusted input
        return ""
    deep = deep or mode.startswith("I;16")
    if raw.partition(";")[0] == "LA":  # which Pillow opens as RGBA where it has 16 bits
        words = "grey with alpha"
    elif deep and mode not in ("RGB", "RGBA"):
        words = "grey"
    else:
        words = MODES.get(mode, mode)
    words += " with alpha" if alpha and mode in ("1", "L", "P", "RGB") else ""
    return f"16-bit {words}" if deep else words


def format_of(start: bytes) -> tuple[str, tuple[str, ...]] | None:
    """Return (format, suffixes it is stored under) by the first bytes of a file, None where they are of none known."""
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return "WebP", (".webp",)
    return next(((name, suffixes) for magic, name, suffixes in _STARTS if start.startswith(magic)), None)


def _raw(tiles: Sequence[Any]) -> tuple[str, bool]:
    """The raw mode a decoder reads, and whether it has 16 bits a sample: `RGB;16B`, or a PPM that goes above 255."""
    if not tiles:
        return "", False
    decoder, given = str(tiles[0][0]), tiles[0][3]
    parts = given if isinstance(given, tuple) else (given,)
    largest = parts[1] if decoder.startswith("ppm") and len(parts) > 1 else 0
    return str(parts[0]), ";16" in str(parts[0]) or (isinstance(largest, int) and largest > 255)
