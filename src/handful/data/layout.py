"""Which files of a folder are pictures of which class and part, by where they lie."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from handful.data.decode import is_picture
from handful.data.files import Listing, shown

PART_FOLDERS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
PART_ORDER = {"train": 0, "val": 1, "test": 2, "": 3}


@dataclass(frozen=True)
class Layout:
    """The pictures of a source in row order: by part (train, val, test), then class, then path.

    Args:
        paths: str [N].
        classes: str [N], the class of each.
        parts: str [N], '' | 'train' | 'val' | 'test'.
        class_names: sorted; numerically where all are digits.
        ignored: every other file.
        faults: what keeps this from being a source, one line each.
        groups: str [N], what must stay in one part; empty where nothing is said.
        notes: what should be known about what was ignored, in sentences.
    """

    paths: tuple[str, ...]
    classes: tuple[str, ...]
    parts: tuple[str, ...]
    class_names: tuple[str, ...]
    ignored: tuple[str, ...]
    faults: tuple[str, ...]
    groups: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def arrange(listing: Listing) -> Layout:
    """Return the layout of a listing: class folders, or train/, val/, test/ above class folders.

    A test/ whose pictures all lie directly in it has no labels: they are ignored, listed, and a note says what they are
    for. A single folder around all of it is stepped into. Pictures elsewhere, other files and whatever is hidden (a
    name that starts with a dot, `__MACOSX`) are ignored and listed. An empty class folder is a fault, and so is a class
    folder whose pictures lie deeper, since then it is not clear which folder is the class.
    """
    pictures = [path for path in listing.paths if is_picture(path) and not _hidden(path)]
    top = _top(pictures)
    split = [tuple(path[len(top) :].split("/")) for path in pictures]
    by_part = _has_parts(split)
    unlabeled = _unlabeled_test(split) if by_part else {}
    faults = [f"{shown(path)}: {why}" for path, why in listing.faults] + _part_faults(split, by_part, unlabeled)
    above = 1 if by_part else 0
    rows: list[tuple[str, str, str]] = []
    deeper: dict[str, int] = defaultdict(int)
    stray: set[str] = set()
    for path, names in zip(pictures, split, strict=True):
        part = PART_FOLDERS.get(names[0].lower(), "") if by_part else ""
        if len(names) <= above + 1 or (by_part and not part):
            stray.add(path)
        elif len(names) > above + 2:
            deeper[top + "/".join(names[: above + 1])] += 1
        else:
            rows.append((part, names[above], path))
    faults += [
        f"{shown(folder)}: {num} pictures in folders below this class folder; put them directly into it"
        for folder, num in sorted(deeper.items())
    ]
    faults += _empty_classes(listing.empty, top, by_part, {name for _, name, _ in rows})
    if not rows and not deeper:
        faults.append(_nothing(len(stray)))
    names_sorted = ordered(name for _, name, _ in rows)
    rank = {name: place for place, name in enumerate(names_sorted)}
    rows.sort(key=lambda row: (PART_ORDER[row[0]], rank[row[1]], row[2]))
    known = {path for _, _, path in rows}
    return Layout(
        paths=tuple(path for _, _, path in rows),
        classes=tuple(name for _, name, _ in rows),
        parts=tuple(part for part, _, _ in rows),
        class_names=names_sorted,
        ignored=tuple(path for path in listing.paths if path not in known),
        faults=tuple(faults),
        notes=tuple(
            f"{shown(top + folder)}/ holds {num} pictures without class folders, so nothing can be scored on them; "
            "`handful predict` says what they show"
            for folder, num in unlabeled.items()
        ),
    )


def beside(listing: Listing) -> Layout | None:
    """Return the layout of pictures that all lie in one folder: one class, named after it; None where they do not."""
    pictures = [path for path in listing.paths if is_picture(path) and not _hidden(path)]
    folders = {path.rpartition("/")[0] for path in pictures}
    if len(folders) != 1:
        return None
    name = folders.pop().rpartition("/")[2] or "pictures"
    known = set(pictures)
    return Layout(
        paths=tuple(pictures),
        classes=(name,) * len(pictures),
        parts=("",) * len(pictures),
        class_names=(name,),
        ignored=tuple(path for path in listing.paths if path not in known),
        faults=tuple(f"{shown(path)}: {why}" for path, why in listing.faults),
    )


def ordered(names: Iterable[str]) -> tuple[str, ...]:
    """Return the distinct names sorted: as numbers where all are digits, else as text."""
    distinct = sorted(set(names))
    if all(name.isascii() and name.isdigit() for name in distinct):
        distinct.sort(key=int)
    return tuple(distinct)


def pictures_in(listing: Listing) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return (picture files at any depth, every other file), both sorted; hidden files are in neither."""
    seen = [path for path in listing.paths if not _hidden(path)]
    return tuple(path for path in seen if is_picture(path)), tuple(path for path in seen if not is_picture(path))


