"""Extractors: one row a picture, whoever is beside it, kept once, under a label that says how it was made."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from handful import rng
from handful.data.cache import cache_dir
from handful.errors import ConfigError, DataError, WeightsError
from handful.measure import extractor as contract
from handful.measure import extractors, pretrained
from handful.measure.extractors import EXTRACTORS, OwnClassifier, extractor_of, require_same
from handful.measure.pixel_values import Pixels
from handful.measure.pretrained import Inception, Lite0, Timm
from handful.nn import inception, weight_files
from handful.nn.small import small_network

TINY = "timm:test_resnet"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A folder of weights with those of a tiny network, on a machine without a network."""

    def no_network(url, timeout):
        raise OSError("no route to host")

    monkeypatch.setattr(weight_files.urllib.request, "urlopen", no_network)
    monkeypatch.setenv("HANDFUL_WEIGHTS", str(tmp_path))
    write_tiny(tmp_path, seed=0)
    pretrained._loaded.cache_clear()
    return tmp_path


def write_tiny(folder, seed):
    with rng.forked(seed):
        save_file(timm.create_model("test_resnet").state_dict(), folder / "test_resnet.r160_in1k.safetensors")


def pictures(num, channels=3, height=20, width=24, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (num, channels, height, width), dtype=np.uint8)


def own(channels=3, seed=0):
    with rng.forked(seed):
        return OwnClassifier(small_network(channels, 16, 5, widths=(8, 12), dropouts=(0.5, 0.5)), 16, channels)


def some():
    return {"lite0": Lite0(size=64), TINY: extractor_of(TINY), "pixels": Pixels(size=6), "own": own()}


every_extractor = pytest.mark.parametrize("name", list(some()))


@pytest.fixture
def no_cache(monkeypatch):
    """Computed every time."""
    monkeypatch.setattr(
        contract, "cached_features", lambda key, content, compute, progress: compute_all(content, compute)
    )


def compute_all(content, compute):
    return compute(np.arange(len(content)))


@every_extractor
def test_a_row_does_not_depend_on_its_neighbours_or_its_place(name, no_cache):
    extractor, images = some()[name], pictures(2 * contract.CHUNK + 5)
    whole = extractor.features(images)
    assert whole.dtype == np.float32
    assert len(whole) == len(images)
    assert whole.std(axis=0).max() > 0
    for rows in (slice(0, 1), slice(7, 19), np.random.default_rng(1).permutation(len(images))):
        np.testing.assert_array_equal(extractor.features(images[rows]), whole[rows])


@every_extractor
def test_kept_features_are_those_that_were_computed(name, monkeypatch):
    extractor, images = some()[name], pictures(20)
    extractor.features(images[3:9])
    partly = extractor.features(images)
    again = extractor.features(images[::-1])
    monkeypatch.setenv("HANDFUL_CACHE", str(cache_dir() / "other"))
    computed = extractor.features(images)
    np.testing.assert_array_equal(partly, computed)
    np.testing.assert_array_equal(again, computed[::-1])


@every_extractor
def test_pictures_are_left_alone_and_may_be_mapped_from_a_file(name, tmp_path):
    images = pictures(5)
    np.save(tmp_path / "images.npy", images)
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    np.testing.assert_array_equal(some()[name].features(mapped), some()[name].features(images))
    np.testing.assert_array_equal(mapped, pictures(5))


@every_extractor
def test_grey_pictures_are_those_with_three_equal_channels(name, no_cache):
    grey = pictures(3, channels=1)
    np.testing.assert_array_equal(some()[name].features(grey), some()[name].features(grey.repeat(3, axis=1)))


@every_extractor
def test_no_pictures_give_no_rows(name):
    extractor = some()[name]
    assert extractor.features(pictures(0)).shape == (0, extractor.features(pictures(1)).shape[1])


@every_extractor
@pytest.mark.parametrize(
    "wrong", [pictures(2)[0], pictures(2) / 255, pictures(2, channels=4), pictures(2, height=0), pictures(2)[..., 0]]
)
def test_other_shapes_and_types_are_errors(name, wrong):
    with pytest.raises(DataError, match="uint8"):
        some()[name].features(wrong)


