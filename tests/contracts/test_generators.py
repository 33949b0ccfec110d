"""What every generator in the table keeps, freshly fitted and read back from disk."""

from __future__ import annotations

import functools
import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from handful.config import choose
from handful.data.images import LabeledImages, View
from handful.errors import ConfigError, DataError, HandfulError, LeakError, StoreError
from handful.generate.contract import CHUNK, GeneratorRecipe
from handful.generate.table import GENERATORS, load_generator
from handful.nn.train import How
from small_generators import STEPS, TRAIN, VAL, small

pytestmark = pytest.mark.usefixtures("alone")

NEEDS = {"interpolate": 2}  # pictures of a class; one is enough for the others
LEARNS_IN = {"gan": 900}  # steps, in all; 300 are enough for the others


def variants():
    """Every row of the table; those that train networks told the class, one per class, and tuned per class."""
    for kind, family in GENERATORS.items():
        if "scope" in family.model_fields:
            for scope in ("conditional", "per-class", "specialised"):
                yield pytest.param(small(family(scope=scope)), id=f"{kind}-{scope}")
        else:
            yield pytest.param(small(family()), id=kind)


RECIPES = list(variants())
TRAINED = [param for param in RECIPES if hasattr(param.values[0], "training")]
REBUILDING = [param for param in RECIPES if param.values[0].rebuilds]
every_recipe = pytest.mark.parametrize("recipe", RECIPES)
every_trained = pytest.mark.parametrize("recipe", TRAINED)
every_rebuilding = pytest.mark.parametrize("recipe", REBUILDING)


@pytest.fixture(scope="module")
def train(digits):
    return digits(*TRAIN)


@pytest.fixture(scope="module")
def val(digits):
    return digits(*VAL)


@pytest.fixture(scope="module")
def fitted(train, val):
    return functools.cache(lambda recipe, seed=0: recipe.fit(train, val, seed=seed))


@pytest.fixture(params=["fresh", "loaded"])
def generator(request, recipe, fitted, tmp_path):
    if request.param == "fresh":
        return fitted(recipe)
    fitted(recipe).save(tmp_path)
    return load_generator(tmp_path)


# ---------------------------------------------------------------- recipes


@pytest.mark.parametrize("kind", GENERATORS)
def test_a_row_is_documented_and_named_by_its_kind(kind):
    assert GENERATORS[kind].__doc__
    assert GENERATORS[kind].__doc__ != GeneratorRecipe.__doc__
    assert GENERATORS[kind]().kind == kind
    assert choose(GENERATORS, kind, "generator") == GENERATORS[kind]()


def test_an_unknown_kind_is_an_error_with_the_nearest_name():
    with pytest.raises(ConfigError, match=r"unknown generator 'vea'; did you mean 'vae'\?"):
        choose(GENERATORS, "vea", "generator")


@pytest.mark.parametrize("kind", GENERATORS)
def test_an_unknown_key_is_an_error_with_the_nearest_name(kind):
    with pytest.raises(ConfigError, match=r"unknown key 'veiw'; did you mean 'view'\?"):
        choose(GENERATORS, {"kind": kind, "veiw": None}, "generator")


@pytest.mark.parametrize("kind", GENERATORS)
def test_the_digest_covers_every_field(kind, one_field_changed):
    found = {}
    for recipe in bases(GENERATORS[kind]):
        changed = one_field_changed(recipe)
        digests = [one.digest() for ones in changed.values() for one in ones]
        assert len({recipe.digest(), *digests}) == 1 + len({str(one) for ones in changed.values() for one in ones})
        assert recipe.digest() not in digests
        found = {name: found.get(name, []) + ones for name, ones in changed.items()}
    assert found.pop("kind") == []
    if kind != "interpolate" and not GENERATORS[kind].stackable:
        assert found.pop("stacked") == []
    assert [name for name, ones in found.items() if not ones] == [], "no other value was found for a field"


def bases(family):
    """Recipes that together allow every field another value: some fields go with certain others only."""
    yield family()
    if "scope" in family.model_fields:
        training = family().training
        yield family(scope="per-class", training=training.changed(keep="last", patience=None))
        yield family(training=training.changed(keep="best"), watch="distance")
    if "r1" in family.model_fields:
        yield family(norm="none")


