"""Features kept by content: what is kept is what was computed, whoever computed it, and there is an end to it."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from handful.data.cache import cache_dir
from handful.measure import feature_cache
from handful.measure.feature_cache import cached_features

KEY = "ab" * 32


def digests(*names):
    return np.array([f"{name:032d}" for name in names], dtype="S32")


class Extractor:
    """Features that tell which picture they are of, and how often it was computed."""

    def __init__(self, contents, width=3):
        self.values = np.array([int(digest) for digest in contents.tolist()], dtype=np.float32)
        self.width = width
        self.asked = []

    def __call__(self, rows):
        self.asked.extend(self.values[rows].astype(int).tolist())
        return np.repeat(self.values[rows, None], self.width, axis=1) + np.arange(self.width, dtype=np.float32)


def features_of(*names, key=KEY):
    contents = digests(*names)
    extractor = Extractor(contents)
    found = cached_features(key, contents, extractor)
    expected = np.array(names, dtype=np.float32)[:, None] + np.arange(3)
    np.testing.assert_array_equal(found, expected.reshape(-1, 3))
    assert found.dtype == np.float32
    return extractor.asked


def test_every_picture_is_computed_once_also_where_it_is_there_twice():
    assert features_of(5, 3, 5, 9, 3) == [5, 3, 9]
    assert features_of(5, 3, 5, 9, 3) == []
    assert features_of(9, 5) == []


def test_of_a_set_that_is_kept_in_part_only_the_rest_is_computed():
    features_of(1, 2, 3)
    assert features_of(4, 3, 5, 1) == [4, 5]
    assert features_of(5, 4, 3, 2, 1, 0) == [0]


def test_another_extractor_does_not_see_them():
    features_of(1, 2)
    assert features_of(1, 2, key="cd" * 32) == [1, 2]


def test_no_pictures_have_no_rows_but_a_width():
    extractor = Extractor(digests())
    assert cached_features(KEY, digests(), extractor).shape == (0, 3)


def test_many_pictures_are_computed_and_kept_in_shards(monkeypatch):
    monkeypatch.setattr(feature_cache, "SHARD", 4)
    done = []
    contents = digests(*range(10))
    extractor = Extractor(contents)
    cached_features(KEY, contents, extractor, lambda *at: done.append(at))
    assert done == [(0, 10), (4, 10), (8, 10), (10, 10)]
    assert len(list(cache_dir().glob("features/*/*.index.npy"))) == 3
    assert features_of(*range(10)) == []


def test_what_was_made_before_a_failure_is_kept(monkeypatch):
    monkeypatch.setattr(feature_cache, "SHARD", 2)
    contents = digests(1, 2, 3, 4)
    extractor = Extractor(contents)

    def fails(rows):
        if 2 in rows:
            raise KeyboardInterrupt
        return extractor(rows)

    with pytest.raises(KeyboardInterrupt):
        cached_features(KEY, contents, fails)
    assert features_of(1, 2, 3, 4) == [3, 4]


@pytest.mark.parametrize("which", ["*.index.npy", "*3.npy"])
@pytest.mark.parametrize("spoil", ["cut", "flip", "empty"])
def test_a_spoilt_file_is_computed_again(which, spoil):
    features_of(1, 2, 3)
    (path,) = cache_dir().glob(f"features/*/{which}")
    data = bytearray(path.read_bytes())
    data[-12] ^= 1
    path.write_bytes({"cut": bytes(data[:-20]), "flip": bytes(data), "empty": b""}[spoil])
    assert features_of(1, 2, 3) == [1, 2, 3]
    assert features_of(1, 2, 3) == []


def test_a_shard_that_has_lost_its_rows_is_computed_again():
    features_of(1, 2)
    for path in cache_dir().glob("features/*/*3.npy"):
        path.unlink()
    assert features_of(1, 2) == [1, 2]


def test_several_at_once_get_the_right_rows_and_leave_the_cache_whole():
    orders = [np.random.default_rng(seed).permutation(40)[:25] for seed in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda order: features_of(*order.tolist()), orders))
    assert features_of(*sorted(set(np.concatenate(orders).tolist()))) == []
    assert not [path for path in cache_dir().rglob("*") if path.name.startswith(".")]


def test_the_cache_has_an_end_and_what_was_read_last_stays(monkeypatch):
    monkeypatch.setattr(feature_cache, "MOST_SHARDS", 3)
    for name in (1, 2, 3):
        features_of(name)
        age(name)
    features_of(1)  # read again, so now 2 is the one not read for longest
    features_of(4)
    assert features_of(1, 3, 4) == []
    assert features_of(2) == [2]


def test_bytes_are_counted_and_the_newest_shard_always_stays(monkeypatch):
    monkeypatch.setattr(feature_cache, "MOST_BYTES", 10)
    features_of(1)
    age(1)
    assert features_of(2) == [2]
    assert features_of(2) == []
    assert features_of(1) == [1]


def test_what_a_killed_process_left_is_cleared_away(monkeypatch):
    monkeypatch.setattr(feature_cache, "MOST_SHARDS", 2)
    features_of(1)
    (folder,) = cache_dir().glob("features/*")
    left = [folder / ".abcdef-1x3-tmp", folder / f"{'0' * 32}-1x3.npy"]
    for path in left:
        path.write_bytes(b"half")
        os.utime(path, (1, 1))
    features_of(2)
    assert not any(path.exists() for path in left)
    assert features_of(1, 2) == []


def test_a_cache_that_cannot_be_written_is_a_warning_and_the_features_are_right(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HANDFUL_CACHE", str(tmp_path / "file" / "below"))
    with pytest.warns(UserWarning, match="HANDFUL_CACHE"):
        assert features_of(2, 1, 2) == [2, 1]


def age(name: int) -> None:
    """Let the shard of one picture be as old as its name says."""
    for index in cache_dir().glob("features/*/*.index.npy"):
        if int(np.load(index)[0]) == name:
            for path in (index, index.with_name(index.name.replace(".index.npy", ".npy"))):
                os.utime(path, (1000 + name, 1000 + name))
