"""What a look at samples says of a generator that copies, collapses, does well, or has not begun."""

from __future__ import annotations

import time

import numpy as np
import pytest

from handful.data.images import LabeledImages
from handful.errors import DataError
from handful.generate import watch as watching
from handful.generate.watch import Watch, alarms

BASE = np.random.default_rng(0).integers(60, 196, (3, 3, 4, 4))


def drawn(labels, seed, spread=30.0):
    """Pictures of 32 px around one of each class."""
    noise = np.random.default_rng(seed).normal(0, spread, (len(labels), 3, 4, 4))
    return np.clip(np.kron(BASE[labels] + noise, np.ones((8, 8))), 0, 255).astype(np.uint8)


def images(counts, seed):
    labels = np.repeat(np.arange(len(counts)), counts)
    return LabeledImages.of_arrays(drawn(labels, seed), labels, ["a", "b", "c"])


@pytest.fixture(scope="module")
def train():
    return images((30, 20, 10), 1)


@pytest.fixture(scope="module")
def watch(train):
    return Watch(train, images((5, 3, 1), 2))


def test_the_samples_are_spread_over_the_classes_and_always_the_same(train, watch):
    assert np.bincount(watch.labels).tolist() == [22, 21, 21]
    assert len(set(watch.seeds)) == 64
    again = Watch(train, None)
    assert again.labels.tolist() == watch.labels.tolist()
    assert again.seeds == watch.seeds


def test_an_absent_class_is_not_sampled_and_many_classes_are_thinned():
    labels = np.repeat(np.arange(100), 2)[2:]
    many = Watch(LabeledImages.of_arrays(drawn(labels % 3, 0), labels, [str(one) for one in range(100)]), None)
    assert len(many.labels) == 64
    assert np.unique(many.labels, return_counts=True)[1].tolist() == [2] * 32
    assert 0 not in many.labels
    assert many.labels.max() > 90
    assert Watch(images((4, 3, 2), 0), None, limit=7).labels.tolist() == [0, 0, 0, 1, 1, 2, 2]


def test_pictures_of_the_same_kind_are_near_diverse_and_no_copies(watch):
    look = watch.look(drawn(watch.labels, 3), watch.labels)
    assert abs(look["distance"]) < 0.1
    assert look["diversity"] == pytest.approx(1, abs=0.1)
    assert look["copied"] < look["copied_limit"] < 0.5


def test_copies_of_the_training_part_are_told_from_real_pictures_that_are_as_near(train, watch):
    rows = [np.flatnonzero(train.labels == label)[place % 10] for place, label in enumerate(watch.labels)]
    exact = watch.look(train.pixels[rows], watch.labels)
    assert exact["copied"] == 1
    assert exact["diversity"] > 0.8
    noise = np.random.default_rng(0).integers(-9, 10, train.pixels[rows].shape)
    near = watch.look(np.clip(train.pixels[rows] + noise, 0, 255).astype(np.uint8), watch.labels)
    assert near["copied"] == 1


def test_the_mean_of_a_class_is_collapsed_and_far_but_no_copy(train, watch):
    means = np.stack([train.of_class(label).pixels.mean(axis=0) for label in range(3)]).astype(np.uint8)
    look = watch.look(means[watch.labels], watch.labels)
    assert look["diversity"] < 1e-3
    assert look["copied"] == 0
    real = watch.look(drawn(watch.labels, 3), watch.labels)
    assert look["distance"] > real["distance"] + 0.05


def test_noise_is_farther_than_the_wrong_shade_and_that_farther_than_real(watch):
    real = watch.look(drawn(watch.labels, 3), watch.labels)["distance"]
    darker = watch.look((drawn(watch.labels, 3) * 0.7).astype(np.uint8), watch.labels)["distance"]
    noise = np.random.default_rng(0).integers(0, 256, (64, 3, 32, 32)).astype(np.uint8)
    assert real < darker
    assert real < watch.look(noise, watch.labels)["distance"]


