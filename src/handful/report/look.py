"""What `handful look` found, as one HTML page with pictures that opens offline."""

from __future__ import annotations

import os
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray
from PIL import Image

from handful.data.drift import Drift
from handful.data.files import shown
from handful.data.look import Findings, first_rows
from handful.data.source import Source
from handful.data.symmetry import OPERATIONS, Symmetry
from handful.report.html import environment
from handful.report.look_lines import drift_lines, lines
from handful.report.pictures import chosen
from handful.report.svg import ACCENT, INK, REAL, SYNTHETIC, drawing, quiet, short, whole_steps
from handful.report.thumbs import SIDE, Thumb, thumb_data
from handful.rng import numpy_rng

PER_CLASS = 10
MOST_CLASSES = 60
MOST_GROUPS = 24
MOST_IN_GROUP = 6
MOST_PICTURES = 40


@dataclass(frozen=True)
class Row:
    """Pictures that belong together: a class, a group of copies. `more` are not shown."""

    title: str
    thumbs: tuple[Thumb, ...]
    more: int = 0


@dataclass(frozen=True)
class Gallery:
    """Every picture of the page, by section; `hidden` says how many rows or pictures each section leaves out."""

    classes: tuple[Row, ...]
    copies: tuple[Row, ...]
    near: tuple[Row, ...]
    embedded: tuple[Row, ...]
    suspicious: tuple[Thumb, ...]
    doubts: tuple[Thumb, ...]
    turns: tuple[Row, ...]
    shared: tuple[Row, ...]
    hidden: dict[str, int]


def write_look(
    path: str | Path, source: Source, found: Findings, other: Source | None = None, drift: Drift | None = None
) -> Path:
    """Write the page into one HTML file, aside and renamed, and return its path.

    Args:
        source: the pictures that `found` is about; those shown are read again.
        other, drift: the second set and its comparison, where there is one.

    Raises:
        DataError: a picture is gone or has changed since the source was opened.
    """
    final = Path(path)
    final.parent.mkdir(parents=True, exist_ok=True)
    aside = final.with_name(f".{final.name}.{uuid.uuid4().hex}")
    try:
        aside.write_text(render_look(source, found, other, drift), encoding="utf-8")
        os.replace(aside, final)
    finally:
        aside.unlink(missing_ok=True)
    return final


