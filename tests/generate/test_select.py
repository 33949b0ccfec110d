"""What each selection keeps, by examples whose answer is known."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from skimage.metrics import structural_similarity

from handful.data.images import LabeledImages, Origin
from handful.errors import ConfigError
from handful.generate.likeness import distances
from handful.generate.select import Chain
from handful.generate.select_confidence import Confident
from handful.generate.select_copies import RejectCopies
from handful.generate.select_distance import WithinDistance
from handful.generate.select_diverse import KCentre, greedy_centres
from handful.generate.select_last import LastDrawn
from handful.generate.select_ssim import BestSSIM
from handful.generate.selection import Known


def real(pixels):
    made = LabeledImages.of_arrays(pixels, np.zeros(len(pixels), dtype=np.int64), ["a", "b"])
    rows = np.arange(100, 100 + len(pixels))
    return LabeledImages(pixels, made.labels, made.class_names, Origin.of_real(made.origin.content, rows))


def synthetic(pixels):
    origin = Origin.of_synthetic(pixels, "generator", range(len(pixels)))
    return LabeledImages(pixels, np.zeros(len(pixels), dtype=np.int64), ("a", "b"), origin)


def noise(num, seed, size=8):
    return np.random.default_rng(seed).integers(0, 256, (num, 1, size, size)).astype(np.uint8)


def flat(*levels):
    """Pictures of one shade, whose distance is the difference of their levels."""
    return np.stack([np.full((1, 8, 8), level, dtype=np.uint8) for level in levels])


TRAIN = real(noise(6, 0))


# ---------------------------------------------------------------- ssim, last


@pytest.mark.parametrize("match", ["mean", "best"])
def test_ssim_keeps_the_most_similar_by_scikit_image(match):
    made = synthetic(noise(9, 1))
    pairs = [[structural_similarity(a[0], b[0], data_range=255) for b in TRAIN.pixels] for a in made.pixels]
    scores = np.mean(pairs, axis=1) if match == "mean" else np.max(pairs, axis=1)
    judged = BestSSIM(match=match).judge(made, Known(TRAIN, 4))
    np.testing.assert_allclose(judged.scores["ssim"], scores, atol=1e-6)
    assert set(np.flatnonzero(judged.kept)) == set(np.argsort(-scores)[:4])
    assert "rank 9 of 9" in judged.said[int(scores.argmin())]


def test_ssim_asks_for_150_candidates_for_80_as_published():
    assert BestSSIM().num_candidates(80) == 150
    assert LastDrawn().num_candidates(80) == 150


def test_ties_go_to_the_earlier_candidate():
    judged = BestSSIM().judge(synthetic(np.repeat(noise(1, 1), 5, axis=0)), Known(TRAIN, 2))
    assert judged.kept.tolist() == [True, True, False, False, False]


def test_the_last_k_are_kept():
    judged = LastDrawn().judge(synthetic(noise(7, 1)), Known(TRAIN, 3))
    assert np.flatnonzero(judged.kept).tolist() == [4, 5, 6]
    assert judged.said[0] == "drawn 1 of 7, the last 3 are kept"


# ---------------------------------------------------------------- confidence


def test_confidence_is_the_probability_of_the_own_label():
    probs = np.array([[0.9, 0.1], [0.5, 0.5], [0.2, 0.8]])
    judged = Confident(at_least=0.5).judge(synthetic(noise(3, 1)), Known(TRAIN, 3, probs))
    assert judged.kept.tolist() == [True, True, False]
    assert judged.said[2] == "confidence 0.2 < 0.5, taken for 'b' with 0.8"


# ---------------------------------------------------------------- copies and distance


def test_a_slightly_changed_copy_is_turned_away_and_an_independent_picture_is_not():
    changed = np.clip(TRAIN.pixels[:2].astype(int) + 4, 0, 255).astype(np.uint8)
    made = synthetic(np.concatenate([TRAIN.pixels[3:4], changed, noise(3, 5)]))
    judged = RejectCopies().judge(made, Known(TRAIN, 6))
    assert judged.kept.tolist() == [False, False, False, True, True, True]
    assert judged.said[0] == "copy of row 103: distance 0"
    assert judged.said[1].startswith("near copy of row 100: distance 3.")
    assert judged.said[3].startswith("distance ")


def test_the_middle_of_a_class_is_no_copy_unless_the_threshold_decides_alone():
    middle = synthetic(TRAIN.pixels.mean(axis=0, keepdims=True).astype(np.uint8))
    assert RejectCopies().judge(middle, Known(TRAIN, 1)).kept.all()
    assert not RejectCopies(ratio=1.0).judge(middle, Known(TRAIN, 1)).kept.any()


def test_the_threshold_is_that_of_the_leave_one_out_distances():
    train = real(flat(0, 100, 110, 200))
    made = synthetic(flat(94, 93, 90, 89, 240))
    assert RejectCopies(ratio=1.0).judge(made, Known(train, 5)).kept.tolist() == [False, False, True, True, True]
    assert RejectCopies().judge(made, Known(train, 5)).kept.tolist() == [True] * 5  # 94: 6 to one, 16 to the next
    assert not RejectCopies().judge(synthetic(flat(98)), Known(train, 1)).kept[0]


def test_with_one_training_picture_only_its_exact_copy_is_turned_away_and_the_rest_is_said():
    judged = RejectCopies().judge(synthetic(flat(50, 51)), Known(real(flat(50)), 2))
    assert judged.kept.tolist() == [False, True]
    assert judged.said[1] == "not judged: one training picture gives no distance"


def test_distance_keeps_what_is_as_far_as_real_pictures_are():
    train = real(flat(0, 10, 30, 60, 100))  # leave-one-out distances 10, 10, 20, 30, 40
    judged = WithinDistance(low=0.01, high=0.75).judge(synthetic(flat(15, 22, 150, 75, 130)), Known(train, 5))
    assert judged.kept.tolist() == [False, False, False, True, True]
    assert judged.said[0].endswith("too near")
    assert judged.said[2].endswith("> 30: too far")


def test_distance_thresholds_are_in_order():
    with pytest.raises(ConfigError, match="low must be the smaller one"):
        WithinDistance(low=0.9, high=0.5)


# ---------------------------------------------------------------- k-centre


def test_greedy_centres_by_hand():
    points = np.array([[0.0], [1.0], [5.0], [9.0], [10.0]])
    chosen, reach = greedy_centres(points, 3)
    assert chosen == [2, 0, 4]  # 5 is the mean; 0 and 10 are as far, the earlier one comes first
    assert reach.tolist() == [5.0, 1.0, np.inf, 1.0, 5.0]
    assert greedy_centres(points, 2, covered=np.array([[10.0]]))[0] == [0, 2]


def test_greedy_centres_are_within_twice_the_best_radius():
    points = np.random.default_rng(0).normal(size=(12, 2))
    between = distances(points, points)
    best = min(between[:, list(some)].min(axis=1).max() for some in itertools.combinations(range(12), 3))
    chosen, _ = greedy_centres(points, 3)
    assert between[:, chosen].min(axis=1).max() <= 2 * best + 1e-9


def test_k_centre_takes_every_cluster_and_no_picture_twice():
    levels = [0, 1, 2, 3, 120, 121, 250]
    judged = KCentre().judge(synthetic(flat(*levels)), Known(TRAIN, 3))
    kept = np.array(levels)[judged.kept]
    assert (kept.min() < 10, kept.max(), len(kept), (kept // 100).tolist()) == (True, 250, 3, [0, 1, 2])
    same = KCentre().judge(synthetic(flat(5, 5, 5, 5)), Known(TRAIN, 3))
    assert same.kept.tolist() == [True, True, True, False]


def test_k_centre_from_the_training_part_takes_first_what_it_lacks():
    made = synthetic(flat(0, 50, 200, 100))
    judged = KCentre(start="train").judge(made, Known(real(flat(0, 100)), 1))
    assert np.flatnonzero(judged.kept).tolist() == [2]


# ---------------------------------------------------------------- chains


def test_each_step_sees_what_the_one_before_has_kept():
    probs = np.array([[1.0, 0.0]] * 6 + [[0.0, 1.0]] * 3)
    chain = Chain(steps=("confidence", "last"))
    judged = chain.judge(synthetic(noise(9, 1)), Known(TRAIN, 2, probs))
    assert np.flatnonzero(judged.kept).tolist() == [4, 5]
    assert judged.step[6:] == ("confidence",) * 3
    assert judged.step[:4] == ("last",) * 4
    assert np.isnan(judged.scores["last"][6:]).all()
    assert judged.said[0] == "drawn 1 of 6, the last 2 are kept"
    assert chain.needs == {"probabilities"}


def test_a_step_may_leave_more_than_are_wanted_for_the_next_one():
    chain = Chain(steps=(BestSSIM(keep=2.0), KCentre()))
    judged = chain.judge(synthetic(noise(12, 1)), Known(TRAIN, 3))
    assert [judged.step.count(name) for name in ("", "ssim", "k-centre")] == [3, 6, 3]


def test_a_chain_whose_later_step_has_nothing_to_choose_is_refused():
    with pytest.raises(ConfigError, match=r"step 1 \(ssim\) keeps no more than are wanted, so step 3 \(k-centre\)"):
        Chain(steps=("ssim", "distance", "k-centre"))


def test_all_faults_of_a_chain_are_said_at_once():
    with pytest.raises(ConfigError) as caught:
        Chain(steps=("sim", {"kind": "distance", "hihg": 1.0}))
    assert len(caught.value.faults) == 2


def test_a_chain_draws_as_many_as_its_hungriest_step_asks_for_and_two_steps_of_a_kind_have_two_scores():
    assert Chain(steps=("distance", "k-centre")).num_candidates(10) == 20
    assert Chain(steps=("distance",), candidates=3.0).num_candidates(10) == 30
    twice = Chain(steps=(LastDrawn(keep=2.0), LastDrawn()))
    assert set(twice.judge(synthetic(noise(4, 1)), Known(TRAIN, 1)).scores) == {"last", "last 2"}
