"""Every wrong input on the command line: lines that say what to change, no traceback, and nothing written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import handful
from command_line import HERE, Handful, refused, run_study, table
from tiny_study import STUDY_FILE, write_pictures, write_study


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures, a study file, and a store that a run of it wrote."""
    return run_study(tmp_path_factory.mktemp("cli"))


def empty(folder: Path) -> None:
    folder.mkdir()


def one_class(folder: Path) -> None:
    write_pictures(folder, 9)


def one_picture(folder: Path) -> None:
    write_pictures(folder, 9, 9, 1)


def truncated(folder: Path) -> None:
    write_pictures(folder)
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    for number in range(2):
        place = folder / "one" / f"cut{number}.jpg"
        Image.fromarray(noise).save(place)
        place.write_bytes(place.read_bytes()[:900])


def text_as_picture(folder: Path) -> None:
    write_pictures(folder)
    (folder / "two" / "notes.png").write_text("call the lab")


def empty_class(folder: Path) -> None:
    write_pictures(folder)
    (folder / "three").mkdir()


def missing(folder: Path) -> None:
    pass


def not_pictures(folder: Path) -> None:
    folder.write_text("hello")


@pytest.mark.parametrize(
    ("make", "faults"),
    [
        (empty, ["no pictures; expected class folders"]),
        (one_class, ["one class only ('zero'); add pictures of another class"]),
        (one_picture, ["class 'two': 1 pictures to draw train, val, test from, 3 needed; add at least 2"]),
        (truncated, ["one/cut0.jpg: cannot be decoded", "one/cut1.jpg: cannot be decoded"]),
        (text_as_picture, ["two/notes.png: not a picture of a known format; replace or remove it, or use --skip"]),
        (empty_class, ["three: an empty class folder; add its pictures or remove it"]),
        (missing, ["no such file or folder"]),
        (not_pictures, ["not a kind of file that holds a set of pictures"]),
    ],
)
def test_pictures_that_cannot_be_used_are_refused_and_nothing_is_written(
    handful_: Handful, tmp_path: Path, make: Callable[[Path], None], faults: list[str]
) -> None:
    make(tmp_path / "pictures")
    for more in ((), ("--dry-run",)):
        made = handful_("run", tmp_path / "pictures", "-o", tmp_path / "store", *HERE, *more)
        assert len(refused(made, *faults)) == len(faults)
        assert not (tmp_path / "store").exists()


def test_looking_at_nothing_is_refused(handful_: Handful, tmp_path: Path) -> None:
    refused(handful_("look", tmp_path / "nowhere"), "nowhere: no such file or folder")


def test_unreadable_pictures_can_be_left_out_and_are_counted(handful_: Handful, tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text(STUDY_FILE.replace("repeats = 2", "repeats = 1"))
    truncated(tmp_path / "pictures")
    refused(handful_("run", tmp_path / "study.toml", "-o", tmp_path / "store", *HERE), "cut0.jpg", "cut1.jpg")
    made = handful_("run", tmp_path / "study.toml", "-o", tmp_path / "store", "--skip-unreadable", *HERE)
    assert made.code == 0, made.err
    page = handful.Result.of(handful.study.store.Store(tmp_path / "store")).page
    assert [path for path, _ in page["source"]["unreadable"]] == ["one/cut0.jpg", "one/cut1.jpg"]
    assert page["source"]["num"] == 60
    assert "one/cut0.jpg" in made.err
    assert "one/cut1.jpg" in made.err


@pytest.mark.parametrize(
    ("change", "faults"),
    [
        (("repeats", "repeets"), ["unknown key 'repeets'; did you mean 'repeats'?"]),
        (("network", "netwrk"), ["unknown key 'netwrk'; did you mean 'network'?"]),
        (("arms", "arns"), ["unknown key 'arns'; did you mean 'arms'?"]),
        (("repeats = 2", "repeats = 'two'"), ["repeats: Input should be a valid integer, got 'two'"]),
        (("repeats = 2", "repeats = 0"), ["greater than or equal to 1, got 0"]),
        (('"baseline"', '"basline"'), ["unknown arm 'basline'; did you mean 'baseline'?"]),
        (('kind = "cnn"', 'kind = "cnm"'), ["unknown classifier 'cnm'; did you mean 'cnn'?"]),
        (("source", "sauce"), ["unknown key 'sauce'; did you mean 'source'?", "source: Field required"]),
        (('"pictures"', '"pictuers"'), ["pictuers: no such file or folder"]),
        (("[protocol]", "[protocol"), ["not a TOML file: Expected ']'"]),
    ],
)
def test_a_study_file_with_a_fault_is_refused_and_nothing_is_written(
    handful_: Handful, tmp_path: Path, change: tuple[str, str], faults: list[str]
) -> None:
    path = write_study(tmp_path, STUDY_FILE.replace(*change))
    made = handful_("run", path, "-o", tmp_path / "store", *HERE)
    assert len(refused(made, *faults)) == len(faults), made.err
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        (("--long-tail", "x"), "--long-tail 'x': expected LARGEST:SMALLEST, two whole numbers such as 78:8"),
        (("--long-tail", "3:8"), "the first number is the largest class"),
        (("--long-tail", "500:8"), "asked for by the long tail 500:8"),
        (("--arms", "baseline,vea"), "unknown arm 'vea'; did you mean 'vae'?"),
        (("--arms", ""), "no arms"),
        (("--reference", "augment"), "unknown reference arm 'augment'"),
        (("--engine", "lokal"), "unknown engine 'lokal'; did you mean 'local'? (allowed: serial, local)"),
        (("--device", "tpu"), "device 'tpu' is not on this machine (here: auto, cpu"),
        (("--resize", "strech"), "got 'strech'"),
        (("--copies", "twice"), "got 'twice'"),
        (("--image-size", "2"), "got 2"),
        (("--repeats", "0"), "got 0"),
        (("--seed", "-1"), "got -1"),
        (("--val-fraction", "0.6", "--test-fraction", "0.6"), "leave nothing to train on"),
        (("--test-fraction", "1.5"), "got 1.5"),
        (("--goal", "zero:recall>0.9"), "expected CLASS:MEASURE>=NUMBER"),
        (("--goal", "zeroo:recall>=0.9"), "goals: unknown class 'zeroo'; did you mean 'zero'?"),
    ],
)
@pytest.mark.parametrize("dry", [(), ("--dry-run",)])
def test_an_option_with_a_fault_is_refused_and_nothing_is_written(
    handful_: Handful, folder: Path, tmp_path: Path, options: tuple[str, ...], fault: str, dry: tuple[str, ...]
) -> None:
    made = handful_("run", folder / "study.toml", "-o", tmp_path / "store", *HERE, *options, *dry)
    assert len(refused(made, fault)) >= 1
    assert not (tmp_path / "store").exists()


