"""Malformed and unusual files of pictures, what each of them holds, and how they come into a folder."""

from __future__ import annotations

import io
import random
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]
EXACT, LOSSY = 0, 12  # largest difference to the pixels a file was made from
HEIGHT, WIDTH = 16, 24


def smooth(channels: int = 3) -> Pixels:
    """uint8 [H, W, C] that JPEG keeps nearly as it is, different at every edge."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    planes = [40 + 8 * y + x, 60 + 5 * x, 220 - 4 * y - 3 * x, 30 + 2 * x + 3 * y]
    return np.stack(planes[:channels], axis=-1).astype(np.uint8)


RGB = smooth()
GREY = RGB[..., 0]
FORMATS: dict[str, tuple[str, dict[str, Any], int]] = {
    "png": ("PNG", {}, EXACT),
    "jpg": ("JPEG", {"quality": 98, "subsampling": 0}, LOSSY),
    "webp": ("WEBP", {"lossless": True}, EXACT),
    "bmp": ("BMP", {}, EXACT),
    "tif": ("TIFF", {}, EXACT),
    "gif": ("GIF", {}, 40),  # a palette of 256
    "ppm": ("PPM", {}, EXACT),
}


@dataclass(frozen=True)
class Case:
    """A file: its bytes, what it holds (uint8 [H, W] or [H, W, 3]; None: nothing that may be read), how closely.

    With `or_named` it may also be in the list of faults.
    """

    data: bytes
    holds: Pixels | None
    within: int = EXACT
    or_named: bool = False


def saved(picture: Pixels | Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    image.save(file, kind, **options)
    return file.getvalue()


def whole(suffix: str) -> bytes:
    kind, options, _ = FORMATS[suffix]
    return saved(RGB, kind, **options)


PNG = whole("png")


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, bits: int, colour: int, rows: bytes, *extra: bytes) -> bytes:
    """A PNG by hand; `rows` with their filter bytes."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(extra) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def with_exif(jpeg: bytes, exif: bytes) -> bytes:
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + jpeg[2:]


def exif_of(orientation: int, *, order: str = "<", offset: int = 8, entries: int = 1) -> bytes:
    mark = b"II*\0" if order == "<" else b"MM\0*"
    entry = struct.pack(f"{order}HHIHH", 0x0112, 3, 1, orientation, 0)
    body = struct.pack(f"{order}I", offset) + struct.pack(f"{order}H", entries) + entry + bytes(4)
    return b"Exif\0\0" + mark + body


def truncated() -> Iterator[tuple[str, Case]]:
    """Every format cut at fourteen places: the whole picture all the same, or named."""
    for suffix, (_, _, within) in FORMATS.items():
        data = whole(suffix)
        parts = {int(len(data) * share) for share in (0.1, 0.25, 0.4, 0.5, 0.6, 0.75, 0.9)}
        for end in sorted({0, 1, 2, 4, 8, 16, 32, *parts, len(data) - 16, len(data) - 2, len(data) - 1}):
            yield f"cut at {end:04}.{suffix}", Case(data[:end], RGB, within, or_named=True)


def misnamed() -> Iterator[tuple[str, Case]]:
    others = list(FORMATS)
    for place, (suffix, (_, _, within)) in enumerate(FORMATS.items()):
        yield f"really {suffix}.{others[place - 1]}", Case(whole(suffix), RGB, within)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a.png", whole("png"))
    for name, data in {
        "text.png": b"hello\n" * 100,
        "html.jpg": b"<!DOCTYPE html><html><body>404</body></html>",
        "svg.png": b'<svg xmlns="http://www.w3.org/2000/svg"/>',
        "zip.png": packed.getvalue(),
        "zeros.bmp": bytes(1000),
        "elf.gif": b"\x7fELF" + bytes(300),
        "eps.jpg": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\nshowpage\n",
        "noise.webp": random.Random(0).randbytes(2000),
        "headers.tif": b"II*\0" + b"\xff" * 400,
    }.items():
        yield name, Case(data, None)


