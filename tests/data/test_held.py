"""Between the scan of a source and its first load no picture is decoded twice, and memory stays bounded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from handful.data import decode as decoding
from handful.data.held import HELD, Held
from handful.data.images import View
from handful.data.load import load
from handful.data.source import open_source
from handful.errors import DataError

Write = Callable[[Path, Mapping[str, bytes]], Path]


@pytest.fixture(autouse=True)
def nothing_held() -> None:
    HELD.clear()


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The bytes of every file that is decoded from now on."""
    found: list[bytes] = []
    real = decoding.decode

    def counting(data: bytes) -> np.ndarray:
        found.append(data)
        return real(data)

    monkeypatch.setattr(decoding, "decode", counting)
    monkeypatch.setattr("handful.data.originals.decode", counting)
    return found


def picture(value: int, size: int = 10) -> np.ndarray:
    return np.full((1, 1, size), value, np.uint8)


def test_opening_and_loading_decode_each_picture_once(
    tmp_path: Path, flat: dict[str, bytes], to_folder: Write, to_zip: Write, decoded: list[bytes]
) -> None:
    pictures = sorted(data for path, data in flat.items() if path.endswith(".png"))
    folder = to_folder(tmp_path / "f", flat)
    images = load(open_source(folder), View(size=4))
    assert sorted(decoded) == pictures
    assert HELD.size == 0
    decoded.clear()
    again = load(open_source(folder), View(size=5))
    assert sorted(decoded) == pictures  # the scan was found in the cache, so nothing was held
    decoded.clear()
    assert len(images) == len(again) == len(load(open_source(to_zip(tmp_path / "f.zip", flat)), View(size=6)))
    assert sorted(decoded) == pictures


def test_what_was_held_and_what_is_decoded_anew_are_the_same(
    tmp_path: Path, flat: dict[str, bytes], to_folder: Write
) -> None:
    source = open_source(to_folder(tmp_path / "f", flat))
    held = [picture for _, picture in sorted(source.read_all())]
    assert HELD.size == 0
    for one, other in zip(held, sorted(source.read_all()), strict=True):
        np.testing.assert_array_equal(one, other[1])


def test_a_file_that_changed_is_found_although_its_old_picture_is_held(
    tmp_path: Path, flat: dict[str, bytes], to_folder: Write
) -> None:
    folder = to_folder(tmp_path / "f", flat)
    source = open_source(folder)
    (folder / source.ids[0]).write_bytes((folder / source.ids[1]).read_bytes())
    with pytest.raises(DataError, match="changed since the source was opened"):
        load(source, View(size=4))


def test_the_oldest_go_where_there_are_too_many() -> None:
    held = Held(25)
    for value in range(4):
        held.put(bytes([value]), picture(value))
    assert held.size == 20
    assert [held.pop(bytes([value])) is None for value in range(4)] == [True, True, False, False]
    assert held.size == 0


def test_a_picture_is_given_out_once_and_too_large_a_one_is_not_held() -> None:
    held = Held(25)
    held.put(b"large", picture(1, 26))
    held.put(b"a", picture(2))
    held.put(b"a", picture(2))
    assert held.size == 10
    np.testing.assert_array_equal(held.pop(b"a"), picture(2))  # type: ignore[arg-type]
    assert held.pop(b"a") is None
    assert held.pop(b"large") is None
