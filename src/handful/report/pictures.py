"""Grids of real and synthetic pictures, each one PNG inside the page."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from handful import rng
from handful.data.files import shown
from handful.data.images import LabeledImages
from handful.study.result import Result
from handful.study.stored import get_candidates, get_images

PER_CLASS = 8
MOST_CLASSES = 20
SMALLEST, LARGEST = 32, 64  # sides in the file: smaller pictures are repeated pixel by pixel, larger ones reduced
GAP = 2


@dataclass(frozen=True)
class Sheet:
    """A grid of pictures, a row for each class shown.

    Args:
        title: what the pictures are.
        data: `data:image/png;base64,...`
        alt: what it shows, in words.
    """

    title: str
    data: str
    alt: str


@dataclass(frozen=True)
class Gallery:
    """Sheets of the same classes, side by side. `note` says which classes, where not all are shown."""

    class_names: tuple[str, ...]
    columns: int
    note: str
    sheets: tuple[Sheet, ...]


def gallery_of(result: Result) -> Gallery | None:
    """Return real training pictures of the first repeat and the synthetic ones of every arm, drawn by the study's seed.

    None where the pictures are not in the store.
    """
    train = _train(result)
    if train is None:
        return None
    classes = chosen(train.counts)
    names = tuple(shown(result.class_names[label]) for label in classes)
    sheets = [("real training pictures", train)]
    for arm in result.arms:
        for repeat in sorted(result.keys(arm, "synthetic"))[:1]:
            made: LabeledImages = result.synthetic(arm, repeat)
            sheets.append((f"synthetic: {shown(arm)}", made))
    note = ""
    if len(classes) < len(result.class_names):
        note = f"{len(classes)} of {len(result.class_names)} classes, evenly from the largest to the smallest"
    made_of = tuple(
        Sheet(title, sheet(images, classes, result.protocol.seed), f"{title}, a row per class: {', '.join(names)}")
        for title, images in sheets
    )
    return Gallery(names, PER_CLASS, note, made_of)


@dataclass(frozen=True)
class Pairs:
    """The generated pictures of an arm most like a copy, each above its nearest training picture."""

    columns: int
    sheet: Sheet


def pairs_of(result: Result) -> dict[str, Pairs]:
    """Return, by the slug of an arm's page, the pairs of its first measured repeat; arms without any are left out."""
    made = {}
    for place, arm in enumerate(result.arms):
        measured, keys = result.measured(arm), result.keys(arm, "synthetic")
        first = min(measured.keys() & keys.keys(), default=None)
        if first is None or not (found := measured[first]["pairs"]):
            continue
        key = keys[first]
        images = get_images(result.store, result.store.record(key)["inputs"]["images"])
        candidates = get_candidates(result.store, key)
        sides = (candidates.pixels[[pair["candidate"] for pair in found]], images.pixels[[p["real"] for p in found]])
        side = side_of(images.pixels.shape[-1])
        page = np.zeros(((side + GAP) * 2, (side + GAP) * len(found), 4), dtype=np.uint8)
        for (row, column), _ in np.ndenumerate(np.empty((2, len(found)))):
            top, left = row * (side + GAP), column * (side + GAP)
            page[top : top + side, left : left + side] = cell_of(sides[row][column], side)
        title = f"closest pairs: {shown(arm)}"
        alt = f"{title}: {len(found)} generated pictures, each above the training picture nearest to it"
        made[f"arm{place}"] = Pairs(len(found), Sheet(title, png_of(page), alt))
    return made


def _train(result: Result) -> LabeledImages | None:
    jobs = [job for job in result.page["jobs"] if job["stage"] == "classifier"] or result.page["jobs"]
    keys = [job["inputs"]["images"] for job in jobs if result.store.has(job["inputs"].get("images", ""))]
    split = result.page["splits"][0]["key"]
    if not keys or not result.store.has(split):
        return None
    return get_images(result.store, keys[0]).take(result.store.arrays(split)["train"])


def chosen(counts: NDArray[np.int64]) -> list[int]:
    """Return the classes shown, in their order: all, or MOST_CLASSES evenly from the largest to the smallest."""
    if len(counts) <= MOST_CLASSES:
        return list(range(len(counts)))
    by_size = np.argsort(-counts, kind="stable")
    return sorted(int(by_size[place]) for place in np.linspace(0, len(counts) - 1, MOST_CLASSES).round().astype(int))


def sheet(images: LabeledImages, classes: list[int], seed: int) -> str:
    """Return a data URI of up to PER_CLASS pictures of each class, a row per class, clear where there are none."""
    side = side_of(images.pixels.shape[-1])
    pitch = side + GAP
    page = np.zeros((pitch * len(classes), pitch * PER_CLASS, 4), dtype=np.uint8)
    for row, label in enumerate(classes):
        rows = np.flatnonzero(images.labels == label)
        stream = rng.numpy_rng(seed, "report", label)
        for column, place in enumerate(np.sort(stream.permutation(len(rows))[:PER_CLASS])):
            top, left = row * pitch, column * pitch
            page[top : top + side, left : left + side] = cell_of(images.pixels[rows[place]], side)
    return png_of(page)


def png_of(page: NDArray[np.uint8]) -> str:
    """Return uint8 [H, W, 4] as a data URI."""
    buffer = io.BytesIO()
    Image.fromarray(page, "RGBA").save(buffer, format="PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def write_grids(
    folder: Path, real: LabeledImages, synthetic: LabeledImages, folders: Mapping[str, str], most: int = 40
) -> None:
    """Write FOLDER/CLASS.png for every class with synthetic pictures: real ones above, the first synthetic ones below.

    Args:
        folders: file name by class name.
        most: synthetic pictures shown of a class.
    """
    folder.mkdir(parents=True)
    for label, name in enumerate(synthetic.class_names):
        made = synthetic.of_class(label).pixels[:most]
        if not len(made):
            continue
        above = real.of_class(label).pixels[:PER_CLASS]
        side = side_of(made.shape[-1])
        rows = [*_in_rows(above), *_in_rows(made)]
        page = np.zeros(
            ((side + GAP) * len(rows) + (4 * GAP if len(above) else 0), (side + GAP) * PER_CLASS, 4), np.uint8
        )
        for place, row in enumerate(rows):
            top = (side + GAP) * place + (4 * GAP if len(above) and place >= len(_in_rows(above)) else 0)
            for column, picture in enumerate(row):
                left = (side + GAP) * column
                page[top : top + side, left : left + side] = cell_of(picture, side)
        Image.fromarray(page, "RGBA").save(folder / f"{folders[name]}.png", optimize=True)


def _in_rows(pictures: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    return [pictures[start : start + PER_CLASS] for start in range(0, len(pictures), PER_CLASS)]


def side_of(size: int) -> int:
    return min(LARGEST, size * max(1, math.ceil(SMALLEST / size)))


def cell_of(picture: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Return uint8 [side, side, 4] of a picture uint8 [C, H, W]."""
    colours = np.ascontiguousarray(np.broadcast_to(picture, (3, *picture.shape[1:])).transpose(1, 2, 0))
    how = Image.Resampling.NEAREST if side >= picture.shape[-1] else Image.Resampling.LANCZOS
    return np.asarray(Image.fromarray(colours).resize((side, side), how).convert("RGBA"))
