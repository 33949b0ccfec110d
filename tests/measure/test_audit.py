"""The copying audit: copies are caught at twenty pictures, independent real pictures are not accused."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest
from measure_inputs import features, smooth

from handful.errors import ConfigError, DataError
from handful.measure.audit import audit, audit_per_class, closest_pairs
from handful.measure.copying import (
    authenticity,
    data_copying,
    exact_copies,
    leave_one_out,
    near_copies,
    nearest_ratios,
    novelty,
)
from handful.measure.frechet import frechet_distance


def test_exact_copies_are_caught_at_twenty_pictures_though_they_pass_the_frechet_distance():
    real, held_out = features(20, seed=1), features(20, seed=2)
    copies = real[np.random.default_rng(0).permutation(20)]
    found = audit(real=real, synthetic=copies, held_out=held_out)
    assert max(found.near_copies_p, found.authenticity_p, found.distance_p) < 0.001
    assert found.p < 0.001
    assert found.accused(0.001)
    assert (found.equal_features, found.near_copies, found.authenticity, found.novelty) == (1, 1, 0, 0)
    assert found.data_copying < -3
    assert found.distance_p == pytest.approx(1 / comb(40, 20))
    assert frechet_distance(real=real, synthetic=copies) < frechet_distance(real=real, synthetic=held_out) / 100


def test_near_copies_are_caught_too():
    real = features(20, 64, seed=1)
    found = audit(real=real, synthetic=real + 0.1 * features(20, 64, seed=3), held_out=features(20, 64, seed=2))
    assert found.equal_features == 0
    assert found.p < 0.001


@pytest.mark.parametrize(("num", "level"), [(20, 0.05), (8, 0.05), (20, 0.01)])
def test_independent_real_pictures_are_accused_no_more_often_than_the_level(num, level):
    rng = np.random.default_rng(num)
    runs = 400
    accused = 0
    for _ in range(runs):
        real, synthetic, held_out = rng.normal(size=(3, num, 5))
        accused += audit(real=real, synthetic=synthetic, held_out=held_out[: num - 2]).accused(level)
    assert accused / runs <= level + 2.6 * np.sqrt(level * (1 - level) / runs)


def test_pictures_unlike_the_training_part_are_no_copies():
    found = audit(real=features(20), synthetic=features(20, shift=3, seed=1), held_out=features(20, seed=2))
    assert found.p > 0.5
    assert found.data_copying > 3
    assert found.novelty > 1.5


def test_held_out_pictures_that_are_training_pictures_are_counted_and_are_no_yardstick():
    real, held_out = features(20), features(20, seed=2)
    mixed = np.concatenate([held_out, real[:7]])
    clean, dirty = (audit(real=real, synthetic=real, held_out=given) for given in (held_out, mixed))
    assert (clean.held_out_copies, dirty.held_out_copies) == (0, 7)
    assert clean.p == dirty.p
    assert dirty.num == (20, 20, 20)
    only = audit(real=real, synthetic=features(9, seed=3), held_out=real[:5])
    assert only.fault == "all 5 held-out pictures are training pictures"
    assert only.p is None


def test_without_held_out_pictures_there_are_shares_and_no_p_values():
    found = audit(real=features(20), synthetic=features(20)[:10])
    assert (found.near_copies, found.authenticity) == (1, 0)
    assert found.p is None
    assert not found.accused()
    assert "no held-out" in found.fault


def test_each_class_is_audited_alone():
    real, held_out = features(60), features(60, seed=2)
    synthetic = np.concatenate([real[:20], features(40, seed=3)[:20]])
    labels = np.repeat([0, 1, 2], 20)
    found = audit_per_class(
        real=real,
        real_labels=labels,
        synthetic=synthetic,
        synthetic_labels=np.repeat([0, 2], 20),
        held_out=held_out,
        held_out_labels=labels,
    )
    assert list(found) == [0, 2]
    assert found[0].accused(0.001)
    assert not found[2].accused(0.01)
    with pytest.raises(DataError, match="40 synthetic pictures with 3 labels"):
        audit_per_class(
            real=real,
            real_labels=labels,
            synthetic=synthetic,
            synthetic_labels=[0, 1, 2],
            held_out=held_out,
            held_out_labels=labels,
        )


def test_the_closest_pairs_lead_to_what_was_copied():
    real = features(30, seed=1)
    synthetic = features(10, seed=2)
    synthetic[4], synthetic[7] = real[11], real[3] + 0.01
    pairs = closest_pairs(real=real, synthetic=synthetic, number=3)
    assert [(pair.synthetic, pair.real) for pair in pairs[:2]] == [(4, 11), (7, 3)]
    assert (pairs[0].distance, pairs[0].ratio) == (0, 0)
    assert pairs[1].ratio < 1 / 3
    assert pairs[2].ratio > 1 / 3
    assert len({pair.synthetic for pair in closest_pairs(real=real, synthetic=synthetic)}) == 10


def test_a_copy_of_a_picture_that_is_there_twice_is_still_a_copy():
    real = features(10)
    twice = np.concatenate([real, real[:3]])
    np.testing.assert_array_equal(nearest_ratios(real=twice, synthetic=real[:3]), 0)
    assert near_copies(real=twice, synthetic=real[:3]) == 1
    with pytest.raises(DataError, match="two different training pictures, got 1"):
        nearest_ratios(real=np.ones((5, 2)), synthetic=real[:, :2])


def test_c_t_counts_ties_half_and_is_the_weighted_mean_over_cells():
    assert data_copying(real=[[0.0]], synthetic=[[1.0], [1.0]], held_out=[[-1.0]]) == 0
    near, far = features(60, 2), features(60, 2, 50, seed=1)
    real = np.concatenate([near, far])
    synthetic = np.concatenate([near[:30], features(30, 2, 50, seed=3)])  # copies in the first cell alone
    held_out = np.concatenate([features(50, 2, seed=4), features(25, 2, 50, seed=5)])
    first = data_copying(real=near, synthetic=synthetic[:30], held_out=held_out[:50])
    second = data_copying(real=far, synthetic=synthetic[30:], held_out=held_out[50:])
    assert first < -3 < second
    value = data_copying(real=real, synthetic=synthetic, held_out=held_out, cells=2)
    assert value == pytest.approx((50 * first + 25 * second) / 75)
    with pytest.raises(DataError, match="ask for fewer cells"):
        data_copying(real=real, synthetic=synthetic[:30:2], held_out=held_out, cells=2)
    with pytest.raises(ConfigError, match="at least 1, got 0"):
        data_copying(real=real, synthetic=synthetic, held_out=held_out, cells=0)


def test_more_noise_is_newer():
    real, held_out, noise = features(40), features(30, seed=1), features(40, seed=2)
    made = [real + spread * noise for spread in (0, 0.05, 0.5, 2)]
    for values in (
        [novelty(real=real, synthetic=one, held_out=held_out) for one in made],
        [authenticity(real=real, synthetic=one) for one in made],
        [-near_copies(real=real, synthetic=one) for one in made],
    ):
        assert values == sorted(values)
        assert values[0] < values[-1]
    with pytest.raises(DataError, match="hold out other ones"):
        novelty(real=real, synthetic=noise, held_out=real)


def test_exact_copies_are_equal_to_the_last_bit():
    real = smooth(5)
    changed = real.copy()
    changed[2, 0, 0, 0] ^= 1
    assert exact_copies(real=real, synthetic=changed) == 0.8


def test_leave_one_out_distances_are_to_the_nearest_other_picture():
    np.testing.assert_allclose(leave_one_out(real=[[0.0], [1.0], [4.0], [4.0]]), [1, 1, 0, 0])
    with pytest.raises(DataError, match="at least 2 pictures in the set, got 1 real"):
        leave_one_out(real=[[0.0]])
