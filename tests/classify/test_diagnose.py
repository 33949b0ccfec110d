"""Diagnoses: the published configurations as their authors saw them, and the rules one by one."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.stats import binomtest

from handful.classify.cnn import CNN
from handful.classify.diagnose import Evidence, diagnose, evidence_of, fall, mean_evidence, newcombe, wilson
from handful.data.images import LabeledImages, View
from handful.nn.train import Training, one_thread

BEST = (0.8313, 10_000)  # the best of the published validation accuracies, on CIFAR-10's 10,000
PUBLISHED = {  # validation accuracy, the authors' words, ours
    "C1": (0.8313, "good balance", ("fits", "")),
    "C2": (0.8223, "slight underfit", ("underfits", "slight")),
    "C3": (0.7848, "underfit, low LR", ("underfits", "")),
    "C4": (0.7069, "severe underfit", ("underfits", "severe")),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_configurations_are_diagnosed_as_their_authors_did(name):
    accuracy, _, expected = PUBLISHED[name]
    train = 0.88 if name == "C1" else None  # published for C1's network alone
    made = diagnose(Evidence(train, accuracy, 50_000, 10_000), BEST)
    assert (made.word, made.grade) == expected


def test_the_published_second_network_overfits():
    made = diagnose(
        Evidence(0.9444, 0.7504, 50_000, 10_000, train_loss=0.1583, val_loss=1.0673, lowest_val_loss=0.8), BEST
    )
    assert (made.word, made.grade) == ("overfits", "")
    assert made.gap == pytest.approx(0.194)
    assert "94.4% of its training pictures are right, 75.0% of 10000 for validation" in made.said
    assert "a gap of 19.4 points (90% interval 18.7 to 20.1)" in made.said
    assert "validation loss rose from 0.8 to 1.07; regularise, augment, or add pictures" in made.said


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"train_accuracy": 0.97, "val_accuracy": 0.95}, ("fits", "")),
        ({"train_accuracy": 1.0, "val_accuracy": 0.93}, ("overfits", "slight")),
        ({"train_accuracy": 1.0, "val_accuracy": 0.60}, ("overfits", "severe")),
        ({"train_accuracy": 0.97, "val_accuracy": 0.90, "num_val": 10}, ("cannot tell", "")),
        ({"train_accuracy": 1.0, "val_accuracy": None}, ("cannot tell", "")),
        ({"train_accuracy": 0.80, "val_accuracy": 0.79}, ("underfits", "slight")),
        ({"train_accuracy": 0.70, "val_accuracy": 0.70}, ("underfits", "")),
        ({"train_accuracy": 0.30, "val_accuracy": 0.30}, ("underfits", "severe")),
        ({"train_accuracy": 0.70, "val_accuracy": 0.70, "fall": 0.3}, ("not converged", "")),
        ({"train_accuracy": 0.70, "val_accuracy": 0.70, "fall": 0.3, "stopped_early": True}, ("underfits", "")),
        ({"train_accuracy": 0.99, "val_accuracy": 0.98, "fall": 0.3}, ("fits", "")),
        ({"train_accuracy": 0.50, "val_accuracy": None}, ("underfits", "severe")),
    ],
)
def test_each_word_has_its_numbers(fields, expected):
    made = diagnose(Evidence(**{"num_train": 500, "num_val": 500, **fields}))
    assert (made.word, made.grade) == expected
    assert made.said.startswith(made.word)
    json.dumps(made.to_json(), allow_nan=False)


def test_being_below_the_best_counts_where_the_pictures_tell_it():
    few, many = (diagnose(Evidence(0.92, 0.90, num, num), (0.94, num)) for num in (50, 5000))
    assert (few.word, many.word) == ("fits", "underfits")
    assert few.shortfall_interval[0] < 0 < many.shortfall_interval[0]


def test_intervals_are_those_of_the_literature():
    np.testing.assert_allclose(wilson(0.3, 40, 0.95), binomtest(12, 40).proportion_ci(0.95, "wilson"))
    np.testing.assert_allclose(newcombe(56 / 70, 70, 48 / 80, 80, 0.95), (0.0524, 0.3339), atol=5e-5)
    low, high = wilson(1.0, 20)
    assert 0.8 < low < high == pytest.approx(1)


def test_the_fall_of_a_loss_is_that_of_its_last_quarter():
    line = [2.0] * 12 + [1.0, 0.9, 0.8, 0.7]
    assert fall(line) == pytest.approx(0.3)
    assert fall([1.0] * 16) == pytest.approx(0)
    assert fall(line[:7]) is None
    assert fall([1.0, float("nan")] * 8) is None


def test_the_mean_of_runs_has_what_all_have_and_the_size_of_one():
    runs = [Evidence(0.9, 0.7, 100, 40, fall=0.1), Evidence(0.8, 0.6, 100, 42)]
    mean = mean_evidence(runs)
    assert (mean.train_accuracy, mean.val_accuracy, mean.fall) == (pytest.approx(0.85), pytest.approx(0.65), None)
    assert (mean.num_train, mean.num_val, mean.stopped_early) == (100, 41, False)


def test_a_fitted_classifier_s_history_is_evidence():
    stream = np.random.default_rng(0)
    pixels = stream.integers(0, 256, (60, 1, 8, 8), dtype=np.uint8)
    noise = LabeledImages.of_arrays(pixels, np.arange(60) % 2)  # nothing to learn but by heart
    recipe = CNN(
        network="v2", view=View(size=8), dropout=0.0, training=Training(steps=80, batch_size=20, lr=0.01, eval_every=8)
    )
    with one_thread():
        made = recipe.fit(noise.take(np.arange(30)), noise.take(np.arange(30, 60)), seed=0)
    evidence = evidence_of(made.history)
    assert (evidence.num_train, evidence.num_val, evidence.train_accuracy) == (30, 30, 1.0)
    diagnosis = diagnose(evidence)
    assert (diagnosis.word, diagnosis.grade) == ("overfits", "severe")
    assert evidence_of({}) == Evidence()
    assert diagnose(Evidence()).word == "cannot tell"


def test_too_few_looks_leave_open_whether_it_had_converged():
    few = diagnose(Evidence(0.4, 0.39, 500, 60, 1.4, 1.4, 1.4, fall=None))
    assert few.said.endswith(
        "it was looked at too seldom to tell whether it had converged: train longer, or else raise the learning rate, "
        "regularise less, or take a larger network"
    )
    enough = diagnose(Evidence(0.4, 0.39, 500, 60, 1.4, 1.4, 1.4, fall=0.01))
    assert enough.said.endswith("; raise the learning rate, regularise less, or take a larger network")
    stopped = diagnose(Evidence(0.4, 0.39, 500, 60, 1.4, 1.4, 1.4, fall=None, stopped_early=True))
    assert "train longer" not in stopped.said
