"""What every classifier refuses: parts that do not fit, and pictures that leak into validation or into its scores."""

from __future__ import annotations

import numpy as np
import pytest
from small_classifiers import FIRST, every_recipe

from handful.classify.contract import evaluate
from handful.data.images import LabeledImages, Origin, View
from handful.errors import DataError, LeakError

pytestmark = pytest.mark.usefixtures("alone")
ALL_FLAWS = ("copies-across-parts", "synthetic-in-val", "test-as-val", "split-per-arm")


def synthetic(images):
    """The same pictures, said to be made."""
    return LabeledImages(
        images.pixels,
        images.labels,
        images.class_names,
        Origin.of_synthetic(images.pixels, "maker", range(len(images))),
    )


@every_recipe
def test_empty_parts_and_wrong_views_are_refused(recipe, train, val):
    none = train.take(np.array([], dtype=np.int64))
    with pytest.raises(DataError, match="the training part is empty"):
        recipe.fit(none, val, seed=0)
    needy = recipe.changed(training=recipe.training.changed(keep="best"))
    for missing in (none, None):
        with pytest.raises(DataError, match=r"there is no validation part, and training\.keep is 'best'"):
            needy.fit(train, missing, seed=0)
    large = LabeledImages.of_arrays(np.zeros((4, 1, 16, 16), dtype=np.uint8), np.arange(4), train.class_names)
    with pytest.raises(DataError, match="the training part is 16 px with 1 channels, the recipe's view 8 px"):
        recipe.fit(large, val, seed=0)
    with pytest.raises(DataError, match="the validation part is 16 px with 1 channels, the recipe's view 8 px"):
        recipe.fit(train, large, seed=0)
    colour = LabeledImages.of_arrays(np.zeros((4, 3, 8, 8), dtype=np.uint8), np.arange(4), train.class_names)
    with pytest.raises(DataError, match="differ in their classes or channels"):
        recipe.fit(train, colour, seed=0)
    renamed = LabeledImages(val.pixels, val.labels, ("a", "b", "c", "d"), val.origin)
    with pytest.raises(DataError, match="differ in their classes or channels"):
        recipe.fit(train, renamed, seed=0)


@every_recipe
def test_pictures_that_are_not_square_are_refused(recipe):
    tall = LabeledImages.of_arrays(
        np.random.default_rng(0).integers(0, 256, (8, 1, 12, 8), dtype=np.uint8), np.arange(8) % 4
    )
    with pytest.raises(DataError, match="12 x 8 px"):
        recipe.fit(tall.take(np.arange(4)), tall.take(np.arange(4, 8)), seed=0)


@every_recipe
def test_pictures_with_other_channels_than_the_view_are_refused(recipe, train, val):
    with pytest.raises(DataError, match="with 1 channels, the recipe's view 8 px with 3 channels"):
        recipe.changed(view=View(size=8, channels=3)).fit(train, val, seed=0)


def leaking_parts(train, val, test):
    """Per guard of a fit: training and validation that trip it."""
    return {
        "synthetic": (train, val.joined(synthetic(test))),
        "also in training": (train, val.joined(train.take(np.arange(3)))),
    }


@pytest.mark.parametrize(
    ("leak", "lifted_by"),
    [("synthetic", {"synthetic-in-val"}), ("also in training", {"copies-across-parts", "synthetic-in-val"})],
)
@pytest.mark.parametrize("flaw", [None, *ALL_FLAWS])
@every_recipe
def test_validation_is_guarded_unless_a_flaw_names_the_guard(recipe, flaw, leak, lifted_by, train, val, test):
    parts = leaking_parts(train, val, test)[leak]
    quick = recipe.changed(training=recipe.training.changed(steps=1))
    if flaw in lifted_by:
        assert quick.fit(*parts, seed=0, flaws=[flaw]).history["steps_done"] == 1
    else:
        with pytest.raises(LeakError, match=rf"^validation: .*{leak}"):
            quick.fit(*parts, seed=0, flaws=[flaw] if flaw else [])


@pytest.mark.parametrize("flaw", [None, *ALL_FLAWS])
@pytest.mark.parametrize("part", ["train", "val"])
@every_recipe
def test_scoring_refuses_what_was_seen_unless_a_flaw_names_the_guard(classifier, flaw, part, test, request):
    pictures = test.joined(request.getfixturevalue(part).take(np.arange(2)))
    if flaw in ("copies-across-parts", "test-as-val"):
        np.testing.assert_array_equal(evaluate(classifier, pictures, flaws=[flaw]), classifier.predict_proba(pictures))
    else:
        with pytest.raises(LeakError, match=r"test: 2 of 42 pictures are also in training \(positions 40, 41\)"):
            evaluate(classifier, pictures, flaws=[flaw] if flaw else [])


@every_recipe
def test_scoring_refuses_synthetic_pictures_whatever_the_flaws(classifier, test):
    with pytest.raises(LeakError, match="test: 40 of 40 pictures are synthetic"):
        evaluate(classifier, synthetic(test), flaws=ALL_FLAWS)


@every_recipe
def test_scoring_returns_the_probabilities_of_unseen_pictures(classifier, test):
    np.testing.assert_array_equal(evaluate(classifier, test), classifier.predict_proba(test))


def test_a_picture_is_known_by_its_content_not_by_its_row(fitted, train, test):
    again = LabeledImages.of_arrays(np.repeat(train.pixels[:1], 3, axis=1), train.labels[:1], train.class_names)
    with pytest.raises(LeakError, match="also in training"):
        evaluate(fitted(FIRST), again)


def test_synthetic_pictures_may_be_trained_on(train, val, test):
    classifier = FIRST.fit(train.joined(synthetic(test)), val, seed=0)
    assert set(train.origin.content.tolist()) | set(val.origin.content.tolist()) <= classifier.seen
