"""Every kind of source gives the same rows for the same pictures, and every fault one clear line."""

from __future__ import annotations

import gzip
import pickle
import struct
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from handful.data import source as module
from handful.data.images import LabeledImages, content_of
from handful.data.source import Source, open_source
from handful.errors import DataError

Write = Callable[[Path, Mapping[str, bytes]], Path]
LABELS = np.repeat([0, 1], 6)


def same_rows(one: Source, other: Source) -> bool:
    return (
        one.digest == other.digest and np.array_equal(one.sizes, other.sizes) and np.array_equal(one.grey, other.grey)
    )


def faults_of(what: Any, **options: Any) -> tuple[str, ...]:
    with pytest.raises(DataError) as error:
        open_source(what, **options)
    assert all(fault and "\n" not in fault for fault in error.value.faults)
    return error.value.faults


def test_folder_zip_tar_and_npz_give_the_same_source(
    tmp_path: Path,
    members: dict[str, bytes],
    pixels: NDArray[np.uint8],
    to_folder: Write,
    to_zip: Write,
    to_tar: Write,
) -> None:
    order = np.array([0, 1, 2, 3, 6, 7, 8, 9, 4, 5, 10, 11])
    train, test, names = order[:8], order[8:], np.array(["cat", "dog"])
    np.savez(
        tmp_path / "signs.npz",
        x_train=pixels[train].transpose(0, 2, 3, 1),
        y_train=names[LABELS[train]],
        x_test=pixels[test].transpose(0, 2, 3, 1),
        y_test=names[LABELS[test]],
    )
    wrapped = {f"top/{path}": content for path, content in members.items()}
    opened = [
        open_source(to_folder(tmp_path / "signs", members)),
        open_source(str(to_zip(tmp_path / "signs.zip", members))),
        open_source(to_tar(tmp_path / "signs.tar.gz", members)),
        open_source(to_tar(tmp_path / "signs.tar", dict(reversed(members.items())))),
        open_source(tmp_path / "signs.npz"),
        open_source(to_folder(tmp_path / "w" / "signs", wrapped)),
        open_source(to_zip(tmp_path / "w" / "signs.zip", wrapped)),
    ]
    for source in opened:
        assert same_rows(source, opened[0])
        assert source.name == "signs"
        assert source.class_names == ("cat", "dog")
        assert source.parts == ("train",) * 8 + ("test",) * 4
        assert source.groups == ("",) * 12
        assert source.counts.tolist() == [6, 6]
        assert source.channels == 3
        assert len(set(source.ids)) == 12
        np.testing.assert_array_equal(source.content, content_of(pixels[order]))
        read = dict(source.read_all())
        for row in range(12):
            np.testing.assert_array_equal(read[row], pixels[order[row]])
            np.testing.assert_array_equal(source.read(row), pixels[order[row]])
    assert opened[0].ids[0] == "train/cat/0.png"
    assert opened[0].ignored == ("README.txt",)
    assert opened[5].ids[0] == "top/train/cat/0.png"
    assert opened[0] == opened[1]
    assert opened[0] != opened[5]


def test_class_folders_without_parts(tmp_path: Path, flat: dict[str, bytes], pixels: Any, to_folder: Write) -> None:
    source = open_source(to_folder(tmp_path / "pets", flat))
    assert source.parts == ("",) * 12
    assert source.ids[:2] == ("cat/0.png", "cat/1.png")
    assert same_rows(source, open_source((pixels, LABELS, ["cat", "dog"])))
    assert same_rows(source, open_source((pixels, np.array(["cat"] * 6 + ["dog"] * 6))))


def test_a_moved_folder_is_the_same_source(tmp_path: Path, flat: dict[str, bytes], to_folder: Write) -> None:
    first = open_source(to_folder(tmp_path / "here", flat))
    assert first.digest == open_source(to_folder(tmp_path / "there", flat)).digest
    relabelled = {path.replace("dog/0", "cat/9"): content for path, content in flat.items()}
    assert first.digest != open_source(to_folder(tmp_path / "else", relabelled)).digest


