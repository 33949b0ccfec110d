"""Sets that are to be measured come at one size with one list of classes, and what was left out is named."""

from __future__ import annotations

import zipfile

import numpy as np
import pytest
from PIL import Image

from handful.data.aligned import ONE, align
from handful.data.source import open_source
from handful.errors import DataError


def write(folder, num=3, side=10, seed=0):
    """`num` pictures of noise in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng([seed, *folder.name.encode()])
    for place in range(num):
        Image.fromarray(rng.integers(0, 256, (side, side, 3), dtype=np.uint8)).save(folder / f"{place}.png")


def opened(path):
    return open_source(path, skip_unreadable=True, unsorted=True)


def test_classes_of_both_are_compared_and_the_others_named(tmp_path):
    for name in ("cat", "dog", "elk"):
        write(tmp_path / "real" / name)
    for name in ("dog", "cat", "fox"):
        write(tmp_path / "made" / name, seed=1)
    found = align(opened(tmp_path / "real"), opened(tmp_path / "made"))
    assert found.real.class_names == found.synthetic.class_names == ("cat", "dog")
    assert (found.real.counts.tolist(), found.synthetic.counts.tolist()) == ([3, 3], [3, 3])
    assert found.notes == ("left out, only in real: class elk", "left out, only in made: class fox")
    assert [found.ids["real"][row][:3] for row in np.flatnonzero(found.real.labels == 1)] == ["dog"] * 3


def test_pictures_beside_each_other_are_one_class(tmp_path):
    for name in ("cat", "dog"):
        write(tmp_path / "real" / name)
    write(tmp_path / "flat", 4, seed=1)
    found = align(opened(tmp_path / "real"), opened(tmp_path / "flat"))
    assert found.real.class_names == found.synthetic.class_names == (ONE,)
    assert (len(found.real), len(found.synthetic)) == (6, 4)
    assert found.notes == ("flat without classes: all pictures count as one class",)


def test_two_flat_folders_or_archives_of_them_will_do(tmp_path):
    write(tmp_path / "a", 5)
    write(tmp_path / "b", 4, seed=1)
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        for path in (tmp_path / "b").iterdir():
            archive.write(path, path.name)
    found = align(opened(tmp_path / "a"), opened(tmp_path / "b.zip"))
    assert (len(found.real), len(found.synthetic)) == (5, 4)
    with pytest.raises(DataError, match="lie beside each other"):
        open_source(tmp_path / "a")


def test_sets_without_a_common_class_count_as_one(tmp_path):
    for name in ("cat", "dog"):
        write(tmp_path / "real" / name)
        write(tmp_path / "made" / f"{name}s", seed=1)
    found = align(opened(tmp_path / "real"), opened(tmp_path / "made"))
    assert found.real.class_names == (ONE,)
    assert found.notes == ("no class name is in both sets: all pictures count as one class",)


def test_the_test_part_is_held_out_and_the_validation_part_left_out(tmp_path):
    for part, num in (("train", 4), ("val", 2), ("test", 3)):
        for name in ("cat", "dog"):
            write(tmp_path / "set" / part / name, num, seed=num)
    for name in ("cat", "dog"):
        write(tmp_path / "made" / name, seed=1)
        write(tmp_path / "more" / name, 5, seed=2)
    found = align(opened(tmp_path / "set"), opened(tmp_path / "made"))
    assert found.held_out is not None
    assert (len(found.real), len(found.held_out)) == (8, 6)
    assert found.notes[0] == "set: its test part is the held-out set"
    assert "validation part is not used" in found.notes[1]
    other = align(opened(tmp_path / "set"), opened(tmp_path / "made"), opened(tmp_path / "more"))
    assert other.held_out is not None
    assert len(other.held_out) == 10
    assert "another held-out set is given" in other.notes[0]
    whole = align(opened(tmp_path / "more"), opened(tmp_path / "made"), opened(tmp_path / "set"))
    assert whole.held_out is not None
    assert len(whole.held_out) == 6


def test_the_size_is_that_of_the_smaller_pictures_unless_it_is_given(tmp_path):
    for name in ("cat", "dog"):
        write(tmp_path / "real" / name, side=40)
        write(tmp_path / "made" / name, side=16, seed=1)
        write(tmp_path / "tiny" / name, side=5, seed=1)
    real, made = opened(tmp_path / "real"), opened(tmp_path / "made")
    assert align(real, made).real.pixels.shape == (6, 3, 16, 16)
    assert align(real, made, size=24).synthetic.pixels.shape == (6, 3, 24, 24)
    assert align(real, opened(tmp_path / "tiny")).real.pixels.shape == (6, 3, 8, 8)


def test_grey_and_coloured_sets_meet_in_colour(tmp_path):
    write(tmp_path / "real")
    (tmp_path / "grey").mkdir()
    Image.new("L", (10, 10), 7).save(tmp_path / "grey" / "a.png")
    found = align(opened(tmp_path / "real"), opened(tmp_path / "grey"))
    assert found.synthetic.pixels.shape == (1, 3, 10, 10)


def test_what_cannot_be_read_is_named(tmp_path):
    write(tmp_path / "real")
    write(tmp_path / "made", seed=1)
    (tmp_path / "made" / "bad.png").write_bytes(b"text")
    notes = align(opened(tmp_path / "real"), opened(tmp_path / "made")).notes
    assert any(note.startswith("made: 1 that cannot be read left out: bad.png (") for note in notes)
