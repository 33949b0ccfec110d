"""The command lists the studies, says what is missing, and plans without computing."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from typer.testing import CliRunner

from handful import CNN, Arm, Protocol, Study, open_source
from handful.cli import app
from handful.errors import ConfigError, DataError, WeightsError
from handful.nn.small import V2, Base
from handful.reproduce import page, speed
from handful.reproduce.inputs import CIFAR, SIGNS, rebuild_published_signs, some_of
from handful.reproduce.scale import SCALES, scale_of
from handful.reproduce.table import STUDIES
from handful.reproduce.weights import missing_weights, without


def command(*words: str) -> str:
    made = CliRunner().invoke(app, ["reproduce", *words], catch_exceptions=False)
    assert made.exit_code == 0, made.output
    return made.output


def test_without_a_name_every_study_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "step_seconds", lambda: speed.REFERENCE)
    told = command("--workers", "2")
    for entry in STUDIES.values():
        assert entry.name in told
        assert f"{entry.minutes:.0f} min" in told


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (["signs-difusion"], "signs-diffusion"),
        (["signs-diffusion", "--scale", "papers"], "paper"),
        (["signs-diffusion", "--protocol", "honnest"], "honest"),
        (["signs-diffusion", "--engine", "cluster"], "engine"),
        (["cifar-cnn", "--scale", "tiny", "--dry-run", "--arm", "bas"], "base"),
    ],
)
def test_an_unknown_word_is_an_error_that_names_the_nearest(data: Path, words: list[str], fault: str) -> None:
    with pytest.raises(ConfigError, match=fault):
        CliRunner().invoke(app, ["reproduce", *words], catch_exceptions=False)


def test_missing_pictures_are_an_error_that_says_what_to_put_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HANDFUL_DATA", str(tmp_path))
    with pytest.raises(DataError, match=r"put traffic-signs-10\.zip.* at .*traffic-signs/traffic-signs-10\.zip"):
        SIGNS.find()
    monkeypatch.delenv("HANDFUL_DATA")
    with pytest.raises(DataError, match="then set HANDFUL_DATA to the folder above traffic-signs"):
        SIGNS.find()


def test_pictures_are_downloaded_where_torchvision_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.delenv("HANDFUL_DATA", raising=False)
    monkeypatch.setattr("handful.reproduce.inputs.open_source", asked.append)
    assert CIFAR.find() == "torchvision:CIFAR10"
    assert asked == ["torchvision:CIFAR10"]


def test_a_dry_run_lists_the_full_plan_and_computes_nothing(data: Path, tmp_path: Path) -> None:
    where = ("-o", str(tmp_path / "out"), "--workers", "1", "--protocol", "honest")
    told = command("signs-autoencoders", "--scale", "tiny", "--dry-run", *where)
    assert told.count("minutes on 1 workers") == 2  # the study, and the search for an autoencoder
    assert "plain 2 MSE adam" in told
    assert "MB on disk" in told
    assert not list((tmp_path / "out").rglob("results/*/*/*"))


def test_one_arm_alone_is_run_as_often_as_asked(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "write_report", lambda result, path: path)
    where, narrow = ("-o", str(tmp_path / "out"), "--engine", "serial"), ("--arm", "v2", "--repeats", "1")
    docs = tmp_path / "docs"
    told = command("cifar-cnn", "--scale", "tiny", "--protocol", "published", *narrow, *where, "--docs", str(docs))
    assert "base: not run: not asked for" in told
    text = (docs / "cifar-cnn-tiny.md").read_text(encoding="utf-8")
    line = "handful reproduce cifar-cnn --scale tiny --protocol published --repeats 1 --arm v2 --docs docs/studies"
    assert line in text
    with (tmp_path / "out" / "tables" / "numbers.csv").open(encoding="utf-8") as file:
        rows = {row["treatment"].split(":")[0]: row for row in csv.DictReader(file)}
    assert rows["base"]["ours as published"] == "not run: not asked for"
    assert 0 <= float(rows["V2"]["ours as published"]) <= 1
    assert rows["V2"]["scale"] == "tiny: for tests; 1 repeat"


def test_the_published_files_come_back_with_their_copies(data: Path, tmp_path: Path) -> None:
    num = rebuild_published_signs(data / SIGNS.path, tmp_path)
    assert num == len(list(tmp_path.rglob("*.png"))) == 3 * (2 * 10 + 4 + 1)
    first, second = tmp_path / "train" / "06" / "06_0.png", tmp_path / "train" / "06" / "06_1_0.png"
    assert first.read_bytes() == second.read_bytes()


def test_an_arm_without_its_weights_is_left_out_with_what_to_put_where(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def resolved(self: V2, size: int) -> V2:
        raise WeightsError("v2: put v2.pth in WEIGHTS")

    monkeypatch.setattr(V2, "resolved", resolved)
    arms = [Arm("absent", classifier=CNN(network=V2())), Arm("there", classifier=CNN(network=Base()))]
    study = Study(str(data / SIGNS.path), arms=arms, protocol=Protocol(reference="absent"))
    missing = missing_weights(study, {})
    assert missing == {"absent": "not run: v2: put v2.pth in WEIGHTS"}
    left = without(study, missing)
    assert left is not None
    assert [arm.name for arm in left.arms or ()] == ["there"]
    assert left.protocol.reference == "there"
    assert without(study, {"absent": "", "there": ""}) is None


def test_a_scale_takes_the_same_pictures_of_every_class_each_time(data: Path) -> None:
    source = open_source(data / CIFAR.path)
    one, again = some_of(source, 6), some_of(source, 6)
    assert one == again
    assert one.counts.tolist() == [6 + 2] * 3
    assert some_of(source, None) is source


def test_scales_have_the_published_repeats_or_enough_for_a_verdict() -> None:
    paper, quick = SCALES["paper"], scale_of("quick")
    assert paper.repeats_for("published", 1) == 1
    assert paper.repeats_for("honest", 1) == 5
    assert paper.repeats_for("honest", 15) == 15
    assert quick.repeats_for("published", 15) == quick.repeats_for("honest", 15) == 3
    assert paper.training(epochs=25).epochs == 25
    assert quick.training(epochs=25).epochs is None
