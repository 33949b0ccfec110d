"""What every classifier in the table keeps, freshly fitted and read back from disk."""

from __future__ import annotations

import json
import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from small_classifiers import FIRST, RECIPES, STEPS, every_recipe, small

from handful.classify.cnn import channel_stats, class_weights
from handful.classify.contract import ClassifierRecipe
from handful.classify.table import CLASSIFIERS, load_classifier
from handful.config import choose
from handful.data.augment import Augmentation
from handful.errors import ConfigError, DataError, HandfulError, StoreError
from handful.nn.train import How, Training

pytestmark = pytest.mark.usefixtures("alone")


# ---------------------------------------------------------------- recipes


@pytest.mark.parametrize("kind", CLASSIFIERS)
def test_a_row_is_documented_and_named_by_its_kind(kind):
    assert CLASSIFIERS[kind].__doc__
    assert CLASSIFIERS[kind].__doc__ != ClassifierRecipe.__doc__
    assert CLASSIFIERS[kind]().kind == kind
    assert choose(CLASSIFIERS, kind, "classifier") == CLASSIFIERS[kind]()


def test_unknown_names_are_errors_with_the_nearest_name():
    with pytest.raises(ConfigError, match=r"unknown classifier 'cmn'; did you mean 'cnn'\?"):
        choose(CLASSIFIERS, "cmn", "classifier")
    with pytest.raises(ConfigError, match=r"unknown key 'balanse'; did you mean 'balance'\?"):
        choose(CLASSIFIERS, {"kind": "cnn", "balanse": "none"}, "classifier")


@pytest.mark.parametrize("kind", CLASSIFIERS)
def test_the_digest_covers_every_field(kind, one_field_changed):
    recipe = CLASSIFIERS[kind](augment=Augmentation())  # which other fields need
    changed = one_field_changed(recipe)
    assert changed.pop("kind") == []
    assert all(changed.values()), "no other value was found for a field"
    alone = [one for ones in changed.values() for one in ones]
    assert len({recipe.digest(), *(one.digest() for one in alone)}) == 1 + len({str(one) for one in alone})


@every_recipe
def test_equal_recipes_have_equal_digests(recipe):
    again = choose(CLASSIFIERS, recipe.to_json(), "classifier")
    assert again == recipe
    assert again.digest() == recipe.digest()


# ---------------------------------------------------------------- predictions


