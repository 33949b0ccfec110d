"""A network of one's own: found by its name, checked, and never run for a folder that merely names it."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from typer.testing import CliRunner

import my_networks
from handful import CNN, Training, View, rng
from handful.classify.cnn import started
from handful.classify.ensemble import Ensemble
from handful.classify.pretrain import SimCLR
from handful.classify.table import load_classifier
from handful.cli import app
from handful.data.images import LabeledImages
from handful.errors import ConfigError, StoreError
from handful.nn import custom
from handful.nn.networks import network_of


def build(recipe, num_classes=3, dropout=None):
    with rng.forked(0):
        return network_of(recipe).build(1, 8, num_classes, dropout)


def named(function, **options):
    return {"kind": "custom", "factory": f"my_networks:{function}", "options": options}


@pytest.fixture
def fitted():
    pixels = np.random.default_rng(0).integers(0, 256, (8, 1, 8, 8)).astype(np.uint8)
    train = LabeledImages.of_arrays(pixels, np.arange(8) % 2, ("a", "b"))
    recipe = CNN(network=my_networks.Parted, view=View(size=8), training=Training(steps=2, batch_size=4))
    return recipe.fit(train, None, seed=0)


def test_a_function_is_named_by_its_module_and_name():
    recipe = network_of(my_networks.plain)
    assert recipe.factory == "my_networks:plain"
    assert network_of(recipe.to_json()) == recipe
    assert CNN(network=my_networks.Parted).network == network_of(named("Parted"))


def test_a_name_with_a_colon_is_a_function_of_ones_own():
    assert network_of("my_networks:plain") == network_of(named("plain"))
    assert CNN(network="my_networks:Parted").network == CNN(network=my_networks.Parted).network
    assert network_of("timm:resnet18").kind == "timm:resnet18"
    with pytest.raises(
        ConfigError, match=r"network 'my networks:1': a function of one's own is called package.module:function"
    ):
        network_of("my networks:1")


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda channels, size, num_classes: None, "<lambda> cannot be found again by name"),
        (my_networks.inside(), r"my_networks:inside.<locals>.function cannot be found again"),
        (nn.Linear(2, 2), "Linear is a module; give the function that makes it"),
        (
            functools.partial(my_networks.plain, width=6),
            "functools.partial has no name .*; name its function, and give",
        ),
        (type(network_of("wide")), r"Wide is a class of recipes; give one of them, Wide\(\)"),
    ],
)
def test_what_another_process_cannot_find_is_an_error(function, says):
    with pytest.raises(ConfigError, match=says):
        network_of(function)


def test_a_function_of_the_script_itself_is_an_error(monkeypatch):
    monkeypatch.setattr(my_networks.plain, "__module__", "__main__")
    with pytest.raises(ConfigError, match="at the top of a module that can be imported"):
        network_of(my_networks.plain)


def test_options_reach_the_function():
    assert build(named("plain", width=9)).body[1].out_features == 9


def test_body_and_head_are_used_where_they_are_the_whole():
    network = build(named("Parted"))
    assert isinstance(network.head, nn.Sequential)
    assert len(network.stages) == 1
    whole = build(named("plain"))
    assert isinstance(whole.head, nn.Identity)


def test_every_parameter_is_in_a_stage():
    network = build(named("Loose"))
    assert list(network.stages) == [network.body]


def test_dropout_is_set_or_refused():
    assert build(named("Parted"), dropout=0.7).body[2].p == 0.7
    with pytest.raises(ConfigError, match=r"no dropout layer to set to 0\.7"):
        build(named("plain"), dropout=0.7)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (named("plan"), "my_networks has no function 'plan'"),
        ({"kind": "custom", "factory": "my_nets:plain"}, "there is no module 'my_nets'"),
        ({"kind": "custom", "factory": "my_networks.plain"}, "should match pattern"),
        ("custom", "needs the function that makes it"),
        (named("wrong_shape"), r"gives \[2, 4\] for \[2, 1, 8, 8\], not logits \[2, 3\]"),
        (named("not_a_module"), "returned int, not a torch.nn.Module"),
        (named("Other"), r"is not head\(body\(x\)\)"),
        (named("short"), "unexpected keyword argument 'channels'; it is called with channels=, size=, num_classes= by"),
        (named("plain", wide=3), "unexpected keyword argument 'wide'"),
        (named("failing"), "my_networks:failing: raised RuntimeError: no such layer"),
        (named("MADE"), "my_networks:MADE: is a module; name the function that makes it"),
    ],
)
def test_what_is_no_network_is_an_error(given, says):
    with pytest.raises(ConfigError, match=says):
        build(given)


def test_planning_finds_the_function_and_lets_the_planner_load_what_the_jobs_made(monkeypatch):
    monkeypatch.setattr(custom, "_ASKED", set())
    recipe = CNN(network=named("Parted"))
    assert custom.not_yet_run(recipe.network) == ["my_networks:Parted"]
    assert custom.not_yet_run(recipe.resolved().network) == []
    with pytest.raises(ConfigError, match="has no function 'plan'"):
        CNN(network=named("plan")).resolved()


@pytest.mark.parametrize("network", ["Frozen", "Parted"])
def test_parameters_that_were_frozen_by_their_maker_stay_as_they_are(network, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (8, 1, 8, 8)).astype(np.uint8)
    train = LabeledImages.of_arrays(pixels, np.arange(8) % 2, ("a", "b"))
    recipe = CNN(network=named(network), view=View(size=8), training=Training(steps=3, batch_size=4))
    begun, _ = started(recipe, train, 0)
    trained = recipe.fit(train, None, seed=0).module.network
    changed = {
        part: any(
            not torch.equal(one, other) for one, other in zip(before.parameters(), after.parameters(), strict=True)
        )
        for part, before, after in (
            ("body", begun.network.body, trained.body),
            ("head", begun.network.head, trained.head),
        )
    }
    assert changed == {"body": network == "Parted", "head": True}


@pytest.mark.parametrize("tuning", [{"frozen": True}, {"freeze_steps": 2}])
def test_freezing_a_network_without_a_head_is_an_error(tuning):
    pixels = np.random.default_rng(0).integers(0, 256, (8, 1, 8, 8)).astype(np.uint8)
    train = LabeledImages.of_arrays(pixels, np.arange(8) % 2, ("a", "b"))
    recipe = CNN(network=named("plain"), view=View(size=8), training=Training(steps=3), tuning=tuning)
    with pytest.raises(ConfigError, match="no head apart from its body"):
        recipe.fit(train, None, seed=0)


def test_contrastive_pre_training_of_a_network_without_a_head_is_an_error():
    pixels = np.random.default_rng(0).integers(0, 256, (8, 1, 8, 8)).astype(np.uint8)
    train = LabeledImages.of_arrays(pixels, np.arange(8) % 2, ("a", "b"))
    with pytest.raises(ConfigError, match="no body to pre-train"):
        SimCLR(network=named("plain"), training=Training(steps=1)).fit(train, seed=0)


# ---- saved folders ----


def test_a_folder_runs_its_code_where_this_process_has_or_where_it_is_trusted(fitted, tmp_path, monkeypatch):
    fitted.save(tmp_path / "one")
    Ensemble.of([fitted]).save(tmp_path / "all")
    assert load_classifier(tmp_path / "one").recipe == fitted.recipe
    monkeypatch.setattr(custom, "_ASKED", set())
    for name in ("one", "all"):
        with pytest.raises(
            StoreError, match=r"made by my_networks:Parted, code that is not handful's; .*trust_code=True"
        ):
            load_classifier(tmp_path / name)
    picture = tmp_path / "picture.png"
    Image.fromarray(np.zeros((8, 8), dtype=np.uint8)).save(picture)
    words = ["predict", str(tmp_path / "all"), str(picture), "-o", str(tmp_path / "predictions.csv")]
    with pytest.raises(StoreError, match="--trust-code"):
        CliRunner().invoke(app, words, catch_exceptions=False)
    assert CliRunner().invoke(app, [*words, "--trust-code"], catch_exceptions=False).exit_code == 0
    monkeypatch.setattr(custom, "_ASKED", set())
    assert load_classifier(tmp_path / "all", trust_code=True).class_names == ("a", "b")


def test_a_folder_imports_nothing_of_its_makers(fitted, tmp_path):
    """In a process of its own, where a module that the card names would leave a file behind."""
    fitted.save(tmp_path / "model")
    card = tmp_path / "model" / "classifier.json"
    card.write_text(card.read_text().replace("my_networks:Parted", "trap:run"))
    (tmp_path / "trap.py").write_text("open('sprung', 'w').close()\n")
    code = "import handful, handful.errors as e\ntry: handful.load_classifier('model')\nexcept e.StoreError: exit(7)"
    paths = os.pathsep.join([str(Path(custom.__file__).parents[2]), str(tmp_path)])
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env={**os.environ, "PYTHONPATH": paths}, check=False, timeout=120
    )
    assert done.returncode == 7
    assert not (tmp_path / "sprung").exists()
