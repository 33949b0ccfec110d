"""The copying audit over classes: exact where there is one class, blind to the mix of classes, and it finds copies."""

from __future__ import annotations

import numpy as np
import pytest
from measure_inputs import features
from scipy.stats import binomtest, fisher_exact

from handful.measure.strata import TESTS, combined, more_within, stratum


def test_one_class_is_fishers_exact_test():
    expected = fisher_exact([[5, 7], [1, 9]], alternative="greater").pvalue
    assert more_within([((12, 10), (5, 1))]) == pytest.approx(expected, rel=1e-9)


def test_a_class_without_hits_changes_nothing_and_two_halves_say_more_than_one():
    one = more_within([((12, 10), (5, 1))])
    assert more_within([((12, 10), (5, 1)), ((30, 20), (0, 0))]) == pytest.approx(one, rel=1e-9)
    assert more_within([((12, 10), (5, 1))] * 2) < one


def test_another_mix_of_classes_accuses_nobody():
    """All hits lie in a class that the synthetic side has more of; pooled, that would be p < 0.001."""
    classes = [((90, 10), (45, 5)), ((10, 90), (0, 0))]
    assert more_within(classes) > 0.5
    assert fisher_exact([[45, 55], [5, 95]], alternative="greater").pvalue < 0.001


def test_independent_pictures_are_accused_no_more_often_than_the_level():
    """300 times three classes with other sizes on both sides: the smallest p-value times three."""
    accused = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        strata = [
            stratum(real=rng.normal(size=(8, 4)), synthetic=rng.normal(size=(m, 4)), held_out=rng.normal(size=(n, 4)))
            for m, n in ((12, 4), (4, 8), (6, 6))
        ]
        tests, _ = combined([one for one in strata if one])
        assert list(tests) == list(TESTS)
        accused += 3 * min(tests.values()) <= 0.05
    assert binomtest(accused, 300, 0.05, alternative="greater").pvalue > 0.01


def test_copies_in_every_class_are_found():
    strata = []
    for label in range(3):
        real = features(20, seed=label)
        copies = real + 1e-3 * features(20, seed=10 + label)
        strata.append(stratum(real=real, synthetic=copies, held_out=features(20, seed=20 + label)))
    tests, smallest = combined([one for one in strata if one])
    assert max(tests.values()) < 1e-6
    assert 0 < smallest < 1e-12


def test_without_held_out_pictures_there_is_no_test_and_without_two_training_pictures_no_audit():
    alone = stratum(real=features(5), synthetic=features(4, seed=1))
    assert alone is not None
    assert combined([alone]) == ({}, 1.0)
    assert stratum(real=features(1), synthetic=features(4, seed=1), held_out=features(4, seed=2)) is None


def test_held_out_pictures_that_are_training_pictures_count_on_neither_side():
    real, synthetic, held_out = features(10), features(6, seed=1), features(6, seed=2)
    clean = stratum(real=real, synthetic=synthetic, held_out=held_out)
    mixed = stratum(real=real, synthetic=synthetic, held_out=np.concatenate([held_out, real[:4]]))
    assert clean is not None
    assert mixed is not None
    assert (mixed.near, mixed.close) == (clean.near, clean.close)
    assert mixed.audit.num == clean.audit.num
