"""The command line: every command from pictures to predictions, and its help."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import typer

import handful
from command_line import HERE, Handful, Ran, refused, run_study, table
from handful.cli import app
from tiny_study import NAMES, STUDY_FILE, results, write_pictures

COMMANDS = ("look", "run", "generate", "measure", "status", "report", "predict", "export", "summary", "reproduce")
RUN_OPTIONS = [
    "-o",
    "--arms",
    "--reference",
    "--repeats",
    "--seed",
    "--image-size",
    "--resize",
    "--val-fraction",
    "--test-fraction",
    "--copies",
    "--long-tail",
    "--folds",
    "--train-per-class",
    "--groups",
    "--regions",
    "--splits-from",
    "--save-splits",
    "--measures",
    "--mistakes",
    "--goal",
    "--budget",
    "--engine",
    "--workers",
    "--device",
    "--skip-unreadable",
    "--dry-run",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures, a study file, and a store that a run of it wrote."""
    return run_study(tmp_path_factory.mktemp("cli"))


# every command, end to end


def test_looking_shows_classes_sizes_and_copies(handful_: Handful, folder: Path, tmp_path: Path) -> None:
    made = handful_("look", folder / "pictures")
    assert made.code == 0
    assert all(re.search(rf"{name}\s+20\b", made.out) for name in NAMES)
    assert "8x8 to 8x8 px" in made.out
    told = json.loads(handful_("look", folder / "pictures", "--json").out)
    assert [(one["name"], one["unassigned"]) for one in told["classes"]] == [(name, 20) for name in sorted(NAMES)]
    assert told["num_pictures"] == 60
    assert told["faults"] == []


def test_looking_lists_what_cannot_be_read_and_does_not_stop(handful_: Handful, tmp_path: Path) -> None:
    write_pictures(tmp_path)
    (tmp_path / "zero" / "bad.png").write_text("no picture")
    made = handful_("look", tmp_path)
    assert made.code == 0
    assert "cannot be read: zero/bad.png" in made.out
    assert json.loads(handful_("look", tmp_path, "--json").out)["faults"][0]["path"] == "zero/bad.png"


