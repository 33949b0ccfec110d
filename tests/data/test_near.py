"""Near copies: the hash moves little under small changes, and the search misses no pair."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from handful.data.near import clusters, correlations, distances, hashes, luma, near_pairs

NOISE = np.random.default_rng(0)


def scenes(num: int, size: int = 64) -> np.ndarray:
    """uint8 [num, 3, size, size], smooth random pictures."""
    coarse = NOISE.integers(0, 256, (num, 16, 16, 3), dtype=np.uint8)
    made = [np.asarray(Image.fromarray(one).resize((size, size), Image.Resampling.BICUBIC)) for one in coarse]
    return np.stack(made).transpose(0, 3, 1, 2)


def recompressed(picture: np.ndarray) -> np.ndarray:
    file = io.BytesIO()
    half = Image.fromarray(picture.transpose(1, 2, 0)).resize((48, 48), Image.Resampling.BICUBIC)
    half.save(file, "JPEG", quality=75)
    return np.asarray(Image.open(file)).transpose(2, 0, 1)


def brute_force(values: np.ndarray, distance: int) -> np.ndarray:
    return np.array([[(int(a) ^ int(b)).bit_count() <= distance for b in values] for a in values])


def test_a_smaller_recompressed_copy_is_near_and_another_picture_is_not():
    originals = scenes(40)
    mine, theirs = hashes(originals), hashes([recompressed(one) for one in originals])
    assert (distances(mine, theirs) <= 4).all()
    assert (distances(mine, np.roll(theirs, 1)) > 12).all()


def test_brightness_and_grey_do_not_count():
    original = scenes(10)
    darker = (original * 0.6 + 30).astype(np.uint8)
    assert (distances(hashes(original), hashes(darker)) <= 4).all()
    assert np.array_equal(hashes(original), hashes(np.repeat(luma(original)[:, None], 3, axis=1)))


@pytest.mark.parametrize("value", [0, 7, 255])
def test_a_picture_of_one_colour_has_hash_zero(value):
    assert hashes(np.full((2, 3, 32, 32), value, np.uint8)).tolist() == [0, 0]


def test_symmetric_pictures_do_not_hash_rounding_noise():
    half = NOISE.integers(0, 256, (5, 1, 32, 16), dtype=np.uint8)
    whole = np.concatenate([half, half[..., ::-1]], axis=-1)
    assert np.array_equal(hashes(whole), hashes(np.ascontiguousarray(whole[..., ::-1])))


def test_no_pictures_have_no_hashes():
    assert hashes(np.zeros((0, 3, 32, 32), np.uint8)).shape == (0,)
    assert near_pairs(np.zeros(0, np.uint64), 4).shape == (0, 2)


def test_luma_is_pillows():
    pixels = NOISE.integers(0, 256, (1, 3, 50, 50), dtype=np.uint8)
    assert np.array_equal(luma(pixels)[0], np.asarray(Image.fromarray(pixels[0].transpose(1, 2, 0)).convert("L")))


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=12),
    st.lists(st.tuples(st.integers(0, 11), st.sets(st.integers(0, 63), max_size=9)), max_size=12),
    st.integers(0, 64),
)
def test_the_search_is_complete_and_true(base, changed, distance):
    """Rows of one hash are paired with the first of them, which stands for all: the clusters are those of all pairs."""
    numbers = base + [base[at % len(base)] ^ sum(1 << bit for bit in bits) for at, bits in changed]
    values = np.array(numbers, dtype=np.uint64)
    pairs = near_pairs(values, distance)
    close = brute_force(values, distance)
    assert (pairs[:, 0] < pairs[:, 1]).all()
    assert close[pairs[:, 0], pairs[:, 1]].all()
    first = {number: row for row, number in reversed(list(enumerate(numbers)))}
    wanted = {
        (row, other)
        for row in range(len(numbers))
        for other in range(row + 1, len(numbers))
        if close[row, other]
        and (first[numbers[row]] == row)
        and (first[numbers[other]] == other or numbers[row] == numbers[other])
    }
    assert {tuple(pair) for pair in pairs.tolist()} == wanted
    every = np.argwhere(np.triu(close, 1))
    assert np.array_equal(clusters(len(values), pairs), clusters(len(values), every))


def test_clusters_are_named_after_their_smallest_row():
    assert clusters(6, np.array([[4, 2], [2, 5], [0, 1]])).tolist() == [0, 0, 2, 3, 2, 2]
    assert clusters(3, np.zeros((0, 2), np.int64)).tolist() == [0, 1, 2]


def test_a_thousand_equal_hashes_are_no_million_pairs():
    assert len(near_pairs(np.full(1000, 7, np.uint64), 4)) == 999


def test_correlations_are_pearsons():
    pixels = scenes(3, 32)
    grey = luma(pixels).reshape(3, -1).astype(float)
    found = correlations(pixels, np.array([[0, 1], [1, 2], [0, 0]]))
    wanted = [np.corrcoef(grey[0], grey[1])[0, 1], np.corrcoef(grey[1], grey[2])[0, 1], 1]
    assert found == pytest.approx(wanted)
    assert correlations(np.zeros((2, 1, 8, 8), np.uint8), np.array([[0, 1]])).tolist() == [0]


def test_a_distance_that_no_hash_can_have_is_refused():
    with pytest.raises(ValueError, match=r"65 bits; must be in \[0, 64\]"):
        near_pairs(np.zeros(2, np.uint64), 65)
