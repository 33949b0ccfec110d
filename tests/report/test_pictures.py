"""Grids of pictures."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from handful.data.images import LabeledImages
from handful.report.pictures import GAP, MOST_CLASSES, PER_CLASS, chosen, gallery_of, sheet
from handful.study.result import Result


def opened(data: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(data.partition(",")[2])))


def test_all_classes_are_shown_up_to_a_limit() -> None:
    assert chosen(np.arange(5)) == [0, 1, 2, 3, 4]


def test_of_many_classes_the_largest_and_the_smallest_are_shown() -> None:
    counts = np.random.default_rng(0).permutation(58) + 1
    shown = chosen(counts)
    assert len(set(shown)) == MOST_CLASSES
    assert shown == sorted(shown)
    assert {int(counts.argmax()), int(counts.argmin())} <= set(shown)


@pytest.mark.parametrize(("size", "side"), [(8, 32), (20, 40), (32, 32), (48, 48), (96, 64)])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_sheet_has_a_row_per_class_and_is_clear_where_there_is_no_picture(
    size: int, side: int, channels: int
) -> None:
    pixels = np.full((4, channels, size, size), 200, dtype=np.uint8)
    images = LabeledImages.of_arrays(pixels, np.array([0, 0, 0, 2]), ["a", "b", "c"])
    made = np.asarray(opened(sheet(images, [0, 1, 2], seed=0)))
    assert made.shape == (3 * (side + GAP), PER_CLASS * (side + GAP), 4)
    filled = made[side // 2 :: side + GAP, side // 2 :: side + GAP, 3] > 0
    assert filled.sum(axis=1).tolist() == [3, 0, 1]
    assert made[side // 2, side // 2].tolist() == [200, 200, 200, 255]


def test_the_gallery_shows_real_pictures_first_and_then_each_arm_that_has_synthetic_ones(result: Result) -> None:
    made = gallery_of(result)
    assert made is not None
    assert [one.title for one in made.sheets] == ["real training pictures", "synthetic: mix"]
    assert made == gallery_of(result)
    assert made.note == ""