def test_an_output_that_is_no_store_is_refused_and_not_touched(handful_: Handful, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("mine")
    refused(handful_("run", folder / "study.toml", "-o", tmp_path / "file", *HERE), "file: is a file; a store is a")
    refused(handful_("run", folder / "study.toml", "-o", tmp_path / "thesis", *HERE), "is not empty and not a store")
    made = handful_("run", folder / "study.toml", "-o", tmp_path / "file" / "store", *HERE)
    refused(made, "file")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["chapter.tex", "file", "thesis"]
    assert (tmp_path / "file").read_text() == (tmp_path / "thesis" / "chapter.tex").read_text() == "mine"


@pytest.mark.parametrize("command", ["status", "report", "export"])
def test_a_folder_without_a_store_is_refused(handful_: Handful, tmp_path: Path, command: str) -> None:
    output = () if command == "status" else ("-o", tmp_path / "out")
    made = handful_(command, tmp_path / "nowhere", *output)
    refused(made, f"{tmp_path}/nowhere: no store here; `handful run PICTURES -o {tmp_path}/nowhere` makes one")
    assert list(tmp_path.iterdir()) == []


def test_predictions_without_a_model_or_of_no_pictures_are_refused(
    handful_: Handful, folder: Path, tmp_path: Path
) -> None:
    output = ("-o", tmp_path / "out.csv")
    refused(handful_("predict", tmp_path, folder / "pictures", *output), "no classifier here")
    refused(handful_("predict", folder / "store", tmp_path / "nowhere", *output), "no such file or folder")
    refused(handful_("predict", folder / "store", tmp_path, *output), "no pictures")
    refused(handful_("predict", folder / "store", folder / "pictures", "--arm", "vea", *output), "unknown arm 'vea'")
    assert list(tmp_path.iterdir()) == []


def test_pictures_to_predict_that_cannot_be_read_are_all_listed(
    handful_: Handful, folder: Path, tmp_path: Path
) -> None:
    truncated(tmp_path / "new")
    output = tmp_path / "out.csv"
    made = handful_("predict", folder / "store", tmp_path / "new", "-o", output)
    assert len(refused(made, "cut0.jpg", "cut1.jpg")) == 2
    assert not output.exists()
    made = handful_("predict", folder / "store", tmp_path / "new", "-o", output, "--skip-unreadable")
    assert made.code == 0
    assert "left out one/cut0.jpg" in made.err
    assert len(table(output)) == 60


def test_an_export_does_not_replace_a_folder_that_is_no_model(handful_: Handful, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("mine")
    refused(handful_("export", folder / "store", "-o", tmp_path / "thesis"), "is there and is not a model")
    assert [path.name for path in (tmp_path / "thesis").iterdir()] == ["chapter.tex"]
    refused(handful_("export", folder / "store", "-o", tmp_path / "model", "--arm", "vea"), "did you mean 'vae'?")
    assert not (tmp_path / "model").exists()


def test_an_export_over_an_older_one_replaces_it_and_nothing_else(
    handful_: Handful, folder: Path, tmp_path: Path
) -> None:
    export = ("export", folder / "store", "-o", tmp_path / "model", "--arm")
    assert handful_(*export, "baseline").code == 0
    (tmp_path / "model" / "model.onnx").write_bytes(b"of the older one")
    (tmp_path / "model" / ".DS_Store").write_bytes(b"of a file browser")
    assert handful_(*export, "vae").code == 0
    assert not (tmp_path / "model" / "model.onnx").exists()
    assert handful.load_classifier(tmp_path / "model").about["arm"] == "vae"
    for name in ("notes.txt", "member-1/mine.csv"):
        (tmp_path / "model" / name).write_text("mine")
    refused(handful_(*export, "baseline"), "holds member-1/mine.csv, notes.txt beside an older model; move that or")
    assert (tmp_path / "model" / "notes.txt").read_text() == "mine"
    assert handful.load_classifier(tmp_path / "model").about["arm"] == "vae"
    refused(handful_(*export[:3], tmp_path / "model" / "notes.txt" / "deep"), "notes.txt is a file, not a folder")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_bug_keeps_its_traceback(handful_: Handful, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(store: Path) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("handful.commands.status.result_of", broken)
    with pytest.raises(RuntimeError, match="a bug"):
        handful_("status", folder / "store")
