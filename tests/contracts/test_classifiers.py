"""What every classifier in the table keeps, freshly fitted and read back from disk, and the guards of its scores."""

from __future__ import annotations

import functools
import json
import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from handful.classify.cnn import channel_stats, class_weights
from handful.classify.contract import ClassifierRecipe, evaluate
from handful.classify.ensemble import Ensemble
from handful.classify.table import CLASSIFIERS, load_classifier
from handful.config import choose
from handful.data.augment import Augmentation
from handful.data.images import LabeledImages, Origin, View
from handful.errors import ConfigError, DataError, HandfulError, LeakError, StoreError
from handful.nn.train import How, Training

pytestmark = pytest.mark.usefixtures("alone")

STEPS = 12
TINY = View(size=8)
NETWORKS = ("base", "v2", "v3", {"kind": "wide", "depth": 10, "width": 1}, {"kind": "residual", "width": 4})
ALL_FLAWS = ("copies-across-parts", "synthetic-in-val", "test-as-val", "split-per-arm")


def small(recipe, steps=STEPS):
    """The same recipe at 8 px with few steps."""
    training = recipe.training.changed(steps=steps, batch_size=16, eval_every=5, patience=None)
    return recipe.changed(view=TINY, training=training)


def variants():
    """Every row of the table, with every network where it has a choice of them."""
    for kind, family in CLASSIFIERS.items():
        for network in NETWORKS if "network" in family.model_fields else (None,):
            chosen = family() if network is None else family(network=network)
            name = network if isinstance(network, str) else network and network["kind"]
            yield pytest.param(small(chosen), id=kind if network is None else f"{kind}-{name}")


RECIPES = list(variants())
FIRST = RECIPES[0].values[0]
every_recipe = pytest.mark.parametrize("recipe", RECIPES)


@pytest.fixture(scope="module")
def train(digits):
    return digits(0, (24, 12, 8, 4))


@pytest.fixture(scope="module")
def val(digits):
    return digits(30, (5, 5, 5, 5))


@pytest.fixture(scope="module")
def test(digits):
    return digits(60, (10, 10, 10, 10))


@pytest.fixture(scope="module")
def fitted(train, val):
    return functools.cache(lambda recipe, seed=0, order=None: recipe.fit(train, val, seed=seed, order_seed=order))


@pytest.fixture(params=["fresh", "loaded"])
def classifier(request, recipe, fitted, tmp_path):
    if request.param == "fresh":
        return fitted(recipe)
    fitted(recipe).save(tmp_path)
    return load_classifier(tmp_path)


def synthetic(images):
    """The same pictures, said to be made."""
    return LabeledImages(
        images.pixels,
        images.labels,
        images.class_names,
        Origin.of_synthetic(images.pixels, "maker", range(len(images))),
    )


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
    fitted(recipe).save(tmp_path / "one")
    with untouched():
        loaded = load_classifier(str(tmp_path / "one"))
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


# ---------------------------------------------------------------- guards


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


# ---------------------------------------------------------------- ensembles


def test_an_ensemble_is_the_mean_of_its_members_and_survives_saving(fitted, test, tmp_path, saved):
    members = [fitted(FIRST, seed) for seed in range(3)]
    ensemble = Ensemble.of(members, {"score": 0.5})
    mean = np.mean([member.predict_proba(test).astype(float) for member in members], axis=0)
    probs = ensemble.predict_proba(test)
    assert probs.dtype == np.float32
    np.testing.assert_allclose(probs, mean, atol=1e-6)
    ensemble.save(tmp_path / "ensemble")
    loaded = load_classifier(tmp_path / "ensemble")
    assert isinstance(loaded, Ensemble)
    assert loaded.about == {"score": 0.5}
    assert loaded.seen == ensemble.seen
    assert (loaded.recipe, loaded.class_names, loaded.channels) == (FIRST, test.class_names, 1)
    np.testing.assert_array_equal(loaded.predict_proba(test), probs)
    assert saved(loaded) == saved(ensemble)


def test_an_ensemble_at_its_temperatures_is_the_mean_of_scaled_members_and_survives_saving(fitted, test, tmp_path):
    members, temperatures = [fitted(FIRST, seed) for seed in range(2)], (2.0, 0.5)
    plain = Ensemble.of(members, {}, temperatures)
    made = plain.at_temperatures()
    pairs = zip(members, temperatures, strict=True)
    powers = [member.predict_proba(test).astype(float) ** (1 / one) for member, one in pairs]
    expected = np.mean([power / power.sum(axis=1, keepdims=True) for power in powers], axis=0)
    np.testing.assert_allclose(made.predict_proba(test), expected, atol=1e-6)
    assert np.abs(made.predict_proba(test) - plain.predict_proba(test)).max() > 1e-3
    for place, ensemble in enumerate((plain, made)):
        ensemble.save(tmp_path / str(place))
        loaded = load_classifier(tmp_path / str(place))
        assert loaded.temperatures == temperatures
        np.testing.assert_array_equal(loaded.predict_proba(test), ensemble.predict_proba(test))


@pytest.mark.parametrize("temperatures", [(), (1.5, None)])
def test_an_ensemble_in_which_one_has_no_temperature_cannot_be_calibrated(fitted, temperatures):
    ensemble = Ensemble.of([fitted(FIRST), fitted(FIRST, 1)], {}, temperatures)
    with pytest.raises(StoreError, match="of 2 classifiers have no temperature"):
        ensemble.at_temperatures()


def test_an_ensemble_refuses_what_any_member_has_seen(fitted, train, val, test):
    other = FIRST.fit(test, val, seed=0)
    ensemble = Ensemble.of([fitted(FIRST), other])
    for part in (train, val, test):
        with pytest.raises(LeakError):
            evaluate(ensemble, part)


def test_an_ensemble_without_members_or_without_a_member_s_files_is_a_store_error(fitted, tmp_path):
    with pytest.raises(StoreError, match="no classifier has been fitted"):
        Ensemble.of([])
    Ensemble.of([fitted(FIRST), fitted(FIRST, 1)]).save(tmp_path)
    (tmp_path / "member-1" / "classifier.json").unlink()
    with pytest.raises(StoreError, match="member-1: no classifier here"):
        load_classifier(tmp_path)