@every_recipe
def test_equal_recipes_have_equal_digests(recipe):
    again = choose(GENERATORS, recipe.to_json(), "generator")
    assert again == recipe
    assert again is not recipe
    assert again.digest() == recipe.digest()


# ---------------------------------------------------------------- samples


@every_recipe
def test_labels_shape_and_type_are_honoured(generator, train):
    labels = [2, 0, 0, 1, 2]
    made = generator.sample(labels, seeds=range(5))
    assert made.labels.tolist() == labels
    assert made.class_names == train.class_names
    assert made.pixels.dtype == np.uint8
    assert made.pixels.shape == (5, 1, 8, 8)
    assert generator.shape == (1, 8, 8)
    assert generator.counts == (20, 9, 14, 0)


@every_recipe
def test_the_origin_names_the_maker_and_keeps_the_seeds(generator):
    made = generator.sample([1, 0, 1], seeds=[7, 2**62, 5])
    assert not made.origin.real.any()
    assert made.origin.maker.tolist() == [generator.fitted] * 3
    assert made.origin.seed.tolist() == [7, 2**62, 5]


@every_recipe
def test_equal_seeds_give_equal_pictures_and_other_seeds_others(generator):
    labels = np.tile([0, 1, 2], 4)
    one, again, other = (generator.sample(labels, seeds=range(at, at + 12)) for at in (0, 0, 100))
    np.testing.assert_array_equal(one.pixels, again.pixels)
    assert all((mine != theirs).any() for mine, theirs in zip(one.pixels, other.pixels, strict=True))


@every_recipe
def test_the_label_is_heeded(generator):
    """The same seed under two labels gives two pictures."""
    zero, one = (generator.sample([label] * 8, seeds=range(8)).pixels for label in (0, 1))
    assert all((mine != theirs).any() for mine, theirs in zip(zero, one, strict=True))


@every_recipe
def test_a_sample_depends_on_its_label_and_seed_alone(generator):
    num = CHUNK + 8
    order = np.random.default_rng(0).permutation(num)
    labels, seeds = np.arange(num) % 3, np.arange(num) + 1000
    whole = generator.sample(labels, seeds=seeds).pixels
    shuffled = generator.sample(labels[order], seeds=seeds[order]).pixels
    np.testing.assert_array_equal(shuffled, whole[order])
    for rows in (order[:1], order[:7], order[-7:], order[3:4]):
        np.testing.assert_array_equal(generator.sample(labels[rows], seeds=seeds[rows]).pixels, whole[rows])


@every_recipe
def test_pictures_are_made_in_chunks_of_one_fixed_size(generator, monkeypatch):
    """What makes a sample independent of its company on any machine, where the test above could pass by luck."""
    sizes, plain = [], type(generator)._make

    def spy(self, labels, seeds, device):
        sizes.append((len(labels), len(seeds)))
        return plain(self, labels, seeds, device)

    monkeypatch.setattr(type(generator), "_make", spy)
    for num in (1, 7, 40):
        generator.sample([0] * num, seeds=range(num))
    assert sizes == [(CHUNK, CHUNK)] * 4


@every_recipe
def test_no_labels_give_no_pictures(generator):
    assert generator.sample([], seeds=[]).pixels.shape == (0, 1, 8, 8)


@every_recipe
def test_a_class_absent_from_training_is_an_error_that_names_it(generator):
    with pytest.raises(DataError, match=r"class 3.*was not in the generator's training part.*zero.*one.*four"):
        generator.sample([0, 3], seeds=[0, 1])
    for outside in (-1, 4):
        with pytest.raises(DataError, match=f"class {outside}"):
            generator.sample([outside], seeds=[0])


@every_recipe
def test_another_number_of_seeds_than_labels_is_an_error(generator):
    with pytest.raises(DataError, match="2 labels but 3 seeds"):
        generator.sample([0, 1], seeds=[0, 1, 2])


@every_recipe
def test_sampling_leaves_the_global_streams_alone(generator, untouched):
    with untouched():
        generator.sample([0, 1, 2], seeds=[0, 1, 2])


# ---------------------------------------------------------------- files