@every_recipe
def test_probabilities_are_one_row_per_picture_and_sum_to_one(classifier, test):
    probs = classifier.predict_proba(test)
    assert probs.dtype == np.float32
    assert probs.shape == (40, 4)
    assert (probs >= 0).all()
    np.testing.assert_allclose(probs.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_array_equal(classifier.predict_proba(test.pixels), probs)
    assert classifier.predict_proba(test.pixels[:0]).shape == (0, 4)


@every_recipe
def test_predicting_is_repeatable_and_leaves_the_global_streams_alone(classifier, test, untouched):
    with untouched():
        first, again = classifier.predict_proba(test), classifier.predict_proba(test)
    np.testing.assert_array_equal(first, again)


@every_recipe
def test_a_prediction_does_not_depend_on_the_company(classifier, test):
    probs = classifier.predict_proba(test)
    np.testing.assert_allclose(classifier.predict_proba(test.pixels[7:8]), probs[7:8], atol=1e-5)
    np.testing.assert_allclose(classifier.predict_proba(test.pixels[::-1]), probs[::-1], atol=1e-5)


@every_recipe
def test_a_wrong_view_or_type_is_refused(classifier):
    for pixels in (
        np.zeros((2, 3, 8, 8), dtype=np.uint8),
        np.zeros((2, 1, 16, 16), dtype=np.uint8),
        np.zeros((2, 1, 8, 9), dtype=np.uint8),
        np.zeros((1, 8, 8), dtype=np.uint8),
        np.zeros((2, 1, 8, 8), dtype=np.float32),
    ):
        with pytest.raises(DataError, match=r"takes uint8 pictures \['N', 1, 8, 8\], got"):
            classifier.predict_proba(pixels)


# ---------------------------------------------------------------- files


@every_recipe
def test_a_loaded_classifier_is_the_saved_one(recipe, fitted, test, tmp_path, untouched, saved):
    fitted(recipe).save(str(tmp_path / "one"))
    with untouched():
        loaded = load_classifier(str(tmp_path / "one"))
    assert (
        len({path.stat().st_mode for path in (tmp_path / "one").iterdir()}) == 1
    )  # who may read the card may read all
    assert loaded.recipe == recipe
    assert (loaded.class_names, loaded.channels) == (test.class_names, 1)
    assert loaded.seen == fitted(recipe).seen
    assert loaded.history == fitted(recipe).history
    np.testing.assert_array_equal(loaded.predict_proba(test), fitted(recipe).predict_proba(test))
    assert saved(loaded) == saved(fitted(recipe))


@every_recipe
def test_a_missing_or_broken_file_is_a_store_error(recipe, fitted, tmp_path):
    with pytest.raises(StoreError, match=r"no classifier here \(classifier.json is missing\)"):
        load_classifier(tmp_path)
    with pytest.raises(StoreError, match="no classifier here"):
        load_classifier(tmp_path / "nowhere")
    fitted(recipe).save(tmp_path)
    weights, card = tmp_path / "classifier.safetensors", tmp_path / "classifier.json"
    whole, written = weights.read_bytes(), json.loads(card.read_text())

    weights.unlink()
    with pytest.raises(StoreError, match=r"incomplete, classifier.safetensors is missing"):
        load_classifier(tmp_path)
    weights.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(StoreError, match="damaged"):
        load_classifier(tmp_path)
    weights.write_bytes(whole)
    needed = [name for name in load_file(weights) if not name.endswith("num_batches_tracked")]
    for name in needed:  # the other one is never read by a network in use
        weights.write_bytes(whole)
        tensors = load_file(weights)
        del tensors[name]
        save_file(tensors, weights)
        with pytest.raises(StoreError, match=name.rpartition(".")[2]):
            load_classifier(tmp_path)
    weights.write_bytes(whole)

    for tampered, says in (
        ("{", "not the card of a classifier"),
        ("[]", "not the card of a classifier"),
        (json.dumps({**written, "recipe": {"kind": "cmn"}}), "unknown classifier 'cmn'"),
        (json.dumps({**written, "class_names": ["a", "b"]}), "the weights do not fit the card"),
        (json.dumps({**written, "channels": 3}), "the weights do not fit the card"),
        (json.dumps({name: value for name, value in written.items() if name != "channels"}), "channels"),
    ):
        card.write_text(tampered)
        with pytest.raises(StoreError, match=says):
            load_classifier(tmp_path)


def _predicted(folders, pixels):
    torch.set_num_threads(1)
    return [load_classifier(folder).predict_proba(pixels) for folder in folders]


def test_predictions_are_equal_in_a_spawned_process(fitted, test, tmp_path):
    folders, here = [], []
    for place, param in enumerate(RECIPES):
        fitted(param.values[0]).save(tmp_path / str(place))
        folders.append(str(tmp_path / str(place)))
        here.append(fitted(param.values[0]).predict_proba(test))
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        there = pool.submit(_predicted, folders, test.pixels).result(timeout=120)
    for mine, theirs in zip(here, there, strict=True):
        np.testing.assert_array_equal(mine, theirs)


@every_recipe
def test_no_pickle_is_read(recipe, train, val, fitted, tmp_path, monkeypatch):
    """`torch.load` serves checkpoints alone, and with weights_only=True; saved classifiers never reach it."""
    calls, plain = [], torch.load

    def spy(*args, **options):
        calls.append(options.get("weights_only"))
        return plain(*args, **options)

    monkeypatch.setattr(torch, "load", spy)
    monkeypatch.setattr("pickle.load", None)
    monkeypatch.setattr("pickle.loads", None)
    fitted(recipe).save(tmp_path / "saved")
    assert not [path for path in (tmp_path / "saved").iterdir() if path.suffix not in (".json", ".safetensors")]
    load_classifier(tmp_path / "saved")
    assert calls == []
    resumed_after(recipe, train, val, tmp_path / "fit.pt", stop=3)
    assert calls == [True]


# ---------------------------------------------------------------- fitting


@every_recipe
def test_one_seed_fits_one_classifier(recipe, train, val, fitted, saved):
    assert saved(recipe.fit(train, val, seed=0)) == saved(fitted(recipe))
    assert saved(fitted(recipe, seed=1)) != saved(fitted(recipe))


@every_recipe
def test_the_seeds_of_initialisation_and_order_act_separately(recipe, fitted, saved):
    assert saved(fitted(recipe, seed=0, order=0)) == saved(fitted(recipe))
    first, other_order, other_start = fitted(recipe, 3, 5), fitted(recipe, 3, 6), fitted(recipe, 4, 5)
    assert len({saved(one)["classifier.safetensors"] for one in (first, other_order, other_start)}) == 3


def test_the_augmentation_follows_the_order_seed(train, val, monkeypatch):
    drawn, plain = [], Augmentation.apply

    def spy(self, images, draws):
        drawn[-1].append(draws)
        return plain(self, images, draws)

    monkeypatch.setattr(Augmentation, "apply", spy)
    for seed, order in ((3, 5), (4, 5), (3, 6)):
        drawn.append([])
        FIRST.changed(augment=Augmentation()).fit(train, val, seed=seed, order_seed=order)
    first, other_start, other_order = (torch.cat(draws) for draws in drawn)
    assert torch.equal(first, other_start)
    assert not torch.equal(first, other_order)


@every_recipe
def test_the_order_seed_leaves_the_initialisation_alone(recipe, train, val, fitted):
    still = recipe.changed(training=recipe.training.changed(steps=1, lr=1e-30, weight_decay=0.0))
    starts = [
        dict(still.fit(train, val, seed=seed, order_seed=order).module.named_parameters())
        for seed, order in ((3, 5), (3, 6), (4, 5))
    ]
    assert all(torch.allclose(starts[0][name], starts[1][name], atol=1e-20) for name in starts[0])
    assert any(not torch.allclose(starts[0][name], starts[2][name]) for name in starts[0])


@every_recipe
def test_fitting_leaves_the_global_streams_alone_and_they_do_not_reach_it(recipe, train, val, fitted, saved, untouched):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(12345)
        with untouched():
            moved = recipe.fit(train, val, seed=0)
    assert saved(moved) == saved(fitted(recipe))


class StoppedError(Exception):
    pass


def resumed_after(recipe, train, val, checkpoint, stop):
    """A fit that was interrupted after `stop` steps and resumed."""
    done = []

    def progress(step, steps):
        done.append(step)
        if len(done) == stop:
            raise StoppedError

    with pytest.raises(StoppedError):
        recipe.fit(train, val, seed=0, how=How(checkpoint=checkpoint, checkpoint_seconds=0, progress=progress))
    assert checkpoint.exists()
    resumed = recipe.fit(train, val, seed=0, how=How(checkpoint=checkpoint, progress=progress))
    assert done == list(range(1, recipe.training.steps + 1)), "each step was taken once"
    assert not checkpoint.exists()
    return resumed


@every_recipe
@pytest.mark.parametrize("stop", [1, 5, 11])
def test_an_interrupted_fit_resumes_to_the_undisturbed_one(recipe, stop, train, val, fitted, saved, tmp_path):
    resumed = resumed_after(recipe, train, val, tmp_path / "fit.pt", stop)
    assert saved(resumed) == saved(fitted(recipe))


def test_an_interrupted_fit_with_every_treatment_resumes_too(train, val, saved, tmp_path):
    recipe = small(CLASSIFIERS["cnn"](network="v2", balance="oversample", augment=Augmentation(flip_horizontal=True)))
    resumed = resumed_after(recipe, train, val, tmp_path / "fit.pt", 7)
    assert saved(resumed) == saved(recipe.fit(train, val, seed=0))


@every_recipe
def test_it_learns(recipe, digits):
    """More than 85 in 100 of held-out digits of four classes are right; chance is 25."""
    held_out = digits(80, (60, 60, 60, 60))
    long = recipe.changed(training=Training(steps=90, batch_size=24, lr=3e-3))
    classifier = long.fit(digits(0, (40, 40, 40, 40)), digits(40, (10, 10, 10, 10)), seed=0)
    assert (classifier.predict_proba(held_out).argmax(1) == held_out.labels).mean() > 0.85


@every_recipe
def test_the_history_says_what_happened(recipe, fitted):
    history = fitted(recipe).history
    assert history["steps"] == [5, 10, 12]
    assert history["steps_done"] == STEPS
    assert history["pictures_seen"] == STEPS * 16
    assert set(history["values"][0]) == {"loss", "accuracy", "balanced_accuracy", "auc"}
    json.dumps(history, allow_nan=False)


@pytest.mark.parametrize(
    "change", [{"balance": "class-weights"}, {"balance": "oversample"}, {"augment": Augmentation()}]
)
def test_a_treatment_changes_the_fit(change, fitted, saved):
    treated = fitted(FIRST.changed(**change))
    assert saved(treated)["classifier.safetensors"] != saved(fitted(FIRST))["classifier.safetensors"]


@pytest.mark.parametrize("balance", ["class-weights", "oversample"])
def test_balancing_helps_a_rare_class(balance, digits):
    """Two pictures against sixty: the rare class is recalled more often than without."""
    train, val, test = digits(0, (60, 0, 0, 2)), digits(60, (10, 0, 0, 10)), digits(80, (0, 0, 0, 60))
    plain = small(CLASSIFIERS["cnn"](network="base", training=Training(lr=5e-3)), steps=40)

    def recall(recipe):
        return (recipe.fit(train, val, seed=0).predict_proba(test).argmax(1) == 3).mean()

    assert recall(plain.changed(balance=balance)) > recall(plain) + 0.1


def test_balancing_equal_classes_by_weight_changes_nothing(digits, saved):
    train, val = digits(0, (9, 9, 9, 9)), digits(30, (5, 5, 5, 5))
    weighted, plain = (FIRST.changed(balance=name).fit(train, val, seed=0) for name in ("class-weights", "none"))
    assert saved(weighted)["classifier.safetensors"] == saved(plain)["classifier.safetensors"]


def test_class_weights_give_every_class_the_same_total_and_the_mean_picture_one():
    counts = np.array([30, 5, 0, 1])
    weights = class_weights(counts).numpy()
    np.testing.assert_allclose(weights * counts, [12, 12, 0, 12], rtol=1e-6)  # N / K' each
    assert weights[2] == 0
    assert (weights * counts).sum() / counts.sum() == pytest.approx(1)


def test_pictures_are_normalised_by_the_training_part(train, fitted):
    rgb = np.random.default_rng(0).integers(0, 256, (7, 3, 5, 5), dtype=np.uint8)
    mean, std = channel_stats(rgb)
    np.testing.assert_allclose(mean, (rgb / 255).mean(axis=(0, 2, 3)), rtol=1e-6)
    np.testing.assert_allclose(std, (rgb / 255).std(axis=(0, 2, 3)), rtol=1e-5)
    assert channel_stats(np.full((2, 1, 4, 4), 9, dtype=np.uint8))[1].item() == pytest.approx(1e-3), "never zero"
    module = fitted(FIRST).module
    torch.testing.assert_close(module.mean.view(-1), channel_stats(train.pixels)[0])


@every_recipe
def test_a_loss_that_is_not_finite_is_an_error(recipe, train, val):
    wild = recipe.changed(training=recipe.training.changed(optimizer="sgd", lr=1e20, schedule="constant"))
    with pytest.raises(HandfulError, match="a lower lr is the usual remedy"):
        wild.fit(train, val, seed=0)
