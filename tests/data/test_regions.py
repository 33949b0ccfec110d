"""A box of a picture is all that is seen of it, and a box that does not fit is named with its line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from handful.data.images import View
from handful.data.load import load
from handful.data.source import Source, open_source
from handful.errors import DataError

Write = Callable[[Path, Mapping[str, bytes]], Path]


def boxes(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(["path,x0,y0,x1,y1", *lines]))
    return path


@pytest.fixture
def folder(tmp_path: Path, flat: dict[str, bytes], to_folder: Write) -> Path:
    return to_folder(tmp_path / "f", flat)


def test_a_box_is_all_that_is_seen(tmp_path: Path, folder: Path) -> None:
    whole = open_source(folder)
    file = boxes(tmp_path / "b.csv", "cat/0.png,1,2,5,6", "dog/1.png,0,0,6,6", "./dog/2.png,0,0,3,1")
    source = open_source(folder, regions=file)
    assert source.ids == whole.ids
    rows = {name: row for row, name in enumerate(source.ids)}
    for name, (left, top, right, bottom) in {"cat/0.png": (1, 2, 5, 6), "dog/2.png": (0, 0, 3, 1)}.items():
        expected = whole.read(rows[name])[:, top:bottom, left:right]
        np.testing.assert_array_equal(source.read(rows[name]), expected)
        assert source.sizes[rows[name]].tolist() == [right - left, bottom - top]
    changed = {source.ids[row] for row in np.flatnonzero(source.content != whole.content)}
    assert changed == {"cat/0.png", "dog/2.png"}
    assert source.digest != whole.digest
    part = source.take([rows["dog/2.png"], rows["cat/0.png"]])
    np.testing.assert_array_equal(part.read(1), source.read(rows["cat/0.png"]))


def test_a_view_of_the_boxes_is_another_view_of_the_cache(tmp_path: Path, folder: Path) -> None:
    view = View(size=4)
    cut = [f"{path},0,0,4,4" for path in open_source(folder).ids]
    plain = load(open_source(folder), view)
    seen = load(open_source(folder, regions=boxes(tmp_path / "b.csv", *cut)), view)
    again = load(open_source(folder, regions=tmp_path / "b.csv"), view)
    np.testing.assert_array_equal(seen.pixels[2], open_source(folder).read(2)[:, :4, :4])
    np.testing.assert_array_equal(seen.pixels, again.pixels)
    assert (plain.pixels != seen.pixels).any()
    assert (plain.origin.content != seen.origin.content).all()


def test_arrays_have_boxes_by_their_row(tmp_path: Path, pixels: NDArray[np.uint8]) -> None:
    given = (pixels, np.repeat([0, 1], 6))
    source = open_source(given, regions=boxes(tmp_path / "b.csv", "3,2,2,4,5"))
    np.testing.assert_array_equal(source.read(3), pixels[3, :, 2:5, 2:4])
    assert load(source, View(size=6)).pixels[0].tolist() == pixels[0].tolist()


def test_a_box_counts_in_pixels_of_the_upright_picture(tmp_path: Path, folder: Path) -> None:
    picture = np.random.default_rng(1).integers(0, 256, (4, 8, 3), dtype=np.uint8)
    image, exif, file = Image.fromarray(picture), Image.Exif(), BytesIO()
    exif[0x0112] = 6
    image.save(file, "PNG", exif=exif)
    (folder / "cat" / "turned.png").write_bytes(file.getvalue())
    source: Source = open_source(folder, regions=boxes(tmp_path / "b.csv", "cat/turned.png,0,4,4,8"))
    upright = np.rot90(picture, -1).transpose(2, 0, 1)
    np.testing.assert_array_equal(source.read(source.ids.index("cat/turned.png")), upright[:, 4:8, 0:4])


def test_all_faults_come_at_once(tmp_path: Path, folder: Path) -> None:
    lines = {
        "cat/9.png,0,0,2,2": "cat/9.png: no such picture in f; did you mean",
        "cat/0.png,2,0,2,2": "box 2, 0, 2, 2 is empty",
        "cat/1.png,0,0,7,2": "leaves the picture of 6 x 6 pixels",
        "cat/1.png,0,0,3,2": "is also on line 4",
        "cat/2.png,-1,0,3,2": "leaves the picture",
        "cat/3.png,0,0,3.5,2": "must be four whole numbers",
        "cat/4.png,0,0,3": "4 cells, the first line has 5",
    }
    with pytest.raises(DataError) as error:
        open_source(folder, regions=boxes(tmp_path / "b.csv", *lines))
    faults = sorted(error.value.faults, key=lambda fault: int(fault.split("line ")[1].split(":")[0]))
    assert len(faults) == len(lines)
    for line, (fault, words) in enumerate(zip(faults, lines.values(), strict=True), start=2):
        assert f"b.csv: line {line}: " in fault
        assert words in fault


def test_the_second_start_decodes_nothing(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = boxes(tmp_path / "b.csv", "cat/0.png,1,2,5,6")
    first = open_source(folder, regions=file)

    def refuse(*_: Any) -> None:
        raise AssertionError("decoded again")

    monkeypatch.setattr("handful.data.decode.decode", refuse)
    monkeypatch.setattr("handful.data.originals.decode", refuse)
    assert open_source(folder, regions=file).digest == first.digest