def bombs() -> Iterator[tuple[str, Case]]:
    """More pixels than allowed, by what the header says or in truth, and texts that unpack to too much."""
    many = 60_000
    frame = struct.pack(">BHHB", 8, many, many, 3) + bytes([1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0])
    jpeg = b"\xff\xd8\xff\xc0" + struct.pack(">H", len(frame) + 2) + frame + b"\xff\xd9"
    tiff = bytearray(whole("tif"))
    for tag in (256, 257):
        tiff = tiff.replace(struct.pack("<HHI", tag, 4, 1), struct.pack("<HHI", tag, 3, 1), 1)
        place = tiff.index(struct.pack("<HHI", tag, 3, 1)) + 8
        tiff[place : place + 4] = struct.pack("<HH", many, 0)
    bmp = bytearray(whole("bmp"))
    bmp[18:26] = struct.pack("<II", many, many)
    lossless = struct.pack("<I", 16_383 | 16_383 << 14)
    vp8l = b"VP8L" + struct.pack("<I", 10) + b"\x2f" + lossless + bytes(5)
    text = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(80_000_000), 9))
    profile = chunk(b"iCCP", b"icc\0\0" + zlib.compress(bytes(80_000_000), 9))
    yield "bomb header.png", Case(png(many, many, 8, 2, b"\0"), None)
    yield "bomb in truth.png", Case(png(10_000, 9_000, 1, 0, bytes(1251 * 9_000)), None)
    yield "bomb header.jpg", Case(jpeg, None)
    yield "bomb header.gif", Case(b"GIF89a" + struct.pack("<HHBBB", 65_535, 65_535, 0, 0, 0) + b"\x3b", None)
    yield "bomb header.tif", Case(bytes(tiff), None)
    yield "bomb header.bmp", Case(bytes(bmp), None)
    yield "bomb header.webp", Case(b"RIFF" + struct.pack("<I", len(vp8l) + 4) + b"WEBP" + vp8l, None)
    yield "bomb header.ppm", Case(b"P6\n100000 100000\n255\n" + bytes(100), None)
    yield "bomb digits.ppm", Case(b"P6\n" + b"9" * 5000 + b" 1\n255\n", None)
    rows = b"".join(b"\0" + row.tobytes() for row in RGB)
    yield "bomb text.png", Case(png(WIDTH, HEIGHT, 8, 2, rows, text), RGB, or_named=True)
    yield "bomb profile.png", Case(png(WIDTH, HEIGHT, 8, 2, rows, profile), RGB, or_named=True)


def animated() -> Iterator[tuple[str, Case]]:
    """Of several frames the first one."""
    first = Image.fromarray(RGB)
    rest = [Image.fromarray(255 - RGB), Image.fromarray(np.roll(RGB, 5, axis=1))]
    for name, kind, options, within in (
        ("frames.gif", "GIF", {}, 40),
        ("loop.gif", "GIF", {"loop": 0, "disposal": 2, "duration": 0}, 40),
        ("frames.webp", "WEBP", {"lossless": True}, EXACT),
        ("frames.png", "PNG", {}, EXACT),
        ("pages.tif", "TIFF", {}, EXACT),
    ):
        yield name, Case(saved(first, kind, save_all=True, append_images=rest, **options), RGB, within)
    own = {"save_all": True, "append_images": rest, "default_image": True}
    yield "default frame.png", Case(saved(first, "PNG", **own), RGB)