def render_look(source: Source, found: Findings, other: Source | None = None, drift: Drift | None = None) -> str:
    """Return the page as HTML; the same findings give the same text."""
    told = found.to_json()
    against = drift.to_json() if drift else None
    said = [*(drift_lines(against) if against else []), *lines(told)]
    parts = [part for part in ("train", "val", "test", "unassigned") if any(row.get(part) for row in told["classes"])]
    text = (
        environment()
        .get_template("look.html.j2")
        .render(
            told=told,
            against=against,
            parts=parts,
            lines=[line for line in said if line.tone != "fact"],
            facts=[line for line in said if line.tone == "fact"],
            gallery=_gallery(source, found, other, drift),
            counts=Markup(_counts(told, parts)),
            shown=shown,
        )
    )
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _gallery(source: Source, found: Findings, other: Source | None, drift: Drift | None) -> Gallery:
    grid = _grid(source, found.seed)
    place = {name: row for row, name in enumerate(source.ids)}
    copies = [tuple(place[name] for name in names) for names in found.profile.copies["groups"]]
    near = list(found.near_copies.groups) if found.near_copies else []
    embedded = list(found.embedded_copies.groups) if found.embedded_copies else []
    for groups in (copies, near, embedded):
        groups.sort(key=lambda rows: (-len({source.labels[r] for r in rows}), -len({source.parts[r] for r in rows})))
    suspicious = found.suspicious[:MOST_PICTURES]
    doubts = found.doubts.found[:MOST_PICTURES] if found.doubts else ()
    turned = [(flip, turn) for flip in found.flips or () for turn in flip.turns][:MOST_GROUPS]
    examples = {label: rows[:3] for label, rows in _grid(source, found.seed, train=True).items()}
    wanted = {row for rows in grid.values() for row in rows}
    wanted |= {row for groups in (near, embedded) for rows in groups[:MOST_GROUPS] for row in rows[:MOST_IN_GROUP]}
    wanted |= {row for rows in copies[:MOST_GROUPS] for row in rows[:1]}
    wanted |= {one.row for one in suspicious} | {one.row for one in doubts}
    wanted |= {row for _, turn in turned for label in (turn.first, turn.second) for row in examples.get(label, ())}
    mine = [place[name] for name, _ in _shared(drift)]
    pictures = _read(source, wanted | set(mine))

    def thumbs(rows: Iterable[int], note: Callable[[int], str]) -> tuple[Thumb, ...]:
        return tuple(Thumb(shown(source.ids[row]), thumb_data(pictures[row]), note(row)) for row in rows)

    def title(row: int) -> str:
        where = f", {source.parts[row]}" if source.parts[row] else ""
        return f"{shown(source.class_names[source.labels[row]])}{where}"

    def counted(groups: Sequence[tuple[int, ...]]) -> tuple[Row, ...]:
        """One picture of each class and part, and how many files it stands for: copies look alike."""
        made = []
        for rows in groups[:MOST_GROUPS]:
            files = Counter(title(row) for row in rows)
            one_each = {title(row): row for row in reversed(rows)}
            data = thumb_data(pictures[rows[0]])
            cells = [
                Thumb(shown(source.ids[one_each[name]]), data, f"{name}, {_files(num)}") for name, num in files.items()
            ]
            made.append(Row("", tuple(cells[:MOST_IN_GROUP])))
        return tuple(made)

    def grouped(groups: Sequence[tuple[int, ...]]) -> tuple[Row, ...]:
        return tuple(
            Row("", thumbs(rows[:MOST_IN_GROUP], title), max(0, len(rows) - MOST_IN_GROUP))
            for rows in groups[:MOST_GROUPS]
        )

    names = found.class_names
    reasons = {one.row: one.why for one in suspicious}
    advised = {
        one.row: f"labelled {shown(names[one.label])}; {one.votes} of {found.doubts.k} neighbours are "
        f"{shown(names[one.suggested])}"
        for one in doubts
        if found.doubts
    }
    return Gallery(
        classes=tuple(Row(shown(names[label]), thumbs(rows, lambda _: "")) for label, rows in grid.items()),
        copies=counted(copies),
        near=grouped(near),
        embedded=grouped(embedded),
        suspicious=thumbs([one.row for one in suspicious], lambda row: reasons[row]),
        doubts=thumbs([one.row for one in doubts], lambda row: advised[row]),
        turns=tuple(
            _turned(flip, names[turn.first], names[turn.second], turn.first, turn.second, examples, pictures)
            for flip, turn in turned
        ),
        shared=_pairs(source, other, drift, place, pictures),
        hidden={
            "classes": len(names) - len(grid),
            "copies": max(0, len(copies) - MOST_GROUPS),
            "near": max(0, len(near) - MOST_GROUPS),
            "embedded": max(0, len(embedded) - MOST_GROUPS),
            "suspicious": len(found.suspicious) - len(suspicious),
            "doubts": len(found.doubts.found) - len(doubts) if found.doubts else 0,
            "shared": max(0, (len(drift.copies) + len(drift.near_copies) if drift else 0) - MOST_GROUPS),
        },
    )


def _files(num: int) -> str:
    return f"{num} file{'' if num == 1 else 's'}"


def _grid(source: Source, seed: int, *, train: bool = False) -> dict[int, list[int]]:
    """Up to PER_CLASS rows of each class shown, none a copy, drawn by the seed; with `train` outside val and test."""
    classes = range(source.num_classes) if source.num_classes <= MOST_CLASSES else chosen(source.counts)
    parts = np.array(source.parts, dtype=np.str_)
    pool = np.isin(np.arange(len(source)), first_rows(source))
    pool &= np.isin(parts, ["", "train"]) if train else True
    found = {}
    for label in classes:
        rows = np.flatnonzero((source.labels == label) & pool)
        stream = numpy_rng(seed, "look", "grid", int(label))
        found[int(label)] = np.sort(stream.permutation(rows)[:PER_CLASS]).tolist()
    return found


