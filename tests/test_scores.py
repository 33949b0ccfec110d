"""Scores against scikit-learn, a loop and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from handful.scores import SCORES, accuracy, balanced_accuracy, confusion, macro_f1, per_class

NUM_CLASSES = 5
PREDICTIONS = st.lists(
    st.tuples(st.integers(0, NUM_CLASSES - 1), st.integers(0, NUM_CLASSES - 1)), min_size=1, max_size=40
).map(lambda pairs: np.array(pairs).T)
every_score = pytest.mark.parametrize("name", SCORES)
QUICK = settings(max_examples=60, deadline=None, derandomize=True)


def random_predictions(seed=0, num=200):
    rng = np.random.default_rng(seed)
    return rng.integers(0, NUM_CLASSES, num), rng.integers(0, NUM_CLASSES, num)


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


@every_score
def test_a_score_is_a_number_between_all_wrong_and_all_right(name):
    score, (labels, predicted) = SCORES[name].function, random_predictions()
    assert type(score(labels, predicted)) is float
    assert score(labels, labels) == 1
    assert score(labels, (labels + 1) % NUM_CLASSES) == 0
    assert 0 < score(labels, predicted) < 1


@every_score
def test_the_order_of_pictures_does_not_matter(name):
    score, (labels, predicted) = SCORES[name].function, random_predictions()
    order = np.random.default_rng(1).permutation(len(labels))
    assert score(labels[order], predicted[order]) == pytest.approx(score(labels, predicted))


@every_score
def test_one_more_right_answer_never_lowers_a_score(name):
    score, (labels, predicted) = SCORES[name].function, random_predictions(num=30)
    for row in np.flatnonzero(labels != predicted):
        better = predicted.copy()
        better[row] = labels[row]
        assert score(labels, better) > score(labels, predicted)


@every_score
def test_a_score_is_called_by_its_words(name):
    assert SCORES[name].words.lower() == name.replace("_", " ")


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
