"""The measured distortion of a resize policy is what `resized` does to a picture."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handful.data.decode import resized
from handful.data.distortion import distortion
from handful.data.images import View

SIZES = np.array([[40, 40], [80, 40], [30, 90], [10, 10]], dtype=np.int64)


def test_stretch_changes_the_aspect_ratio() -> None:
    found = distortion(SIZES, View(size=32, resize="stretch"))
    assert found.per_picture.tolist() == [1, 2, 3, 1]
    assert found.enlarged.tolist() == [False, False, True, True]
    expected = {
        "median": 1.5,
        "p90": pytest.approx(2.7),
        "max": 3,
        "undistorted_fraction": 0.5,
        "enlarged_fraction": 0.5,
    }
    assert found.summary() == expected


def test_crop_loses_area() -> None:
    found = distortion(SIZES, View(size=32, resize="crop"))
    assert found.per_picture.tolist() == [0, 0.5, pytest.approx(2 / 3), 0]


@settings(deadline=None)
@given(st.integers(20, 200), st.integers(20, 200), st.integers(40, 64), st.booleans())
def test_pad_fills_what_is_not_picture(width: int, height: int, size: int, across: bool) -> None:
    """Black and white halves: inside, all but the seam differs from the mean colour of the border."""
    picture = np.zeros((1, height, width), np.uint8)
    picture[0, : height // 2 if across else None, : None if across else width // 2] = 255
    view = View(size=size, resize="pad")
    rows, columns = np.nonzero(np.abs(resized(picture, view, 1)[0].astype(int) - np.rint(picture.mean())) > 60)
    area = (np.ptp(rows) + 1) * (np.ptp(columns) + 1)
    (share,) = distortion(np.array([[width, height]]), view).per_picture
    assert share == pytest.approx(1 - area / size**2)
