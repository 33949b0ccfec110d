"""Pictures of one class that are, changed, pictures of another."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from handful import CNN, Augmentation
from handful.data.images import LabeledImages, View
from handful.data.mirrored import MirrorPair, check_pairs, with_mirrored
from handful.errors import ConfigError
from handful.nn.train import Training

Change = Callable[[np.ndarray], np.ndarray]
NAMES = ("left", "other", "right")


def arrows(num: int, seed: int = 0) -> LabeledImages:
    """Bright on the left or on the right half, or all grey: `num` of each, with noise."""
    noise = np.random.default_rng(seed).integers(0, 60, (3 * num, 3, 12, 12))
    labels = np.repeat([0, 1, 2], num)
    noise[:num, ..., :6] += 150
    noise[2 * num :, ..., 6:] += 150
    return LabeledImages.of_arrays(noise.astype(np.uint8), labels, NAMES)


@pytest.mark.parametrize(
    ("operation", "change"),
    [
        ("horizontal flip", np.fliplr),
        ("vertical flip", np.flipud),
        ("half turn", lambda picture: np.rot90(picture, 2)),
        ("diagonal flip", lambda picture: np.rot90(np.fliplr(picture))),
    ],
)
def test_each_picture_of_a_pair_comes_again_changed_and_as_the_other_class(operation: str, change: Change) -> None:
    images = arrows(2).take(np.array([0, 1, 2, 3, 4]))
    made = with_mirrored(images, [("left", "right", operation)])  # type: ignore[list-item]
    assert made.labels.tolist() == [*images.labels.tolist(), 2, 2, 0]
    np.testing.assert_array_equal(made.pixels[:5], images.pixels)
    for place, parent in zip((5, 6, 7), (0, 1, 4), strict=True):
        np.testing.assert_array_equal(made.pixels[place, 0], change(images.pixels[parent, 0]))
        assert made.origin.parent[place] == images.origin.parent[parent]
    assert made.origin.real.tolist() == [True] * 5 + [False] * 3
    assert set(made.origin.maker[5:]) == {operation}


def test_a_class_in_two_pairs_gets_pictures_of_both_and_none_are_made_of_made_ones() -> None:
    images = arrows(3)
    pairs: list[MirrorPair] = [("left", "right", "horizontal flip"), ("left", "other", "vertical flip")]
    assert with_mirrored(images, pairs).counts.tolist() == [9, 6, 6]
    assert with_mirrored(images, []) is images


@pytest.mark.parametrize(
    ("pair", "said"),
    [
        (("left", "rigth", "half turn"), "unknown class in mirror_pairs 'rigth'.*right"),
        (("left", "left", "half turn"), "'left' is paired with itself"),
    ],
)
def test_a_pair_that_cannot_be_is_refused(pair: MirrorPair, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        check_pairs([pair], NAMES)
    with pytest.raises(ConfigError, match=said):
        with_mirrored(arrows(1), [pair])


def test_a_network_learns_a_class_from_the_mirrored_pictures_of_the_other() -> None:
    train = arrows(12).take(np.arange(24))  # none of `right`
    test = arrows(8, seed=1)
    recipe = CNN(network="base", view=View(size=12), training=Training(steps=60, lr=1e-3, batch_size=8))
    right = []
    for pairs in ((), (("left", "right", "horizontal flip"),)):
        fitted = recipe.changed(mirror_pairs=pairs).fit(train, None, seed=0)
        probs = fitted.predict_proba(test)
        right.append(float((probs.argmax(axis=1) == test.labels)[test.labels == 2].mean()))
        assert fitted.history["pictures_seen"] == 60 * 8
    assert right == [0, 1]


def test_a_flip_cannot_both_keep_and_change_a_class() -> None:
    pair = ("left", "right", "horizontal flip")
    flips = Augmentation(flip_horizontal=True)
    with pytest.raises(ConfigError, match="a horizontal flip makes 'left' of 'right' in mirror_pairs and keeps every"):
        CNN(augment=flips, mirror_pairs=(pair,))
    CNN(augment=flips, mirror_pairs=(("left", "right", "vertical flip"),))
    with pytest.raises(ConfigError, match="a half turn"):
        CNN(augment=flips.changed(flip_vertical=True), mirror_pairs=(("left", "right", "half turn"),))
    diagonal = Augmentation(flip_diagonal=True)
    CNN(augment=diagonal, mirror_pairs=(pair,))
    with pytest.raises(ConfigError, match="a diagonal flip"):
        CNN(augment=diagonal, mirror_pairs=(("left", "right", "diagonal flip"),))
    with pytest.raises(ConfigError, match="a horizontal flip"):  # which the other two make together
        CNN(augment=diagonal.changed(flip_vertical=True), mirror_pairs=(pair,))
