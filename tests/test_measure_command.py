"""`handful measure`: two folders in, the numbers out, as a table, as JSON and as a page."""

from __future__ import annotations

import csv
import io
import json
import zipfile

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from handful.cli import app
from handful.measure.measured import TITLES


def write(folder, num, seed):
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    for place in range(num):
        smooth = np.kron(rng.integers(0, 256, (2, 2, 3)), np.ones((4, 4, 1)))
        Image.fromarray(smooth.astype(np.uint8)).save(folder / f"{place}.png")


@pytest.fixture
def folders(tmp_path):
    for seed, name in enumerate(("cat", "dog")):
        write(tmp_path / "real" / name, 12, seed)
        write(tmp_path / "made" / name, 9, 10 + seed)
        write(tmp_path / "more" / name, 10, 20 + seed)
    return tmp_path


def measure(*given):
    return CliRunner().invoke(app, ["measure", *map(str, given), "--extractor", "pixels", "--device", "cpu"])


def told(*given):
    ran = measure(*given, "--json")
    assert ran.exit_code == 0, ran.output
    return json.loads(ran.stdout)


def test_it_prints_the_verdict_first_and_every_measure(folders):
    ran = measure(folders / "real", folders / "made", "--held-out", folders / "more")
    assert ran.exit_code == 0, ran.output
    assert "copying" in ran.stdout.splitlines()[0]
    assert [title for title in TITLES.values() if title not in ran.stdout] == []


def test_json_has_the_numbers_and_the_page_is_written(folders):
    found = told(
        folders / "real",
        folders / "made",
        "--held-out",
        folders / "more",
        "--per-class",
        "-o",
        folders / "page.html",
        "--image-size",
        6,
        "--seed",
        3,
    )
    assert (found["size"], found["seed"], found["marks"]) == (6, 3, "held-out")
    assert found["names"] == {"real": "real", "synthetic": "made", "held_out": "more"}
    assert [one["name"] for one in found["classes"]] == ["cat", "dog"]
    assert found["pairs"][0]["synthetic"].endswith(".png")
    assert "<!doctype html>" in (folders / "page.html").read_text(encoding="utf-8")


def test_two_flat_folders_will_do(folders):
    found = told(folders / "real" / "cat", folders / "made" / "dog")
    assert found["given"] == {"real": 12, "synthetic": 9}
    assert (found["marks"], found["classes"]) == ("halves", [])


@pytest.mark.parametrize(
    ("given", "word"),
    [
        (("real", "nothing"), "no such file or folder"),
        (("real", "made", "--extractor", "lite"), "unknown extractor 'lite'; did you mean 'lite0'?"),
        (("real", "made", "--image-size", "2"), "greater than or equal to 4"),
    ],
)
def test_wrong_input_is_a_message(folders, monkeypatch, given, word):
    monkeypatch.chdir(folders)
    ran = CliRunner().invoke(app, ["measure", *given])
    assert ran.exit_code != 0
    assert word in f"{ran.output} {ran.exception}"


@pytest.mark.data
def test_the_test_part_of_the_published_road_signs_holds_training_pictures(real_data, tmp_path):
    """520 training and 340 test files, rebuilt from the distinct pictures; 20 test files are training pictures."""
    published = tmp_path / "published"
    with zipfile.ZipFile(real_data / "traffic-signs" / "traffic-signs-10.zip") as pictures:
        for row in csv.DictReader(io.StringIO(pictures.read("manifest.csv").decode())):
            (published / row["path"]).parent.mkdir(parents=True, exist_ok=True)
            (published / row["path"]).write_bytes(pictures.read(row["duplicate_of"] or row["path"]))
    write(tmp_path / "made" / "06", 20, 0)
    write(tmp_path / "made" / "12", 20, 1)
    found = told(published, tmp_path / "made", "--image-size", 16)
    assert found["known"]
    assert all(held.startswith("test/") and real.startswith("train/") for held, real in found["known"])
    whole = told(published, published / "test", "--image-size", 16)
    assert len({held for held, _ in whole["known"]}) == 20
    assert (len(whole["exact"]), whole["verdict"]) == (20, "copies")