def test_a_run_without_validation_reports_and_exports_an_arm_by_name(
    handful_: Handful, folder: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    made = handful_("run", folder / "study.toml", "-o", store, "--val-fraction", "0", *HERE)
    assert made.code == 0, made.err
    assert handful_("report", store, "-o", tmp_path / "r.html").code == 0
    told = json.loads(handful_("report", store, "--json").out)
    assert [arm["validation"] for arm in told["arms"]] == [None, None]
    refused(handful_("export", store, "-o", tmp_path / "m"), "no validation part", "--arm (baseline, vae)")
    refused(handful_("predict", store, folder / "pictures", "-o", tmp_path / "p.csv"), "--arm")
    assert handful_("export", store, "--arm", "vae", "-o", tmp_path / "m").code == 0
    made = handful_("run", folder / "pictures", "-o", tmp_path / "none", "--val-fraction", "0", "--dry-run", *HERE)
    refused(made, "generator.training.keep is 'best' in 'vae'")
    assert not (tmp_path / "none").exists()


def test_a_run_prints_a_table_and_the_verdict(handful_: Handful, folder: Path) -> None:
    made = handful_("run", folder / "study.toml", "-o", folder / "again", *HERE)
    assert made.code == 0
    assert re.search(r"^ *baseline +[01]\.\d{3}", made.out, re.MULTILINE)
    assert re.search(r"^ *vae +[01]\.\d{3} +(-?\d\.\d{3} to -?\d\.\d{3} +)?[+-]\d", made.out, re.MULTILINE)
    assert "2 repeats; a verdict needs 5" in made.out
    assert "2 arms, 2 repeats, 12 test pictures; no verdict: fewer than 5 repeats" in made.err
    assert results(folder / "again") == results(folder / "store")
    before = {path: path.stat().st_mtime_ns for path in (folder / "again" / "results").rglob("*")}
    again = handful_("run", folder / "study.toml", "-o", folder / "again", *HERE)
    assert again.out == made.out
    assert {path: path.stat().st_mtime_ns for path in (folder / "again" / "results").rglob("*")} == before


def test_options_stand_above_the_study_file(handful_: Handful, folder: Path, tmp_path: Path) -> None:
    options = (
        "--arms",
        "baseline,augment",
        "--repeats",
        1,
        "--seed",
        5,
        "--val-fraction",
        0.3,
        "--test-fraction",
        0.25,
    )
    more = ("--image-size", 10, "--resize", "pad", "--reference", "augment", "--copies", "keep", "--long-tail", "9:4")
    more += ("--measures", "pixels")
    made = handful_("run", folder / "study.toml", "-o", tmp_path / "store", *options, *more, *HERE)
    assert made.code == 0, made.err
    study = handful.Result.of(handful.study.store.Store(tmp_path / "store")).study
    assert [arm.name for arm in study.arms] == ["baseline", "augment"]
    protocol = study.protocol
    assert (protocol.repeats, protocol.seed, protocol.val_fraction, protocol.test_fraction) == (1, 5, 0.3, 0.25)
    assert (protocol.reference, protocol.copies, protocol.long_tail) == ("augment", "keep", (9, 4))
    assert (study.classifier.view.size, study.classifier.view.resize) == (10, "pad")
    assert (study.classifier.training.steps, study.measures) == (4, "pixels")


def test_a_dry_run_lists_jobs_and_what_can_be_told_and_writes_nothing(
    handful_: Handful, folder: Path, tmp_path: Path
) -> None:
    made = handful_("run", folder / "study.toml", "-o", tmp_path / "store", "--dry-run", *HERE)
    assert made.code == 0, made.err
    assert "12 jobs, 0 cached, 12 to run" in made.out
    assert "no verdict: fewer than 5 repeats" in made.out
    assert not (tmp_path / "store").exists()
    before = {path: path.stat().st_mtime_ns for path in (folder / "store").rglob("*")}
    made = handful_("run", folder / "study.toml", "-o", folder / "store", "--dry-run", "--repeats", 3, *HERE)
    assert "18 jobs, 12 cached, 6 to run" in made.out
    assert {path: path.stat().st_mtime_ns for path in (folder / "store").rglob("*")} == before


def test_status_tells_how_far_a_study_is(handful_: Handful, folder: Path) -> None:
    made = handful_("status", folder / "store")
    assert made.code == 0
    assert "12 jobs finished, 0 failed, 0 open" in made.out
    assert "vae: 2 of 2 repeats" in made.out
    told = json.loads(handful_("status", folder / "store", "--json").out)
    assert told["jobs"] == {"finished": 12, "failed": 0, "open": 0}
    assert told["failed"] == []
    assert told["digest"] == handful.Result.of(handful.study.store.Store(folder / "store")).page["digest"]


def test_the_report_is_one_file_and_its_numbers_are_the_result(handful_: Handful, folder: Path, tmp_path: Path) -> None:
    made = handful_("report", folder / "store", "-o", tmp_path / "report.html")
    assert made.code == 0, made.err
    assert made.out.strip() == str(tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text(encoding="utf-8").lstrip().lower().startswith("<!doctype html>")
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    told = json.loads(handful_("report", folder / "store", "--json").out)
    assert told == handful.Result.of(handful.study.store.Store(folder / "store")).to_json()


def test_the_tables_of_a_report_are_written_as_csv(handful_: Handful, folder: Path, tmp_path: Path) -> None:
    made = handful_("report", folder / "store", "--csv", tmp_path / "csv")
    assert made.code == 0, made.err
    assert made.out.split() == [str(tmp_path / "csv" / Path(line).name) for line in made.out.split()]
    for name in ("scores", "per_class", "per_class_validation"):
        assert {row["arm"] for row in table(tmp_path / "csv" / f"{name}.csv")} == {"baseline", "vae"}
    refused(handful_("report", folder / "store", "--csv", tmp_path / "csv", "--json"), "--csv and --json")
    page = tmp_path / "page.html"
    refused(handful_("report", folder / "store", "--json", "-o", page), "--json prints the numbers and writes no page")
    both = handful_("report", folder / "store", "--csv", tmp_path / "csv", "-o", page)
    assert both.out.split()[-1] == str(page)
    assert page.exists()


def test_a_goal_of_a_finished_study_is_judged_without_running_it_again(handful_: Handful, folder: Path) -> None:
    before = results(folder / "store")
    goals = ("--goal", "zero:recall>=0.9", "--goal", "one:precision>=0.5")
    made = handful_("run", folder / "study.toml", "-o", folder / "store", *goals, *HERE)
    assert made.code == 0, made.err
    assert results(folder / "store") == before
    told = json.loads(handful_("report", folder / "store", "--json").out)
    assert [row["class"] for row in told["arms"][0]["goals"]] == ["zero", "one"]


def test_a_store_and_an_exported_model_predict_the_same(handful_: Handful, folder: Path, tmp_path: Path) -> None:
    best = handful_("export", folder / "store", "-o", tmp_path / "best")
    assert "the best arm on validation" in best.err
    made = handful_("export", folder / "store", "-o", tmp_path / "model", "--arm", "vae")
    assert made.code == 0, made.err
    assert not any(path.suffix in {".pkl", ".pt", ".pth", ".bin"} for path in (tmp_path / "model").rglob("*"))
    new = folder / "pictures" / "one"
    one = handful_("predict", folder / "store", new, "-o", tmp_path / "a.csv", "--arm", "vae", "--device", "cpu")
    other = handful_("predict", tmp_path / "model", new, "-o", tmp_path / "b.csv", "--device", "cpu")
    assert (one.code, other.code) == (0, 0)
    assert "20 pictures, arm vae" in one.err
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    rows = table(tmp_path / "a.csv")
    assert list(rows[0]) == ["file", "class", *sorted(NAMES)]
    assert [row["file"] for row in rows] == sorted(path.name for path in new.iterdir())
    classifier = handful.load_classifier(tmp_path / "model")
    source = handful.open_source(folder / "pictures")
    images = handful.load(source, classifier.recipe.view).of_class(source.class_names.index("one"))
    probs = classifier.predict_proba(images)
    read = np.array([[float(row[name]) for name in sorted(NAMES)] for row in rows])
    np.testing.assert_allclose(read, probs, atol=1e-6)
    assert [row["class"] for row in rows] == [classifier.class_names[label] for label in probs.argmax(axis=1)]


def test_one_picture_can_be_predicted(handful_: Handful, folder: Path, tmp_path: Path) -> None:
    picture = next((folder / "pictures" / "two").iterdir())
    made = handful_("predict", folder / "store", picture, "-o", tmp_path / "one.csv")
    assert made.code == 0, made.err
    assert [row["file"] for row in table(tmp_path / "one.csv")] == [picture.name]


def test_a_failed_job_is_told_and_the_exit_code_is_1(handful_: Handful, tmp_path: Path) -> None:
    write_pictures(tmp_path / "pictures", 12, 12, 3)
    (tmp_path / "study.toml").write_text(
        STUDY_FILE.replace('"baseline",', '"baseline", "interpolate",').replace("repeats = 2", "repeats = 1")
    )
    made = handful_("run", tmp_path / "study.toml", "-o", tmp_path / "store", *HERE)
    assert made.code == 1
    assert "1 jobs failed; `handful status" in made.err
    assert re.search(r"^ *vae +[01]\.\d{3}", made.out, re.MULTILINE)
    status = handful_("status", tmp_path / "store")
    assert "2 open" in status.out
    assert "DataError: class 'two' has 1 training picture" in status.out
    assert "Traceback (most recent call last)" in status.out
    assert json.loads(handful_("status", tmp_path / "store", "--json").out)["failed"][0]["arm"] == "interpolate"


def test_folds_are_saved_and_used_again(handful_: Handful, folder: Path, tmp_path: Path) -> None:
    saved, options = tmp_path / "splits.json", ("--arms", "baseline", "--folds", 2, "--repeats", 2, "--groups", "none")
    made = handful_("run", folder / "study.toml", "-o", tmp_path / "a", *options, "--save-splits", saved, *HERE)
    assert made.code == 0, made.err
    first = handful.Result.of(handful.study.store.Store(tmp_path / "a"))
    assert (first.protocol.folds, first.protocol.groups) == (2, "none")
    made = handful_(
        "run", folder / "study.toml", "-o", tmp_path / "b", "--arms", "baseline", "--splits-from", saved, *HERE
    )
    assert made.code == 0, made.err
    second = handful.Result.of(handful.study.store.Store(tmp_path / "b"))
    assert [split["digest"] for split in second.page["splits"]] == [split["digest"] for split in first.page["splits"]]


def test_training_pictures_per_class(handful_: Handful, folder: Path, tmp_path: Path) -> None:
    options = ("--arms", "baseline", "--train-per-class", 2, "--repeats", 1)
    made = handful_("run", folder / "study.toml", "-o", tmp_path / "store", *options, *HERE)
    assert made.code == 0, made.err
    result = handful.Result.of(handful.study.store.Store(tmp_path / "store"))
    assert {row["train"] for row in result.classes} == {2}


def test_a_dry_run_shows_the_balance_of_every_treatment(handful_: Handful, folder: Path, tmp_path: Path) -> None:
    options = ("--arms", "baseline,vae,undersample", "--long-tail", "9:4", "--dry-run")
    made = handful_("run", folder / "study.toml", "-o", tmp_path / "store", *options, *HERE)
    assert made.code == 0, made.err
    assert "training pictures of the first repeat" in made.out
    assert re.search(r"class +real +vae +undersample", made.out)
    assert not (tmp_path / "store").exists()


# help


def test_the_options_of_run_are_these() -> None:
    command = typer.main.get_command(app).commands["run"]  # type: ignore[attr-defined]
    options = [option for option in command.params if option.param_type_name == "option"]
    assert [option.opts[0] for option in options] == RUN_OPTIONS
    assert set(typer.main.get_command(app).commands) == set(COMMANDS)  # type: ignore[attr-defined]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_of_a_command_has_its_help(handful_: Handful, command: str) -> None:
    made = handful_(command, "--help")
    assert made.code == 0
    for parameter in typer.main.get_command(app).commands[command].params:  # type: ignore[attr-defined]
        assert parameter.help or parameter.name == "help", parameter.name
        if parameter.param_type_name == "option":
            assert parameter.opts[0] in made.out


def test_help_and_version_load_nothing_heavy() -> None:
    heavy = ["torch", "torchvision", "sklearn", "scipy", "matplotlib"]
    code = (
        "import sys\nfrom handful.cli import main\n"
        "for given in (['--help'], ['run', '--help'], ['--version']):\n"
        "    sys.argv = ['handful', *given]\n"
        "    try:\n        main()\n    except SystemExit as end:\n        assert not end.code\n"
        f"print('LOADED', *sorted({{name.partition('.')[0] for name in sys.modules}} & set({heavy})))"
    )
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    lines = made.stdout.splitlines()
    assert lines[-1] == "LOADED"
    assert lines[-2] == handful.__version__
    assert all(command in made.stdout for command in COMMANDS)


def test_the_module_is_the_command(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "handful", "run", str(tmp_path / "nowhere"), "-o", str(tmp_path / "store")]
    made = subprocess.run(argv, capture_output=True, text=True, check=False)
    refused(Ran(made.returncode, made.stdout, made.stderr), "nowhere: no such file or folder")
    assert list(tmp_path.iterdir()) == []
