"""Splits in a file: written once, used again by any study of the same pictures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from handful.data.files import shown
from handful.data.source import Source, capped
from handful.data.split import Split
from handful.errors import DataError

_KIND = "handful splits"
_VERSION = 1
_PARTS = ("train", "val", "test")


def write_splits(path: str | Path, splits: Sequence[Split], source: Source) -> None:
    """Write splits of a source as JSON: its name and digest, and of each split the digest and the ids of its parts.

    Args:
        path: of the file; one that is there is replaced.
        splits: one for each repeat, in order; their rows are those of `source`.
        source: after copies were left out, as a study plans with it.

    Raises:
        DataError: no split, or a row that the source does not have.
    """
    if not splits:
        raise DataError("no splits to write")
    for split in splits:
        rows = np.concatenate(list(split.to_arrays().values()))
        if len(rows) and not 0 <= rows.min() <= rows.max() < len(source):
            raise DataError(f"a split has rows up to {rows.max()}, {source.name} has {len(source)} pictures")
    content = {
        "kind": _KIND,
        "version": _VERSION,
        "source": {"name": source.name, "digest": source.digest, "pictures": len(source)},
        "splits": [
            {
                "digest": split.digest,
                **{part: [source.ids[row] for row in rows.tolist()] for part, rows in split.to_arrays().items()},
            }
            for split in splits
        ],
    }
    Path(path).write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read_splits(path: str | Path, source: Source) -> tuple[Split, ...]:
    """Return the splits that `write_splits` wrote for this source; their val may be empty.

    Raises:
        DataError: no such file or not one of splits; another source; a changed, overlapping or incomplete split; a
            class that misses in train or test; test pictures that are also val (`test-as-val` is a flaw of a protocol,
            not of a file).
    """
    where = shown(str(path))
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        if content["kind"] != _KIND or content["version"] != _VERSION:
            raise ValueError(f"its kind is {content['kind']!r}, version {content['version']!r}")
        given, entries = content["source"], list(content["splits"])
        parts = [{part: [str(name) for name in entry[part]] for part in _PARTS} for entry in entries]
        digests = [str(entry["digest"]) for entry in entries]
        name, digest, pictures = str(given["name"]), str(given["digest"]), int(given["pictures"])
    except OSError as error:
        raise DataError(f"{where}: cannot be read ({error.strerror})") from None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"{where}: not a file of splits ({error}); write one with write_splits") from None
    if digest != source.digest:
        raise DataError(
            f"{where}: made for {pictures} pictures of {shown(name)!r} with digest {digest[:12]}; these are "
            f"{len(source)} of {shown(source.name)!r} with digest {source.digest[:12]}: other pictures, labels, parts, "
            "groups or regions, or copies left out there and not here; open the same source, or draw new splits"
        )
    if not parts:
        raise DataError(f"{where}: holds no split; write one with write_splits")
    place = {name: row for row, name in enumerate(source.ids)}
    splits: list[Split] = []
    faults: list[str] = []
    for number, (names, expected) in enumerate(zip(parts, digests, strict=True)):
        made = _split(names, expected, place, source)
        if isinstance(made, Split):
            splits.append(made)
        else:
            faults += [f"{where}: split {number}: {fault}" for fault in made]
    if faults:
        raise DataError(*capped(faults))
    return tuple(splits)


def _split(names: dict[str, list[str]], expected: str, place: dict[str, int], source: Source) -> Split | list[str]:
    strangers = [name for part in _PARTS for name in names[part] if name not in place]
    if strangers:
        return [f"{shown(name)}: no such picture; renamed?" for name in strangers]
    rows: dict[str, Any] = {part: np.array([place[name] for name in names[part]], dtype=np.int64) for part in _PARTS}
    try:
        split = Split(**rows)
    except DataError as error:
        return list(error.faults)
    if len(split.test) and np.array_equal(split.val, split.test):
        return ["its val pictures are its test pictures; give it a val part of its own"]
    if split.digest != expected:
        return [f"its pictures are not those it was written with (digest {split.digest[:12]}, not {expected[:12]})"]
    return [
        f"class {name!r} has no picture in {part}"
        for part in ("train", "test")
        for label, name in enumerate(source.class_names)
        if not (source.labels[rows[part]] == label).any()
    ] or split