@every_extractor
def test_progress_ends_at_all_the_different_pictures(name):
    done = []
    some()[name].features(pictures(20), progress=lambda *at: done.append(at))
    assert done[-1] == (20, 20)
    assert done == sorted(done)


@every_extractor
def test_global_random_streams_are_left_alone(name):
    torch.manual_seed(4)
    expected = torch.rand(2)
    torch.manual_seed(4)
    some()[name].features(pictures(2))
    assert torch.equal(torch.rand(2), expected)


def test_labels_say_name_layer_and_resizer():
    labels = {
        "lite0": "lite0/1280/bicubic224",
        "inception": "inception/2048/tensorflow299",
        "inception/768": "inception/768/tensorflow299",
        "dinov2": "dinov2/384/bicubic224",
        TINY: "timm:test_resnet.r160_in1k/pooled/bilinear160",
        "pixels": "pixels/rgb/as-given",
    }
    for name, label in labels.items():
        assert extractor_of(name).label == label
    assert {name.partition("/")[0].partition(":")[0] for name in labels} == set(EXTRACTORS)
    assert Lite0(size=64, resizer="bilinear").label == "lite0/1280/bilinear64"
    assert Pixels(size=8).label == "pixels/rgb/bilinear8"
    assert own().label == own().label
    assert own().label != own(seed=1).label
    assert own().label.endswith("/penultimate/bilinear16")


def test_the_page_of_features_has_every_extractor_and_its_label():
    page = (Path(__file__).parents[2] / "docs" / "features.md").read_text(encoding="utf-8")
    table = page.partition("| name |")[2].partition("\n\n")[0]
    assert re.findall(r"^\| `(\w+)", table, flags=re.MULTILINE) == [*EXTRACTORS, "OwnClassifier"]
    assert Lite0().label in page


def test_extractors_of_two_labels_are_refused_in_one_comparison():
    assert require_same("a/1/b", "a/1/b") == "a/1/b"
    with pytest.raises(DataError, match=r"cannot be compared: lite0/1280/bicubic224, lite0/1280/bilinear224"):
        require_same(Lite0().label, Lite0(resizer="bilinear").label)
    with pytest.raises(DataError, match="none given"):
        require_same()


def test_an_extractor_is_a_recipe_or_a_name():
    assert extractor_of(Lite0(size=64)) == Lite0(size=64)
    assert extractor_of("timm:resnet18") == Timm(model="resnet18")
    assert Lite0().digest() != Lite0(size=64).digest()
    with pytest.raises(ConfigError, match=r"unknown extractor 'lite'; did you mean 'lite0'\? \(allowed: lite0, incep"):
        extractor_of("lite")
    with pytest.raises(ConfigError, match="unknown layer of inception '2047'; did you mean '2048'"):
        extractor_of("inception/2047")
    with pytest.raises(ConfigError, match="unknown extractor 'timm'"):
        extractor_of("timm")
    with pytest.raises(ConfigError, match="timm has no pretrained model 'resnet19'"):
        extractor_of("timm:resnet19").features(pictures(1))


@pytest.mark.parametrize("name", ["inception", "inception/logits", "dinov2", "timm:resnet18"])
def test_without_weights_there_are_no_features_but_a_file_to_fetch(name, folder):
    with pytest.raises(WeightsError, match=f"fetch https://.* into {folder} as "):
        extractor_of(name).features(pictures(1))


def test_a_file_put_there_later_is_found(folder):
    path = folder / "test_resnet.r160_in1k.safetensors"
    content = path.read_bytes()
    path.unlink()
    with pytest.raises(WeightsError):
        extractor_of(TINY).features(pictures(1))
    path.write_bytes(content)
    assert extractor_of(TINY).features(pictures(1)).shape[0] == 1


def test_features_of_other_weights_are_not_taken_from_the_cache(tmp_path, monkeypatch):
    before = extractor_of(TINY).features(pictures(2))
    (tmp_path / "other").mkdir()
    monkeypatch.setenv("HANDFUL_WEIGHTS", str(tmp_path / "other"))
    write_tiny(tmp_path / "other", seed=1)
    after = extractor_of(TINY).features(pictures(2))
    assert np.abs(before - after).max() > 0.01


