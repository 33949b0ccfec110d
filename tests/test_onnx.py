"""A model written as ONNX answers as the classifier does, alone, for any number of pictures."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import handful
from handful import CNN, Augmentation, LabeledImages, Training, View
from handful.classify.cnn import CNNClassifier
from handful.classify.ensemble import Ensemble
from handful.cli import app
from handful.errors import ConfigError, StoreError
from handful.nn.weights import at_hand
from handful.onnx_file import write_onnx
from tiny_study import NAMES, TRAINING, digits, tiny

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")


def fitted(seed: int, network: str = "v2", channels: int = 3) -> CNNClassifier:
    pixels, labels, names = digits()
    images = LabeledImages.of_arrays(np.repeat(pixels, channels, axis=1), labels, names)
    recipe = CNN(network=network, view=View(size=8), training=TRAINING)
    return recipe.fit(images, None, seed=seed)


def session_of(path: Path) -> Any:
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


def answers(path: Path, images: np.ndarray) -> np.ndarray:
    return session_of(path).run(None, {"images": images})[0]


def test_an_ensemble_is_one_file_that_gives_the_mean_for_any_batch_and_names_its_classes(tmp_path: Path) -> None:
    members = [fitted(0), fitted(1)]
    ensemble = Ensemble.of(members)
    worst = write_onnx(ensemble, tmp_path / "model.onnx")
    assert worst < 1e-5
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]
    for num in (1, 2, 17):
        images = np.random.default_rng(num).integers(0, 256, (num, 3, 8, 8), dtype=np.uint8)
        made = answers(tmp_path / "model.onnx", images)
        assert made.shape == (num, 3)
        np.testing.assert_allclose(made, ensemble.predict_proba(images), atol=1e-5)
        apart = [member.predict_proba(images) for member in members]
        np.testing.assert_allclose(made, (apart[0] + apart[1]) / 2, atol=1e-5)
        assert np.abs(apart[0] - apart[1]).max() > 1e-3
    told = session_of(tmp_path / "model.onnx").get_modelmeta().custom_metadata_map
    assert json.loads(told["class_names"]) == list(NAMES)
    assert (told["size"], told["resize"], told["channels"]) == ("8", "stretch", "3")
    (given,) = session_of(tmp_path / "model.onnx").get_inputs()
    assert (given.name, given.type, given.shape[1:]) == ("images", "tensor(uint8)", [3, 8, 8])
    assert isinstance(given.shape[0], str)


def test_a_calibrated_ensemble_is_written_as_it_answers(tmp_path: Path) -> None:
    ensemble = Ensemble.of([fitted(0), fitted(1)], {}, (3.0, 0.7)).at_temperatures()
    assert write_onnx(ensemble, tmp_path / "model.onnx") < 1e-5
    images = np.random.default_rng(0).integers(0, 256, (5, 3, 8, 8), dtype=np.uint8)
    np.testing.assert_allclose(answers(tmp_path / "model.onnx", images), ensemble.predict_proba(images), atol=1e-5)


def test_a_file_that_answers_otherwise_is_an_error_and_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    classifier = fitted(0, "base")
    honest = CNNClassifier.predict_proba
    monkeypatch.setattr(CNNClassifier, "predict_proba", lambda *given, **how: honest(*given, **how) + np.float32(2e-4))
    with pytest.raises(StoreError, match=r"onnxruntime differs from torch by 0\.0002, more than 0\.0001"):
        write_onnx(classifier, tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


def test_more_weights_than_a_file_can_hold_are_refused_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("handful.onnx_file.MOST_BYTES", 1000)
    with pytest.raises(StoreError, match=r"2 networks of this model hold .* GiB of weights"):
        write_onnx(Ensemble.of([fitted(0, "base"), fitted(1, "base")]), tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


def test_test_time_views_are_no_part_of_a_file(tmp_path: Path) -> None:
    classifier = replace(fitted(0, "base"), recipe=CNN(network="base", view=View(size=8), augment="light", tta=2))
    with pytest.raises(StoreError, match="test-time views"):
        write_onnx(classifier, tmp_path / "model.onnx")


def test_mirrored_views_are_part_of_the_file(tmp_path: Path) -> None:
    augment = Augmentation(flip_horizontal=True, flip_vertical=True, flip_diagonal=True)
    recipe = CNN(network="base", view=View(size=8), augment=augment, tta="flips")  # type: ignore[arg-type]
    assert write_onnx(replace(fitted(0, "base"), recipe=recipe), tmp_path / "model.onnx") < 1e-5
    assert write_onnx(fitted(0, "base"), tmp_path / "plain.onnx") < 1e-5
    convolutions = [
        sum(node.op_type == "Conv" for node in onnx.load(str(tmp_path / name)).graph.node)
        for name in ("model.onnx", "plain.onnx")
    ]
    assert convolutions[0] == convolutions[1] > 0, "eight views go through one copy of the network"


@pytest.mark.parametrize("network", ["residual", "lite0"])
def test_the_recommended_networks_are_exported_with_their_mirrored_views(tmp_path: Path, network: str) -> None:
    weights = {} if network == "residual" or at_hand("lite0") else {"weights": "random"}
    recipe = CNN(
        network={"kind": network, **weights},  # type: ignore[arg-type]
        view=View(size=32),
        augment=Augmentation(flip_horizontal=True),
        tta="flips",
        training=Training(steps=8, lr=1e-2, batch_size=6),
    )
    pixels = np.random.default_rng(0).integers(0, 100, (12, 3, 32, 32), dtype=np.uint8)
    pixels += (70 * (np.arange(12) % 3)).astype(np.uint8)[:, None, None, None]
    classifier = recipe.fit(LabeledImages.of_arrays(pixels, np.arange(12) % 3, NAMES), None, seed=0)
    assert write_onnx(classifier, tmp_path / "model.onnx") < 1e-4
    images = pixels[:5]
    made = answers(tmp_path / "model.onnx", images)
    np.testing.assert_allclose(made, classifier.predict_proba(images), atol=1e-4)
    np.testing.assert_allclose(made, answers(tmp_path / "model.onnx", images[..., ::-1].copy()), atol=1e-4)
    assert np.ptp(np.log(made), axis=0).max() > 0.1, "the pictures are told apart"


def test_missing_packages_name_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("handful.onnx_file.find_spec", lambda name: None if name == "onnxruntime" else name)
    with pytest.raises(ConfigError, match=r"--onnx needs onnxruntime: install the extra `export`"):
        write_onnx(fitted(0, "base"), tmp_path / "model.onnx")


def test_export_writes_it_beside_the_weights_and_the_docs_run_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    study = tiny("baseline", steps=2, repeats=2)
    handful.run(study, tmp_path / "store", engine="serial", device="cpu")
    made = CliRunner().invoke(app, ["export", str(tmp_path / "store"), "--onnx", "-o", str(tmp_path / "model")])
    assert made.exit_code == 0, made.output
    images = np.random.default_rng(0).integers(0, 256, (4, 1, 8, 8), dtype=np.uint8)
    classifier = handful.load_classifier(tmp_path / "model")
    np.testing.assert_allclose(
        answers(tmp_path / "model" / "model.onnx", images), classifier.predict_proba(images), atol=1e-5
    )
    card = json.loads((tmp_path / "model" / "classifier.json").read_text())
    assert card["class_names"] == list(NAMES)
    assert card["preprocessing"]["size"] == 8
    assert [sorted(one) for one in card["networks"]] == [["mean", "network", "start", "std"]] * 2
    assert card["networks"][0]["start"] == {"source": "random", "digest": ""}
    assert set(card["about"]["scores"]["accuracy"]) == {"mean", "sd", "interval", "values"}
    assert len(card["about"]["scores"]["accuracy"]["values"]) == 2
    assert len(card["about"]["data"]) == 64
    assert "upright by the EXIF orientation" in card["preprocessing"]["orientation"]
    assert "over white" in card["preprocessing"]["transparency"]
    docs = (Path(__file__).parents[1] / "docs" / "using.md").read_text(encoding="utf-8")
    (block,) = [one for one in re.findall(r"```python\n(.*?)```", docs, flags=re.DOTALL) if "onnxruntime" in one]
    monkeypatch.chdir(tmp_path)
    noise = np.random.default_rng(1).integers(0, 256, (20, 30, 4), dtype=np.uint8)
    noise[:10, :, :3], noise[10:, :, 3] = 0, 255  # black below what is transparent
    on_its_side = Image.Exif()
    on_its_side[0x0112] = 6
    for pixels, options in ((noise[..., 0], {}), (noise[..., :3], {"exif": on_its_side}), (noise, {})):
        Image.fromarray(pixels).save("new.png", **options)
        names: dict[str, Any] = {}
        exec(compile(block, "using.md", "exec"), names)
        made = classifier.predict("new.png")
        np.testing.assert_allclose(names["probabilities"], made.probs, atol=1e-5)
        assert capsys.readouterr().out.splitlines()[-1:] == list(made)


def test_pictures_and_onnx_exclude_each_other(tmp_path: Path) -> None:
    made = CliRunner().invoke(app, ["export", str(tmp_path), "--onnx", "--pictures"])
    assert isinstance(made.exception, ConfigError)