@every_recipe
def test_a_loaded_generator_is_the_saved_one(recipe, fitted, tmp_path, untouched):
    fitted(recipe).save(tmp_path)
    with untouched():
        loaded = load_generator(str(tmp_path))
    assert type(loaded) is type(fitted(recipe))
    assert loaded.card() == fitted(recipe).card()
    assert loaded.recipe == recipe
    labels, seeds = np.arange(40) % 3, range(40)
    np.testing.assert_array_equal(
        loaded.sample(labels, seeds=seeds).pixels, fitted(recipe).sample(labels, seeds=seeds).pixels
    )


def _sampled(folders, labels, seeds):
    torch.set_num_threads(1)
    return [load_generator(folder).sample(labels, seeds=seeds).pixels for folder in folders]


def test_samples_are_equal_in_a_spawned_process(fitted, tmp_path):
    folders, here = [], []
    labels, seeds = np.arange(40) % 3, list(range(40))
    for place, param in enumerate(RECIPES):
        generator = fitted(param.values[0])
        generator.save(tmp_path / str(place))
        folders.append(str(tmp_path / str(place)))
        here.append(generator.sample(labels, seeds=seeds).pixels)
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        there = pool.submit(_sampled, folders, labels, seeds).result(timeout=120)
    for mine, theirs in zip(here, there, strict=True):
        np.testing.assert_array_equal(mine, theirs)


@every_recipe
def test_a_missing_or_broken_file_is_a_store_error(recipe, fitted, tmp_path):
    with pytest.raises(StoreError, match=r"no generator here \(generator.json is missing\)"):
        load_generator(tmp_path)
    fitted(recipe).save(tmp_path)
    weights = tmp_path / "generator.safetensors"
    whole = weights.read_bytes()
    weights.unlink()
    with pytest.raises(StoreError, match=r"incomplete, generator.safetensors is missing"):
        load_generator(tmp_path)
    weights.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(StoreError, match="damaged"):
        load_generator(tmp_path)
    tensors = load_file(_written(tmp_path / "whole.safetensors", whole))
    tensors.pop(sorted(tensors)[0])
    save_file(tensors, weights)
    with pytest.raises(StoreError):
        load_generator(tmp_path)
    weights.write_bytes(whole)
    (tmp_path / "generator.json").write_text("[]")
    with pytest.raises(StoreError, match="not the card of a generator"):
        load_generator(tmp_path)


def _written(path, content):
    path.write_bytes(content)
    return path


# ---------------------------------------------------------------- fitting


@every_recipe
def test_one_seed_fits_one_generator(recipe, train, val, fitted, saved):
    one, again, other = fitted(recipe), recipe.fit(train, val, seed=0), fitted(recipe, seed=1)
    assert saved(one) == saved(again)
    assert one.fitted == again.fitted
    assert one.fitted != other.fitted
    if hasattr(recipe, "training"):  # what is not trained has nothing that a seed could change
        first, second = (generator.sample([0, 1], seeds=[0, 1]).pixels for generator in (one, other))
        assert (first != second).any()


@every_recipe
def test_the_maker_covers_recipe_pictures_and_labels(recipe, train, val, fitted):
    makers = {
        fitted(recipe).fitted,
        recipe.fit(train.take(np.arange(len(train) - 1)), val, seed=0).fitted,
        recipe.fit(LabeledImages(train.pixels, 2 - train.labels, train.class_names, train.origin), val, seed=0).fitted,
        recipe.changed(view=View(size=8)).fit(train, val, seed=0).fitted,
    }
    assert len(makers) == 4


@every_recipe
def test_fitting_leaves_the_global_streams_alone(recipe, train, val, untouched):
    with untouched():
        recipe.fit(train, val, seed=0)


@every_recipe
def test_the_global_streams_do_not_reach_a_fit(recipe, train, val, fitted, saved):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(12345)
        assert saved(recipe.fit(train, val, seed=0)) == saved(fitted(recipe))


@every_recipe
def test_fitting_leaves_the_pictures_alone(recipe, train, val):
    before = train.pixels.copy(), train.labels.copy()
    recipe.fit(train, val, seed=0).sample([0], seeds=[0])
    np.testing.assert_array_equal(train.pixels, before[0])
    np.testing.assert_array_equal(train.labels, before[1])