@pytest.mark.parametrize("name", ["val", "Valid", "VALIDATION"])
def test_part_folders_by_any_of_their_names(
    tmp_path: Path, members: dict[str, bytes], to_folder: Write, name: str
) -> None:
    renamed = {path.replace("test/", f"{name}/").replace("train/", "Train/"): c for path, c in members.items()}
    assert open_source(to_folder(tmp_path / "f", renamed)).parts == ("train",) * 8 + ("val",) * 4


def test_a_class_may_be_called_train(tmp_path: Path, flat: dict[str, bytes], to_folder: Write) -> None:
    source = open_source(to_folder(tmp_path / "f", {p.replace("dog/", "train/"): c for p, c in flat.items()}))
    assert source.class_names == ("cat", "train")
    assert set(source.parts) == {""}


def test_classes_of_digits_are_in_natural_order(tmp_path: Path, flat: dict[str, bytes], to_folder: Write) -> None:
    renamed = {path.replace("cat/", "10/").replace("dog/", "9/"): content for path, content in flat.items()}
    assert open_source(to_folder(tmp_path / "f", renamed)).class_names == ("9", "10")


def test_what_lies_beside_is_ignored_and_listed(
    tmp_path: Path, members: dict[str, bytes], to_folder: Write, png: Any
) -> None:
    beside = {
        "cover.png": png(np.zeros((1, 4, 4), np.uint8)),
        "notes/readme.md": b"",
        "train/cat/notes.txt": b"",
        "train/cat/._0.png": b"resource fork",
        "__MACOSX/train/cat/0.png": b"resource fork",
        "unlabelled/7.png": b"never looked at",
    }
    source = open_source(to_folder(tmp_path / "f", {**members, **beside}))
    assert set(source.ignored) == {*beside, "README.txt"}
    assert len(source) == 12


def test_odd_names(tmp_path: Path, flat: dict[str, bytes], to_folder: Write, to_zip: Write) -> None:
    odd = {path.replace("cat/", "猫 и cat/").replace("dog/", "do\ng/ "): c for path, c in flat.items()}
    source = open_source(to_folder(tmp_path / "f", odd))
    assert source.class_names == ("do\ng", "猫 и cat")
    assert source == open_source(to_zip(tmp_path / "f.zip", odd))


def test_every_unreadable_picture_is_listed_or_left_out(
    tmp_path: Path, flat: dict[str, bytes], to_folder: Write
) -> None:
    bad = {
        "cat/text.png": b"I am text",
        "dog/zero.jpg": b"",
        "dog/cut.png": flat["dog/0.png"][:60],
        "dog/n\nl.png": b"?",
    }
    root = to_folder(tmp_path / "f", {**flat, **bad})
    faults = faults_of(root)
    assert len(faults) == 4
    assert faults[0].startswith("cat/text.png: not a picture")
    assert all("--skip-unreadable" in fault for fault in faults)
    source = open_source(root, skip_unreadable=True)
    assert len(source) == 12
    assert {path for path, _ in source.unreadable} == set(bad)
    assert dict(source.read_all()).keys() == set(range(12))
    assert faults_of(root) == faults


def test_a_class_left_without_a_readable_picture_is_a_fault(
    tmp_path: Path, flat: dict[str, bytes], to_folder: Write
) -> None:
    root = to_folder(tmp_path / "f", {**flat, "fox/a.png": b"text"})
    assert faults_of(root, skip_unreadable=True)[0].startswith("class 'fox' has no picture")


def test_all_faults_come_together_and_the_list_ends_at_200(
    tmp_path: Path, flat: dict[str, bytes], to_folder: Write
) -> None:
    root = to_folder(tmp_path / "f", {**flat, **{f"cat/{i}.png": b"text" for i in range(100, 400)}})
    (root / "empty").mkdir()
    (root / "cat" / "out.png").symlink_to(tmp_path)
    faults = faults_of(root)
    assert len(faults) == 201
    assert faults[-1] == "... and 102 more"
    assert "cat/out.png: a link that leaves the folder" in faults[0]
    assert "empty: an empty class folder" in faults[1]


