"""A box of each picture, given in a CSV file: what is outside of it is never seen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from handful.config import digest_of
from handful.data import decode as decoding
from handful.data.cache import cache_dir, keep, recall
from handful.data.files import shown
from handful.data.images import CONTENT
from handful.data.originals import Originals, ResultT, Work, each_of
from handful.data.scan import Progress, facts_of
from handful.data.source import Source, capped
from handful.data.table_file import read_table
from handful.errors import DataError, nearest

_SIDES = ("x0", "y0", "x1", "y1")
_ROW = np.dtype([("content", CONTENT), ("size", np.int64, 2), ("grey", np.bool_)])


@dataclass(frozen=True, eq=False)
class CutOriginals:
    """The boxes of other originals: int64 [N, 4] of x0, y0, x1, y1; the whole picture where x1 is 0."""

    CAN_CHANGE: ClassVar[bool] = True

    whole: Originals
    boxes: NDArray[np.int64]

    def decoded(self, places: Sequence[int]) -> Iterator[tuple[int, NDArray[np.uint8] | DataError]]:
        for position, picture in self.whole.decoded(places):
            yield position, picture if isinstance(picture, DataError) else _cut(picture, self.boxes[places[position]])

    def each(self, places: Sequence[int], work: Work[ResultT]) -> Iterator[tuple[int, ResultT | DataError]]:
        yield from each_of(self.decoded(places), work)

    def taken(self, places: Sequence[int]) -> CutOriginals:
        return CutOriginals(self.whole.taken(places), self.boxes[np.asarray(places, dtype=np.int64)])


def read_boxes(path: str | Path, source: Source) -> NDArray[np.int64]:
    """Return int64 [N, 4], the box of each row of a source: x0, y0, x1, y1; four zeros where the file has none.

    The CSV has the columns path, x0, y0, x1, y1: the picture's id in the source, and its box in pixels of the decoded
    original after its EXIF orientation, the origin at the upper left, x1 and y1 just outside. Whole numbers.

    Raises:
        DataError: not such a table; per line a path that is not in the source or is there twice, a side that is no
            whole number, a box that is empty or not inside its picture.
    """
    path = Path(path)
    table = read_table(path, ("path", *_SIDES))
    boxes = np.zeros((len(source), 4), dtype=np.int64)
    row_of = {name: row for row, name in enumerate(source.ids)}
    faults, first = list(table.faults), dict[str, int]()
    columns = (table.columns[name] for name in ("path", *_SIDES))
    for line, given, *sides in zip(table.lines, *columns, strict=True):
        place = PurePosixPath(given).as_posix() if given else ""
        try:
            box = [int(side) for side in sides]
            fault = _fault(place, box, row_of, source, first.get(place))
        except ValueError:
            fault = f"box {', '.join(sides)}: must be four whole numbers"
        if fault:
            faults.append(f"line {line}: {fault}")
        elif not any(box[:2]) and box[2:] == source.sizes[row_of[place]].tolist():
            pass  # the whole picture
        else:
            boxes[row_of[place]] = box
        first.setdefault(place, line)
    if faults:
        raise DataError(*capped([f"{shown(str(path))}: {fault}" for fault in faults]))
    return boxes


def cut(source: Source, boxes: NDArray[np.int64], progress: Progress | None = None) -> Source:
    """Return a source that sees, of every picture, its box only; sizes, content and so the digest are those of the box.

    Args:
        source: N pictures.
        boxes: int64 [N, 4] as `read_boxes` returns them.
        progress: called with (pictures done, pictures in all) while the pictures are decoded for the first time.

    Raises:
        DataError: a picture cannot be read any more.
    """
    if not boxes.any():
        return source
    seen = replace(source, originals=CutOriginals(source.originals, boxes))
    content = [content.decode() for content in source.content.tolist()]
    key = digest_of({"cut": 1, "decode": decoding.VERSION, "content": content, "boxes": boxes.tolist()})
    place = cache_dir() / "scans" / f"{key}.npy"
    rows = recall(place, (len(source),))
    if rows is None:
        rows = np.zeros(len(source), dtype=_ROW)
        for done, (row, picture) in enumerate(source.read_all(), start=1):
            facts = facts_of([_cut(picture, boxes[row])])
            rows[row] = facts.content[0], facts.sizes[0], facts.grey[0]
            if progress:
                progress(done, len(source))
        keep(place, rows)
    changes: dict[str, Any] = {"content": rows["content"].copy(), "sizes": rows["size"].copy()}
    return replace(seen, **changes, grey=rows["grey"].copy())


def _cut(picture: NDArray[np.uint8], box: NDArray[np.int64]) -> NDArray[np.uint8]:
    left, top, right, bottom = box.tolist()
    return np.ascontiguousarray(picture[:, top:bottom, left:right]) if right else picture


def _fault(place: str, box: list[int], row_of: Mapping[str, int], source: Source, before: int | None) -> str:
    if place not in row_of:
        return f"{shown(place)}: no such picture in {shown(source.name)}{nearest(place, row_of)}"
    if before is not None:
        return f"{shown(place)} is also on line {before}"
    left, top, right, bottom = box
    width, height = source.sizes[row_of[place]].tolist()
    given = f"{shown(place)}: box {left}, {top}, {right}, {bottom}"
    if left >= right or top >= bottom:
        return f"{given} is empty; x1 must be above x0 and y1 above y0"
    if left < 0 or top < 0 or right > width or bottom > height:
        return f"{given} leaves the picture of {width} x {height} pixels"
    return ""
