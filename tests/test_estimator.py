"""`HandfulClassifier` is a scikit-learn classifier: its estimator checks, cross-validation and grid search."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.utils.estimator_checks import parametrize_with_checks

from handful import CNN, HandfulClassifier, LabeledImages, Training, View
from handful.classify.recommend import size_for
from handful.data.augment import Augmentation
from handful.errors import ConfigError, DataError
from handful.nn.networks import network_of
from tiny_study import digits

QUICK: dict[str, Any] = {"network": "base", "steps": 40, "lr": 1e-2, "device": "cpu"}


@parametrize_with_checks([HandfulClassifier(**QUICK)])  # scikit-learn skips two itself: no array API, no pandas
def test_it_passes_the_checks_of_scikit_learn(estimator: Any, check: Any) -> None:
    check(estimator)


@pytest.fixture(scope="module")
def pictures() -> tuple[Any, Any]:
    """Ninety digits of 8 px, uint8 [N, 1, 8, 8], with their names."""
    pixels, labels, names = digits(30, 30, 30)
    return pixels, np.array(names)[labels]


def test_pictures_are_cross_validated(pictures: tuple[Any, Any]) -> None:
    scores = cross_val_score(HandfulClassifier(**QUICK), *pictures, cv=3)
    assert scores.shape == (3,)
    assert scores.min() > 0.6  # chance is 1 / 3


def test_a_grid_over_its_parameters_finds_the_one_that_learns(pictures: tuple[Any, Any]) -> None:
    grid = GridSearchCV(HandfulClassifier(**QUICK), {"lr": [1e-6, 1e-2], "augment": [None, Augmentation()]}, cv=2)
    grid.fit(*pictures)
    assert grid.best_params_["lr"] == 1e-2
    assert grid.predict(pictures[0][:2]).tolist() == pictures[1][:2].tolist()


def test_it_is_the_classifier_of_a_study(pictures: tuple[Any, Any]) -> None:
    """The same probabilities as the recipe fitted by hand, and whatever the colour or the number type."""
    pixels, names = pictures
    model = HandfulClassifier(**QUICK).fit(pixels, names)
    seed = int(np.random.RandomState(0).randint(2**31 - 1))
    recipe = CNN(network="base", view=View(size=8, channels=1), training=Training(steps=40, lr=1e-2))
    classes, labels = np.unique(names, return_inverse=True)
    by_hand = recipe.fit(LabeledImages.of_arrays(pixels, labels, list(classes)), None, seed=seed)
    probs = model.predict_proba(pixels)
    np.testing.assert_array_equal(probs, by_hand.predict_proba(pixels))
    np.testing.assert_array_equal(model.predict(pixels), classes[probs.argmax(axis=1)])
    for same in (pixels / 255, (pixels / 255).astype(np.float32), pixels[:, 0]):
        np.testing.assert_array_equal(model.predict_proba(same), probs)
    assert model.classifier_.class_names == tuple(classes)
    assert model.score(pixels, names) == np.mean(model.predict(pixels) == names)


def test_a_clone_is_unfitted_and_gives_the_same_and_so_does_a_pickle(pictures: tuple[Any, Any]) -> None:
    pixels, names = pictures
    model = HandfulClassifier(**QUICK, tuning={"freeze_steps": 0}).fit(pixels, names)
    again = clone(model)
    assert again.get_params() == model.get_params()
    with pytest.raises(NotFittedError):
        again.predict(pixels)
    np.testing.assert_array_equal(again.fit(pixels, names).predict_proba(pixels), model.predict_proba(pixels))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict_proba(pixels), model.predict_proba(pixels))
    other = again.set_params(random_state=1).fit(pixels, names)
    assert np.abs(other.predict_proba(pixels) - model.predict_proba(pixels)).max() > 1e-3


def test_pictures_of_other_sizes_are_brought_to_its_view(pictures: tuple[Any, Any]) -> None:
    pixels, names = pictures
    large = np.kron(pixels, np.ones((1, 1, 5, 5), np.uint8))
    model = HandfulClassifier(**QUICK).fit(large, names)
    assert model.classifier_.recipe.view.size == 32
    assert HandfulClassifier(**QUICK, image_size=8).fit(large, names).score(large, names) > 0.8


@pytest.mark.parametrize(
    ("network", "side", "size"),
    [
        ("v3", 224, 64),
        ("v3", 3, 8),
        ({"kind": "inception_v3", "weights": "random"}, 100, 75),
        ({"kind": "resnet18", "weights": "random"}, 100, 64),
        ("inception_v3", 60, 75),
        ("lite0", 224, 224),
        ("lite0", 100, 100),
        ("lite0", 500, 224),
        ("lite0", 2, 8),
        ("fusion", 50, 63),
    ],
)
def test_the_size_suits_the_network_and_the_pictures(network: Any, side: int, size: int) -> None:
    assert size_for(network_of(network), side) == size


def test_pictures_smaller_than_the_network_takes_are_enlarged(pictures: tuple[Any, Any]) -> None:
    pixels, names = pictures
    small = {"kind": "squeezenet1_1", "weights": "random"}
    model = HandfulClassifier(small, steps=1, batch_size=4, device="cpu").fit(pixels[25:35], names[25:35])
    assert model.classifier_.recipe.view.size == 17


def test_a_list_of_pictures_is_the_stacked_array(pictures: tuple[Any, Any]) -> None:
    pixels, names = pictures
    model = HandfulClassifier(**QUICK).fit(pixels, names)
    grey = HandfulClassifier(**QUICK).fit(list(pixels[:, 0]), names)
    assert (grey.n_features_in_, grey.classifier_.channels) == (1, 1)
    for same in (list(pixels[:, 0]), tuple(pixels), (pixels[:, 0] / 255).tolist()):
        np.testing.assert_array_equal(grey.predict_proba(same), model.predict_proba(pixels))


@pytest.mark.parametrize(
    ("X", "fault"),
    [
        (
            [np.zeros((8, 8), np.uint8), np.zeros((8, 9), np.uint8)] * 2,
            r"2 shapes, such as \[8, 8\] and \[8, 9\]; bring",
        ),
        (np.zeros((4, 8, 8, 3), np.uint8), r"X\.transpose\(0, 3, 1, 2\) puts the channels first"),
        (np.full((4, 1, 8, 8), 2.0), "from 2 to 2; pictures are floats in"),
        (np.zeros((4, 1, 8, 8), np.int64), "X is int64; pictures are uint8"),
        (np.zeros((4, 2, 8, 8), np.uint8), r"expected pictures \[N, C, H, W\]"),
    ],
)
def test_arrays_that_are_no_pictures_are_refused(X: Any, fault: str) -> None:
    with pytest.raises(DataError, match=fault):
        HandfulClassifier(**QUICK).fit(X, [0, 0, 1, 1])


def test_a_table_is_no_picture_and_a_wrong_parameter_is_named(pictures: tuple[Any, Any]) -> None:
    pixels, names = pictures
    model = HandfulClassifier(**QUICK).fit(pixels, names)
    with pytest.raises(DataError, match="this one was fitted to pictures"):
        model.predict(np.zeros((3, 1)))
    with pytest.raises(DataError, match="only one class"):
        model.fit(pixels, np.zeros(len(pixels)))
    with pytest.raises(ConfigError, match="did you mean 'base'"):
        HandfulClassifier("bas").fit(pixels, names)
