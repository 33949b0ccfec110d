"""Small pictures in folders and archives, a guarded folder, and the published road signs rebuilt with their copies."""

from __future__ import annotations

import csv
import io
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image


def _png(pixels: NDArray[np.uint8]) -> bytes:
    file = BytesIO()
    Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="session")
def png() -> Callable[[NDArray[np.uint8]], bytes]:
    """uint8 [C, H, W] -> the bytes of a PNG."""
    return _png


@pytest.fixture(scope="session")
def pixels() -> NDArray[np.uint8]:
    """uint8 [12, 3, 6, 6], all different: six of class 'cat' (train, train, train, train, test, test), six of 'dog'."""
    return np.random.default_rng(0).integers(0, 256, (12, 3, 6, 6), dtype=np.uint8)


@pytest.fixture(scope="session")
def members(pixels: NDArray[np.uint8]) -> dict[str, bytes]:
    """Path -> bytes of `pixels` under train/ and test/, with a file beside them."""
    found = {"README.txt": b"nothing here"}
    for number, picture in enumerate(pixels):
        name, place = ("cat", "dog")[number // 6], number % 6
        found[f"{'train' if place < 4 else 'test'}/{name}/{place}.png"] = _png(picture)
    return found


@pytest.fixture(scope="session")
def flat(members: Mapping[str, bytes]) -> dict[str, bytes]:
    """The same pictures in class folders, without parts."""
    return {path.split("/", 1)[-1]: content for path, content in members.items()}


@pytest.fixture(scope="session")
def to_folder() -> Callable[[Path, Mapping[str, bytes]], Path]:
    def write(root: Path, members: Mapping[str, bytes]) -> Path:
        root.mkdir(parents=True, exist_ok=True)
        for path, content in members.items():
            place = root / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
        return root

    return write


@pytest.fixture(scope="session")
def to_zip() -> Callable[[Path, Mapping[str, bytes]], Path]:
    def write(path: Path, members: Mapping[str, bytes]) -> Path:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in members.items():
                archive.writestr(name, content)
        return path

    return write


@pytest.fixture(scope="session")
def to_tar() -> Callable[[Path, Mapping[str, bytes]], Path]:
    def write(path: Path, members: Mapping[str, bytes]) -> Path:
        with tarfile.open(path, "w:gz" if path.name.endswith("gz") else "w") as archive:
            for name, content in members.items():
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
        return path

    return write


@pytest.fixture(scope="session")
def published_signs(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ten classes of road signs as published, 520 training and 340 test files, copies included."""
    root = tmp_path_factory.mktemp("signs")
    archive = zipfile.ZipFile(real_data / "traffic-signs" / "traffic-signs-10.zip")
    with archive, archive.open("manifest.csv") as file:
        for row in csv.DictReader(io.TextIOWrapper(file, "utf-8")):
            place = root / row["path"]
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(archive.read(row["duplicate_of"] or row["path"]))
    return root


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder to put a set of pictures into; at the end nothing outside it has changed, nor in it."""
    for name in ("above.txt", "x.png", "a.png", "work/here.txt", "work/sets/beside/x.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"sentinel")
    monkeypatch.chdir(tmp_path / "work")
    folder = tmp_path / "work" / "sets" / "given"
    folder.mkdir()
    yield folder
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if folder not in path.parents}
    assert left == {"above.txt", "x.png", "a.png", "work", "work/here.txt", "work/sets", "work/sets/beside",
                    "work/sets/beside/x.png", "work/sets/given"}  # fmt: skip
    for name in ("above.txt", "x.png", "a.png", "work/here.txt", "work/sets/beside/x.png"):
        assert (tmp_path / name).read_bytes() == b"sentinel"
