"""More than two hundred malformed or unusual files: read correctly, or named in one list; nothing else happens."""

from __future__ import annotations

import io
import os
import tarfile
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hostile_archives import HOSTILE_TARS, HOSTILE_ZIPS
from malformed import PNG, Case, Pixels, channels_first, every_case, put, snapshot, whole

from handful.data.files import shown
from handful.data.images import View
from handful.data.load import load_unlabeled
from handful.data.source import open_source
from handful.errors import DataError

pytestmark = pytest.mark.timeout(60)  # what hangs is stopped


@pytest.fixture(scope="module")
def cases() -> dict[str, Case]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Pillow's about giving a mode
        return every_case()


def wrong(pixels: Pixels, case: Case) -> str:
    """Why pixels are not what a case holds, else ''."""
    if case.holds is None:
        return "read, though it holds nothing that can be"
    expected = channels_first(case.holds)
    if len(expected) == 1 and len(pixels) == 3:  # grey is grey, in one channel or in three equal ones
        expected = np.repeat(expected, 3, axis=0)
    if pixels.shape != expected.shape:
        return f"shape {pixels.shape}, not {expected.shape}"
    worst = int(np.abs(pixels.astype(int) - expected).max())
    return f"off by {worst}, at most {case.within}" if worst > case.within else ""


def test_there_are_two_hundred_of_them(cases: dict[str, Case]) -> None:
    assert len(cases) + len(HOSTILE_ZIPS) + len(HOSTILE_TARS) >= 200


def test_every_file_is_read_correctly_or_named_in_one_list(place: Path, cases: dict[str, Case]) -> None:
    put(place, {f"odd/{name}": case.data for name, case in cases.items()} | {"plain/a.png": whole("png")})
    before = snapshot(place)
    source = open_source(place, skip_unreadable=True)
    faults = dict(source.unreadable)
    assert all(why and why.isprintable() and len(why) < 200 for why in faults.values())
    ids = set(source.ids)
    problems = []
    for name, case in cases.items():
        path = f"odd/{name}"
        if (path in ids) == (path in faults):
            problems.append(f"{name!r}: neither read nor named, or both")
        elif path in faults:
            if case.holds is not None and not case.or_named:
                problems.append(f"{name!r}: named ({faults[path]}), though it can be read")
        elif fault := wrong(source.read(source.ids.index(path)), case):
            problems.append(f"{name!r}: {fault}")
    assert problems == [], "\n".join(problems)
    assert snapshot(place) == before
    with pytest.raises(DataError) as error:
        open_source(place)
    assert len(error.value.faults) == len(faults)
    for path in faults:
        assert sum(line.startswith(f"{shown(path)}: ") for line in error.value.faults) == 1


def test_a_folder_to_predict_names_the_same_files(place: Path, cases: dict[str, Case]) -> None:
    put(place, {name: case.data for name, case in cases.items()})
    ids, pixels, faults, ignored = load_unlabeled(place, View(size=8), 3, skip_unreadable=True)
    assert len(ids) == len(pixels)
    assert sorted([*ids, *(path for path, _ in faults)]) == sorted(cases)
    assert ignored == ()
    certain = {name for name, case in cases.items() if case.holds is None}
    assert certain <= {path for path, _ in faults}
    assert {path for path, _ in faults} <= certain | {name for name, case in cases.items() if case.or_named}


@pytest.mark.skipif(os.name == "nt", reason="links and pipes as on Unix")
def test_what_is_no_file_in_a_folder_is_named(place: Path) -> None:
    put(place, {"cat/a.png": whole("png"), "dog/a.png": whole("png"), "deep/x.png/inside.png": whole("png")})
    outside = place.parent / "beside"
    for name, target in {
        "cat/out.png": outside / "x.png",
        "cat/up.png": Path("../../beside/x.png"),
        "cat/etc.png": Path("/etc/passwd"),
        "cat/endless.png": Path("/dev/zero"),
        "cat/gone.png": Path("nowhere.png"),
        "cat/self.png": Path("self.png"),
        "cat/there.png": Path("back.png"),
        "cat/back.png": Path("there.png"),
        "elsewhere": outside,
        "dog/loop": place,
        "dog/root": Path("/"),
    }.items():
        (place / name).symlink_to(target)
    os.mkfifo(place / "cat" / "pipe.png")
    expected = {"cat/out.png", "cat/up.png", "cat/etc.png", "cat/endless.png", "cat/gone.png", "cat/self.png"}
    expected |= {"cat/there.png", "cat/back.png", "elsewhere", "dog/loop", "dog/root", "cat/pipe.png", "deep"}
    with pytest.raises(DataError) as error:
        open_source(place)
    lines = [line.removeprefix(f"{place}: ") for line in error.value.faults]
    assert sorted(line.split(":")[0] for line in lines) == sorted(expected)


def test_a_folder_named_like_a_picture_is_no_picture(place: Path) -> None:
    put(place, {"cat/a.png": whole("png"), "dog.png/a.png": whole("png")})
    source = open_source(place)
    assert source.class_names == ("cat", "dog.png")
    assert source.ids == ("cat/a.png", "dog.png/a.png")


def test_the_odd_files_are_the_same_in_archives(place: Path, cases: dict[str, Case]) -> None:
    """A zip and a tar give what the folder gives, names included."""
    files = {f"odd/{name}": case.data for name, case in cases.items() if "\\" not in name} | {"plain/a.png": PNG}
    put(place / "f", files)
    with zipfile.ZipFile(place / "f.zip", "w") as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name), data)
    with tarfile.open(place / "f.tar", "w") as tar:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    folder, in_zip, in_tar = (open_source(place / name, skip_unreadable=True) for name in ("f", "f.zip", "f.tar"))
    assert folder == in_zip == in_tar