def colours() -> Iterator[tuple[str, Case]]:
    """Every way to store a colour, against the pixels that were stored."""
    cmyk = Image.frombytes("CMYK", (WIDTH, HEIGHT), smooth(4).tobytes())
    as_rgb = np.asarray(cmyk.convert("RGB"))
    best = {"quality": 100, "subsampling": 0}
    yield "cmyk.jpg", Case(saved(cmyk, "JPEG", **best), as_rgb, LOSSY)
    yield "cmyk.tif", Case(saved(cmyk, "TIFF"), as_rgb)
    inks, black = smooth(4)[..., :3], smooth(4)[..., 3]
    luma = np.asarray(Image.fromarray(inks).convert("YCbCr"))  # of the inks: Adobe stores them inverted, twice
    planes = np.dstack([255 - luma, black]).astype(np.uint8)
    ycck = saved(Image.frombytes("CMYK", (WIDTH, HEIGHT), planes.tobytes()), "JPEG", **best)
    mark = ycck.index(b"Adobe") + 11
    yield "ycck.jpg", Case(ycck[:mark] + b"\2" + ycck[mark + 1 :], as_rgb, LOSSY)
    yield "ycbcr.tif", Case(saved(Image.fromarray(RGB).convert("YCbCr"), "TIFF"), RGB, 3)
    wide = GREY.astype(np.uint16) * 257
    yield "grey 16.png", Case(saved(Image.fromarray(wide), "PNG"), GREY)
    yield "grey 16.tif", Case(saved(Image.fromarray(wide), "TIFF"), GREY)
    yield "grey 16.pgm", Case(b"P5 24 16 65535\n" + wide.astype(">u2").tobytes(), GREY)
    yield "grey text.pgm", Case(f"P2 24 16 255\n{' '.join(map(str, GREY.ravel()))}\n".encode(), GREY)
    yield "colour text.ppm", Case(f"P3 24 16 255\n{' '.join(map(str, RGB.ravel()))}\n".encode(), RGB)
    yield "grey 32.tif", Case(saved(Image.fromarray(wide.astype(np.int32)), "TIFF"), GREY)
    yield "floats.tif", Case(saved(Image.fromarray((GREY / 255).astype(np.float32)), "TIFF"), GREY)
    yield "floats 255.tif", Case(saved(Image.fromarray(GREY.astype(np.float32)), "TIFF"), GREY)
    for name, value in (("not a number", np.nan), ("infinite", np.inf), ("negative", -3.0), ("large", 1e9)):
        spoilt = GREY.astype(np.float32)
        spoilt[3, 4] = value
        yield f"floats {name}.tif", Case(saved(Image.fromarray(spoilt), "TIFF"), None)
    rows = b"".join(b"\0" + (row.astype(">u2") * 257).tobytes() for row in RGB)
    yield "colour 16.png", Case(png(WIDTH, HEIGHT, 16, 2, rows), RGB)
    yield "bits.png", Case(saved(Image.fromarray(GREY > 90), "PNG"), (GREY > 90) * np.uint8(255))
    yield "bits.bmp", Case(saved(Image.fromarray(GREY > 90), "BMP"), (GREY > 90) * np.uint8(255))
    yield "bits.tif", Case(saved(Image.fromarray(GREY > 90), "TIFF"), (GREY > 90) * np.uint8(255))
    yield "bits.pbm", Case(saved(Image.fromarray(GREY > 90), "PPM"), (GREY > 90) * np.uint8(255))
    for suffix, (kind, options, within) in {k: FORMATS[k] for k in ("png", "jpg", "bmp", "tif", "gif", "ppm")}.items():
        yield f"grey.{suffix}", Case(saved(GREY, kind, **options), GREY, min(within, LOSSY))
    few = Image.fromarray(RGB).quantize(16)
    shade = np.asarray(few)
    opaque = np.asarray(few.convert("RGB"))
    for suffix in ("png", "gif", "bmp", "tif"):
        yield f"palette.{suffix}", Case(saved(few, FORMATS[suffix][0]), opaque)
    clear = np.where((shade == 3)[..., None], np.uint8(255), opaque)
    for suffix in ("png", "gif"):
        yield f"palette clear.{suffix}", Case(saved(few, FORMATS[suffix][0], transparency=3), clear)
    half = bytes([255, 128, 0])  # the first three entries of the palette
    alpha = np.array([255, 128, 0, *[255] * 253])[shade][..., None] / 255
    over = np.rint(opaque * alpha + 255 * (1 - alpha)).astype(np.uint8)
    yield "palette half clear.png", Case(saved(few, "PNG", transparency=half), over, 1)
    key = (RGB[0, 0] == RGB).all(axis=-1)[..., None]
    keyed = np.where(key, np.uint8(255), RGB)
    yield "colour key.png", Case(saved(RGB, "PNG", transparency=tuple(int(value) for value in RGB[0, 0])), keyed)
    veil = np.full((HEIGHT, WIDTH, 1), 64, np.uint8)
    laid = np.rint(RGB * (64 / 255) + 255 * (1 - 64 / 255)).astype(np.uint8)
    for suffix in ("png", "webp", "tif"):
        kind, options, _ = FORMATS[suffix]
        yield f"veil.{suffix}", Case(saved(np.dstack([RGB, veil]), kind, **options), laid, 1)
    yield "grey veil.png", Case(saved(Image.fromarray(np.dstack([GREY, veil]), "LA"), "PNG"), laid[..., 0], 1)


def stored() -> Iterator[tuple[str, Case]]:
    """Compressions and sizes that are rare, all of them right."""
    for how in ("tiff_lzw", "tiff_adobe_deflate", "packbits"):
        yield f"{how}.tif", Case(saved(RGB, "TIFF", compression=how), RGB)
    yield "jpeg inside.tif", Case(saved(RGB, "TIFF", compression="jpeg", quality=98), RGB, 20)
    yield "progressive.jpg", Case(saved(RGB, "JPEG", progressive=True, quality=98, subsampling=0), RGB, LOSSY)
    yield "lossy.webp", Case(saved(RGB, "WEBP", quality=100), RGB, 25)
    yield "one pixel.png", Case(saved(RGB[:1, :1], "PNG"), RGB[:1, :1])
    yield "one row.png", Case(saved(RGB[:1], "PNG"), RGB[:1])
    yield "one column.bmp", Case(saved(RGB[:, :1], "BMP"), RGB[:, :1])
    yield "no pixel.ppm", Case(b"P6\n0 0\n255\n", None)
    yield "no column.png", Case(png(0, HEIGHT, 8, 2, bytes(HEIGHT)), None)
    yield "spoilt profile.png", Case(saved(RGB, "PNG", icc_profile=b"no profile"), RGB)
    yield "spoilt profile.jpg", Case(saved(RGB, "JPEG", quality=98, subsampling=0, icc_profile=b"no"), RGB, LOSSY)
    for suffix, (_, _, within) in FORMATS.items():
        yield f"more behind.{suffix}", Case(whole(suffix) + b"and more" * 50, RGB, within)
    yield "filter 9.png", Case(png(WIDTH, HEIGHT, 8, 2, b"".join(b"\x09" + row.tobytes() for row in RGB)), None)
    yield "depth 3.png", Case(png(WIDTH, HEIGHT, 3, 2, b"".join(b"\0" + row.tobytes() for row in RGB)), None)