def test_paths_that_do_not_fit(tmp_path: Path, flat: dict[str, bytes], to_folder: Write, png: Any) -> None:
    assert "no such file" in faults_of(tmp_path / "gone")[0]
    assert "did you mean 'digits'" in faults_of("digit")[0]
    (tmp_path / "empty").mkdir()
    assert "no pictures" in faults_of(tmp_path / "empty")[0]
    (tmp_path / "a.rar").write_bytes(b"")
    assert "not a kind of file" in faults_of(tmp_path / "a.rar")[0]
    picture = png(np.zeros((1, 4, 4), np.uint8))
    assert "no class folders" in faults_of(to_folder(tmp_path / "heap", {"a.png": picture, "b.png": picture}))[0]
    one = {path: content for path, content in flat.items() if path.startswith("cat")}
    assert "one class only ('cat')" in faults_of(to_folder(tmp_path / "one", one))[0]
    assert "give a folder" in faults_of(42)[0]


def test_layouts_that_do_not_fit(
    tmp_path: Path, members: dict[str, bytes], flat: dict[str, bytes], to_folder: Write
) -> None:
    picture = flat["cat/0.png"]
    cases: dict[str, tuple[dict[str, bytes], str]] = {
        "deep": ({**flat, "fox/red/1.png": picture, "fox/red/2.png": picture}, "fox: 2 pictures in folders below"),
        "both": ({**members, "val/cat/1.png": picture, "valid/cat/2.png": picture}, "both are the val part"),
        "no train": ({p: c for p, c in members.items() if p.startswith("test")}, "no train/"),
        "direct": ({**members, "train/9.png": picture}, "train: pictures directly"),
        "unsorted": ({"train/1.png": picture, "test/2.png": picture}, "no class folders inside"),
    }
    for name, (given, expected) in cases.items():
        assert any(expected in fault for fault in faults_of(to_folder(tmp_path / name, given))), name


def test_progress_counts_to_the_end_and_the_second_scan_decodes_nothing(
    tmp_path: Path, flat: dict[str, bytes], to_folder: Write, to_zip: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[int, int]] = []
    folder, archive = to_folder(tmp_path / "f", flat), to_zip(tmp_path / "f.zip", flat)
    first = open_source(folder, progress=lambda done, num: calls.append((done, num)))
    assert calls == [(i, 12) for i in range(1, 13)]
    packed = open_source(archive)

    def refuse(data: bytes) -> None:
        raise AssertionError("decoded again")

    monkeypatch.setattr("handful.data.decode.decode", refuse)
    assert open_source(folder) == first
    assert open_source(archive) == packed
    assert open_source(folder.rename(tmp_path / "g")).digest == first.digest


def test_a_spoilt_scan_is_made_again(tmp_path: Path, flat: dict[str, bytes], to_folder: Write, cache: Path) -> None:
    folder = to_folder(tmp_path / "f", flat)
    first = open_source(folder)
    (entry,) = (cache / "scans").iterdir()
    whole = entry.read_bytes()
    for spoilt in (whole[:100], b"", whole[:200] + b"\xff" + whole[201:], b"text" * 100):
        entry.write_bytes(spoilt)
        assert open_source(folder) == first
        assert entry.read_bytes() == whole


def test_reading_a_file_that_changed_names_it(tmp_path: Path, flat: dict[str, bytes], to_folder: Write) -> None:
    folder = to_folder(tmp_path / "f", flat)
    source = open_source(folder)
    (folder / "cat" / "0.png").write_bytes(flat["cat/1.png"])
    (folder / "cat" / "1.png").unlink()
    with pytest.raises(DataError, match=r"cat/0\.png: changed since"):
        source.read(0)
    with pytest.raises(DataError, match=r"cat/1\.png: no such file"):
        source.read(1)
    with pytest.raises(DataError, match="since the source was opened"):
        list(source.read_all())


