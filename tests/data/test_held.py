"""A source that is opened for a view decodes each picture once, and the first load gives what it would give anyway."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from handful.data import cache as caching
from handful.data import decode as decoding
from handful.data import files
from handful.data.copies import once
from handful.data.held import Held
from handful.data.images import View
from handful.data.load import load
from handful.data.source import Source, open_source

Write = Callable[[Path, Mapping[str, bytes]], Path]
VIEW = View(size=7)
ITEMS = [np.random.default_rng(i).integers(0, 256, (3, 5 + i, 20 - i), dtype=np.uint8) for i in range(10)]


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The bytes of every file that is decoded from now on."""
    found: list[bytes] = []
    real = decoding._opened

    def counting(data: bytes) -> Image.Image:
        found.append(data)
        return real(data)

    monkeypatch.setattr(decoding, "_opened", counting)
    return found


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@pytest.fixture(scope="module")
def mixed() -> dict[str, bytes]:
    """Path -> bytes of pictures of many kinds, shapes and modes, in two classes; two of them are there twice."""
    rng = np.random.default_rng(7)
    colour = [Image.fromarray(rng.integers(0, 256, (h, w, 3), dtype=np.uint8)) for h, w in ((9, 31), (40, 12), (7, 7))]
    grey = Image.fromarray(rng.integers(0, 256, (33, 18), dtype=np.uint8))
    turned = Image.Exif()
    turned[0x0112] = 6
    made = {
        "wide.jpg": saved(colour[0], "JPEG"),
        "turned.jpg": saved(colour[0], "JPEG", exif=turned),
        "tall.webp": saved(colour[1], "WEBP", lossless=True),
        "fits.png": saved(colour[2], "PNG"),
        "grey.png": saved(grey, "PNG"),
        "grey.jpg": saved(grey, "JPEG"),
        "deep.tif": saved(Image.fromarray(rng.integers(0, 65536, (20, 30), dtype=np.uint16)), "TIFF"),
        "palette.gif": saved(colour[1].quantize(8), "GIF"),
        "alpha.png": saved(Image.fromarray(rng.integers(0, 256, (11, 13, 4), dtype=np.uint8)), "PNG"),
        "cmyk.jpg": saved(colour[1].convert("CMYK"), "JPEG"),
        "map.ppm": saved(colour[0], "PPM"),
    }
    pictures = {f"{'ab'[number % 2]}/{name}": data for number, (name, data) in enumerate(made.items())}
    return pictures | {"a/wide again.jpg": made["wide.jpg"], "a/equal.bmp": saved(grey.convert("RGB"), "BMP")}


