"""Near copies of one class become groups; what only looks alike does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from handful.data import groups as module
from handful.data.groups import groups_for, near_copy_groups, shared
from handful.data.manifest import read_manifest
from handful.data.source import open_source


def scenes(num: int) -> NDArray[np.uint8]:
    """uint8 [num, 3, 64, 64], smooth and all different."""
    small = np.random.default_rng(4).integers(0, 256, (num, 8, 8, 3), dtype=np.uint8)
    large = [np.asarray(Image.fromarray(one).resize((64, 64), Image.Resampling.BICUBIC)) for one in small]
    return np.stack(large).transpose(0, 3, 1, 2).copy()


def shots() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Twelve scenes of two classes; 0, 1, 2 again: darker, shifted by a pixel, with noise. 3 again in the other class,
    and two pictures of one colour each."""
    plain = scenes(12)
    rng = np.random.default_rng(5)
    darker = (plain[0] * 0.6).astype(np.uint8)
    shifted = np.roll(plain[1], 1, axis=2)
    noisy = np.clip(plain[2] + rng.normal(0, 8, plain[2].shape), 0, 255).astype(np.uint8)
    flat = np.full((2, 3, 64, 64), [[[[40]]], [[[200]]]], dtype=np.uint8)
    again = np.stack([darker, shifted, noisy, (plain[3] * 0.9).astype(np.uint8)])
    return np.concatenate([plain, again, flat]), np.array([0] * 6 + [1] * 6 + [0, 0, 0, 1] + [0, 0], dtype=np.int64)


def test_shots_of_one_scene_are_a_group_and_nothing_else_is() -> None:
    pixels, labels = shots()
    found = near_copy_groups(open_source((pixels, labels)))
    expected = [""] * 18
    for row in (0, 1, 2):
        expected[row] = expected[12 + row] = str(row)
    assert list(found) == expected
    assert shared(found, np.arange(18))
    assert not shared(found, np.arange(12))


def test_given_groups_are_joined_and_near_copies_of_near_copies_belong_together() -> None:
    pixels, labels = shots()
    source = open_source((pixels, labels))
    given = ["", "a", "a", *[""] * 14, "b"]
    object.__setattr__(source, "groups", tuple(given))
    found = groups_for(source, "near-copies")
    assert found[1] == found[2] == found[13] == found[14] == "1"
    assert found[17] == "17"
    assert found[0] == found[12] == "0"
    assert groups_for(source, "given") == tuple(given)
    assert groups_for(source, "none") == ("",) * 18


def test_groups_do_not_depend_on_the_cache(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    source = open_source(shots())
    first = near_copy_groups(source)

    def refuse(*_: Any) -> None:
        raise AssertionError("searched again")

    with monkeypatch.context() as patch:
        patch.setattr(module, "_near", refuse)
        assert near_copy_groups(source) == first
        with pytest.raises(AssertionError, match="searched again"):
            near_copy_groups(source, max_bits=3)
    (entry,) = (cache / "groups").iterdir()
    entry.write_bytes(b"spoilt")
    assert near_copy_groups(source) == first


def test_a_stricter_limit_finds_fewer() -> None:
    source = open_source(shots())
    assert not any(near_copy_groups(source, min_correlation=0.99999, max_bits=0)[:1])
    assert sum(map(bool, near_copy_groups(source, min_correlation=0.99))) <= sum(map(bool, near_copy_groups(source)))


@pytest.mark.data
def test_shots_of_road_signs_follow_each_other(real_data: Path) -> None:
    source = open_source(real_data / "traffic-signs" / "traffic-signs-10.zip")
    found = near_copy_groups(source)
    together = {source.ids[row].split("/")[-1] for row, name in enumerate(found) if "039_0014.png" in name}
    assert together == {"039_0014.png", "039_0015.png", "039_0016.png"}
    assert 30 <= sum(map(bool, found)) <= 60


def test_manifests_and_near_copies_meet_in_one_source(tmp_path: Path) -> None:
    pixels, labels = shots()
    for row, picture in enumerate(pixels):
        Image.fromarray(picture.transpose(1, 2, 0)).save(tmp_path / f"{row:02}.png")
    lines = [f"{row:02}.png,{label},{'a' if row in (4, 5) else ''}" for row, label in enumerate(labels)]
    (tmp_path / "m.csv").write_text("\n".join(["path,label,group", *lines]))
    assert read_manifest(tmp_path / "m.csv").groups.count("a") == 2
    source = open_source(tmp_path / "m.csv")
    found = dict(zip(source.ids, near_copy_groups(source), strict=True))
    assert found["04.png"] == found["05.png"] == "04.png"
    assert found["00.png"] == found["12.png"] == "00.png"