@every_recipe
@pytest.mark.parametrize("num", [1, 2, 8, 78])
def test_any_number_of_pictures_works_or_is_refused_plainly(recipe, num, digits):
    part = digits(0, (num, num, 0, 0))
    needs = NEEDS.get(recipe.kind, 1)
    if num < needs:
        with pytest.raises(DataError, match=rf"'(zero|one)' has {num} training picture.*needs {needs}"):
            recipe.fit(part, None, seed=0).sample([0, 1], seeds=[0, 1])
    else:
        made = recipe.fit(part, None, seed=0).sample([0, 1, 1], seeds=[0, 1, 2])
        assert made.pixels.shape == (3, 1, 8, 8)


@every_recipe
@pytest.mark.parametrize(("size", "channels"), [(4, 3), (5, 1), (7, 3), (33, 1)])
def test_any_size_from_4_px_and_both_channels_work(recipe, size, channels):
    pixels = np.random.default_rng(0).integers(0, 256, (6, channels, size, size), dtype=np.uint8)
    part = LabeledImages.of_arrays(pixels, np.array([0, 1] * 3))
    assert small(recipe, steps=1).fit(part, part, seed=0).sample([1], seeds=[0]).pixels.shape == (
        1,
        channels,
        size,
        size,
    )


@every_recipe
def test_synthetic_pictures_are_refused(recipe, train, val, fitted):
    made = fitted(recipe).sample([0, 1, 2], seeds=[0, 1, 2])
    with pytest.raises(LeakError, match="generator's training part: 3 of 46 pictures are synthetic"):
        recipe.fit(train.joined(made), val, seed=0)
    with pytest.raises(LeakError, match="generator's validation part: 3 of 18 pictures are synthetic"):
        recipe.fit(train, val.joined(made), seed=0)


@every_recipe
def test_no_pictures_and_a_wrong_view_are_refused(recipe, train, val):
    with pytest.raises(DataError, match="training part is empty"):
        recipe.fit(train.take(np.array([], dtype=np.int64)), val, seed=0)
    with pytest.raises(DataError, match="training part is 8 px, the generator's view 16 px"):
        recipe.changed(view=View(size=16)).fit(train, val, seed=0)


@every_recipe
def test_validation_of_another_shape_or_other_classes_is_refused(recipe, train):
    strange = LabeledImages.of_arrays(np.zeros((2, 3, 8, 8), dtype=np.uint8), np.array([0, 1]))
    with pytest.raises(DataError):
        recipe.fit(train, strange, seed=0)


class StoppedError(Exception):
    pass


@every_trained
@pytest.mark.parametrize("stop", [2, STEPS - 2])
def test_an_interrupted_fit_resumes_to_the_undisturbed_one(recipe, stop, train, val, fitted, saved, tmp_path):
    calls = []

    def progress(done, steps):
        calls.append((done, steps))
        if len(calls) == stop:
            raise StoppedError

    checkpoint = tmp_path / "here" / "fit.pt"
    with pytest.raises(StoppedError):
        recipe.fit(train, val, seed=0, how=How(checkpoint=checkpoint, checkpoint_seconds=0, progress=progress))
    assert list(checkpoint.parent.iterdir())
    done = calls[-1][0]
    calls.clear()
    stop = -1
    resumed = recipe.fit(train, val, seed=0, how=How(checkpoint=checkpoint, progress=progress))
    assert calls[0] == (done + 1, STEPS), "no network begins anew, finished ones included"
    assert list(checkpoint.parent.iterdir()) == [], "a finished fit leaves no checkpoint"
    assert saved(resumed) == saved(fitted(recipe))


@every_trained
def test_a_loss_that_is_not_finite_is_an_error(recipe, train, val):
    wild = recipe.changed(training=recipe.training.changed(optimizer="sgd", lr=1e20, schedule="constant"))
    with pytest.raises(HandfulError, match="a lower lr is the usual remedy"):
        wild.fit(train, val, seed=0)


# ---------------------------------------------------------------- learning


@pytest.fixture(scope="module")
def learnt(digits):
    """learnt(recipe): fitted for a few hundred steps to 60 pictures of three classes."""
    part = digits(0, (60, 60, 60, 0))

    def fit(recipe, steps=None):
        steps = steps or LEARNS_IN.get(recipe.kind, 300)
        long = small(recipe, steps).changed(view=View(size=8))
        if hasattr(recipe, "training"):
            lr = 5e-3 if steps > 1 else 1e-12
            long = long.changed(training=long.training.changed(lr=lr, eval_every=steps))
        return long.fit(part, None, seed=0)

    return functools.cache(fit)