def test_weights_that_give_no_numbers_are_an_error(folder):
    path = folder / "test_resnet.r160_in1k.safetensors"
    state = {
        key: value * float("nan") if "fc" not in key else value
        for key, value in weight_files.read_weights(path).items()
    }
    save_file(state, path)
    with pytest.raises(WeightsError, match="not finite"):
        extractor_of(TINY).features(pictures(1))


def test_lite0_finds_a_picture_again_that_was_shifted_and_made_brighter():
    """What features are for: pictures that look alike lie closer than others do."""
    from skimage import data, transform

    shown = [getattr(data, name)() for name in ("chelsea", "coffee", "rocket", "astronaut")]
    small = np.stack([transform.resize(one, (72, 72), anti_aliasing=True) * 220 for one in shown])
    images = small[:, :64, :64].transpose(0, 3, 1, 2).astype(np.uint8)
    changed = np.clip(small[:, 4:68, 6:70] * 1.1, 0, 255).transpose(0, 3, 1, 2).astype(np.uint8)
    first, second = extractor_of("lite0").features(images), extractor_of("lite0").features(changed)
    distances = np.linalg.norm(first[:, None] - second[None], axis=2)
    assert distances.argmin(axis=1).tolist() == [0, 1, 2, 3]


def test_inception_is_the_network_at_its_layer(folder, monkeypatch):
    """With weights from chance, under a name that promises no digest."""
    origin = weight_files.Origin("https://host/w.pth", ("inception.pth",))
    monkeypatch.setattr(inception, "ORIGIN", origin)
    with rng.forked(0):
        network = inception.FIDInception().eval()
    torch.save(network.state_dict(), folder / "inception.pth")
    images = pictures(1, height=299, width=299)
    with torch.inference_mode():
        expected = network((torch.from_numpy(images).float() - 128) / 128, "192")
    found = Inception(layer="192").features(images)
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-4, atol=1e-5)


def test_a_classifiers_features_are_what_its_last_layer_sees():
    with rng.forked(0):
        network = small_network(3, 16, 5, widths=(8, 12), dropouts=(0.5, 0.5), hidden=7)
    images = pictures(3, height=16, width=16)
    extractor = OwnClassifier(network, 16)
    with torch.inference_mode():
        logits = network.eval()(torch.from_numpy(images).float() / 255)
    features = torch.from_numpy(extractor.features(images))
    assert features.shape == (3, 7)
    torch.testing.assert_close(network.head[-1](features), logits, rtol=1e-4, atol=1e-5)


def test_a_classifier_is_copied_and_left_as_it_is():
    with rng.forked(0):
        network = small_network(3, 16, 5, widths=(8,), dropouts=(0.5,)).train()
    extractor = OwnClassifier(network, 16)
    before = extractor.features(pictures(2))
    label = extractor.label
    nn.init.zeros_(network.head[-1].weight)
    nn.init.zeros_(network.body[0][0].weight)
    assert network.training
    assert extractor.label == label
    np.testing.assert_array_equal(extractor.features(pictures(2, seed=0)), before)


def test_a_grey_classifier_takes_grey_pictures_only():
    assert own(channels=1).features(pictures(2, channels=1)).shape[0] == 2
    with pytest.raises(DataError, match="grey"):
        own(channels=1).features(pictures(2))


def test_a_network_without_a_linear_layer_has_no_features():
    with pytest.raises(DataError, match="no linear layer"):
        OwnClassifier(nn.Conv2d(3, 2, 3), 16).features(pictures(1))


def test_the_extractor_that_needs_no_network_is_known(monkeypatch, tmp_path):
    assert extractors.installed_extractor() == Lite0()
    monkeypatch.setenv("HANDFUL_WEIGHTS", str(tmp_path))
    for module in ("weights", "weight_files"):
        monkeypatch.setattr(f"handful.nn.{module}.packaged_weights", lambda package: None)
    assert extractors.installed_extractor() is None
    (tmp_path / "tf_efficientnet_lite0.in1k.safetensors").touch()
    assert extractors.installed_extractor() == Lite0()


def test_pixels_are_the_values_themselves():
    images = pictures(2)
    np.testing.assert_allclose(Pixels().features(images), images.reshape(2, -1) / 255, atol=1e-7)
    assert Pixels(size=6).features(images).shape == (2, 3 * 6 * 6)
    assert not list(cache_dir().rglob("*.npy"))
