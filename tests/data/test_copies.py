"""A picture that is there twice is one picture."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from handful.data.copies import find_copies, once
from handful.data.source import open_source
from handful.errors import DataError

Write = Callable[[Path, Mapping[str, bytes]], Path]


def test_the_first_part_that_has_it_keeps_it(tmp_path: Path, members: dict[str, bytes], to_folder: Write) -> None:
    again = {
        "test/cat/a.png": members["train/cat/1.png"],
        "val/cat/b.png": members["train/cat/1.png"],
        "val/dog/c.png": members["test/dog/5.png"],
        "train/dog/zz.png": members["train/dog/0.png"],
    }
    source = open_source(to_folder(tmp_path / "f", {**members, **again}))
    copies = find_copies(source)
    assert copies.num_repeats == 4
    assert copies.num_across_parts == 2
    assert copies.conflicts == ()
    assert [tuple(source.ids[row] for row in rows) for rows in copies.groups] == [
        ("train/cat/1.png", "val/cat/b.png", "test/cat/a.png"),
        ("train/dog/0.png", "train/dog/zz.png"),
        ("val/dog/c.png", "test/dog/5.png"),
    ]
    kept = once(source)
    assert dict(kept.left_out) == {
        "val/cat/b.png": "train/cat/1.png",
        "test/cat/a.png": "train/cat/1.png",
        "train/dog/zz.png": "train/dog/0.png",
        "test/dog/5.png": "val/dog/c.png",
    }
    assert kept.ids == tuple(name for name in source.ids if name not in dict(kept.left_out))
    assert once(kept) == kept


def test_the_same_pixels_in_another_file_are_the_same_picture(
    tmp_path: Path, flat: dict[str, bytes], to_folder: Write
) -> None:
    file = BytesIO()
    Image.open(BytesIO(flat["cat/0.png"])).save(file, "BMP")
    source = open_source(to_folder(tmp_path / "f", {**flat, "cat/z.bmp": file.getvalue()}))
    assert once(source).left_out == (("cat/z.bmp", "cat/0.png"),)


def test_one_picture_with_two_labels_is_an_error_that_lists_them(
    tmp_path: Path, flat: dict[str, bytes], to_folder: Write
) -> None:
    twice = {"dog/x.png": flat["cat/0.png"], "dog/y.png": flat["cat/1.png"]}
    source = open_source(to_folder(tmp_path / "f", {**flat, **twice}))
    assert len(find_copies(source).conflicts) == 2
    with pytest.raises(DataError) as error:
        once(source)
    assert error.value.faults == (
        "the same picture with different labels: cat/0.png (cat), dog/x.png (dog); keep it in one class",
        "the same picture with different labels: cat/1.png (cat), dog/y.png (dog); keep it in one class",
    )


@given(st.lists(st.integers(0, 5), min_size=2, max_size=30))
def test_once_keeps_every_content_once(values: list[int]) -> None:
    pixels = np.array([[[value]] * 2 for value in [*values, 6]], dtype=np.uint8)
    labels = np.array([0] * len(values) + [1])
    source = open_source((np.repeat(pixels, 2, axis=2), labels))
    kept = once(source)
    assert len(set(kept.content.tolist())) == len(kept) == len(set(values)) + 1
    assert len(kept) + len(kept.left_out) == len(source)
    assert find_copies(source).num_repeats == sum(count - 1 for count in Counter(values).values())


@pytest.mark.data
def test_road_signs_as_published_hold_516_copies(published_signs: Path) -> None:
    source = open_source(published_signs)
    assert (source.parts.count("train"), source.parts.count("test")) == (520, 340)
    kept = once(source)
    assert (kept.parts.count("train"), kept.parts.count("test")) == (205, 139)
    assert len(kept.left_out) == 516
    assert find_copies(source).conflicts == ()


@pytest.mark.data
def test_road_signs_once_are_the_stored_ones(published_signs: Path, real_data: Path) -> None:
    stored = open_source(real_data / "traffic-signs" / "traffic-signs-10.zip")
    kept = once(open_source(published_signs))
    assert set(zip(kept.content.tolist(), kept.parts, strict=True)) == set(
        zip(stored.content.tolist(), stored.parts, strict=True)
    )
