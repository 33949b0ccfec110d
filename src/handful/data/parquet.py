"""Pictures in parquet files, as Hugging Face publishes them: a column of picture files and one of labels."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from handful.config import digest_of
from handful.data.archives import file_digest
from handful.data.files import shown
from handful.data.layout import PART_FOLDERS, PART_ORDER
from handful.data.sets import Sets, columns_of, joined_sets
from handful.errors import DataError

_PART = re.compile(rf"({'|'.join(PART_FOLDERS)})(?=[-_.])", re.IGNORECASE)


def is_parquet(path: Path) -> bool:
    """Return whether a path is a .parquet file, or a folder with one directly in it."""
    return path.suffix.lower() == ".parquet" if path.is_file() else bool(_parquet_files(path))


def parquet_set(path: Path) -> Sets:
    """Return the pictures of a parquet file, or of all those directly in a folder.

    The columns are told as in `hugging_face_set`; pictures are the bytes of picture files, or structs with `bytes`.
    A file whose name starts with train, val, valid, validation or test and one of `-_.` is of that part. The class
    names are those that Hugging Face's `datasets` leaves in the file, if any. Pictures are read a row group at a time.

    Args:
        path: a .parquet file or a folder with some.

    Raises:
        DataError: pyarrow is not installed, a file that cannot be read, no or several such columns, files with a part
            beside files without.
    """
    files = _parquet_files(path) if path.is_dir() else [path]
    part_of = {file: _part(file) for file in files}
    if "" in part_of.values() and any(part_of.values()):
        without = ", ".join(shown(file.name) for file, part in part_of.items() if not part)
        raise DataError(f"{shown(str(path))}: {without}: not named after a part, as others are (train-0.parquet)")
    files.sort(key=lambda file: (PART_ORDER[part_of[file]], file.name))
    faults: list[str] = []
    blocks, columns, images, others = [], [], set(), set()
    for file in files:
        try:
            image, labels, names, left = _read(file)
        except DataError as error:
            faults += [f"{shown(file.name)}: {fault}" for fault in error.faults]
            continue
        blocks.append((file.stem, part_of[file], labels, names))
        columns.append(PictureColumn(file, image))
        images.add(image)
        others |= left
    if faults:
        raise DataError(*(f"{shown(str(path))}: {fault}" for fault in faults))
    return joined_sets(
        path.resolve().stem if path.is_file() else path.resolve().name,
        blocks,
        tuple(columns),
        field=None,
        key=digest_of([[file.name, file_digest(file)] for file in files]),
        ignored=tuple(sorted(f"column {name!r}" for name in others)),
    )


class PictureColumn:
    """The pictures of one parquet file by their place; the row group that was read last is kept."""

    def __init__(self, path: Path, name: str) -> None:
        self._path, self._name = path, name
        self._first, self._held = 0, list[Any]()

    def __getitem__(self, place: int) -> Any:
        if not self._first <= place < self._first + len(self._held):
            self._load(place)
        return self._held[place - self._first]

    def __getstate__(self) -> dict[str, Any]:
        return {"_path": self._path, "_name": self._name, "_first": 0, "_held": []}

    def _load(self, place: int) -> None:
        with _pyarrow().ParquetFile(self._path) as file:
            first = 0
            for group in range(file.num_row_groups):
                num = file.metadata.row_group(group).num_rows
                if place < first + num:
                    self._held = file.read_row_group(group, columns=[self._name]).column(self._name).to_pylist()
                    self._first = first
                    return
                first += num
        raise IndexError(place)


def _read(path: Path) -> tuple[str, list[Any], tuple[str, ...] | None, set[str]]:
    """Picture column, labels, class names, the other columns."""
    pyarrow = _pyarrow()
    try:
        with pyarrow.ParquetFile(path) as file:
            schema = file.schema_arrow
            features = {**dict.fromkeys(schema.names), **_features(schema.metadata or {}, schema.names)}
            image, label = columns_of(features, "")
            labels = file.read(columns=[label]).column(label).to_pylist()
    except DataError:
        raise
    except Exception as error:  # spoilt bytes make the reader raise nearly anything
        raise DataError(f"cannot be read as parquet ({str(error).splitlines()[0][:120]})") from None
    feature = features[label]
    names = tuple(map(str, feature["names"])) if isinstance(feature, Mapping) and "names" in feature else None
    return image, labels, names, set(schema.names) - {image, label}


def _features(metadata: Mapping[bytes, bytes], columns: list[str]) -> dict[str, Any]:
    """What Hugging Face's library writes about its columns; nothing where it wrote nothing that can be read."""
    try:
        found = json.loads(metadata.get(b"huggingface", b"{}"))["info"]["features"]
    except (ValueError, KeyError, TypeError):
        return {}
    return {name: feature for name, feature in found.items() if name in columns} if isinstance(found, dict) else {}


def _pyarrow() -> Any:
    try:
        return import_module("pyarrow.parquet")
    except ImportError:
        raise DataError("reading parquet needs pyarrow; install it: pip install 'handful[datasets]'") from None


def _part(path: Path) -> str:
    found = _PART.match(path.name.replace(path.suffix, "."))
    return PART_FOLDERS[found[1].lower()] if found else ""


def _parquet_files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return [file for file in folder.iterdir() if file.suffix.lower() == ".parquet" and file.is_file()]
