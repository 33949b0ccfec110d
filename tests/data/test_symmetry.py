"""Flips: mirror classes are found, indifferent classes are safe, and noise is no finding."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.datasets import load_digits

from handful.data.symmetry import _sign_test, find_symmetries, holm, surely_mirrored


def arrow(kind: str, num: int, seed: int) -> np.ndarray:
    """uint8 [num, 1, 32, 32]: a triangle pointing right or left, an upright bar or a disc, moved a little, noisy."""
    stream = np.random.default_rng(seed)
    made = np.zeros((num, 1, 32, 32))
    rows, columns = np.mgrid[:32, :32]
    for place in range(num):
        down, across = rows - 16 - stream.integers(-1, 2), columns - 16 - stream.integers(-1, 2)
        if kind in ("left", "right"):
            along = across if kind == "right" else -across
            shape = (along > -8) & (abs(down) < (8 - along) / 2)
        else:
            shape = (abs(across) < 3) & (abs(down) < 12) if kind == "bar" else down**2 + across**2 < 64
        made[place, 0] = 60 + 120 * shape
    return (made + stream.normal(0, 8, made.shape)).clip(0, 255).astype(np.uint8)


def found(kinds: list[str], num: int = 14):
    pixels = np.concatenate([arrow(kind, num, seed) for seed, kind in enumerate(kinds)])
    labels = np.repeat(np.arange(len(kinds)), num)
    return {one.operation: one for one in find_symmetries(pixels, labels, len(kinds))}


def test_a_mirror_pair_is_found_and_the_rest_is_safe():
    flips = found(["left", "right", "bar", "disc"])
    horizontal = flips["horizontal flip"]
    (turn,) = horizontal.turns
    assert (turn.first, turn.second) == (0, 1)
    assert turn.to_second == turn.to_first == (14, 0, 14)
    assert turn.p < 1e-5
    assert turn.farther == pytest.approx(1, abs=0.25)
    assert horizontal.verdict == "unsafe"
    assert [one.verdict for one in horizontal.classes] == ["unsafe", "unsafe", "safe", "safe"]
    assert flips["vertical flip"].verdict == "safe"
    assert flips["vertical flip"].turns == ()
    assert flips["half turn"].verdict == "unsafe"
    assert flips["diagonal flip"].turns == ()


def test_classes_that_are_each_other_s_transpose_make_the_diagonal_flip_unsafe():
    right, down = arrow("right", 14, 0), arrow("right", 14, 1).swapaxes(2, 3)
    flips = {one.operation: one for one in find_symmetries(np.concatenate([right, down]), np.repeat([0, 1], 14), 2)}
    (turn,) = flips["diagonal flip"].turns
    assert turn.to_second == turn.to_first == (14, 0, 14)
    assert flips["diagonal flip"].verdict == "unsafe"
    upright = np.concatenate(
        [arrow("disc", 14, 0), np.maximum(arrow("bar", 14, 1), arrow("bar", 14, 2).swapaxes(2, 3))]
    )
    crosses = {one.operation: one for one in find_symmetries(upright, np.repeat([0, 1], 14), 2)}
    assert crosses["diagonal flip"].verdict == "safe"


def test_a_class_that_only_looks_foreign_when_flipped_is_no_mirror_pair():
    flips = found(["right", "bar", "disc"])
    horizontal = flips["horizontal flip"]
    assert horizontal.turns == ()
    assert all(one.verdict == "safe" for one in horizontal.classes[1:])


def test_a_pair_that_is_near_only_for_want_of_another_class_lies_far_from_it():
    """A triangle pointing down, upside down, is nearest to one pointing to the side, yet is none."""
    pixels = np.concatenate([arrow("right", 14, 0), np.rot90(arrow("right", 14, 1), 1, axes=(2, 3))])
    flips = {one.operation: one for one in find_symmetries(pixels, np.repeat([0, 1], 14), 2)}
    left = np.concatenate([arrow("left", 14, 0), arrow("right", 14, 1)])
    true = {one.operation: one for one in find_symmetries(left, np.repeat([0, 1], 14), 2)}["horizontal flip"]
    far = [turn.farther for one in flips.values() for turn in one.turns]
    assert far
    assert min(far) > 1.35 > true.turns[0].farther
    assert surely_mirrored("horizontal flip", true.turns[0])
    assert not surely_mirrored("vertical flip", true.turns[0])
    assert not any(surely_mirrored("horizontal flip", turn) for one in flips.values() for turn in one.turns)
    assert not surely_mirrored("horizontal flip", replace(true.turns[0], p=0.02))
    assert not surely_mirrored("horizontal flip", replace(true.turns[0], to_first=(4, 0, 30), to_second=(12, 0, 30)))


@pytest.mark.parametrize("num", [100, 200, 400])
def test_digits_that_only_resemble_each_other_mirrored_are_no_sure_pair(num):
    """Five and seven, three and eight, two and five: nearest to each other when flipped, yet no pictures of it."""
    digits = load_digits()
    pixels = (digits.images * 15).astype(np.uint8)[:, None].repeat(4, axis=2).repeat(4, axis=3)
    unsafe = 0
    for seed in range(6):
        rows = np.random.default_rng(seed).choice(len(pixels), num, replace=False)
        for one in find_symmetries(pixels[rows], digits.target[rows], 10):
            unsafe += len(one.turns)
            assert not any(surely_mirrored(one.operation, turn) for turn in one.turns)
    assert unsafe


def test_noise_is_no_finding():
    stream = np.random.default_rng(3)
    for _ in range(5):
        pixels = stream.integers(0, 256, (60, 1, 32, 32), dtype=np.uint8)
        for one in find_symmetries(pixels, np.repeat(np.arange(6), 10), 6):
            assert one.turns == ()
            assert one.verdict == "cannot tell"


def test_classes_without_or_with_one_picture_are_no_reason_to_fail():
    pixels = arrow("left", 3, 0)
    (horizontal, *_) = find_symmetries(pixels, np.array([0, 2, 2]), 4)
    assert [(one.label, one.num, one.verdict) for one in horizontal.classes] == [
        (0, 1, "cannot tell"),
        (2, 2, "cannot tell"),
    ]


@pytest.mark.parametrize(("up", "down"), [(0, 3), (3, 0), (12, 1), (5, 5)])
def test_the_sign_test_is_scipys(up: int, down: int):
    assert _sign_test(up, down) == pytest.approx(binomtest(up, up + down, alternative="greater").pvalue)


def test_holm_by_hand():
    assert holm(np.array([0.04, 0.01, 0.03])).tolist() == pytest.approx([0.06, 0.03, 0.06])
    assert holm(np.array([0.5, 0.9])).tolist() == [1.0, 1.0]
    assert holm(np.zeros(0)).shape == (0,)