def flipped() -> Iterator[tuple[str, Case]]:
    """A bit that changed: PNG has checksums, so the picture is whole or named."""
    data, rng = whole("png"), random.Random(1)
    for num in range(16):
        spoilt = bytearray(data)
        spoilt[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        yield f"flipped {num:02}.png", Case(bytes(spoilt), RGB, or_named=True)


TURNS = {1: RGB, 2: RGB[:, ::-1], 3: RGB[::-1, ::-1], 4: RGB[::-1]}
TURNS |= {5: RGB.transpose(1, 0, 2), 6: np.rot90(RGB, -1), 7: np.rot90(RGB, 2).transpose(1, 0, 2), 8: np.rot90(RGB)}


def exif() -> Iterator[tuple[str, Case]]:
    """A picture whose pixels are whole is read, whatever its EXIF says; an orientation that can be read is applied."""
    jpeg = whole("jpg")
    for turn, holds in TURNS.items():
        for order, name in (("<", "little"), (">", "big")):
            yield f"turn {turn} {name}.jpg", Case(with_exif(jpeg, exif_of(turn, order=order)), holds, LOSSY)
    for name, block in {
        "turn 0": exif_of(0),
        "turn 9": exif_of(9),
        "turn 65535": exif_of(65535),
        "exif beyond": exif_of(6, offset=60_000),
        "exif in itself": exif_of(6, offset=0),
        "exif cut": exif_of(6)[:12],
        "exif empty": b"Exif\0\0",
        "exif noise": b"Exif\0\0" + random.Random(2).randbytes(500),
        "exif huge noise": b"Exif\0\0" + random.Random(3).randbytes(65_000),
        "exif no mark": b"Exif\0\0XX*\0" + bytes(40),
    }.items():
        yield f"{name}.jpg", Case(with_exif(jpeg, block), RGB, LOSSY)
    yield "exif many.jpg", Case(with_exif(jpeg, exif_of(1, entries=65_535)), RGB, LOSSY)
    huge = jpeg
    for _ in range(20):
        huge = with_exif(huge, exif_of(1) + bytes(65_000))
    yield "exif twenty times.jpg", Case(huge, RGB, LOSSY)
    yield "turned.png", Case(saved(RGB, "PNG", exif=exif_of(6)[6:]), TURNS[6])
    yield "turned.webp", Case(saved(RGB, "WEBP", lossless=True, exif=exif_of(6)[6:]), TURNS[6])
    yield "exif megabyte.png", Case(saved(RGB, "PNG", exif=exif_of(8)[6:] + bytes(2**20)), TURNS[8])


NAMES = (
    "two words",
    " space before",
    "new\nline",
    "tab\tinside",
    "carriage\rreturn",
    "'single'",
    '"double"',
    "semi;colon & ampersand",
    "percent %s %00",
    "$(touch written)",
    "-rf",
    "*",
    "back\\slash",
    "标志牌",
    "Ünïcödé",
    "U\u0308 apart",
    "مرحبا",
    "\u202egnp",
    "🐈‍⬛",
    "nul",
    "dots...",
    "a" * 251,
    "字" * 83,
)


def named() -> Iterator[tuple[str, Case]]:
    for name in NAMES:
        yield f"{name}.png", Case(whole("png"), RGB)
    for name in ("UPPER.PNG", "Mixed.JpEg", "two.tar.png"):
        yield name, Case(whole("jpg" if "J" in name else "png"), RGB, LOSSY if "J" in name else EXACT)


def every_case() -> dict[str, Case]:
    kinds = (truncated, misnamed, bombs, animated, colours, stored, flipped, exif, named)
    found = [case for kind in kinds for case in kind()]
    cases = dict(found)
    assert len(cases) == len(found), "two cases have one name"
    return cases


def snapshot(folder: Path) -> dict[str, tuple[int, int]]:
    return {str(p): (p.lstat().st_size, p.lstat().st_mtime_ns) for p in folder.rglob("*")}


def put(folder: Path, files: dict[str, bytes]) -> None:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def channels_first(holds: Pixels) -> Pixels:
    return holds[None] if holds.ndim == 2 else holds.transpose(2, 0, 1)
