"""A study file means what the same study in Python means, and says every fault at once."""

from __future__ import annotations

from pathlib import Path

import pytest
from plan_and_run import faults_of, plan_of

import handful
from handful import VAE, Arm, Protocol, Study, read_study
from handful.study.arms import arm_named
from tiny_study import CLASSIFIER, STUDY_FILE, write_study


def test_a_study_file_is_the_study_in_python(tmp_path: Path) -> None:
    from_file = read_study(write_study(tmp_path))
    assert from_file.source == str(tmp_path / "pictures")
    arm = Arm("vae", add=5, generator=VAE(width=4, latent=4, training=handful.Training(steps=4, eval_every=2)))
    in_python = Study(from_file.source, arms=["baseline", arm], protocol=Protocol(repeats=2), classifier=CLASSIFIER)
    in_python = in_python.changed(measures="none", mistakes=0)
    assert plan_of(from_file).study.digest() == plan_of(in_python).study.digest()


def test_every_fault_of_a_study_file_comes_at_once(tmp_path: Path) -> None:
    text = STUDY_FILE.replace("repeats", "repeets").replace("network", "netwrk").replace("latent", "latnt")
    path = write_study(tmp_path, "sed = 3\n" + text)
    faults = faults_of(lambda: read_study(path))
    assert all(fault.startswith(f"{path}: ") and "\n" not in fault for fault in faults)
    for given, near in (("repeets", "repeats"), ("netwrk", "network"), ("latnt", "latent")):
        assert sum(f"unknown key {given!r}; did you mean {near!r}?" in fault for fault in faults) == 1, given
    assert sum("unknown key 'sed'" in fault for fault in faults) == 1


def test_a_file_that_is_missing_or_no_toml_is_an_error(tmp_path: Path) -> None:
    assert faults_of(lambda: read_study(tmp_path / "no.toml")) == (f"{tmp_path}/no.toml: no such file",)
    (tmp_path / "half.toml").write_text("source = ")
    (fault,) = faults_of(lambda: read_study(tmp_path / "half.toml"))
    assert "half.toml: not a TOML file: Invalid value (at end of document)" in fault


def test_an_arm_of_a_file_can_start_from_a_named_one(tmp_path: Path) -> None:
    text = 'source = "digits"\narms = ["baseline", {from = "augment+vae", name = "more", add = 9}]\n'
    (tmp_path / "study.toml").write_text(text)
    arm = read_study(tmp_path / "study.toml").arms[1]
    assert arm == arm_named("augment+vae").changed(name="more", add=9)


def test_weights_in_a_study_file_start_at_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = """
    source = "digits"
    arms = [
        "baseline",
        {name = "other", classifier = {kind = "cnn", network = {kind = "resnet18", weights = "elsewhere.pth"}}},
        {name = "random", classifier = {kind = "cnn", network = {kind = "resnet18", weights = "random"}}},
        {name = "pre", pretrain = {kind = "simclr", network = {kind = "resnet50", weights = "w.pth"}}},
    ]

    [classifier]
    kind = "cnn"
    balance = {weights = "inverse"}
    network = {kind = "fusion", first = {kind = "vgg16", weights = "w.pth"}, second = "v2"}
    """
    for name in ("w.pth", "random", "inverse"):
        (tmp_path / "studies" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "studies" / name).touch()
    (tmp_path / "studies" / "study.toml").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    study = read_study(Path("studies/study.toml"))
    assert study.classifier.network.first.weights == "studies/w.pth"  # type: ignore[union-attr]
    assert study.classifier.balance.weights == "inverse"  # type: ignore[union-attr]
    _, other, random, pre = study.arms or ()
    assert other.classifier.network.weights == "elsewhere.pth"  # type: ignore[union-attr]
    assert random.classifier.network.weights == "random"  # type: ignore[union-attr]
    assert pre.pretrain.network.weights == "studies/w.pth"  # type: ignore[union-attr]
