"""The mode of a file's pixels is told before decoding, for every kind of file, and never raises."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from handful.data.look import look
from handful.data.source import open_source
from handful.data.stored import format_of, mode_of
from handful.report.look import render_look
from handful.report.look_lines import lines

RGB = Image.fromarray(np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8))
DEEP = Image.fromarray(np.random.default_rng(0).integers(0, 65536, (8, 8), dtype=np.uint16))


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def deep_png(colour: int, samples: int) -> bytes:
    """A PNG of 2 x 2 px with 16 bits a sample, which Pillow does not write."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    rows = b"".join(b"\0" + bytes(range(4 * samples)) for _ in range(2))
    head = struct.pack(">IIBBBBB", 2, 2, 16, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


CASES = {
    "grey": [saved(RGB.convert("L"), kind) for kind in ("PNG", "JPEG", "TIFF", "BMP")] + [b"P5 2 1 255\n\0\0"],
    "1 bit": [saved(RGB.convert("1"), "PNG"), b"P4 8 1\n\0"],
    "grey with alpha": [saved(RGB.convert("LA"), "PNG"), saved(RGB.convert("L"), "PNG", transparency=3)],
    "RGB": [saved(RGB, kind) for kind in ("PNG", "JPEG", "TIFF", "BMP", "WEBP", "PPM")],
    "RGB with alpha": [saved(RGB, "PNG", transparency=(1, 2, 3))],
    "RGBA": [saved(RGB.convert("RGBA"), "PNG")],
    "palette": [saved(RGB.convert("P"), kind) for kind in ("PNG", "GIF", "BMP")],
    "palette with alpha": [saved(RGB.convert("P"), "PNG", transparency=3)],
    "CMYK": [saved(RGB.convert("CMYK"), kind) for kind in ("JPEG", "TIFF")],
    "Lab": [saved(RGB.convert("LAB"), "TIFF")],
    "16-bit grey": [saved(DEEP, "PNG"), saved(DEEP, "TIFF"), b"P5 2 1 65535\n" + bytes(4), b"P2 1 1 999\n7\n"],
    "16-bit RGB": [deep_png(2, 3), b"P6 2 1 65535\n" + bytes(12)],
    "16-bit RGBA": [deep_png(6, 4)],
    "16-bit grey with alpha": [deep_png(4, 2)],
    "float grey": [saved(Image.fromarray(np.zeros((4, 4), np.float32)), "TIFF")],
    "32-bit grey": [saved(Image.fromarray(np.zeros((4, 4), np.int32)), "TIFF")],
    "": [b"", b"text", b"\x89PNG\r\n\x1a\n"],
}


@pytest.mark.parametrize(("mode", "files"), CASES.items())
def test_the_mode_of_every_kind_of_file(mode: str, files: list[bytes]) -> None:
    assert [mode_of(content) for content in files] == [mode] * len(files)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([one for files in CASES.values() for one in files if one]), st.data())
def test_spoilt_bytes_never_raise(content: bytes, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(content) - 1))
    spoilt = content[:place] + bytes([data.draw(st.integers(0, 255))]) + content[place + 1 :]
    cut = spoilt[: data.draw(st.integers(0, len(content)))]
    assert isinstance(mode_of(spoilt), str)
    assert isinstance(mode_of(cut), str)


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """Grey JPEGs in one class, palettes and RGB in the other."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for place in range(4):
            pixels = np.random.default_rng([ord(name), place]).integers(0, 256, (16, 16, 3), dtype=np.uint8)
            image = Image.fromarray(pixels)
            if name == "a":
                image.convert("L").save(tmp_path / name / f"{place}.jpg")
            else:
                (image.convert("P") if place else image).save(tmp_path / name / f"{place}.png")
    return tmp_path


def test_look_tells_stored_modes_by_class_beside_what_is_shown(mixed: Path) -> None:
    source = open_source(mixed)
    found = look(source)
    told = found.to_json()
    assert told["modes"] == {
        "stored": {"grey": 4, "palette": 3, "RGB": 1},
        "classes": [{"name": "a", "stored": {"grey": 4}}, {"name": "b", "stored": {"palette": 3, "RGB": 1}}],
        "shown": {"grey": 4, "rgb": 4},
    }
    said = "stored as 4 grey, 3 palette, 1 RGB; after decoding 4 grey, 4 in colour"
    assert said in [line.text for line in lines(told)]
    page = render_look(source, found)
    assert "As the files are stored, before decoding" in page
    assert '<th scope="col" class="number">palette</th>' in page


def test_a_jpeg_may_be_called_jfif() -> None:
    assert format_of(b"\xff\xd8\xff\xe0") == ("JPEG", (".jpg", ".jpeg", ".jfif"))


def test_pictures_in_memory_and_skipped_files_have_no_stored_mode(mixed: Path) -> None:
    assert look(open_source("digits"), skip=["doubts", "flips", "near-copies"]).to_json()["modes"] is None
    assert look(open_source(mixed), skip=["files"]).to_json()["modes"] is None