def _read(source: Source, rows: set[int]) -> dict[int, NDArray[np.uint8]]:
    """The originals at these rows, reduced as they come."""
    return {row: _reduced(picture) for row, picture in source.read_all(sorted(rows))}


def _reduced(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if max(picture.shape[1:]) <= SIDE:
        return picture
    image = Image.fromarray(picture[0] if len(picture) == 1 else np.ascontiguousarray(picture.transpose(1, 2, 0)))
    image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    array = np.asarray(image)
    return array[None] if array.ndim == 2 else array.transpose(2, 0, 1)


def _turned(
    flip: Symmetry,
    first: str,
    second: str,
    first_label: int,
    second_label: int,
    examples: dict[int, list[int]],
    pictures: dict[int, NDArray[np.uint8]],
) -> Row:
    change = OPERATIONS[flip.operation]
    shown_rows = examples.get(first_label, ())
    made = [Thumb(shown(first), thumb_data(pictures[row]), shown(first)) for row in shown_rows[:2]]
    made += [
        Thumb(shown(first), thumb_data(np.ascontiguousarray(change(pictures[row]))), f"{shown(first)}, changed")
        for row in shown_rows[:2]
    ]
    made += [
        Thumb(shown(second), thumb_data(pictures[row]), shown(second)) for row in examples.get(second_label, ())[:2]
    ]
    return Row(f"{flip.operation}: {shown(first)} and {shown(second)}", tuple(made))


def _shared(drift: Drift | None) -> list[tuple[str, str]]:
    return [*drift.copies, *drift.near_copies][:MOST_GROUPS] if drift else []


def _pairs(
    source: Source,
    other: Source | None,
    drift: Drift | None,
    place: dict[str, int],
    pictures: dict[int, NDArray[np.uint8]],
) -> tuple[Row, ...]:
    if other is None or drift is None:
        return ()
    there = {name: row for row, name in enumerate(other.ids)}
    pairs = [(place[mine], there[theirs]) for mine, theirs in _shared(drift)]
    seen = _read(other, {row for _, row in pairs})
    return tuple(
        Row(
            "copy" if position < len(drift.copies) else "near copy",
            (
                Thumb(
                    shown(source.ids[mine]), thumb_data(pictures[mine]), shown(source.class_names[source.labels[mine]])
                ),
                Thumb(
                    shown(other.ids[theirs]), thumb_data(seen[theirs]), shown(other.class_names[other.labels[theirs]])
                ),
            ),
        )
        for position, (mine, theirs) in enumerate(pairs)
    )


def _counts(told: dict[str, Any], parts: Sequence[str]) -> str:
    """Bars of each class, a colour for each part."""
    rows = told["classes"]
    names = [short(shown(row["name"])) for row in rows]
    height = 0.95 + (0.22 if len(names) <= 24 else 0.15) * len(names)
    colours = {"train": REAL, "unassigned": REAL, "val": ACCENT, "test": SYNTHETIC}
    with drawing("look-counts", 4.9, height, "Pictures of each class, by part.") as made:
        axes = made.figure.subplots()
        left = np.zeros(len(rows))
        for part in parts:
            values = np.array([row.get(part, 0) for row in rows], dtype=np.float64)
            axes.barh(np.arange(len(rows)), values, left=left, height=0.7, color=colours[part], label=part)
            left += values
        axes.set_ylim(len(names) - 0.4, -0.6)
        axes.set_yticks(np.arange(len(rows)), names, color=INK, fontsize=8.5 if len(names) <= 24 else 6.5)
        axes.set_xlabel("pictures")
        whole_steps(axes)
        quiet(axes, grid="x")
        if len(parts) > 1:
            axes.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=len(parts), handlelength=1, borderpad=0)
    return made.svg
