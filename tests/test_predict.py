"""Predictions: from files and arrays alike, a thousand files, a competition's file, and what score to expect."""

from __future__ import annotations

import csv
import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import handful
from handful import CNN, LabeledImages, View
from handful.calibration import at_temperature
from handful.classify.contract import Classifier
from handful.classify.ensemble import Ensemble
from handful.cli import app
from handful.data.decode import resized
from handful.data.unlabeled import pictures_of
from handful.errors import ConfigError, DataError, StoreError
from handful.predict import Predicted, expected_scores, predict_files
from tiny_study import NAMES, TRAINING, digits

Predict = Callable[..., tuple[Predicted, list[list[str]]]]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exported model of colour pictures of 8 px, padded."""
    pixels, labels, names = digits()
    images = LabeledImages.of_arrays(np.repeat(pixels, 3, axis=1), labels, names)
    recipe = CNN(network="base", view=View(size=8, resize="pad"), training=TRAINING)
    folder = tmp_path_factory.mktemp("model") / "model"
    scores = {"accuracy": {"mean": 0.8125, "interval": [0.75, 0.875], "values": [0.8, 0.825]}}
    Ensemble.of([recipe.fit(images, None, seed=0)], {"score": "accuracy", "scores": scores}).save(folder)
    return folder


@pytest.fixture(scope="module")
def classifier(model: Path) -> Classifier:
    return handful.load_classifier(model)


@pytest.fixture
def predict(model: Path, tmp_path: Path) -> Predict:
    def run(pictures: Path, **options: Any) -> tuple[Predicted, list[list[str]]]:
        made = predict_files(model, pictures, tmp_path / "out.csv", device="cpu", **options)
        with (tmp_path / "out.csv").open(newline="", encoding="utf-8") as file:
            return made, list(csv.reader(file))

    return run


def write(folder: Path, *names: str, side: int = 8) -> Path:
    noise = np.random.default_rng(0)
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noise.integers(0, 256, (side, side + 2, 3), dtype=np.uint8)).save(path)
    return folder


def sample(path: Path, *ids: str, header: str = "id,label") -> Path:
    cells = "," * header.count(",")
    path.write_text("\n".join([header, *(f"{name}{cells}" for name in ids)]) + "\n", encoding="utf-8")
    return path


def test_calibrated_predictions_are_those_at_the_temperatures(
    classifier: Classifier, predict: Predict, tmp_path: Path
) -> None:
    folder = write(tmp_path / "new", "a.png", "b.png")
    with pytest.raises(StoreError, match="1 of 1 classifiers have no temperature"):
        predict(folder, calibrated=True)
    assert isinstance(classifier, Ensemble)
    Ensemble.of(classifier.members, classifier.about, [2.5]).save(tmp_path / "model")
    predict_files(tmp_path / "model", folder, tmp_path / "scaled.csv", calibrated=True, device="cpu")
    with (tmp_path / "scaled.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))[1:]
    scaled = at_temperature(classifier.predict(folder).probs, 2.5)
    np.testing.assert_allclose([[float(cell) for cell in row[2:]] for row in rows], scaled, atol=2e-6)
    scores = {name: {"mean": 0.5, "interval": None, "values": [0.5]} for name in ("log_loss", "accuracy")}
    about = {"score": "log_loss", "scores": scores}
    assert [line.split(" on ")[0] for line in expected_scores(about)] == ["expected log loss", "expected accuracy"]
    assert [line.split(" on ")[0] for line in expected_scores(about, calibrated=True)] == ["expected accuracy"]
    classifier.members[0].save(tmp_path / "single")
    with pytest.raises(StoreError, match="a single classifier has no temperature"):
        predict_files(tmp_path / "single", folder, tmp_path / "out.csv", calibrated=True, device="cpu")


def test_files_and_arrays_of_any_size_are_predicted_alike(classifier: Classifier, tmp_path: Path) -> None:
    """Folder, list of paths, list of arrays: the probabilities of the picture at the view, by its own policy."""
    folder = write(tmp_path / "new", "b.png", "a.png", "deep/c.png", side=13)
    pictures = [np.array(Image.open(folder / name)) for name in ("a.png", "b.png", "deep/c.png")]
    seen = np.stack([resized(picture.transpose(2, 0, 1), classifier.recipe.view, 3) for picture in pictures])
    probs = classifier.predict_proba(seen)
    of_folder, of_paths = classifier.predict(folder), classifier.predict([folder / "b.png", str(folder / "a.png")])
    assert of_folder.ids == ("a.png", "b.png", "deep/c.png")
    assert of_paths.ids == (str(folder / "b.png"), str(folder / "a.png"))
    np.testing.assert_array_equal(of_folder.probs, probs)
    np.testing.assert_allclose(of_paths.probs, probs[[1, 0]], atol=1e-6)
    for given in (pictures, np.stack(pictures), np.stack(pictures).transpose(0, 3, 1, 2), classifier.predict(pictures)):
        made = given if isinstance(given, handful.classify.predictions.Predictions) else classifier.predict(given)
        np.testing.assert_array_equal(made.probs, probs)
        assert list(made) == [NAMES[place] for place in probs.argmax(axis=1)]
        assert len(made) == 3


def test_paths_may_come_as_an_array_or_from_an_iterator(classifier: Classifier, tmp_path: Path) -> None:
    folder = write(tmp_path / "new", "a.png", "b.png")
    paths = sorted(folder.glob("*.png"))
    expected = classifier.predict(paths)
    texts = np.array([str(path) for path in paths])
    for given in (texts, texts.astype(object), np.array(paths), iter(paths), (path for path in paths)):
        made = classifier.predict(given)
        assert made.ids == expected.ids
        np.testing.assert_array_equal(made.probs, expected.probs)


def test_three_grey_pictures_are_told_from_one_in_colour(classifier: Classifier) -> None:
    """A classifier of grey pictures takes [3, H, W] as three; one of colour wants the axis that says which."""
    grey = np.random.default_rng(1).integers(0, 256, (3, 8, 8), dtype=np.uint8)
    assert len(pictures_of(grey, View(size=8), 1).pixels) == 3
    assert len(classifier.predict(grey[:, None])) == 3
    assert len(classifier.predict(grey[None])) == 1
    np.testing.assert_array_equal(classifier.predict(grey[None]).probs, classifier.predict([grey]).probs)


def test_grey_pictures_become_three_equal_channels_as_load_does(classifier: Classifier) -> None:
    grey = np.random.default_rng(1).integers(0, 256, (5, 8, 8), dtype=np.uint8)
    made = classifier.predict(grey)
    np.testing.assert_array_equal(made.probs, classifier.predict_proba(np.repeat(grey[:, None], 3, axis=1)))
    np.testing.assert_array_equal(made.probs, classifier.predict(list(grey)).probs)


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ([], "an empty list"),
        (3, "expected paths or uint8 arrays, got int"),
        (np.zeros((2, 8, 8), np.float32), "must be uint8"),
        (np.zeros((9, 8, 3), np.uint8), r"is one picture \[H, W, C\] or many grey ones"),
        (
            np.zeros((3, 64, 64), np.uint8),
            r"is one picture \[C, H, W\] or many grey ones .*; add the batch axis, array",
        ),
        (np.array(["nowhere.png"]), r"nowhere\.png: No such file"),
        ((one for one in ()), "an empty list"),
        ([np.zeros((2, 3, 8, 8), np.uint8)], r"item 0 of the list: expected \[H, W\]"),
        ([np.zeros((8, 8), np.uint8), "a.png"], "item 1 of the list: .* got str"),
        (["nowhere.png", "nor-here.png"], r"nowhere\.png: No such file .*\n.*nor-here\.png: No such file"),
        (np.zeros((0, 8, 8), np.uint8), "hold no picture"),
    ],
)
def test_what_cannot_be_predicted_is_named(classifier: Classifier, given: Any, fault: str) -> None:
    with pytest.raises(DataError, match=fault):
        classifier.predict(given)


def test_a_thousand_files_keep_their_order_and_name_those_that_cannot_be_read(predict: Predict, tmp_path: Path) -> None:
    """Nothing is written while a file is unreadable; left out, the others keep the order of their names."""
    noise = np.random.default_rng(0).integers(0, 256, (1000, 6, 6), dtype=np.uint8)
    new = tmp_path / "new"
    new.mkdir()
    names = [f"{place:04}.png" for place in range(1000)]
    for name, pixels in zip(names, noise, strict=True):
        Image.fromarray(pixels).save(new / name)
    broken = {"0000.png": b"", "0123.png": b"no picture", "0999.png": (new / "0999.png").read_bytes()[:40]}
    for name, data in broken.items():
        (new / name).write_bytes(data)
    with pytest.raises(DataError) as error:
        predict(new)
    assert [fault.partition(":")[0] for fault in error.value.faults] == sorted(broken)
    assert not (tmp_path / "out.csv").exists()
    made, rows = predict(new, skip_unreadable=True)
    assert [path for path, _ in made.faults] == sorted(broken)
    assert [row[0] for row in rows[1:]] == [name for name in names if name not in broken]
    assert made.num == 997


def test_files_that_are_no_pictures_by_their_names_are_named(model: Path, predict: Predict, tmp_path: Path) -> None:
    """Every file but a hidden one gets a row, is left out, or is named; of many the first few."""
    new = write(tmp_path / "new", "a.png", "b.png", "c.jpg", "d.png")
    (new / "c.jpg").rename(new / "c.jfif")
    (new / "d.png").rename(new / "d")
    for name in ("e.heic", "broken.png", ".hidden.txt"):
        (new / name).write_bytes(b"no picture")
    made, rows = predict(new, skip_unreadable=True)
    assert [row[0] for row in rows[1:]] == ["a.png", "b.png", "c.jfif"]
    assert [path for path, _ in made.faults] == ["broken.png"]
    assert made.ignored == ("d", "e.heic")
    for place in range(7):
        (new / f"z{place}.txt").write_bytes(b"")
    words = ["predict", str(model), str(new), "-o", str(tmp_path / "out.csv"), "--skip-unreadable", "--device", "cpu"]
    lines = CliRunner().invoke(app, words).stderr.splitlines()
    said = [line for line in lines if line.startswith("not a picture by its name: ")]
    assert said[0].endswith(": d")
    assert said[-1].endswith(": ... and 4 more")
    assert len(said) == 6


@pytest.mark.parametrize(
    ("place", "fault"),
    [
        ("taken", r"--output .*taken: is a folder; give a file, such as .*taken.predictions\.csv"),
        ("s.csv/x.csv", r"--output .*x\.csv: .*s\.csv is a file, not a folder"),
        ("s.csv/deep/x.csv", r"--output .*x\.csv: .*s\.csv is a file, not a folder"),
    ],
)
def test_a_place_where_no_file_can_be_is_refused_before_anything_is_read(
    tmp_path: Path, place: str, fault: str
) -> None:
    sample(tmp_path / "s.csv", "a")
    (tmp_path / "taken").mkdir()
    with pytest.raises(ConfigError, match=fault):
        predict_files(tmp_path / "no-model", tmp_path / "none", tmp_path / place, device="cpu")


def test_a_table_that_cannot_be_written_leaves_nothing(
    predict: Predict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*given: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("handful.predict.os.replace", full)
    new = write(tmp_path / "new", "a.png")
    with pytest.raises(OSError, match="No space left"):
        predict(new)
    assert list(tmp_path.iterdir()) == [new]


def test_a_submission_has_the_ids_of_the_sample_in_its_order(predict: Predict, tmp_path: Path) -> None:
    new = write(tmp_path / "new", "a.png", "b.png", "sub/c.png", "d.png")
    _, plain = predict(new)
    by_file = {row[0]: row[1] for row in plain[1:]}
    ids = sample(tmp_path / "sample.csv", "c", "b.png", "a")
    made, rows = predict(new, submission="id,label", sample=ids)
    assert rows == [
        ["id", "label"],
        *([n, by_file[f]] for n, f in (("c", "sub/c.png"), ("b.png", "b.png"), ("a", "a.png"))),
    ]
    assert made.unasked == ("d.png",)
    assert predict(new, sample=ids)[1] == rows
    _, numbers = predict(new, sample=ids, labels="zero=0,one=1,two=2")
    assert [row[1] for row in numbers[1:]] == [str(NAMES.index(row[1])) for row in rows[1:]]


def test_an_id_that_is_a_whole_path_wins_over_the_end_of_another(predict: Predict, tmp_path: Path) -> None:
    new = write(tmp_path / "new", "a.png", "sub/a.png", "sub/b.png", "deep/sub/b.jpg")
    _, plain = predict(new)
    by_file = {row[0]: row[2:] for row in plain[1:]}
    files = {"a": "a.png", "a.png": "a.png", "sub/a": "sub/a.png", "sub/b": "sub/b.png", "b.jpg": "deep/sub/b.jpg"}
    _, rows = predict(new, sample=sample(tmp_path / "s.csv", *files, header="id,zero,one,two"))
    columns = [plain[0].index(name) - 2 for name in ("zero", "one", "two")]
    assert [row[1:] for row in rows[1:]] == [[by_file[file][place] for place in columns] for file in files.values()]


def test_without_a_sample_a_submission_has_the_order_of_the_files(predict: Predict, tmp_path: Path) -> None:
    _, rows = predict(write(tmp_path / "new", "b.png", "a.png"), submission="image, class")
    assert [row[0] for row in rows] == ["image", "a.png", "b.png"]
    assert rows[0][1] == "class"


def test_a_sample_with_a_column_for_each_class_gets_probabilities(predict: Predict, tmp_path: Path) -> None:
    new = write(tmp_path / "new", "a.png", "b.png")
    _, plain = predict(new)
    _, rows = predict(new, sample=sample(tmp_path / "s.csv", "b", "a", header="id,two,zero,one"))
    assert rows[0] == ["id", "two", "zero", "one"]
    assert rows[1][1:] == [plain[2][plain[0].index(name)] for name in ("two", "zero", "one")]


@pytest.mark.parametrize(
    ("ids", "options", "faults"),
    [
        (("a", "x", "y"), {}, ("id 'x' of the sample has no picture", "id 'y' of the sample has no picture")),
        (("b",), {}, ("id 'b' of the sample fits b.jpg, b.png",)),
        (("a", "c", "d"), {"skip_unreadable": True}, ("id 'c' of the sample: its picture was left out: c.png: not a",)),
        (("a", "d"), {"skip_unreadable": True}, ("id 'd' of the sample has no picture; d.heic is not a picture by",)),
        (("a", "a"), {}, ("id 'a' is there twice",)),
        ((), {}, ("has no row below its header",)),
        (("a",), {"submission": "id,class"}, ("--submission id,class: the columns of", "are id,label")),
        (("a",), {"labels": "zero=0,one=1"}, ("class 'two' is left out",)),
        (("a",), {"labels": "zero=0,one=1,too=2"}, ("did you mean 'two'?", "class 'two' is left out")),
        (("a",), {"labels": "zero"}, ("expected CLASS=TEXT,...",)),
    ],
)
def test_a_submission_that_does_not_fit_is_refused_and_not_written(
    predict: Predict, tmp_path: Path, ids: tuple[str, ...], options: dict[str, Any], faults: tuple[str, ...]
) -> None:
    new = write(tmp_path / "new", "a.png", "b.png", "b.jpg")
    if "skip_unreadable" in options:
        for name in ("c.png", "d.heic"):
            (new / name).write_bytes(b"no picture")
    with pytest.raises((ConfigError, DataError)) as error:
        predict(new, sample=sample(tmp_path / "sample.csv", *ids), **options)
    for fault in faults:
        assert fault in str(error.value)
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"submission": "id"}, "expected the column of the id"),
        ({"submission": "id,id"}, "expected the column of the id"),
        ({"submission": "id,zero,one"}, "class 'two' has no column"),
        ({"labels": "zero=0,one=1,two=2"}, "--labels is for a submission"),
    ],
)
def test_columns_that_make_no_submission_are_refused(
    predict: Predict, tmp_path: Path, options: dict[str, str], fault: str
) -> None:
    with pytest.raises(ConfigError, match=fault):
        predict(write(tmp_path / "new", "a.png"), **options)


def test_the_expected_score_is_that_of_the_study_with_its_interval(predict: Predict, tmp_path: Path) -> None:
    made, _ = predict(write(tmp_path / "new", "a.png"))
    (line,) = made.expected
    assert line.startswith("expected accuracy on pictures like the test part: 0.812, 0.750 to 0.875 (95 %); from 2")


def test_a_sample_without_a_header_is_refused(predict: Predict, tmp_path: Path) -> None:
    new = write(tmp_path / "new", "a.png", "b.png")
    with pytest.raises(DataError, match="first row of the sample names the picture 'a', so it has no header"):
        predict(new, sample=sample(tmp_path / "sample.csv", "b", header="a,zero"))


def test_repeats_that_share_a_test_part_are_told_together() -> None:
    scores = {"accuracy": {"mean": 0.9, "interval": None, "values": [0.9, 0.9]}}
    whole = {"num": 40, "values": {"accuracy": 0.95}, "accuracy_interval": [0.835, 0.986]}
    about = {"score": "accuracy", "scores": scores, "ensemble": whole}
    _, line = expected_scores(about)
    assert line.endswith("has accuracy 0.950 on the test part's 40 pictures, 0.835 to 0.986 (95 %) for new pictures")
    assert len(expected_scores(about, calibrated=True)) == 1


def test_a_score_under_a_flaw_says_so() -> None:
    scores = {"accuracy": {"mean": 0.9, "interval": None, "values": [0.9]}}
    lines = expected_scores({"score": "accuracy", "scores": scores, "inflated": "inflated because copies"})
    assert "no interval from so few; from 1 repeat, each" in lines[0]
    assert lines[1] == "these scores are inflated because copies"
    assert expected_scores({}) == []
