"""A profile says in numbers what a source holds."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from handful.data.profile import profile
from handful.data.source import open_source

Write = Callable[[Path, Mapping[str, bytes]], Path]


def test_counts_sizes_copies_and_faults(tmp_path: Path, members: dict[str, bytes], to_folder: Write, png: Any) -> None:
    more = {
        "train/cat/wide.png": png(np.zeros((1, 4, 20), np.uint8)),
        "test/cat/copy.png": members["train/cat/0.png"],
        "test/dog/cat.png": members["train/cat/1.png"],
        "train/dog/bad.png": b"text",
    }
    found = profile(open_source(to_folder(tmp_path / "f", {**members, **more}), skip_unreadable=True)).to_json()
    assert json.loads(json.dumps(found)) == found
    assert found["classes"] == [
        {"name": "cat", "train": 5, "val": 0, "test": 3},
        {"name": "dog", "train": 4, "val": 0, "test": 3},
    ]
    assert found["num_pictures"] == 15
    assert found["imbalance_ratio"] == 1.25
    assert found["sizes"]["width"] == {"min": 6.0, "median": 6.0, "max": 20.0}
    assert found["sizes"]["height"]["min"] == 4.0
    assert found["sizes"]["aspect"]["max"] == 5.0
    assert found["colours"] == {"grey": 1, "rgb": 14}
    assert found["copies"]["exact"] == 2
    assert found["copies"]["across_parts"] == 2
    assert found["copies"]["groups"][0] == ["train/cat/0.png", "test/cat/copy.png"]
    assert found["conflicts"] == [["train/cat/1.png", "test/dog/cat.png"]]
    assert found["faults"] == [{"path": "train/dog/bad.png", "why": "not a picture of a known format"}]
    assert found["ignored"] == ["README.txt"]


def test_without_parts_pictures_are_unassigned(tmp_path: Path, flat: dict[str, bytes], to_folder: Write) -> None:
    found = profile(open_source(to_folder(tmp_path / "f", flat)))
    assert found.classes[0] == {"name": "cat", "train": 0, "val": 0, "test": 0, "unassigned": 6}
    assert found.imbalance_ratio == 1.0


@pytest.mark.data
def test_road_signs_as_published(published_signs: Path) -> None:
    found = profile(open_source(published_signs))
    assert found.copies["exact"] == 516
    assert found.copies["across_parts"] > 0
    assert found.imbalance_ratio == pytest.approx(100 / 18)
    assert found.colours["grey"] == 0
