"""A CSV that names pictures is a source like a folder; every fault of its lines comes at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from handful.data.source import open_source
from handful.errors import DataError

Write = Callable[[Path, Mapping[str, bytes]], Path]


def lines_of(members: Mapping[str, bytes], delimiter: str = ",") -> list[str]:
    rows = [path.split("/") for path in sorted(members) if path.endswith(".png")]
    return [delimiter.join(["/".join(names), names[1], names[0], f"{names[1]}{names[2][0]}"]) for names in rows]


def written(folder: Path, text: str, **options: Any) -> Path:
    path = folder / "signs.csv"
    path.write_text(text, **{"encoding": "utf-8", **options})
    return path


def faults_of(path: Path) -> tuple[str, ...]:
    with pytest.raises(DataError) as error:
        open_source(path)
    return error.value.faults


@pytest.mark.parametrize(("delimiter", "encoding", "newline"), [(",", "utf-8", "\n"), (";", "utf-8-sig", "\r\n")])
def test_a_manifest_gives_the_source_of_the_folder_and_groups(
    tmp_path: Path, members: dict[str, bytes], to_folder: Write, delimiter: str, encoding: str, newline: str
) -> None:
    folder = open_source(to_folder(tmp_path / "f", members))
    lines = [delimiter.join(["path", "label", "split", "group"]), *reversed(lines_of(members, delimiter)), ""]
    source = open_source(written(tmp_path / "f", newline.join(lines), encoding=encoding, newline=""))
    assert source.name == "signs"
    assert source.ids == folder.ids
    assert source.parts == folder.parts
    assert source.class_names == folder.class_names
    assert source.content.tolist() == folder.content.tolist()
    assert source.groups == tuple(path.split("/")[1] + path.split("/")[2][0] for path in source.ids)
    assert source.digest != folder.digest
    assert source.read(3).tolist() == folder.read(3).tolist()


def test_path_and_label_are_enough_and_other_columns_are_listed(
    tmp_path: Path, flat: dict[str, bytes], to_folder: Write
) -> None:
    paths = [path for path in flat if path.endswith(".png")]
    rows = [f'"{path}",7,"{path.split("/")[0]}, a pet"' for path in paths]
    source = open_source(written(to_folder(tmp_path / "f", flat), "\n".join(["path,splitt,label", *rows])))
    assert source.class_names == ("cat, a pet", "dog, a pet")
    assert set(source.parts) == set(source.groups) == {""}
    assert source.ignored == ("signs.csv: column 'splitt'",)
    assert source.notes == ("columns of signs.csv that were not read: 'splitt'; did you mean 'split'?",)


def test_all_faults_come_at_once(tmp_path: Path, flat: dict[str, bytes], to_folder: Write) -> None:
    folder = to_folder(tmp_path / "f", flat)
    (tmp_path / "out.png").write_bytes(flat["cat/0.png"])
    (folder / "link.png").symlink_to(tmp_path / "out.png")
    rows = [
        "path,label,split",
        "cat/0.png,cat,train",
        "cat/gone.png,cat,train",
        "./cat/0.png,cat,train",
        "cat/1.png,,train",
        "cat/2.png,cat,tets",
        "../out.png,cat,test",
        "link.png,cat,test",
        f"{tmp_path}/out.png,cat,test",
        "cat,cat,test",
        "cat/3.png,cat",
        "cat/4.png, cat,VALID",
        ",cat,test",
        "cat\\5.png,cat,test",
    ]
    expected = {
        11: "2 cells, the first line has 3",
        3: "cat/gone.png: no such file",
        4: "is also on line 2",
        5: "the label is empty",
        6: "unknown split 'tets'; did you mean 'test'?",
        7: "../out.png: leaves the folder",
        8: "link.png: leaves the folder",
        9: "an absolute path",
        10: "cat: not a file",
        12: "has spaces around it",
        13: "the path is empty",
        14: "no such file; write / between folders",
    }
    faults = faults_of(written(folder, "\n".join(rows)))
    assert len(faults) == len(expected)
    for fault, (line, words) in zip(faults, expected.items(), strict=True):
        assert f"line {line}: " in fault
        assert words in fault


def test_files_that_are_no_manifest(tmp_path: Path) -> None:
    for text, words in (
        ("file,label\na.png,cat", "no column 'path' (its first line has 'file', 'label'"),
        ("path,lable\na.png,cat", "no column 'label'; did you mean 'lable'?"),
        ("path,label,path\n", "column 'path' is there twice"),
        ("", "no column 'path' (its first line has nothing"),
        ("path,label\n", "names no picture"),
    ):
        assert any(words in fault for fault in faults_of(written(tmp_path, text))), text
    assert "not UTF-8 at byte 11" in faults_of(written(tmp_path, "path,label\n\xe9.png,cat", encoding="latin-1"))[0]


def test_a_picture_that_cannot_be_read_is_named_like_in_a_folder(
    tmp_path: Path, flat: dict[str, bytes], to_folder: Write
) -> None:
    folder = to_folder(tmp_path / "f", {**flat, "cat/bad.png": b"text"})
    rows = [f"{path},{path.split('/')[0]}" for path in [*flat, "cat/bad.png"] if path.endswith(".png")]
    path = written(folder, "\n".join(["path,label", *rows]))
    assert "cat/bad.png: not a picture" in faults_of(path)[0]
    source = open_source(path, skip_unreadable=True)
    assert (len(source), len(source.unreadable)) == (12, 1)


def test_unlabeled_test_pictures_beside_train_are_told_to_be_for_predict(
    tmp_path: Path, members: dict[str, bytes], to_folder: Write, to_zip: Write
) -> None:
    train = {path: content for path, content in members.items() if path.startswith("train")}
    heap = {f"Test/{i}.png": content for i, content in enumerate(members.values()) if content[:4] == b"\x89PNG"}
    for source in (
        open_source(to_folder(tmp_path / "f", {**train, **heap})),
        open_source(to_zip(tmp_path / "f.zip", {f"top/{path}": data for path, data in {**train, **heap}.items()})),
    ):
        assert set(source.parts) == {"train"}
        assert len(source) == 8
        assert len([path for path in source.ignored if "Test/" in path]) == 12
        (note,) = source.notes
        assert "Test/ holds 12 pictures without class folders" in note
        assert "`handful predict`" in note
    labelled = to_folder(tmp_path / "g", {**members, "test/heap.png": train["train/cat/0.png"]})
    assert "test: pictures directly in a part's folder" in faults_of(labelled)[0]
