"""Sheets of pictures for the page."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from handful.report.pictures import GAP, Sheet, cell_of, png_of, side_of


def picture_sheet(rows: Sequence[NDArray[np.uint8]], title: str) -> Sheet:
    """Return a sheet with a row for each array of pictures uint8 [N, C, H, W]."""
    columns = max(len(row) for row in rows)
    side = side_of(rows[0].shape[-1])
    page = np.zeros(((side + GAP) * len(rows), (side + GAP) * columns, 4), dtype=np.uint8)
    for place, row in enumerate(rows):
        for column, picture in enumerate(row):
            top, left = place * (side + GAP), column * (side + GAP)
            page[top : top + side, left : left + side] = cell_of(picture, side)
    return Sheet(title, png_of(page), title)
