"""Scores against scikit-learn, a loop and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from handful.scores import (
    SCORES,
    accuracy,
    balanced_accuracy,
    confusion,
    in_top,
    macro_f1,
    per_class,
    scores_for,
    surprise,
)

NUM_CLASSES = 5
PREDICTIONS = st.lists(
    st.tuples(st.integers(0, NUM_CLASSES - 1), st.integers(0, NUM_CLASSES - 1)), min_size=1, max_size=40
).map(lambda pairs: np.array(pairs).T)
of_classes = pytest.mark.parametrize("name", [name for name, score in SCORES.items() if score.of == "classes"])
of_probs = pytest.mark.parametrize("name", [name for name, score in SCORES.items() if score.of == "probabilities"])
every_score = pytest.mark.parametrize("name", SCORES)
QUICK = settings(max_examples=60, deadline=None, derandomize=True)


def random_predictions(seed=0, num=200):
    rng = np.random.default_rng(seed)
    return rng.integers(0, NUM_CLASSES, num), rng.integers(0, NUM_CLASSES, num)


def random_probs(seed=0, num=200, num_classes=NUM_CLASSES):
    """Labels, and probabilities that know a little about them."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, num_classes, num)
    logits = rng.normal(size=(num, num_classes)) + np.eye(num_classes)[labels]
    return labels, np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


def by_hand(labels, predicted):
    """accuracy, balanced accuracy and macro F1 over the classes that have pictures, one picture at a time."""
    right, recalls, f1s = 0, [], []
    for label, guess in zip(labels, predicted, strict=True):
        right += label == guess
    for one in sorted(set(labels.tolist())):
        hits = sum(label == one == guess for label, guess in zip(labels, predicted, strict=True))
        pictures, guesses = (labels == one).sum(), (predicted == one).sum()
        recalls.append(hits / pictures)
        f1s.append(2 * hits / (pictures + guesses))
    return right / len(labels), np.mean(recalls), np.mean(f1s)


@QUICK
@given(PREDICTIONS)
def test_scores_are_those_counted_by_hand(pairs):
    labels, predicted = pairs
    found = accuracy(labels, predicted), balanced_accuracy(labels, predicted), macro_f1(labels, predicted)
    np.testing.assert_allclose(found, by_hand(labels, predicted))


@pytest.mark.parametrize("seed", range(3))
def test_scores_are_those_of_scikit_learn_where_every_class_has_pictures(seed):
    labels, predicted = random_predictions(seed)
    assert accuracy(labels, predicted) == metrics.accuracy_score(labels, predicted)
    assert balanced_accuracy(labels, predicted) == pytest.approx(metrics.balanced_accuracy_score(labels, predicted))
    assert macro_f1(labels, predicted) == pytest.approx(metrics.f1_score(labels, predicted, average="macro"))


def test_a_class_without_pictures_does_not_count():
    """Predicted as class 2, which has no pictures: wrong for accuracy, and no third term in the means."""
    labels, predicted = np.array([0, 0, 0, 1]), np.array([0, 0, 2, 1])
    assert accuracy(labels, predicted) == 3 / 4
    assert balanced_accuracy(labels, predicted) == pytest.approx((2 / 3 + 1) / 2)
    assert macro_f1(labels, predicted) == pytest.approx((2 * 2 / (3 + 2) + 1) / 2)


def test_always_the_largest_class_scores_its_share_and_one_over_the_classes():
    labels, predicted = np.repeat([0, 1, 2], [90, 6, 4]), np.zeros(100, dtype=int)
    assert accuracy(labels, predicted) == 0.9
    assert balanced_accuracy(labels, predicted) == pytest.approx(1 / 3)
    assert macro_f1(labels, predicted) == pytest.approx((2 * 0.9 / 1.9) / 3)


@of_classes
def test_a_score_is_a_number_between_all_wrong_and_all_right(name):
    score, (labels, predicted) = SCORES[name].function, random_predictions()
    assert type(score(labels, predicted)) is float
    assert score(labels, labels) == 1
    assert score(labels, (labels + 1) % NUM_CLASSES) == 0
    assert 0 < score(labels, predicted) < 1


@of_probs
def test_sure_and_right_is_best_and_sure_and_wrong_is_worst(name):
    score, labels = SCORES[name], np.repeat(np.arange(6), 4)
    right, wrong = np.eye(6)[labels], np.eye(6)[(labels + 1) % 6]
    best, worst = score.value(labels, right), score.value(labels, wrong)
    assert type(best) is float
    if score.lower_is_better:
        assert best == pytest.approx(0, abs=1e-12)
        assert worst == pytest.approx(15.942 if name == "log_loss" else score.highest, abs=1e-3)
    else:
        assert best == 1
        assert worst < 0.7


@every_score
def test_the_order_of_pictures_does_not_matter(name):
    score, (labels, probs) = SCORES[name], random_probs(num_classes=6)
    order = np.random.default_rng(1).permutation(len(labels))
    assert score.value(labels[order], probs[order]) == pytest.approx(score.value(labels, probs))


