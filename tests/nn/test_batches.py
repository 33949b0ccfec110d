"""Which pictures each step sees."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handful.nn.batches import Batches

SIZES = st.tuples(st.integers(1, 60), st.integers(1, 70), st.integers(0, 2**63 - 1))
QUICK = settings(max_examples=40, deadline=None, derandomize=True)


def stream(batches, steps):
    """index, epoch and slot of the first steps, one after another."""
    found = [batches.at(step) for step in range(steps)]
    return tuple(np.concatenate([getattr(batch, name) for batch in found]) for name in ("index", "epoch", "slot"))


def steps_of(epochs, num, batch_size):
    return -(-epochs * num // batch_size)


@QUICK
@given(SIZES)
def test_every_epoch_is_a_permutation(sizes):
    num, batch_size, seed = sizes
    index, epoch, _ = stream(Batches(num, batch_size, seed), steps_of(3, num, batch_size))
    for one in range(3):
        assert sorted(index[epoch == one]) == list(range(num))
        assert (epoch[one * num : (one + 1) * num] == one).all()


@QUICK
@given(SIZES, st.booleans())
def test_batches_are_full_across_the_ends_of_epochs(sizes, balanced):
    num, batch_size, seed = sizes
    batches = Batches(num, batch_size, seed, np.arange(num) % 3 if balanced else None)
    for step in range(5):
        batch = batches.at(step)
        assert batch.step == step
        assert len(batch.index) == len(batch.epoch) == len(batch.slot) == batch_size
        assert batch.index.dtype == np.int64
        assert ((batch.index >= 0) & (batch.index < num)).all()


@QUICK
@given(SIZES, st.lists(st.integers(0, 30), min_size=1, max_size=12), st.booleans())
def test_a_batch_depends_on_seed_and_step_alone(sizes, asked, balanced):
    """In any order of asking, backwards too, and from a fresh object."""
    num, batch_size, seed = sizes
    labels = np.arange(num) % 4 if balanced else None
    used = Batches(num, batch_size, seed, labels)
    for step in [*asked, *reversed(asked)]:
        one, fresh = used.at(step), Batches(num, batch_size, seed, labels).at(step)
        np.testing.assert_array_equal(one.index, fresh.index)
        np.testing.assert_array_equal(one.epoch, fresh.epoch)
        np.testing.assert_array_equal(one.slot, fresh.slot)


@QUICK
@given(SIZES, st.booleans())
def test_each_draw_has_a_name_of_its_own(sizes, balanced):
    """No two draws share (epoch, slot), and slots are in [0, N)."""
    num, batch_size, seed = sizes
    _, epoch, slot = stream(Batches(num, batch_size, seed, np.arange(num) % 2 if balanced else None), 6)
    assert len(set(zip(epoch.tolist(), slot.tolist(), strict=True))) == len(epoch)
    assert ((slot >= 0) & (slot < num)).all()


def test_a_picture_s_name_does_not_depend_on_the_batch_size():
    small, large = (stream(Batches(12, size, 0), 24 // size) for size in (3, 8))
    for mine, theirs in zip(small, large, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    index, _, slot = small
    np.testing.assert_array_equal(index, slot)  # the picture itself, so its augmentation is the same in any order


def test_other_seeds_and_other_epochs_have_other_orders():
    one, other = (stream(Batches(50, 50, seed), 2)[0] for seed in (0, 1))
    assert (one != other).any()
    assert (one[:50] != one[50:]).any()


LABELS = st.lists(st.integers(0, 4), min_size=1, max_size=60).map(np.array)


@QUICK
@given(LABELS, st.integers(1, 40), st.integers(0, 2**63 - 1))
def test_every_class_present_gets_the_same_share_of_an_epoch(labels, batch_size, seed):
    num = len(labels)
    index, epoch, _ = stream(Batches(num, batch_size, seed, labels), steps_of(2, num, batch_size))
    present = np.unique(labels)
    for one in range(2):
        counts = np.array([(labels[index[epoch == one]] == label).sum() for label in present])
        assert counts.sum() == num
        assert counts.max() - counts.min() <= 1


def test_every_class_present_gets_the_same_share_of_every_batch():
    labels = np.array([0] * 40 + [1] * 6 + [3] * 2)
    batches = Batches(len(labels), 12, 0, labels)
    for step in range(40):
        counts = np.bincount(labels[batches.at(step).index], minlength=4)[[0, 1, 3]]
        assert counts.max() - counts.min() <= 1


@QUICK
@given(LABELS, st.integers(0, 2**63 - 1))
def test_the_pictures_of_a_class_are_taken_in_turn(labels, seed):
    """No picture of a class is ever seen twice more often than another: none is lost."""
    num, present = len(labels), np.unique(labels)
    largest = max((labels == label).sum() for label in present)
    rounds = 2 * largest * len(present)  # in so many draws every class had two turns over all of its pictures
    index, _, _ = stream(Batches(num, 1, seed, labels), rounds + len(present))
    assert set(index.tolist()) == set(range(num))
    for label in present:
        counts = np.bincount(index[labels[index] == label], minlength=num)[labels == label]
        assert counts.max() - counts.min() <= 1


def test_a_rare_picture_is_repeated_before_its_epoch_is_over():
    labels = np.array([0] * 30 + [1] * 2)
    index, _, _ = stream(Batches(32, 32, 0, labels), 1)
    assert np.bincount(index, minlength=32)[30:].tolist() == [8, 8]


@pytest.mark.parametrize("labels", [None, np.array([1])])
def test_one_picture_fills_a_batch(labels):
    batch = Batches(1, 5, 0, labels).at(3)
    assert batch.index.tolist() == [0] * 5
    assert batch.epoch.tolist() == [15, 16, 17, 18, 19]
