"""A view is decoded once, found again whole or not at all, and carries where its pictures come from."""

from __future__ import annotations

import multiprocessing
import os
import sys
import tracemalloc
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from handful.data import cache as caching
from handful.data.decode import resized
from handful.data.images import LabeledImages, View
from handful.data.load import cache_dir, load, load_unlabeled
from handful.data.source import open_source
from handful.errors import DataError

Write = Callable[[Path, Mapping[str, bytes]], Path]
VIEW = View(size=4)


def refuse(data: bytes) -> None:
    raise AssertionError("decoded again")


def same(one: LabeledImages, other: LabeledImages) -> bool:
    mine, others = one.origin.to_arrays(), other.origin.to_arrays()
    return (
        np.array_equal(one.pixels, other.pixels)
        and np.array_equal(one.labels, other.labels)
        and one.class_names == other.class_names
        and all(np.array_equal(mine[name], others[name]) for name in mine)
    )


@pytest.mark.parametrize("policy", ["stretch", "crop", "pad"])
def test_pictures_are_the_resized_originals_in_row_order(
    tmp_path: Path, members: dict[str, bytes], to_tar: Write, policy: str
) -> None:
    source = open_source(to_tar(tmp_path / "f.tar.gz", dict(reversed(members.items()))))
    view = View(size=9, resize=policy)
    images = load(source, view)
    expected = np.stack([resized(source.read(row), view, 3) for row in range(12)])
    np.testing.assert_array_equal(images.pixels, expected)
    np.testing.assert_array_equal(images.labels, source.labels)
    np.testing.assert_array_equal(images.origin.content, source.content)
    np.testing.assert_array_equal(images.origin.parent, np.arange(12))
    assert images.origin.real.all()


