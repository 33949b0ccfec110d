"""On a GPU what a CPU does: the same augmented pictures, the same answers, fits and generators that end well."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small_classifiers import RECIPES, small

from handful import CNN, Training, View, run
from handful.classify.explain import heat_of
from handful.classify.pretrain import SimCLR
from handful.data.augment import PRESETS, Augmentation
from handful.data.draws import Draws
from handful.data.images import LabeledImages
from handful.data.mix import Mix
from handful.generate.table import GENERATORS
from handful.nn.train import How
from small_generators import small as small_generator
from tiny_study import tiny

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine"),
]
ON_GPU = How(device="cuda")
CLOSE = 1e-3  # of probabilities: convolutions on a GPU round to TF32 unless told otherwise


@pytest.fixture(scope="module")
def coloured():
    """Sixty noisy pictures of two classes, 40 px, three channels; one class has a dark square in the middle."""
    stream = np.random.default_rng(0)
    pixels = stream.integers(0, 256, (60, 3, 40, 40), dtype=np.uint8)
    pixels[30:, :, 10:30, 10:30] //= 4
    return LabeledImages.of_arrays(pixels, np.repeat([0, 1], 30), ("plain", "square"))


@pytest.mark.parametrize("name", PRESETS)
def test_augmented_pictures_are_those_of_a_cpu(name, coloured):
    augment = Augmentation.preset(name)
    index = np.arange(len(coloured))
    draws = Draws(len(coloured), 3).at(np.zeros_like(index), index)
    images = torch.from_numpy(coloured.pixels)
    here, there = augment.apply(images, draws), augment.apply(images.cuda(), draws.cuda()).cpu()
    off = (here - there).abs()
    # a level may fall on the other side of a rounding in a policy, a place on the other side of a box
    assert off.mean() < 2e-3
    assert (off > 0.02).float().mean() < 5e-3


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_classifier_answers_on_both_devices_alike(recipe, train, val):
    fitted = recipe.fit(train, val, seed=1, how=ON_GPU)
    there, here = (fitted.predict_proba(val, device=device) for device in ("cuda", "cpu"))
    np.testing.assert_allclose(there, here, atol=CLOSE)
    assert fitted.history["train_loss"][-1]["classifier"] < fitted.history["train_loss"][0]["classifier"] * 1.5


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_everything_that_a_recipe_may_ask_for(precision, coloured):
    training = Training(steps=40, lr=3e-3, warmup_steps=4, precision=precision, ema=0.9, clip_norm=1.0, l1=1e-6)
    flips = {"flip_horizontal": True, "flip_vertical": True, "flip_diagonal": True}
    recipe = CNN(
        network={"kind": "residual", "width": 8},
        view=View(size=40),
        training=training,
        augment=Augmentation.preset("heavy", **flips),
        mix=Mix(mixup=0.2, cutmix=1.0),
        label_smoothing=0.1,
        tta="flips",
        balance="oversample",
    )
    fitted = recipe.fit(coloured, None, seed=2, how=ON_GPU)
    probs = fitted.predict_proba(coloured, device="cuda")
    assert (probs.argmax(1) == coloured.labels).mean() > 0.9
    np.testing.assert_allclose(probs, fitted.predict_proba(coloured), atol=CLOSE)


def test_a_network_from_packaged_weights(coloured):
    training = Training(steps=20, lr=1e-3, eval_every=20)
    recipe = CNN(network="lite0", view=View(size=40), training=training, augment=Augmentation.preset("heavy"), tta=2)
    fitted = recipe.fit(coloured, None, seed=3, how=ON_GPU)
    np.testing.assert_allclose(
        fitted.predict_proba(coloured, device="cuda"), fitted.predict_proba(coloured), atol=10 * CLOSE
    )
    heat = heat_of(fitted, coloured.pixels[:4], coloured.labels[:4], device="cuda")
    assert heat.shape == (4, 40, 40)
    assert np.isfinite(heat).all()


def test_a_fit_that_was_interrupted_ends_as_if_it_had_not_been(tmp_path, train):
    recipe = small(CNN(network="v3", augment=Augmentation()), steps=20)
    whole = recipe.fit(train, None, seed=4, how=ON_GPU)

    def stop(step: int, steps: int) -> None:
        if step == 9:
            raise KeyboardInterrupt

    path = tmp_path / "checkpoint"
    with pytest.raises(KeyboardInterrupt):
        recipe.fit(train, None, seed=4, how=How(device="cuda", checkpoint=path, checkpoint_seconds=0.0, progress=stop))
    resumed = recipe.fit(train, None, seed=4, how=How(device="cuda", checkpoint=path, checkpoint_seconds=0.0))
    np.testing.assert_allclose(resumed.predict_proba(train), whole.predict_proba(train), atol=CLOSE)


def test_pre_training_without_labels(coloured):
    simclr = SimCLR(network="base", training=Training(steps=5, batch_size=16, eval_every=5))
    made = simclr.fit(coloured, seed=5, how=ON_GPU)
    assert all(tensor.device.type == "cpu" and tensor.isfinite().all() for tensor in made.weights.values())


@pytest.mark.parametrize("kind", GENERATORS)
def test_a_generator_makes_the_same_pictures_on_both_devices(kind, train, val):
    fitted = small_generator(GENERATORS[kind]()).fit(train, val, seed=6, how=ON_GPU)
    labels, seeds = [0, 1, 2, 1], [10, 11, 12, 13]
    there, here = (fitted.sample(labels, seeds=seeds, device=device).pixels for device in ("cuda", "cpu"))
    assert np.abs(there.astype(int) - here).mean() < 2  # of 255 levels


def test_a_study_runs_on_the_gpu(tmp_path):
    result = run(tiny(), tmp_path / "store", budget=None, device="cuda")
    assert set(result.arms) == {"baseline", "vae"}
    assert not result.failed