@of_classes
def test_one_more_right_answer_never_lowers_a_score(name):
    score, (labels, predicted) = SCORES[name].function, random_predictions(num=30)
    for row in np.flatnonzero(labels != predicted):
        better = predicted.copy()
        better[row] = labels[row]
        # a class that was never predicted may come in with a low precision
        assert score(labels, better) > score(labels, predicted) or "precision" in name


@every_score
def test_words_and_range_are_told(name):
    score = SCORES[name]
    words = {"top3": "top-3 accuracy", "top5": "top-5 accuracy", "brier": "Brier score"}
    assert score.words.lower() == words.get(name, name.replace("_", " ")).lower()
    labels, probs = random_probs(2, num_classes=6)
    assert 0 < score.value(labels, probs) < score.highest
    assert score.sign == (-1 if name in ("log_loss", "brier", "ece", "adaptive_ece") else 1)


@pytest.mark.parametrize("seed", range(3))
def test_scores_of_probabilities_are_those_of_scikit_learn(seed):
    labels, probs = random_probs(seed, num_classes=7)
    predicted = probs.argmax(axis=1)
    expected = {
        "weighted_f1": metrics.f1_score(labels, predicted, average="weighted"),
        "macro_precision": metrics.precision_score(labels, predicted, average="macro", zero_division=0),
        "weighted_precision": metrics.precision_score(labels, predicted, average="weighted", zero_division=0),
        "top3": metrics.top_k_accuracy_score(labels, probs, k=3),
        "top5": metrics.top_k_accuracy_score(labels, probs, k=5),
        "auc": metrics.roc_auc_score(labels, probs, multi_class="ovr", average="macro"),
        "weighted_auc": metrics.roc_auc_score(labels, probs, multi_class="ovr", average="weighted"),
        "log_loss": metrics.log_loss(labels, probs),
        "brier": np.mean([metrics.mean_squared_error(np.eye(7)[y], p) * 7 for y, p in zip(labels, probs, strict=True)]),
    }
    for name, value in expected.items():
        assert SCORES[name].value(labels, probs) == pytest.approx(value, abs=1e-9), name


def test_two_classes_have_the_auc_of_one():
    labels, probs = random_probs(num_classes=2)
    assert SCORES["auc"].value(labels, probs) == pytest.approx(metrics.roc_auc_score(labels, probs[:, 1]))


@pytest.mark.filterwarnings("error")
def test_a_class_without_pictures_has_no_term_in_any_score():
    labels, probs = random_probs(num_classes=6)
    kept = labels != 2
    labels, probs = labels[kept], probs[kept]
    areas = [metrics.roc_auc_score(labels == one, probs[:, one]) for one in (0, 1, 3, 4, 5)]
    assert SCORES["auc"].value(labels, probs) == pytest.approx(np.mean(areas))
    assert all(np.isfinite(score.value(labels, probs)) for score in SCORES.values())
    one = np.zeros(4, dtype=int)
    assert np.isnan(SCORES["auc"].value(one, probs[:4]))


def test_of_equally_probable_classes_the_first_is_ahead():
    probs = np.full((4, 4), 0.25)
    np.testing.assert_array_equal(in_top(np.arange(4), probs, 3), [1, 1, 1, 0])
    np.testing.assert_array_equal(in_top(np.arange(4), probs, 1), probs.argmax(axis=1) == np.arange(4))


def test_an_impossible_class_costs_what_float32_can_tell_from_nothing():
    assert surprise(np.array([0]), np.array([[0.0, 1.0]]))[0] == pytest.approx(-np.log(np.finfo(np.float32).eps))


def test_top_k_of_k_classes_says_nothing_and_is_left_out():
    assert "top3" not in scores_for(3)
    assert {"top3"} == set(scores_for(4)) - set(scores_for(3))
    assert set(scores_for(6)) == set(SCORES)


@QUICK
@given(PREDICTIONS)
def test_the_confusion_table_counts_rows_as_classes_and_columns_as_predictions(pairs):
    labels, predicted = pairs
    expected = np.zeros((NUM_CLASSES, NUM_CLASSES), dtype=np.int64)
    np.add.at(expected, (labels, predicted), 1)
    table = confusion(labels, predicted, NUM_CLASSES)
    assert table.dtype == np.int64
    np.testing.assert_array_equal(table, expected)


@QUICK
@given(PREDICTIONS)
def test_values_per_class_follow_from_the_confusion_table(pairs):
    labels, predicted = pairs
    table = confusion(labels, predicted, NUM_CLASSES)
    hits, pictures, guesses = np.diag(table), table.sum(1), table.sum(0)
    found = per_class(labels, predicted, NUM_CLASSES)
    assert list(found) == ["precision", "recall", "f1", "support"]
    assert all(value.shape == (NUM_CLASSES,) for value in found.values())
    np.testing.assert_allclose(found["recall"], hits / np.maximum(pictures, 1))  # 0 where undefined
    np.testing.assert_allclose(found["precision"], hits / np.maximum(guesses, 1))
    np.testing.assert_allclose(found["f1"], 2 * hits / np.maximum(pictures + guesses, 1))
    np.testing.assert_array_equal(found["support"], pictures)
