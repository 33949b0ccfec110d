"""What mixing two pictures keeps: the line between them, the nearer one named as parent, and what alpha means."""

from __future__ import annotations

import numpy as np
import pytest

from handful.generate.interpolate import Interpolation

pytestmark = pytest.mark.usefixtures("alone")


@pytest.fixture(scope="module")
def fitted(train, val):
    return lambda recipe: recipe.fit(train, val, seed=0)


def test_a_mix_lies_between_two_pictures_of_its_class_and_names_the_nearer_as_parent(train, fitted):
    made = fitted(Interpolation()).sample(np.arange(30) % 3, seeds=range(30))
    for picture, label, parent in zip(made.pixels, made.labels, made.origin.parent, strict=True):
        own = train.of_class(label)
        assert parent in own.origin.parent
        one = train.pixels[parent].astype(float).ravel()
        best = np.inf
        for other in own.pixels[own.origin.parent != parent].astype(float).reshape(-1, 64):
            gap = other - one
            weight = (picture.ravel() - one) @ gap / (gap @ gap)  # of the other picture
            if -0.02 <= weight <= 0.52:
                best = min(best, np.abs(one + weight * gap - picture.ravel()).max())
        assert best <= 2, "rounded to whole values, and nothing else"


def test_a_small_alpha_stays_nearer_to_one_picture(train):
    def distance(alpha):
        made = Interpolation(alpha=alpha).fit(train, None, seed=0).sample([0] * 60, seeds=range(60))
        return np.abs(made.pixels.astype(float) - train.pixels[made.origin.parent]).mean()

    assert distance(0.05) < 0.5 * distance(1.0) < 0.8 * distance(50.0)