def test_take_reads_the_rows_it_took(
    tmp_path: Path, members: dict[str, bytes], pixels: Any, to_folder: Write, to_tar: Write
) -> None:
    arrays = open_source((pixels, LABELS))
    for source in (
        open_source(to_folder(tmp_path / "f", members)),
        open_source(to_tar(tmp_path / "f.tgz", members)),
        arrays,
    ):
        part = source.take([9, 2, 5]).take(np.array([2, 0]))
        assert part.ids == (source.ids[5], source.ids[9])
        np.testing.assert_array_equal(part.read(1), source.read(9))
        assert part.class_names == source.class_names


def test_a_source_survives_pickling_and_is_returned_as_it_is(
    tmp_path: Path, flat: dict[str, bytes], to_zip: Write
) -> None:
    source = open_source(to_zip(tmp_path / "f.zip", flat))
    again = pickle.loads(pickle.dumps(source))
    assert again == source
    assert hash(again) == hash(source)
    np.testing.assert_array_equal(again.read(3), source.read(3))
    assert open_source(source) is source


def test_arrays_in_every_layout(pixels: Any) -> None:
    expected = open_source((pixels, LABELS))
    assert expected.class_names == ("0", "1")
    assert same_rows(expected, open_source((pixels.transpose(0, 2, 3, 1), LABELS)))
    assert same_rows(expected, open_source(LabeledImages.of_arrays(pixels, LABELS)))
    assert open_source((pixels, LABELS * 7 + 3)).class_names == ("3", "10")
    assert open_source((pixels[:, 0], LABELS)).channels == 1
    grey = np.repeat(pixels[:, :1], 3, axis=1)
    assert open_source((grey, LABELS)).channels == 1
    assert open_source((pixels, LABELS[:, None])).digest == expected.digest


def test_arrays_that_do_not_fit(pixels: Any) -> None:
    cases: list[tuple[Any, str]] = [
        ((np.zeros((4, 3, 8, 3), np.uint8), [0, 0, 1, 1]), "can be read as"),
        ((np.zeros((4, 8, 8, 2), np.uint8), [0, 0, 1, 1]), "must be [N, H, W]"),
        ((pixels / 255.0, LABELS), "(pixels * 255)"),
        ((pixels.astype(int), LABELS), "must be uint8"),
        ((pixels, LABELS[:-1]), "12 pictures and 11 labels"),
        ((pixels, LABELS + 0.5), "whole numbers or text"),
        ((pixels, np.eye(2, dtype=int)[LABELS]), "not one-hot"),
        ((pixels, LABELS, ["cat"]), "must be in [0, 1)"),
        ((pixels, LABELS, ["cat", "dog", "fox"]), "class 'fox' has no picture"),
        ((pixels, LABELS, ["cat", "cat"]), "named twice"),
        ((pixels, np.array(["cat"] * 6 + ["dgo"] * 6), ["cat", "dog"]), "did you mean 'dog'"),
        ((pixels, LABELS * 0), "one class only"),
        ((pixels[:0], LABELS[:0]), "hold no picture"),
    ]
    for given, expected in cases:
        assert any(expected in fault for fault in faults_of(given)), expected


def test_npz_keys(tmp_path: Path, pixels: Any) -> None:
    expected = open_source((pixels, LABELS, ["cat", "dog"]))
    for images, labels in (("images", "labels"), ("x", "y"), ("X", "Y"), ("data", "labels"), ("pixels", "y")):
        np.savez_compressed(tmp_path / "a.npz", **{images: pixels, labels: LABELS, "class_names": ["cat", "dog"]})
        assert same_rows(expected, open_source(tmp_path / "a.npz"))
    for given in (
        {"images": pixels, "labels": LABELS, "extra": LABELS},
        {"images": pixels, "x": pixels, "y": LABELS},
        {"x_train": pixels, "y_train": LABELS, "x_test": pixels},
        {"foo": pixels},
    ):
        np.savez(tmp_path / "b.npz", **given)
        (fault,) = faults_of(tmp_path / "b.npz")
        assert f"holds {', '.join(sorted(given))}" in fault


