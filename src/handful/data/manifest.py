"""A CSV file that names pictures, their classes and, where it likes, their parts and groups."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

from handful.data.files import shown
from handful.data.layout import PART_FOLDERS, PART_ORDER, Layout, ordered
from handful.data.table_file import read_table
from handful.errors import nearest

_REQUIRED = ("path", "label")
_OPTIONAL = ("split", "group")


def read_manifest(path: Path) -> Layout:
    """Return the pictures that a manifest names, by part, class and path, whatever the order of its lines.

    Its columns are path (relative to the manifest's folder and inside it, `/` between folders), label (any text, the
    class) and, optional, split (train, val, valid, validation or test; empty: not given) and group (any text, pictures
    of one group stay in one part; empty: of none). Other columns are ignored and listed.

    Args:
        path: of the CSV file, UTF-8, comma or semicolon.

    Raises:
        DataError: the file is no such table (see `read_table`). What is wrong with a line is in the layout's faults.
    """
    table = read_table(path, _REQUIRED, _OPTIONAL)
    root = Path(os.path.realpath(path.parent))
    empty = [""] * len(table.lines)
    faults, rows, first = list(table.faults), [], dict[str, int]()
    columns = (table.columns.get(name, empty) for name in (*_REQUIRED, *_OPTIONAL))
    for line, given, label, split, group in zip(table.lines, *columns, strict=True):
        place = PurePosixPath(given).as_posix() if given else ""
        why = [
            _path_fault(root, given),
            "the label is empty" if not label.strip() else "",
            f"the label {label!r} has spaces around it" if label.strip() and label != label.strip() else "",
            ""
            if not split or split.lower() in PART_FOLDERS
            else f"unknown split {split!r}{nearest(split.lower(), PART_FOLDERS)} (allowed: {', '.join(PART_FOLDERS)}, "
            "or empty)",
            f"{shown(given)} is also on line {first[place]}" if place in first else "",
        ]
        faults += [f"line {line}: {fault}" for fault in why if fault]
        if not any(why):
            rows.append((PART_FOLDERS.get(split.lower(), ""), label, place, group))
        first.setdefault(place, line)
    if not rows and not faults:
        faults.append("names no picture")
    names = ordered(label for _, label, _, _ in rows)
    rank = {name: number for number, name in enumerate(names)}
    rows.sort(key=lambda row: (PART_ORDER[row[0]], rank[row[1]], row[2]))
    ignored = tuple(f"{path.name}: column {name!r}" for name in table.others)
    unread = ", ".join(f"{name!r}{nearest(name, (*_REQUIRED, *_OPTIONAL))}" for name in table.others)
    return Layout(
        paths=tuple(place for _, _, place, _ in rows),
        classes=tuple(label for _, label, _, _ in rows),
        parts=tuple(part for part, _, _, _ in rows),
        class_names=names,
        ignored=ignored,
        faults=tuple(faults),
        groups=tuple(group for _, _, _, group in rows),
        notes=(f"columns of {path.name} that were not read: {unread}",) if ignored else (),
    )


def _path_fault(root: Path, given: str) -> str:
    if not given:
        return "the path is empty"
    if "\0" in given:
        return f"{shown(given)}: not a path"
    if given.startswith("/") or (given[:1].isalpha() and given[1:2] == ":"):
        return f"{shown(given)}: an absolute path; give it relative to the folder of this file"
    whole = os.path.realpath(root / given)
    if ".." in given.split("/") or not Path(whole).is_relative_to(root):
        return f"{shown(given)}: leaves the folder of this file; put the pictures beside or below it"
    if not os.path.isfile(whole):
        hint = "; write / between folders" if "\\" in given else ""
        return f"{shown(given)}: {'not a file' if os.path.exists(whole) else 'no such file'}{hint}"
    return ""