def to_nearest(pixels, labels, real):
    """Mean over pictures of the root mean squared distance to the nearest real picture of the class, in [0, 255]."""
    return np.mean(
        [
            np.sqrt(((picture - real.of_class(label).pixels.astype(float)) ** 2).mean(axis=(1, 2, 3))).min()
            for picture, label in zip(pixels.astype(float), labels, strict=True)
        ]
    )


@every_recipe
def test_it_learns(recipe, learnt, digits):
    """Samples lie at less than half of the distance that noise and an untrained network's samples lie at."""
    held_out = digits(60, (90, 90, 90, 0))
    labels = np.repeat([0, 1, 2], 16)
    near = to_nearest(learnt(recipe).sample(labels, seeds=range(48)).pixels, labels, held_out)
    noise = np.random.default_rng(0).integers(0, 256, (48, 1, 8, 8))
    assert near < 0.5 * to_nearest(noise, labels, held_out)
    wrong = to_nearest(learnt(recipe).sample(labels, seeds=range(48)).pixels, (labels + 1) % 3, held_out)
    assert near < 0.7 * wrong, "a sample is nearer to its own class than to another"
    if hasattr(recipe, "training"):
        untrained = learnt(recipe, steps=1).sample(labels, seeds=range(48)).pixels
        assert near < 0.5 * to_nearest(untrained, labels, held_out)


@every_rebuilding
def test_rebuilding_is_learnt(recipe, learnt, digits):
    """The error on held-out pictures falls under a third of the untrained network's."""
    held_out = digits(60, (30, 30, 30, 0))

    def error(generator):
        rebuilt = generator.rebuild(held_out)
        assert rebuilt.shape == held_out.pixels.shape
        assert rebuilt.dtype == np.uint8
        return ((rebuilt.astype(float) - held_out.pixels) ** 2).mean()

    assert error(learnt(recipe)) < 0.33 * error(learnt(recipe, steps=1))


@every_rebuilding
def test_rebuilding_is_repeatable_and_leaves_the_streams_alone(generator, train, untouched):
    with untouched():
        np.testing.assert_array_equal(generator.rebuild(train), generator.rebuild(train))


@every_rebuilding
def test_rebuilding_a_class_absent_from_training_is_an_error(recipe, fitted, digits):
    with pytest.raises(DataError, match="class 3"):
        fitted(recipe).rebuild(digits(0, (1, 0, 0, 1)))


@pytest.mark.parametrize("recipe", [param for param in RECIPES if not param.values[0].rebuilds])
def test_what_rebuilds_nothing_says_so(recipe, fitted, train):
    with pytest.raises(DataError, match=f"'{recipe.kind}' rebuilds nothing"):
        fitted(recipe).rebuild(train)


# ---------------------------------------------------------------- encoders


ENCODING = [
    param for param in RECIPES if param.values[0].encodes and getattr(param.values[0], "scope", "") == "conditional"
]


@pytest.mark.parametrize("recipe", ENCODING)
def test_it_gives_its_encoder_as_a_classifier_s_body(recipe, generator, test_pictures):
    """The weights fit the network it names, and give what its own network makes before the class is told."""
    with torch.random.fork_rng(devices=[]):
        network = recipe.encoder.build(1, 8, 4, None).eval()
    network.body.load_state_dict(generator.encoder_weights())
    with torch.inference_mode():
        own = generator.networks[0][recipe.sampled[0]].down(test_pictures)
        assert torch.equal(network.body(test_pictures), own)
        assert network(test_pictures).shape == (5, 4)
    assert not torch.equal(own, torch.zeros_like(own))


@pytest.fixture
def test_pictures(digits):
    return torch.from_numpy(np.array(digits(60, (2, 1, 1, 1)).pixels)).float() / 255


@pytest.mark.parametrize("recipe", [param for param in RECIPES if param not in ENCODING])
def test_what_has_no_encoder_for_a_classifier_says_so(recipe, fitted):
    said = "gives every class an encoder of its own" if recipe.encodes else "has no encoder"
    with pytest.raises(ConfigError, match=said):
        _ = recipe.encoder
    with pytest.raises(ConfigError, match=said):
        fitted(recipe).encoder_weights()