def test_opening_and_loading_decode_each_picture_once(
    tmp_path: Path,
    members: dict[str, bytes],
    to_folder: Write,
    to_zip: Write,
    to_tar: Write,
    decoded: list[bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pictures = sorted(data for path, data in members.items() if path.endswith(".png"))
    for path in (
        to_folder(tmp_path / "f", members),
        to_zip(tmp_path / "f.zip", members),
        to_tar(tmp_path / "f.tgz", members),
    ):
        monkeypatch.setenv("HANDFUL_CACHE", str(tmp_path / f"cache of {path.name}"))
        load(open_source(path, view=VIEW), VIEW)
        assert sorted(decoded) == pictures
        decoded.clear()
        load(open_source(path, view=VIEW), VIEW)
        assert decoded == []
        load(open_source(path, view=VIEW), View(size=6))
        assert sorted(decoded) == pictures  # the scan was remembered, so nothing had to be decoded at opening
        decoded.clear()


@pytest.mark.parametrize("channels", [None, 1, 3])
@pytest.mark.parametrize("policy", ["stretch", "crop", "pad"])
def test_the_pixels_are_those_of_the_decoded_originals(
    tmp_path: Path, mixed: dict[str, bytes], to_folder: Write, policy: Any, channels: Any
) -> None:
    view = View(size=7, resize=policy, channels=channels)
    source = open_source(to_folder(tmp_path / "f", mixed), view=view)
    expected = np.stack([decoding.resized(source.read(row), view, channels or 3) for row in range(len(source))])
    np.testing.assert_array_equal(load(source, view).pixels, expected)
    assert open_source(tmp_path / "f") == source


def test_a_source_of_grey_pictures_keeps_one_channel(tmp_path: Path, to_folder: Write, png: Any, cache: Path) -> None:
    rng = np.random.default_rng(3)
    grey = [rng.integers(0, 256, (1, 9, 5), dtype=np.uint8) for _ in range(6)]
    as_stored = {f"{'ab'[i % 2]}/{i}.png": png(np.repeat(one, 3, 0) if i < 3 else one) for i, one in enumerate(grey)}
    source = open_source(to_folder(tmp_path / "f", as_stored), view=VIEW)
    rows = [int(name[2]) for name in source.ids]
    expected = np.stack([decoding.resized(grey[row], VIEW, 1) for row in rows])
    np.testing.assert_array_equal(load(source, VIEW).pixels, expected)


@pytest.mark.parametrize("cores", [1, 2, 16])
def test_the_number_of_threads_changes_nothing(
    tmp_path: Path,
    mixed: dict[str, bytes],
    to_folder: Write,
    monkeypatch: pytest.MonkeyPatch,
    cores: int,
) -> None:
    bad = {"a/bad.png": b"text", "b/cut.jpg": mixed["a/wide.jpg"][:300], "b/empty.gif": b""}
    folder = to_folder(tmp_path / "f", {**mixed, **bad})
    monkeypatch.setenv("HANDFUL_CACHE", str(tmp_path / "before"))
    before = open_source(folder, skip_unreadable=True)
    pixels = load(before, VIEW).pixels
    monkeypatch.setenv("HANDFUL_CACHE", str(tmp_path / "after"))
    monkeypatch.setattr(files.os, "cpu_count", lambda: cores)
    monkeypatch.setattr("handful.data.scan.LARGE_BATCH", 1)
    source = open_source(folder, skip_unreadable=True, view=VIEW)
    assert source == before
    assert [path for path, _ in source.unreadable] == sorted(bad)
    np.testing.assert_array_equal(load(source, VIEW).pixels, pixels)


@pytest.mark.parametrize(
    ("opened", "wanted", "again"), [(None, 3, False), (3, None, False), (None, 1, True), (1, 3, True)]
)
def test_channels_that_were_not_made_are_made_anew(
    tmp_path: Path,
    mixed: dict[str, bytes],
    to_folder: Write,
    decoded: list[bytes],
    opened: Any,
    wanted: Any,
    again: bool,
) -> None:
    source = open_source(to_folder(tmp_path / "f", mixed), view=VIEW.changed(channels=opened))
    decoded.clear()
    view = VIEW.changed(channels=wanted)
    pixels = load(source, view).pixels
    assert bool(decoded) == again
    expected = np.stack([decoding.resized(source.read(row), view, wanted or 3) for row in range(len(source))])
    np.testing.assert_array_equal(pixels, expected)


def test_rows_copies_and_boxes_are_those_of_a_source_opened_without_a_view(
    tmp_path: Path, mixed: dict[str, bytes], to_folder: Write
) -> None:
    folder = to_folder(tmp_path / "f", {path: data for path, data in mixed.items() if "wide" in path or "/t" in path})
    boxes = tmp_path / "b.csv"
    boxes.write_text("path,x0,y0,x1,y1\na/tall.webp,1,2,9,30\n")

    def opened(view: View | None) -> list[NDArray[np.uint8]]:
        for entry in tmp_path.glob("cache/*/*"):
            entry.unlink()
        whole: Source = open_source(folder, view=view)
        kinds = whole.take([3, 1]), once(whole), open_source(folder, regions=boxes, view=view)
        return [load(kind, VIEW).pixels for kind in kinds]

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HANDFUL_CACHE", str(tmp_path / "cache"))
        for one, other in zip(opened(VIEW), opened(None), strict=True):
            np.testing.assert_array_equal(one, other)


def test_leaving_copies_out_decodes_nothing_again(
    tmp_path: Path, mixed: dict[str, bytes], to_folder: Write, decoded: list[bytes]
) -> None:
    source = once(open_source(to_folder(tmp_path / "f", mixed), view=VIEW))
    assert source.left_out
    decoded.clear()
    assert (
        len(load(source, VIEW)) == len(mixed) - 2
    )  # the copy, and the grey picture that is also stored in three channels
    assert decoded == []


def test_pictures_are_the_ones_that_were_there_when_the_source_was_opened(
    tmp_path: Path, flat: dict[str, bytes], to_folder: Write
) -> None:
    folder = to_folder(tmp_path / "f", flat)
    expected = load(open_source(folder), VIEW).pixels
    for entry in Path(caching.cache_dir()).glob("*/*"):
        entry.unlink()
    source = open_source(folder, view=VIEW)
    (folder / source.ids[0]).write_bytes((folder / source.ids[1]).read_bytes())
    np.testing.assert_array_equal(load(source, VIEW).pixels, expected)


def test_what_is_large_is_held_in_a_file_that_goes_again(
    tmp_path: Path, mixed: dict[str, bytes], to_folder: Write, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    folder = to_folder(tmp_path / "f", mixed)
    expected = load(open_source(folder), VIEW).pixels
    monkeypatch.setattr(caching, "MAP_ABOVE", 100)
    monkeypatch.setenv("HANDFUL_CACHE", str(tmp_path / "large"))
    source = open_source(folder, view=VIEW)
    assert source.held is not None
    place, held = source.held.take(VIEW, 3, grey=False)
    assert isinstance(held, np.memmap)
    assert len(place) == len(set(source.content.tolist()))
    assert [path.name for path in (tmp_path / "large").iterdir()] == ["scans"]
    monkeypatch.setenv("HANDFUL_CACHE", str(tmp_path / "again"))
    np.testing.assert_array_equal(load(open_source(folder, view=VIEW), VIEW).pixels, expected)


def test_where_nothing_large_can_be_held_it_is_decoded_again(
    tmp_path: Path, mixed: dict[str, bytes], to_folder: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = to_folder(tmp_path / "f", mixed)
    expected = load(open_source(folder), VIEW).pixels
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setattr(caching, "MAP_ABOVE", 100)
    monkeypatch.setenv("HANDFUL_CACHE", str(tmp_path / "file"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the cache cannot be written
        source = open_source(folder, view=VIEW)
        assert source.held is None
        np.testing.assert_array_equal(load(source, VIEW).pixels, expected)


def test_a_set_of_python_objects_is_read_once(png: Any) -> None:
    class Items:
        column_names, features, reads = ("image", "label"), {"image": None, "label": None}, 0

        def __len__(self) -> int:
            return len(ITEMS)

        def __getitem__(self, key: Any) -> Any:
            if key == "label":
                return [place % 2 for place in range(len(ITEMS))]
            Items.reads += 1
            return {"image": png(ITEMS[key]), "label": key % 2}

    view = VIEW.changed(resize="pad")
    source = open_source(Items(), view=view)
    pixels = load(source, view).pixels
    assert Items.reads == len(ITEMS)
    expected = np.stack([decoding.resized(picture, view, 3) for picture in ITEMS])
    np.testing.assert_array_equal(pixels, expected)


def test_pictures_are_given_out_once_and_at_their_view_only() -> None:
    content, pixels = np.array([b"x", b"", b"y"], "S32"), np.arange(36, dtype=np.uint8).reshape(3, 3, 2, 2)
    held = Held(VIEW, content, pixels)
    place, found = held.take(VIEW.changed(channels=3), 3, grey=False)
    assert place == {b"x": 0, b"y": 2}
    assert found is pixels
    assert held.take(VIEW, 3, grey=False)[0] == {}
    assert Held(VIEW, content, pixels).take(VIEW, 1, grey=True)[0] == place
    assert Held(VIEW, content, pixels).take(VIEW, 1, grey=False)[0] == {}
    assert Held(VIEW, content, pixels[:, :1]).take(VIEW, 3, grey=True)[0] == {}
    other = Held(VIEW, content, pixels)
    assert other.take(VIEW.changed(resize="pad"), 3, grey=False)[0] == {}
    assert other.take(VIEW, 3, grey=False)[0] == {}
