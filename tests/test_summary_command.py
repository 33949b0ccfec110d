"""`handful summary`: of a network, an arm, a study file, a store and a model; as text, JSON, page and drawing."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from typer.testing import CliRunner

import handful
from handful.classify.recommend import Facts, recommend
from handful.cli import app
from handful.errors import ConfigError, StoreError
from handful.generate.neural import NeuralRecipe
from handful.nn import custom
from handful.predict import export_classifier
from handful.report.network import number, write_summary
from handful.study.advice import weights_at_hand
from handful.study.arms import ARMS
from handful.study.summarized import summary_of
from tiny_study import STUDY_FILE, VAE_ARM, tiny, write_study


def told(*given: object) -> dict[str, object]:
    made = CliRunner().invoke(app, ["summary", *map(str, given), "--json"])
    assert made.exit_code == 0, made.output
    return json.loads(made.stdout)


def test_a_network_is_shown_at_the_size_asked_for() -> None:
    made = CliRunner().invoke(app, ["summary", "base", "--image-size", "8", "--classes", "3", "--channels", "1"])
    assert made.exit_code == 0
    assert "body.0.0" in made.stdout
    assert "base: pictures 1 × 8 × 8; 7,235 parameters, 7,235 trained, 0 frozen" in made.stdout


def test_an_arm_a_study_file_and_a_store_are_networks_too(tmp_path: Path) -> None:
    advised = recommend(Facts(counts=(30,) * 10, side=64, weights=weights_at_hand()))
    for arm, recipe in (("augment+vae", advised.plain), ("default", advised.classifier)):
        shown = {name: value for name, value in told(arm).items() if name != "generator"}
        assert shown == told(recipe.network.kind, "--image-size", recipe.view.size)
    bare = tmp_path / "bare.toml"
    bare.write_text('source = "digits"\n', encoding="utf-8")
    for arm, recipe in ((None, advised.plain), ("augment", advised.plain), ("default", advised.classifier)):
        options = [] if arm is None else ["--arm", arm]
        assert told(bare, *options) == told(recipe.network.kind, "--image-size", recipe.view.size)
    assert told("autoencoder-encoder", "--image-size", 28)["stages"][-1]["output"] == [10]
    path = write_study(tmp_path)
    assert told(path, "--channels", 1, "--classes", 3) == told(
        "base", *["--image-size", "8", "--classes", "3", "--channels", "1"]
    )
    frozen = handful.CNN(network="base", view=handful.View(size=8), tuning={"frozen": True})
    study = tiny("baseline", handful.Arm("frozen", classifier=frozen), steps=1, repeats=1)
    result = handful.run(study, tmp_path / "store", engine="serial", device="cpu")
    (shown,) = summary_of(str(tmp_path / "store"), arm="frozen")
    assert shown.title.endswith("store, classifier of arm frozen")
    found = shown.summary
    assert found.picture == (1, 8, 8)
    assert found.stages[-1].output == (3,)
    assert found.trained == found.stages[-1].parameters < found.parameters
    model = export_classifier(result, tmp_path / "model", "frozen")
    assert told(model) == told(model / "member-0") == told(tmp_path / "store", "--arm", "frozen")
    with pytest.raises(ConfigError, match="--arm is for a study file or a store"):
        summary_of(str(model), arm="frozen")


def trained_parameters(recipe: NeuralRecipe, channels: int, size: int, classes: int) -> int:
    networks = recipe.networks(channels, size, classes)
    return sum(one.numel() for network in networks.values() for one in network.parameters())


@pytest.mark.parametrize("kind", ["vae", "autoencoder", "gan", "diffusion"])
def test_of_an_arm_that_generates_the_networks_of_both_are_shown(kind: str) -> None:
    classifier, generator = summary_of(f"{kind}+augment", size=16, classes=3, channels=1)
    assert classifier.title == f"classifier of arm {kind}+augment"
    assert generator.title == f"generator of arm {kind}+augment ({kind})"
    recipe = ARMS[kind].generator
    assert isinstance(recipe, NeuralRecipe)
    assert generator.summary.parameters == trained_parameters(recipe, 1, 16, 3)
    assert sum(layer.parameters for layer in generator.summary.layers) == generator.summary.parameters
    assert generator.summary.multiply_adds > 0
    assert generator.summary.picture == (1, 16, 16)


def test_a_generator_without_networks_adds_nothing() -> None:
    assert [one.title for one in summary_of("interpolate")] == ["classifier of arm interpolate"]


def test_an_arm_judged_by_reconstruction_has_no_classifier_to_show(tmp_path: Path) -> None:
    rebuild = '{name = "rebuild", judged_by = "reconstruction", generator = {kind = "vae", width = 4, latent = 4}},'
    path = write_study(tmp_path, STUDY_FILE.replace('    "baseline",', f'    "baseline",\n    {rebuild}'))
    (file,) = summary_of(str(path), arm="rebuild", channels=1)
    assert file.title == f"{path}, generator of arm rebuild (vae)"
    assert file.summary.picture == (1, 8, 8)
    assert list(told(path, "--arm", "rebuild")) == ["generator"]
    arm = handful.Arm("rebuild", generator=VAE_ARM.generator, judged_by="reconstruction")
    handful.run(tiny("baseline", arm, steps=1, repeats=1), tmp_path / "store", engine="serial", device="cpu")
    (stored,) = summary_of(str(tmp_path / "store"), arm="rebuild")
    assert stored.part == "generator"
    page = tmp_path / "out.html"
    made = CliRunner().invoke(app, ["summary", str(path), "--arm", "rebuild", "-o", str(page)])
    assert made.exit_code == 0, made.output
    assert "generator of arm rebuild (vae)" in page.read_text(encoding="utf-8")
    with pytest.raises(ConfigError, match=r"has no drawing, only a table of layers; write \.html"):
        write_summary(tmp_path / "out.svg", (stored,))


def test_a_network_of_ones_own_is_shown_by_its_name() -> None:
    (shown,) = summary_of("my_networks:plain", size=8, classes=3, channels=1)
    assert shown.summary.stages[-1].name == "head"
    assert shown.summary.parameters == 8 * 8 * 4 + 4 + 4 * 3 + 3


def test_a_store_runs_code_of_its_maker_only_where_it_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = handful.CNN(network={"kind": "custom", "factory": "my_networks:Parted"}, view=handful.View(size=8))
    study = tiny("baseline", classifier=own, steps=1, repeats=1)
    result = handful.run(study, tmp_path / "store", engine="serial", device="cpu")
    monkeypatch.setattr(custom, "_ASKED", set())
    with pytest.raises(StoreError, match=r"made by my_networks:Parted, code that is not handful's; .*--trust-code"):
        summary_of(str(tmp_path / "store"))
    assert told(tmp_path / "store", "--trust-code")["stages"][-1]["output"] == [3]
    model = export_classifier(result, tmp_path / "model", trust_code=True)
    monkeypatch.setattr(custom, "_ASKED", set())
    with pytest.raises(StoreError, match=r"made by my_networks:Parted, code that is not handful's; .*--trust-code"):
        summary_of(str(model))
    assert told(model, "--trust-code")["stages"][-1]["output"] == [3]
    (model / "member-0" / "classifier.json").unlink()
    with pytest.raises(StoreError, match=r"member-0: no classifier here"):
        summary_of(str(model))


@pytest.mark.parametrize(
    ("what", "options", "fault"),
    [
        ("v33", {}, "unknown network or arm 'v33'; did you mean 'v3'"),
        ("v3", {"arm": "vae"}, "--arm is for a study file or a store"),
        ("v3", {"size": 2}, "greater than or equal to 4"),
        ("nowhere.toml", {}, "no such file"),
    ],
)
def test_what_is_no_network_is_named(what: str, options: dict[str, object], fault: str) -> None:
    with pytest.raises(ConfigError, match=fault):
        summary_of(what, **options)


@pytest.mark.parametrize("suffix", [".svg", ".html"])
def test_the_drawing_has_a_box_for_each_stage_with_its_shape(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out{suffix}"
    made = CliRunner().invoke(app, ["summary", "v2", "--image-size", "16", "-o", str(path)])
    assert made.exit_code == 0, made.output
    text = path.read_text(encoding="utf-8")
    drawing = ET.fromstring(text[text.index("<svg") : text.index("</svg>") + 6])
    space = "{http://www.w3.org/2000/svg}"
    assert len(drawing.findall(f"{space}rect")) == 6
    words = [one.text for one in drawing.findall(f"{space}text")]
    for shape in ("3 × 16 × 16", "16 × 8 × 8", "128 × 2 × 2"):
        assert shape in words
    assert ("var(--" in text) == (suffix == ".html")
    assert "http://" not in text.replace('xmlns="http://www.w3.org/2000/svg"', "")


def test_another_kind_of_file_is_refused(tmp_path: Path) -> None:
    made = CliRunner().invoke(app, ["summary", "base", "-o", str(tmp_path / "out.pdf")])
    assert isinstance(made.exception, ConfigError)
    assert "is written as .html or .svg" in str(made.exception)


def test_counts_are_short() -> None:
    assert [number(value) for value in (7, 1234, 5_678_901, 2 * 10**9)] == ["7", "1.23 k", "5.68 M", "2 G"]