def test_npz_that_cannot_be_trusted(tmp_path: Path, pixels: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez(tmp_path / "o.npz", images=pixels, labels=np.array([{}] * 12, dtype=object))
    assert "allow_pickle" in faults_of(tmp_path / "o.npz")[0]
    (tmp_path / "t.npz").write_bytes(b"text")
    assert "cannot be read as .npz" in faults_of(tmp_path / "t.npz")[0]
    np.savez_compressed(tmp_path / "z.npz", images=np.zeros((2, 500, 500), np.uint8), labels=[0, 1])
    monkeypatch.setattr("handful.data.archives._ALWAYS_ALLOWED", 1000)
    assert "100 times its size" in faults_of(tmp_path / "z.npz")[0]


def _idx(values: NDArray[np.uint8]) -> bytes:
    return struct.pack(f">BBBB{values.ndim}I", 0, 0, 8, values.ndim, *values.shape) + values.tobytes()


def test_idx_folder(tmp_path: Path, pixels: Any) -> None:
    grey, labels = pixels[:, 0], LABELS.astype(np.uint8)
    given = {"train": slice(0, 12, 2), "t10k": slice(1, 12, 2)}
    for stem, rows in given.items():
        (tmp_path / f"{stem}-images-idx3-ubyte.gz").write_bytes(gzip.compress(_idx(grey[rows])))
        (tmp_path / f"{stem}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(_idx(labels[rows])))
    source = open_source(tmp_path)
    assert source.parts == ("train",) * 6 + ("test",) * 6
    assert source.channels == 1
    assert source.ids[7] == "test/1"
    np.testing.assert_array_equal(source.read(6), grey[1][None])
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(_idx(grey[::2])[:-5]))
    (tmp_path / "train-labels-idx1-ubyte.gz").unlink()
    (tmp_path / "t10k-images-idx3-ubyte.gz").write_bytes(gzip.compress(_idx(labels)))
    (tmp_path / "t10k-labels-idx1-ubyte.gz").write_bytes(b"text")
    assert [fault.split(": ")[1].split()[0] for fault in faults_of(tmp_path)] == ["holds", "no", "not", "cannot"]


def test_digits() -> None:
    source = open_source("digits")
    assert len(source) == 1797
    assert source.class_names == tuple("0123456789")
    assert source.channels == 1
    assert source.read(0).max() <= 255
    assert max(source.read(row).max() for row in range(50)) == 255


def test_reading_data_does_not_import_torch() -> None:
    code = (
        "import sys, handful.data.load, handful.data.copies, handful.data.split, handful.data.profile;"
        "sys.exit('torch' in sys.modules or 'sklearn' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_limit_on_listed_faults_is_the_documented_one() -> None:
    assert module.MAX_FAULTS == 200


@pytest.mark.data
def test_road_signs_as_stored(real_data: Path) -> None:
    source = open_source(real_data / "traffic-signs" / "traffic-signs-10.zip")
    assert (source.parts.count("train"), source.parts.count("test"), len(source)) == (205, 139, 344)
    assert source.class_names == ("06", "12", "13", "24", "38", "39", "44", "46", "49", "50")
    assert source.ignored == ("labels.csv", "manifest.csv")
    assert source.channels == 3


@pytest.mark.data
def test_fashion_mnist(real_data: Path) -> None:
    source = open_source(real_data / "fashion-mnist")
    assert (source.parts.count("train"), source.parts.count("test")) == (60_000, 10_000)
    assert source.channels == 1
    assert set(source.counts.tolist()) == {7000}
