"""Balance: weights, shares, and how many pictures a class is given."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handful.data.balance import (
    BALANCES,
    Balance,
    Composition,
    amounts,
    balance_table,
    balance_words,
    capped,
    copied_rows,
    kept_of,
    read_balance,
    weights_of,
)
from handful.errors import ConfigError
from handful.nn.batches import Batches

QUICK = settings(max_examples=60, deadline=None, derandomize=True)
COUNTS = st.lists(st.integers(0, 40), min_size=1, max_size=6).filter(any).map(np.array)
AMOUNTS = st.one_of(
    st.none(),
    st.builds(lambda n: {"add": n}, st.integers(1, 30)),
    st.builds(lambda n: {"fill_to": n}, st.one_of(st.just("largest"), st.integers(1, 60))),
    st.builds(lambda x: {"fill_level": x}, st.floats(0, 1)),
)
COMPOSITIONS = st.builds(
    Composition,
    cap=st.one_of(st.none(), st.just("smallest"), st.integers(1, 30)),
    amount=AMOUNTS,
    enlarge=st.integers(0, 3),
    enlarge_synthetic=st.booleans(),
)


def test_weights_have_their_closed_forms_and_a_mean_of_one():
    counts = np.array([90, 9, 1, 0])
    inverse = weights_of(Balance(weights="inverse"), counts)
    np.testing.assert_allclose(inverse, [100 / (3 * 90), 100 / (3 * 9), 100 / 3, 0])
    effective = weights_of(Balance(weights="effective-number", beta=0.9), counts)
    raw = np.array([0.1 / (1 - 0.9**90), 0.1 / (1 - 0.9**9), 1.0])
    np.testing.assert_allclose(effective[:3] / effective[2], raw)
    for weights in (inverse, effective):
        assert (weights * counts).sum() / counts.sum() == pytest.approx(1)
    assert weights_of(Balance(), counts) is None


def test_the_effective_number_lies_between_no_weights_and_inverse_ones():
    counts = np.array([50, 5])
    none, inverse = (weights_of(Balance(weights="effective-number", beta=beta), counts) for beta in (0.0, 1 - 1e-9))
    np.testing.assert_allclose(none, 1)
    np.testing.assert_allclose(inverse, weights_of(Balance(weights="inverse"), counts), rtol=1e-4)


def test_beta_alone_and_misspelt_names_are_refused():
    with pytest.raises(ConfigError, match=r"beta=0\.9 needs weights='effective-number'"):
        Balance(beta=0.9)
    with pytest.raises(ConfigError, match="unknown balance 'focale'; did you mean 'focal'"):
        read_balance("focale")
    with pytest.raises(ConfigError, match="unknown key 'gama'; did you mean 'gamma'"):
        read_balance({"gama": 2.0})
    assert read_balance({"gamma": 2.0}) == BALANCES["focal"]
    assert all(balance_words(name) for name in BALANCES)


# ---------------------------------------------------------------- shares of the batches


@QUICK
@given(st.lists(st.integers(1, 30), min_size=1, max_size=5), st.floats(0, 1), st.integers(0, 2**32))
def test_shares_of_an_epoch_are_powers_of_the_counts(counts, level, seed):
    labels = np.repeat(np.arange(len(counts)), counts)
    num = len(labels)
    index = Batches(num, num, seed, labels, level).at(0).index
    exact = np.array(counts, dtype=float) ** (1 - level)
    drawn = np.bincount(labels[index], minlength=len(counts))
    assert drawn.sum() == num
    assert np.abs(drawn - exact / exact.sum() * num).max() <= 1 + 1e-6


def test_level_0_takes_every_picture_once_and_level_1_is_today_s_oversampling():
    labels = np.repeat([0, 1, 2], [20, 6, 4])
    assert sorted(Batches(30, 30, 0, labels, 0.0).at(0).index) == list(range(30))
    whole, level = Batches(30, 8, 0, labels), Batches(30, 8, 0, labels, 1.0)
    np.testing.assert_array_equal(whole.at(5).index, level.at(5).index)


# ---------------------------------------------------------------- what a class is given


def test_the_rules_for_amounts():
    counts = np.array([40, 10, 4])
    assert amounts(counts, {"add": 5}).tolist() == [5, 5, 5]
    assert amounts(counts, {"fill_to": "largest"}).tolist() == [0, 30, 36]
    assert amounts(counts, {"fill_to": 12}).tolist() == [0, 2, 8]
    assert amounts(counts, {"fill_level": 0.5}).tolist() == [0, 15, 18]
    assert amounts(counts, {"fill_level": 1.0}).tolist() == [0, 30, 36]
    assert kept_of(counts, "smallest").tolist() == [4, 4, 4]
    assert kept_of(np.array([7, 0, 3]), "smallest").tolist() == [3, 0, 3], "a class without pictures is no limit"
    assert kept_of(counts, 12).tolist() == [12, 10, 4]


def test_the_published_enlargement_has_3108_pictures():
    """S1: 277 real pictures in ten classes, 50 generated for each class, three copies of every picture."""
    counts = [28] * 7 + [27] * 3
    rows = balance_table(counts, Composition(amount={"add": 50}, enlarge=3, enlarge_synthetic=True))
    assert sum(counts) == 277
    assert sum(row.after for row in rows) == 3108 == (277 + 10 * 50) * (1 + 3)
    alone = balance_table(counts, Composition(amount={"add": 50}, enlarge=3))
    assert sum(row.after for row in alone) == 277 * 4 + 500


@QUICK
@given(COUNTS, COMPOSITIONS)
def test_balancing_never_loses_a_real_picture_unless_a_cap_is_named(counts, composition):
    for row, real in zip(balance_table(counts, composition), counts, strict=True):
        assert row.real == real
        assert row.after == row.kept + row.synthetic
        if composition.cap is None:
            assert row.kept == real
            assert row.after >= real
        else:
            assert row.kept <= real


@QUICK
@given(COUNTS, st.one_of(st.just("smallest"), st.integers(1, 40)), st.integers(0, 2**32))
def test_a_cap_keeps_what_the_table_says_of_each_class(counts, cap, seed):
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    rows = capped(labels, counts, cap, seed)
    assert len(set(rows.tolist())) == len(rows)
    assert np.bincount(labels[rows], minlength=len(counts)).tolist() == kept_of(counts, cap).tolist()
    assert (np.diff(rows) > 0).all()


def test_a_larger_cap_keeps_the_same_pictures_and_more():
    labels = np.repeat([0, 1], [30, 20])
    few, more = (set(capped(labels, np.array([30, 20]), cap, 1).tolist()) for cap in (5, 9))
    assert few < more


@QUICK
@given(COUNTS, st.integers(0, 50))
def test_copies_are_taken_in_turn(counts, num):
    labels = np.repeat(np.arange(len(counts)), counts)
    rows = copied_rows(labels, np.full(len(counts), num))
    times = np.bincount(rows, minlength=len(labels))
    for label, count in enumerate(counts):
        own = times[labels == label]
        assert own.sum() == (num if count else 0)
        assert not count or own.max() - own.min() <= 1
