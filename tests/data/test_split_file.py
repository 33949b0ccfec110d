"""Splits in a file come back as they were, for the pictures they were made for, or not at all."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from handful.data.source import Source, open_source
from handful.data.split import Split, draw_split
from handful.data.split_file import read_splits, write_splits
from handful.errors import DataError


def source_of(pixels: Any) -> Source:
    return open_source((pixels, np.repeat([0, 1], 6)))


def drawn(source: Source) -> list[Split]:
    return [
        draw_split(
            source.labels,
            source.parts,
            source.class_names,
            val_fraction=0.2,
            test_fraction=0.3,
            long_tail=None,
            seed=0,
            fold=(place, 3),
        )
        for place in range(3)
    ]


def test_splits_come_back_as_they_were(tmp_path: Path, pixels: Any) -> None:
    source = source_of(pixels)
    write_splits(tmp_path / "splits.json", drawn(source), source)
    assert read_splits(tmp_path / "splits.json", source) == tuple(drawn(source))
    content = json.loads((tmp_path / "splits.json").read_text())
    assert content["source"]["digest"] == source.digest
    assert content["splits"][1]["digest"] == drawn(source)[1].digest
    assert content["splits"][1]["test"] == [source.ids[row] for row in drawn(source)[1].test]


def test_another_source_is_refused(tmp_path: Path, pixels: Any) -> None:
    source = source_of(pixels)
    write_splits(tmp_path / "s.json", drawn(source), source)
    changed = pixels.copy()
    changed[0, 0, 0, 0] ^= 1
    for other in (source_of(changed), source.take(range(11)), open_source((pixels, np.tile([0, 1], 6)))):
        with pytest.raises(DataError, match=f"these are {len(other)} of 'arrays' with digest {other.digest[:12]}"):
            read_splits(tmp_path / "s.json", other)
    with pytest.raises(DataError, match="rows up to 11"):
        write_splits(tmp_path / "t.json", drawn(source), source.take(range(5)))
    with pytest.raises(DataError, match="no splits"):
        write_splits(tmp_path / "t.json", [], source)


def _lose_val(split: dict[str, Any]) -> None:
    split["val"] = []


def _rename(split: dict[str, Any]) -> None:
    split["train"][0] = "gone"


def _overlap(split: dict[str, Any]) -> None:
    split["train"][0] = split["test"][0]


def _test_as_val(split: dict[str, Any]) -> None:
    split["val"] = split["test"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_lose_val, "split 1: its pictures are not those it was written with"),
        (_rename, "split 1: gone: no such picture"),
        (_overlap, r"split 1: rows \[.*\] are in a split more than once"),
        (_test_as_val, "split 1: its val pictures are its test pictures"),
    ],
)
def test_a_changed_split_is_refused(
    tmp_path: Path, pixels: Any, change: Callable[[dict[str, Any]], None], words: str
) -> None:
    source, path = source_of(pixels), tmp_path / "s.json"
    write_splits(path, drawn(source), source)
    content = json.loads(path.read_text())
    change(content["splits"][1])
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match=words):
        read_splits(path, source)


def test_a_split_without_a_class_is_refused(tmp_path: Path, pixels: Any) -> None:
    source = source_of(pixels)
    one_sided = Split(np.arange(7), np.array([7]), np.array([8, 9]))
    write_splits(tmp_path / "s.json", [one_sided], source)
    with pytest.raises(DataError, match="split 0: class '0' has no picture in test"):
        read_splits(tmp_path / "s.json", source)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"kind": "cake"}', '{"kind": "handful splits", "version": 9}', "\x00"]
)
def test_files_that_hold_no_splits(tmp_path: Path, pixels: Any, text: str) -> None:
    (tmp_path / "s.json").write_text(text)
    with pytest.raises(DataError, match="not a file of splits"):
        read_splits(tmp_path / "s.json", source_of(pixels))


def test_a_missing_file_and_an_empty_one(tmp_path: Path, pixels: Any) -> None:
    source = source_of(pixels)
    with pytest.raises(DataError, match="cannot be read"):
        read_splits(tmp_path / "gone.json", source)
    write_splits(tmp_path / "s.json", drawn(source), source)
    content = json.loads((tmp_path / "s.json").read_text())
    (tmp_path / "s.json").write_text(json.dumps({**content, "splits": []}))
    with pytest.raises(DataError, match="holds no split"):
        read_splits(tmp_path / "s.json", source)