def test_a_second_load_decodes_nothing(
    tmp_path: Path, flat: dict[str, bytes], to_folder: Write, to_zip: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = load(open_source(to_folder(tmp_path / "f", flat)), VIEW)
    packed = open_source(to_zip(tmp_path / "g.zip", flat))
    monkeypatch.setattr("handful.data.originals.decode", refuse)
    assert same(load(open_source(tmp_path / "f"), VIEW), first)
    assert same(load(packed, VIEW), first)
    with pytest.raises(AssertionError):
        load(packed, VIEW.changed(resize="crop"))


def test_rows_are_a_choice_in_their_order(tmp_path: Path, flat: dict[str, bytes], to_folder: Write) -> None:
    source = open_source(to_folder(tmp_path / "f", flat))
    part = load(source, VIEW, [7, 2])
    assert same(part, load(source, VIEW).take(np.array([7, 2])))
    assert part.origin.parent.tolist() == [7, 2]


def test_channels_are_those_of_the_source_unless_the_view_says_so(tmp_path: Path, to_folder: Write, png: Any) -> None:
    rng = np.random.default_rng(0)
    grey = {f"{name}/{i}.png": png(rng.integers(0, 256, (1, 5, 5), dtype=np.uint8)) for name in "ab" for i in range(3)}
    source = open_source(to_folder(tmp_path / "f", grey))
    assert load(source, VIEW).pixels.shape == (6, 1, 4, 4)
    assert load(source, View(size=4, channels=3)).pixels.shape == (6, 3, 4, 4)
    mixed = {**grey, "a/9.png": png(rng.integers(0, 256, (3, 5, 5), dtype=np.uint8))}
    assert load(open_source(to_folder(tmp_path / "g", mixed)), VIEW).pixels.shape == (7, 3, 4, 4)


def test_a_spoilt_view_is_made_again(tmp_path: Path, flat: dict[str, bytes], to_folder: Write, cache: Path) -> None:
    source = open_source(to_folder(tmp_path / "f", flat))
    first = load(source, VIEW)
    (entry,) = (cache / "views").iterdir()
    whole = entry.read_bytes()
    flipped = bytearray(whole)
    flipped[300] ^= 1
    other_shape = whole.replace(b"(12, 3, 4, 4)", b"(12, 3, 8, 2)")
    for spoilt in (b"", whole[:-1], whole[:100], bytes(flipped), whole + b"x", other_shape, os.urandom(500)):
        entry.write_bytes(spoilt)
        assert same(load(source, VIEW), first)
        assert entry.read_bytes() == whole
    assert [path.name for path in (cache / "views").iterdir()] == [entry.name]


def test_large_views_are_mapped_and_read_only(
    tmp_path: Path, flat: dict[str, bytes], to_folder: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = open_source(to_folder(tmp_path / "f", flat))
    small = load(source, View(size=5))
    assert type(small.pixels) is np.ndarray
    monkeypatch.setattr(caching, "MAP_ABOVE", 100)
    for again in range(2):
        large = load(source, View(size=5 if again else 6))
        assert isinstance(large.pixels, np.memmap)
        assert not large.pixels.flags.writeable
    np.testing.assert_array_equal(large.pixels, small.pixels)


@pytest.mark.parametrize("limit", [100, 2**20])
def test_a_cache_that_cannot_be_written_is_a_warning(
    tmp_path: Path, flat: dict[str, bytes], to_folder: Write, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    source = open_source(to_folder(tmp_path / "f", flat))
    expected = load(source, VIEW)
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("HANDFUL_CACHE", str(tmp_path / "file"))
    monkeypatch.setattr(caching, "MAP_ABOVE", limit)
    with pytest.warns(UserWarning, match="set HANDFUL_CACHE"):
        assert same(load(source, VIEW), expected)


def test_a_file_that_changed_since_the_scan_is_named_and_nothing_is_kept(
    tmp_path: Path, flat: dict[str, bytes], to_folder: Write, cache: Path
) -> None:
    folder = to_folder(tmp_path / "f", flat)
    source = open_source(folder)
    (folder / "dog" / "3.png").write_bytes(flat["cat/1.png"])
    with pytest.raises(DataError, match=r"dog/3\.png: changed"):
        load(source, VIEW)
    assert not list(cache.glob("views/*"))


def _load_there(path: Path, cache: Path) -> bytes:
    os.environ["HANDFUL_CACHE"] = str(cache)
    return load(open_source(path), View(size=7)).pixels.tobytes()


def test_processes_share_a_cache(tmp_path: Path, flat: dict[str, bytes], to_folder: Write, cache: Path) -> None:
    folder = to_folder(tmp_path / "f", flat)
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        found = pool.starmap(_load_there, [(folder, cache)] * 6)
    assert len(set(found)) == 1
    assert len(list(cache.glob("views/*"))) == 1


def test_arrays_are_not_kept(pixels: Any, cache: Path) -> None:
    source = open_source((pixels, np.repeat([0, 1], 6)))
    np.testing.assert_array_equal(load(source, View(size=6)).pixels, pixels)
    np.testing.assert_array_equal(load(source.take([3, 1]), View(size=6)).pixels, pixels[[3, 1]])
    np.testing.assert_array_equal(load(source, VIEW).pixels[5], resized(pixels[5], VIEW, 3))
    assert not list(cache.iterdir())


def test_images_loaded_at_a_view_keep_the_content_of_their_originals(
    tmp_path: Path, flat: dict[str, bytes], to_folder: Write
) -> None:
    images = load(open_source(to_folder(tmp_path / "f", flat)), VIEW)
    again = load(open_source(images), View(size=5))
    np.testing.assert_array_equal(again.origin.content, images.origin.content)


def test_the_cache_folder_of_each_system(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert cache_dir() == Path(os.environ["HANDFUL_CACHE"])
    monkeypatch.delenv("HANDFUL_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    assert cache_dir() == tmp_path / ".cache" / "handful"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_dir() == tmp_path / "xdg" / "handful"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert cache_dir() == tmp_path / "Library" / "Caches" / "handful"
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    assert cache_dir() == tmp_path / "local" / "handful"


def test_unlabelled_pictures_of_a_folder_an_archive_or_one_file(
    tmp_path: Path, members: dict[str, bytes], pixels: Any, to_folder: Write, to_zip: Write, to_tar: Write
) -> None:
    folder = to_folder(tmp_path / "f", members)
    for path in (folder, to_zip(tmp_path / "f.zip", members), to_tar(tmp_path / "f.tgz", members)):
        ids, found, faults, ignored = load_unlabeled(path, VIEW, 3)
        assert ignored == tuple(sorted(name for name in members if not name.endswith("png")))
        assert ids == tuple(sorted(name for name in members if name.endswith("png")))
        assert faults == []
        assert found.shape == (12, 3, 4, 4)
        np.testing.assert_array_equal(found[ids.index("train/dog/1.png")], resized(pixels[7], VIEW, 3))
    ids, found, *_ = load_unlabeled(str(folder / "train" / "dog" / "1.png"), VIEW, 1)
    assert ids == ("1.png",)
    np.testing.assert_array_equal(found[0], resized(pixels[7], VIEW, 1))


def test_unlabelled_faults_are_all_raised_or_all_returned(
    tmp_path: Path, flat: dict[str, bytes], to_folder: Write
) -> None:
    bad = {"cat/x.png": b"text", "dog/y.jpg": b"", "z.gif": b"GIF89a"}
    folder = to_folder(tmp_path / "f", {**flat, **bad})
    (folder / "out.png").symlink_to(tmp_path / "elsewhere.png")
    (tmp_path / "elsewhere.png").write_bytes(flat["cat/0.png"])
    with pytest.raises(DataError) as error:
        load_unlabeled(folder, VIEW, 3)
    assert len(error.value.faults) == 4
    ids, pixels, faults, _ = load_unlabeled(folder, VIEW, 3, skip_unreadable=True)
    assert len(ids) == len(pixels) == 12
    assert {path for path, _ in faults} == {*bad, "out.png"}


def test_unlabelled_pictures_that_can_all_be_read_are_held_once(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (60, 160, 160, 3), dtype=np.uint8)  # a file each is a batch
    for place, picture in enumerate(noise):
        Image.fromarray(picture).save(tmp_path / f"{place}.png")
    tracemalloc.start()
    try:
        _, pixels, *_ = load_unlabeled(tmp_path, View(size=160), 3)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 1.8 * pixels.nbytes


def test_unlabelled_without_a_picture(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "a.png").write_bytes(b"text")
    for path, expected in (
        (tmp_path / "gone", "no such file"),
        (tmp_path / "a.txt", "not a picture by its name"),
        (tmp_path / "bad", "not a picture of"),
    ):
        with pytest.raises(DataError, match=expected):
            load_unlabeled(path, VIEW, 3, skip_unreadable=True)
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match="no pictures"):
        load_unlabeled(tmp_path / "none", VIEW, 3)
