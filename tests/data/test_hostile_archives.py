"""Archives that are spoilt or mean harm: every picture is read, or one line names what is to blame."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from hostile_archives import END, GOOD, GOOD_TAR, HOSTILE_TARS, HOSTILE_ZIPS
from malformed import RGB, channels_first, put, snapshot

from handful.data.files import shown
from handful.data.source import Source, open_source
from handful.errors import DataError

pytestmark = pytest.mark.timeout(60)  # what hangs is stopped


def outcome(path: Path) -> Source | tuple[str, ...]:
    try:
        return open_source(path)
    except DataError as error:
        return error.faults


def check_archive(path: Path, blamed: str, wanted: set[str]) -> None:
    """Where nothing is to blame every picture is right; else one line names what is, and no other line is there."""
    found = outcome(path)
    if blamed:
        assert not isinstance(found, Source), "opened, though it should not be"
        assert all(shown(blamed) in line for line in found), found
        assert len(found) == 1, found
        return
    assert isinstance(found, Source), found
    assert wanted <= set(found.ids)
    for _, picture in found.read_all():
        np.testing.assert_array_equal(picture, channels_first(RGB))


@pytest.mark.parametrize("name", HOSTILE_ZIPS)
def test_a_hostile_zip_is_read_correctly_or_named(place: Path, name: str) -> None:
    data, blamed = HOSTILE_ZIPS[name]
    put(place, {"given.zip": data})
    before = snapshot(place)
    check_archive(place / "given.zip", blamed, set(GOOD))
    assert snapshot(place) == before


@pytest.mark.parametrize("packed", [False, True], ids=["tar", "tar.gz"])
@pytest.mark.parametrize("name", HOSTILE_TARS)
def test_a_hostile_tar_is_read_correctly_or_named(place: Path, name: str, packed: bool) -> None:
    data, blamed = HOSTILE_TARS[name]
    put(place, {"given.tar.gz" if packed else "given.tar": gzip.compress(data) if packed else data})
    before = snapshot(place)
    check_archive(next(place.iterdir()), blamed, set(GOOD))
    assert snapshot(place) == before


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.8, 0.99])
def test_a_gzip_cut_short_is_named(place: Path, share: float) -> None:
    data = gzip.compress(GOOD_TAR + END)
    put(place, {"given.tgz": data[: int(len(data) * share)]})
    check_archive(place / "given.tgz", "given", set())