def test_the_distance_is_unbiased_also_with_one_validation_picture_a_class(train):
    values = []
    for seed in range(40):
        watch = Watch(images((30, 20, 10), 100 + seed), images((1, 1, 1), 200 + seed))
        values.append(watch.look(drawn(watch.labels, 300 + seed), watch.labels)["distance"])
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(len(values))


def test_what_cannot_be_said_is_left_out():
    single = images((1, 1, 1), 1)
    look = Watch(single, None).look(drawn(np.repeat([0, 1, 2], 2), 2), np.repeat([0, 1, 2], 2))
    assert look == {}
    with_val = Watch(single, images((1, 0, 0), 5)).look(drawn(np.repeat([0, 1, 2], 2), 2), np.repeat([0, 1, 2], 2))
    assert set(with_val) == {"distance"}


def test_a_look_is_the_same_every_time_and_cheap(watch):
    made = drawn(watch.labels, 3)
    first = watch.look(made, watch.labels)
    started = time.process_time()
    assert watch.look(made, watch.labels) == first
    assert time.process_time() - started < 0.2


@pytest.mark.parametrize(("num", "classes"), [(8, 1), (8, 3), (20, 3)])
def test_independent_real_pictures_seldom_reach_the_limit_of_copies(num, classes):
    reached = 0
    for seed in range(60):
        watch = Watch(images((num,) * classes, 1000 + seed), None)
        look = watch.look(drawn(watch.labels, 2000 + seed), watch.labels)
        reached += look["copied"] >= look["copied_limit"]
    assert reached <= 1


def test_samples_and_labels_must_be_as_many_and_training_pictures_there(watch):
    with pytest.raises(DataError, match="2 samples but 64 labels"):
        watch.look(drawn([0, 1], 0), watch.labels)
    with pytest.raises(DataError, match="needs training pictures"):
        Watch(images((0, 0, 0), 0), None)


# ---------------------------------------------------------------- alarms


def looks(*diversity, copied=()):
    shares = dict(copied)
    return [
        {"step": 10 * place, "diversity": value, "copied": shares.get(place, 0.0), "copied_limit": 0.2}
        for place, value in enumerate(diversity, start=1)
    ]


def test_nothing_is_said_of_a_healthy_run_nor_of_its_beginning():
    assert alarms(looks(0.0, 0.2, 0.7, 0.9)) == []
    assert alarms([]) == []


def test_a_collapse_is_said_where_it_happens_each_time():
    found = alarms(looks(0.1, 0.8, 0.4, 0.3, 0.9, 0.2))
    assert [(one["step"], one["kind"]) for one in found] == [(30, "collapse"), (60, "collapse")]
    assert "0.40" in found[0]["said"]


def test_a_run_that_never_became_diverse_is_said_at_its_end():
    (found,) = alarms(looks(0.0, 0.1, 0.3))
    assert (found["step"], found["kind"]) == (30, "collapse")
    assert "never" in found["said"]


def test_copying_is_said_once_where_it_starts():
    found = alarms(looks(0.9, 0.9, 0.9, 0.9, copied={2: 0.1, 3: 0.25, 4: 0.6}.items()))
    assert [(one["step"], one["kind"]) for one in found] == [(30, "copying")]
    assert "25%" in found[0]["said"]


def test_a_familys_own_alarms_stand_in_their_place():
    own = [{"step": 15, "kind": "losses", "said": "the discriminator has won"}]
    assert [one["kind"] for one in alarms(looks(0.9, 0.1), own)] == ["losses", "collapse"]


def test_pictures_are_compared_in_parts_that_fit_in_memory(monkeypatch):
    stream = np.random.default_rng(0)
    sides = [(stream.normal(size=(num, 9)), stream.integers(0, 3, num)) for num in (30, 50)]
    whole = watching._mean_kernel(*sides[0], *sides[1])
    monkeypatch.setattr(watching, "_PAIRS", 7 * 50)
    assert watching._mean_kernel(*sides[0], *sides[1]) == pytest.approx(whole, rel=1e-12)
