"""What a source holds, as numbers: classes, sizes, colours, copies, faults."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handful.data.copies import find_copies
from handful.data.distortion import MEASURES, distortion
from handful.data.images import View
from handful.data.source import Source

SQUARE = 64  # px, the view that the effect of resizing is told for


@dataclass(frozen=True)
class Profile:
    """What a source holds.

    Args:
        name: of the source.
        num_pictures: rows.
        classes: per class its name and its pictures in train, val and test; also `unassigned` where no part is given.
        imbalance_ratio: largest over smallest class among pictures outside the given val and test parts, at least 1;
            None where a class has none there.
        sizes: min, median and max of width, height and aspect (width / height).
        resize: for each policy what it does to these pictures at SQUARE px, see `distortion`: `measure` in words,
            median, p90, max, undistorted_fraction, enlarged_fraction.
        colours: how many pictures are grey and how many RGB.
        copies: `exact` files that repeat an earlier one, `across_parts` groups in more than one part, `groups` of ids,
            and `left_out` copies that were left out before.
        conflicts: groups of ids: identical pictures with different labels.
        faults: pictures that cannot be read.
        ignored: files that are no pictures of a class.
        notes: what else reading the source has to say.
    """

    name: str
    num_pictures: int
    classes: tuple[dict[str, Any], ...]
    imbalance_ratio: float | None
    sizes: dict[str, dict[str, float]]
    resize: dict[str, dict[str, Any]]
    colours: dict[str, int]
    copies: dict[str, Any]
    conflicts: tuple[tuple[str, ...], ...]
    faults: tuple[dict[str, str], ...]
    ignored: tuple[str, ...]
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return every field as JSON values."""
        return {key: plain(value) for key, value in asdict(self).items()}


def profile(source: Source) -> Profile:
    """Return what a source holds; nothing is decoded."""
    copies = find_copies(source)
    return Profile(
        name=source.name,
        num_pictures=len(source),
        classes=tuple(_classes(source)),
        imbalance_ratio=_imbalance(source),
        sizes=_sizes(source.sizes),
        resize=_resize(source.sizes),
        colours={"grey": int(source.grey.sum()), "rgb": int((~source.grey).sum())},
        copies={
            "exact": copies.num_repeats,
            "across_parts": copies.num_across_parts,
            "groups": tuple(tuple(source.ids[row] for row in rows) for rows in copies.groups),
            "left_out": len(source.left_out),
        },
        conflicts=tuple(tuple(source.ids[row] for row in rows) for rows in copies.conflicts),
        faults=tuple({"path": path, "why": why} for path, why in source.unreadable),
        ignored=source.ignored,
        notes=source.notes,
    )


def _classes(source: Source) -> list[dict[str, Any]]:
    parts = np.asarray(source.parts, dtype=np.str_)
    per_part = {
        key: np.bincount(source.labels[parts == part], minlength=source.num_classes)
        for key, part in {"train": "train", "val": "val", "test": "test", "unassigned": ""}.items()
    }
    if any(source.parts):
        del per_part["unassigned"]
    return [
        {"name": name, **{part: int(counts[label]) for part, counts in per_part.items()}}
        for label, name in enumerate(source.class_names)
    ]


def _imbalance(source: Source) -> float | None:
    pool = np.isin(np.asarray(source.parts, dtype=np.str_), ["", "train"])
    counts = np.bincount(source.labels[pool], minlength=source.num_classes)
    return float(counts.max() / counts.min()) if counts.min() else None


def _resize(sizes: NDArray[np.int64]) -> dict[str, dict[str, Any]]:
    views = [View(size=SQUARE, resize=policy) for policy in MEASURES]
    return {made.resize: {"measure": made.measure, **made.summary()} for made in (distortion(sizes, v) for v in views)}


def _sizes(sizes: NDArray[np.int64]) -> dict[str, dict[str, float]]:
    sides = {"width": sizes[:, 0], "height": sizes[:, 1], "aspect": sizes[:, 0] / sizes[:, 1]}
    return {
        name: {"min": float(values.min()), "median": float(np.median(values)), "max": float(values.max())}
        for name, values in sides.items()
    }


def plain(value: Any) -> Any:
    """Return a value with tuples as lists, for JSON."""
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    return {key: plain(item) for key, item in value.items()} if isinstance(value, dict) else value
