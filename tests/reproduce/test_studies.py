"""Every published study runs again at a tiny scale: its table, its page, its tables as files."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from handful.reproduce import page, signs_autoencoders, signs_diffusion
from handful.reproduce.entry import Finished, Inputs, Table
from handful.reproduce.rows import COLUMNS, main_table
from handful.reproduce.run import reproduce
from handful.reproduce.scale import SCALES
from handful.reproduce.table import STUDIES


def again(name: str, folder: Path, *protocols: str) -> Finished:
    given = protocols or ("published", "honest")
    return reproduce(STUDIES[name], folder, SCALES["tiny"], given, engine="serial", docs=folder / "docs", say=list)


@pytest.mark.parametrize("name", list(STUDIES))
def test_each_study_runs_at_a_tiny_scale(
    name: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "write_report", lambda result, path: path)  # the report has tests of its own
    finished = again(name, tmp_path)
    assert not [result.failed for result in (*finished.results.values(), *finished.extra.values()) if result.failed]
    with (tmp_path / "tables" / "numbers.csv").open(encoding="utf-8") as file:
        head, *rows = csv.reader(file)
    assert tuple(head) == COLUMNS
    assert len(rows) == len(STUDIES[name].rows)
    by_column = [dict(zip(head, row, strict=True)) for row in rows]
    for given, row in zip(STUDIES[name].rows, by_column, strict=True):
        if row["ours as published"].startswith("not run: "):
            continue
        few = len(finished.results["honest", given.study].class_names) <= 3
        if given.number == "top3" and few:
            continue
        assert row["ours as published"], row
        assert row["inflated because"].startswith("as published: inflated because "), row
        assert row["ours honest, on test"], row
        judged = finished.results["honest", given.study]
        compared = given.number == judged.protocol.score and judged.scores(given.arm).get(given.number)
        assert row["verdict"] in ("", "reference") or "no verdict" in row["verdict"], row
        assert row["verdict"] or not compared or "Kaggle" in row["treatment"], row
        assert row["scale"] in ("tiny: for tests; 2 repeats", "tiny: for tests; 1 repeat")
    text = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert 'src="http' not in text
    assert 'href="http' not in text
    assert "Traceback" not in text
    text = (tmp_path / "docs" / f"{name}-tiny.md").read_text(encoding="utf-8")
    for part in ("What it did and claimed", "What we found", "The traps", "How to run it"):
        assert f"## {part}" in text
    entry = STUDIES[name]
    for stand_in in filter(None, (entry.pictures.stand_in, *entry.stand_ins)):
        assert all(stand_in in row["stand-in"] for row in by_column)
        assert stand_in in text
        for path in (tmp_path / "tables").iterdir():
            first = path.read_text(encoding="utf-8").splitlines()[1:2]
            assert not path.name.startswith("response-") or first[0].startswith("0 to "), "from the original pictures"
            with path.open(encoding="utf-8") as file:
                if path.name in ("supports.csv", "per-class-published.csv"):  # published numbers alone
                    continue
                assert all(stand_in in row["stand-in"] for row in csv.DictReader(file)), path


def test_a_row_without_weights_says_what_to_put_where_and_the_study_goes_on(data: Path, tmp_path: Path) -> None:
    finished = again("satellite-fusion", tmp_path, "honest")
    rows = {row[0]: row for row in main_table(finished).rows}
    told = rows["AlexNet, ImageNet weights, convolutions frozen"][3]
    assert told == "not run: put alexnet-owt-7be5be79.pth in the folder that HANDFUL_WEIGHTS names"
    ours = rows["EfficientNet-Lite0, packaged weights, frozen (not in the study)"]
    assert float(ours[5]) >= 0
    assert (tmp_path / "reports" / "honest-networks.html").exists()
    assert told in (tmp_path / "study.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", list(STUDIES))
def test_one_arm_of_a_study_makes_its_page(
    name: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "write_report", lambda result, path: path)
    entry, scale = STUDIES[name], SCALES["tiny"]
    parts = entry.studies(scale, "honest", Inputs(entry.pictures.find(), tmp_path))
    arm = (list(parts.values())[-1].arms or ())[-1].name
    finished = reproduce(entry, tmp_path, scale, ("honest",), only=[arm], engine="serial", say=list)
    ran = [name for result in finished.results.values() for name in result.arms]
    assert ran == ([] if arm in finished.missing else [arm])
    assert (tmp_path / "index.html").exists()


def test_the_search_for_an_autoencoder_alone_makes_its_page(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "write_report", lambda result, path: path)
    entry, arms = STUDIES["signs-autoencoders"], ["plain 2 MSE adam", "plain 2 MSE sgd"]
    kept = signs_autoencoders.keys_of
    monkeypatch.setattr(  # as if that one had failed
        signs_autoencoders, "keys_of", lambda result, arm, stage: {} if "sgd" in arm else kept(result, arm, stage)
    )
    reproduce(entry, tmp_path, SCALES["tiny"], ("honest",), only=arms, engine="serial", say=list)
    with (tmp_path / "tables" / "grid.csv").open(encoding="utf-8") as file:
        _, trained, failed = csv.reader(file)
    assert trained[:4] == ["plain", "2", "MSE", "adam"]
    assert float(trained[5]) > 0
    assert trained[-2] == "by loss, by MSE"
    assert failed[:-1] == ["plain", "2", "MSE", "sgd", "failed", "", "", ""]


def test_a_page_says_once_what_every_row_would_repeat() -> None:
    table = Table("stairs", "Stairs", ("what", "scale", "stand-in"), (("a", "quick", "x"), ("b", "quick", "y")))
    made = page.folded(table)
    assert made.caption == "Stairs; scale: quick"
    assert made.columns == ("what", "stand-in")
    assert made.rows == (("a", "x"), ("b", "y"))
    unmade = Table(
        "quality", "Quality", ("class", "FID", "IS"), (("a", "not run: put F", "1"), ("b", "not run: put F", "2"))
    )
    assert page.folded(unmade).caption == "Quality; FID: not run: put F"
    assert page.folded(unmade).columns == ("class", "IS")
    alone = Table("numbers", "Numbers", ("what", "scale"), (("a", "quick"),))
    assert page.folded(alone) == alone


@pytest.mark.parametrize("name", ["quick", "paper"])
def test_s1_trains_the_vae_alone_without_augmentation(name: str) -> None:
    made = signs_diffusion.families(SCALES[name])
    assert {kind: recipe.augment is not None for kind, recipe in made.items()} == {
        "vae": False,
        "gan": True,
        "diffusion": True,
    }


def test_s0_says_by_class_what_its_classifier_does_on_validation(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "write_report", lambda result, path: path)
    entry = STUDIES["signs-autoencoders"]
    finished = reproduce(entry, tmp_path, SCALES["tiny"], ("honest",), only=["baseline"], engine="serial", say=list)
    result = finished.results["honest", "signs"]
    with (tmp_path / "tables" / "per-class-validation.csv").open(encoding="utf-8") as file:
        rows = {row["class"]: row for row in csv.DictReader(file)}
    assert list(rows) == [*result.class_names, "macro average", "weighted average"]
    watched = result.validation("baseline")
    assert watched is not None
    assert float(rows["weighted average"]["recall"]) == pytest.approx(watched["mean"], abs=6e-4), "it is accuracy"
    parts = result.validation_parts("baseline")
    assert len(parts) == 2
    supports = [int(rows[name]["validation pictures"]) for name in result.class_names]
    assert supports == pytest.approx(np.mean([np.bincount(one, minlength=3) for one, _ in parts], axis=0), abs=0.51)
    right = [(probs.argmax(axis=1)[labels == 0] == 0).mean() for labels, probs in parts]
    assert float(rows[result.class_names[0]]["recall"]) == pytest.approx(np.mean(right), abs=6e-4)
