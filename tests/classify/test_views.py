"""Test-time augmentation: which views are averaged, and that they depend on the picture alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from handful.classify.cnn import CNN
from handful.classify.views import views_of
from handful.data.augment import Augmentation
from handful.data.images import LabeledImages, View
from handful.errors import ConfigError
from handful.nn.train import Training, one_thread

STRONG = Augmentation(**{"from": "strong"})
FLIP = Augmentation(**{"from": "crop"}, crop=0.0, flip_horizontal=True)


@pytest.fixture(autouse=True)
def _one_thread():
    with one_thread():
        yield


def pictures(num, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (num, 3, 8, 8), dtype=np.uint8)
    return LabeledImages.of_arrays(pixels, np.arange(num) % 3)


def fitted(**fields):
    training = Training(steps=6, batch_size=8)
    return CNN(**{"network": "v2", "view": View(size=8), "training": training, "augment": STRONG, **fields}).fit(
        pictures(24), pictures(9, 1), seed=0
    )


def flip(*axes):
    return lambda images: images.flip(axes)


def turn(quarters, *axes):
    return lambda images: images.flip(axes).rot90(quarters, (2, 3))


def test_views_depend_on_the_picture_s_content_and_not_on_its_company():
    images = torch.from_numpy(pictures(10).pixels).float() / 255
    whole = list(views_of(images, STRONG, 3))
    for order in ([4], [9, 4, 0]):
        for view, part in zip(whole, views_of(images[order], STRONG, 3), strict=True):
            torch.testing.assert_close(part, view[order])
    assert torch.equal(whole[0], images)
    assert not torch.allclose(whole[1], whole[2])
    more = list(views_of(images, STRONG, 5))
    assert all(torch.equal(one, other) for one, other in zip(whole, more, strict=False))


def test_probabilities_are_the_mean_over_the_views(monkeypatch):
    made, test = fitted(tta=4), pictures(7, 2)
    images = torch.from_numpy(test.pixels).float() / 255
    with torch.no_grad():
        views = [made.module(view).softmax(1) for view in views_of(images, STRONG, 4)]
    probs = made.predict_proba(test)
    np.testing.assert_allclose(probs, torch.stack(views).mean(0).numpy(), atol=1e-6)
    np.testing.assert_allclose(probs.sum(1), 1, atol=1e-6)
    monkeypatch.setattr("handful.classify.cnn.CHUNK", 11)  # five views each: two pictures at once
    np.testing.assert_allclose(made.predict_proba(test), probs, atol=1e-6)
    assert not np.allclose(probs, fitted().predict_proba(test))


def test_a_prediction_does_not_depend_on_the_company_and_is_repeatable():
    made, test = fitted(tta=3), pictures(12, 2)
    probs = made.predict_proba(test)
    np.testing.assert_array_equal(made.predict_proba(test), probs)
    np.testing.assert_allclose(made.predict_proba(test.pixels[5:6]), probs[5:6], atol=1e-5)
    np.testing.assert_allclose(made.predict_proba(test.pixels[::-1]), probs[::-1], atol=1e-5)
    assert made.predict_proba(test.pixels[:0]).shape == (0, 3)


def test_only_what_the_recipe_allows_is_done_to_a_picture():
    images = torch.from_numpy(pictures(6).pixels).float() / 255
    for view in views_of(images, FLIP, 4):
        kept = (view - images).flatten(1).abs().amax(1) < 1e-4
        flipped = (view - images.flip(3)).flatten(1).abs().amax(1) < 1e-4
        assert (kept | flipped).all()


@pytest.mark.parametrize(
    ("flips", "changes"),
    [
        ({}, []),
        ({"flip_horizontal": True}, [flip(3)]),
        ({"flip_horizontal": True, "flip_vertical": True}, [flip(3), flip(2), flip(2, 3)]),
        (
            {"flip_horizontal": True, "flip_vertical": True, "flip_diagonal": True},
            [*(turn(k) for k in (1, 2, 3)), flip(3), *(turn(k, 3) for k in (1, 2, 3))],
        ),
    ],
)
def test_flips_are_the_picture_and_its_allowed_mirror_images(flips, changes):
    test = pictures(7, 2)
    made = fitted(tta="flips", augment=Augmentation(**flips))
    images = torch.from_numpy(test.pixels).float() / 255
    with torch.no_grad():
        views = [made.module(view).softmax(1) for view in (images, *(change(images) for change in changes))]
    probs = made.predict_proba(test)
    np.testing.assert_allclose(probs, torch.stack(views).mean(0).numpy(), atol=1e-6)
    assert made.recipe.num_views == len(views)
    if flips:
        mirrored = np.ascontiguousarray(test.pixels[..., ::-1])
        np.testing.assert_allclose(made.predict_proba(mirrored), probs, atol=1e-5)


def test_views_need_an_augmentation_to_be_drawn_from():
    with pytest.raises(ConfigError, match="tta=4 draws its views from augment, which is None"):
        CNN(tta=4)


def test_training_is_the_same_with_and_without_views():
    with_views, without = fitted(tta=4), fitted()
    assert with_views.history == without.history


def test_a_fit_ends_with_its_scores_without_augmentation_and_dropout():
    made = fitted()
    final, train = made.history["final"], pictures(24)
    assert final["train"]["num"] == 24
    assert final["val"]["num"] == 9
    right = made.predict_proba(train).argmax(1) == train.labels
    assert final["train"]["accuracy"] == pytest.approx(right.mean())
    assert final["val"] == {**made.history["values"][-1], "num": 9}
    assert len(made.history["train_values"]) == len(made.history["steps"])
    assert all(0 <= seen["accuracy"] <= 1 for seen in made.history["train_values"])