def _hidden(path: str) -> bool:
    return any(name.startswith(".") or name == "__MACOSX" for name in path.split("/"))


def _top(pictures: Sequence[str]) -> str:
    """The folder around everything, with its '/', or ''. A lone part folder or class folder is no such folder."""
    top = ""
    while pictures:
        below = [path[len(top) :].split("/") for path in pictures]
        first = {names[0] for names in below}
        if len(first) > 1 or min(len(names) for names in below) < 3 or below[0][0].lower() in PART_FOLDERS:
            break
        top += below[0][0] + "/"
    return top


def _has_parts(split: Sequence[tuple[str, ...]]) -> bool:
    """Whether train/ or test/ stands above class folders; a class may be called 'train' where it holds its pictures."""
    return any(names[0].lower() in PART_FOLDERS for names in split if len(names) > 2)


def _unlabeled_test(split: Sequence[tuple[str, ...]]) -> dict[str, int]:
    """Test folders with pictures directly in them and no folder below, and how many pictures."""
    direct = Counter(names[0] for names in split if len(names) == 2)
    above = {names[0] for names in split if len(names) > 2}
    return {name: num for name, num in direct.items() if PART_FOLDERS.get(name.lower()) == "test" and name not in above}


def _part_faults(split: Sequence[tuple[str, ...]], by_part: bool, unlabeled: Collection[str]) -> list[str]:
    folders = {names[0] for names in split if len(names) > 1}
    given = defaultdict(list)
    for folder in sorted(folders):
        if folder.lower() in PART_FOLDERS:
            given[PART_FOLDERS[folder.lower()]].append(folder)
    if not by_part:
        if given and len(folders) == sum(len(names) for names in given.values()):
            found = ", ".join(f"{folder}/" for folder in sorted(folders))
            return [f"{found}: no class folders inside; put the pictures of each class in a folder named after it"]
        return []
    faults = [
        f"{' and '.join(names)}: both are the {part} part; join them" for part, names in given.items() if names[1:]
    ]
    if "train" not in given:
        faults.append(f"{', '.join(sorted(folders))}: no train/ beside it; add it, or give class folders without parts")
    faults += [
        f"{folder}: pictures directly in a part's folder; put them into the folder of their class"
        for folder in sorted({names[0] for names in split if len(names) == 2 and names[0].lower() in PART_FOLDERS})
        if folder not in unlabeled
    ]
    return faults


def _empty_classes(empty: Sequence[str], top: str, by_part: bool, classes: set[str]) -> list[str]:
    faults = []
    for folder in empty:
        names = folder[len(top) :].split("/") if folder.startswith(top) else []
        in_place = len(names) == (2 if by_part else 1) and (not by_part or names[0].lower() in PART_FOLDERS)
        if in_place and names[-1] not in classes and not _hidden(folder):
            faults.append(f"{shown(folder)}: an empty class folder; add its pictures or remove it")
    return faults


def _nothing(stray: int) -> str:
    if stray:
        return (
            f"no class folders: {stray} pictures lie beside each other; put each class's into a folder named after it"
        )
    return "no pictures; expected class folders with pictures in them, or train/ and test/ above class folders"
