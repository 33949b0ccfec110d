"""Exported pictures are what an arm's classifier was trained on, to the pixel, and say what they are."""

from __future__ import annotations

import csv
import json
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from typer.testing import CliRunner

import handful
from handful import Arm, Augmentation, LabeledImages, Result
from handful.cli import app
from handful.data.export import COLUMNS, folder_names, write_pictures
from handful.data.images import Origin, View, content_of
from handful.data.load import load
from handful.data.source import open_source
from handful.errors import ConfigError, DataError, StoreError
from handful.export import export_pictures
from tiny_study import NAMES, VAE_ARM, digits, tiny
from tiny_study import write_pictures as write_pictures_of

ALONE = Arm("alone", generator=VAE_ARM.generator, add=5, real=False)
REBUILT = Arm("rebuilt", generator=VAE_ARM.generator, judged_by="reconstruction")
WEIGHTED = Arm("weighted", balance="class-weights")
CAPPED = Arm("capped", cap=4)
FILLED = Arm("filled", augment=Augmentation(), fill_to="largest")
CHANGED = (CAPPED, FILLED)


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Result:
    study = tiny("baseline", VAE_ARM, ALONE, REBUILT, WEIGHTED, *CHANGED, source=digits(20, 14, 10))
    return handful.run(study, tmp_path_factory.mktemp("export") / "store", engine="serial", device="cpu")


@pytest.fixture(scope="module")
def flawed(tmp_path_factory: pytest.TempPathFactory) -> Result:
    study = tiny("baseline", VAE_ARM, repeats=1, flaws=("synthetic-in-val",))
    return handful.run(study, tmp_path_factory.mktemp("flawed") / "store", engine="serial", device="cpu")


def manifest(folder: Path) -> list[dict[str, str]]:
    with (folder / "manifest.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def opened(path: Path) -> np.ndarray:
    picture = np.asarray(Image.open(path))
    return picture[None] if picture.ndim == 2 else picture.transpose(2, 0, 1)


def pixels_by_class(images: LabeledImages) -> dict[str, list[bytes]]:
    names = [images.class_names[label] for label in images.labels]
    return {n: sorted(p.tobytes() for p, m in zip(images.pixels, names, strict=True) if m == n) for n in set(names)}


def trained_on(result: Result, arm: str, repeat: int = 0) -> LabeledImages:
    """The training part and the synthetic pictures, read from the store's files."""
    record = result.store.record(result.keys(arm, "classifier")[repeat])
    folder = result.store.folder(record["inputs"]["images"])
    arrays, pixels = dict(np.load(folder / "arrays.npz")), np.load(folder / "pixels.npy")
    rows = result.store.arrays(record["inputs"]["split"])["train"]
    labels = arrays.pop("labels")
    images = LabeledImages(pixels, labels, result.class_names, Origin(**arrays)).take(rows)
    made = result.synthetic(arm, repeat)
    return images if made is None else images.joined(made)


def pictures(counts: tuple[int, ...] = (3, 2), names: tuple[str, ...] = ("cat", "dog"), seed: int = 0) -> LabeledImages:
    pixels = np.random.default_rng(seed).integers(0, 256, (sum(counts), 3, 6, 6), dtype=np.uint8)
    return LabeledImages.of_arrays(pixels, np.repeat(np.arange(len(counts)), counts), names)


def synthetic(counts: tuple[int, ...] = (0, 2), names: tuple[str, ...] = ("cat", "dog")) -> LabeledImages:
    made = pictures(counts, names, seed=9)
    origin = Origin.of_synthetic(made.pixels, "maker", range(len(made)), [4] * len(made))
    return LabeledImages(made.pixels, made.labels, names, origin)


@pytest.mark.parametrize("repeat", [0, 1])
@pytest.mark.parametrize("arm", ["baseline", "vae", "weighted"])
def test_the_balanced_folder_reads_back_as_the_training_set(
    result: Result, tmp_path: Path, arm: str, repeat: int
) -> None:
    folder = export_pictures(result, tmp_path / "out", arm, repeat=repeat)
    source, expected = open_source(folder / "balanced"), trained_on(result, arm, repeat)
    record = result.store.record(result.keys(arm, "classifier")[repeat])
    by_name = dict(zip(source.class_names, source.counts.tolist(), strict=True))
    assert by_name == dict(zip(result.class_names, record["result"]["train"], strict=True))
    assert pixels_by_class(load(source, View(size=8))) == pixels_by_class(expected)
    assert sorted(source.content.tolist()) == sorted(content_of(expected.pixels).tolist())


def test_the_manifest_names_every_picture_and_what_made_it(result: Result, tmp_path: Path) -> None:
    folder = export_pictures(result, tmp_path / "out", "vae")
    rows = manifest(folder)
    assert tuple(rows[0]) == COLUMNS
    files = {p.relative_to(folder).as_posix() for p in folder.rglob("*.png")}
    assert files == {row["path"] for row in rows} | {row["balanced"] for row in rows}
    made = result.synthetic("vae")
    seeds = Counter(zip(made.origin.seed.astype(str), [NAMES[label] for label in made.labels], strict=True))
    assert Counter((row["seed"], row["label"]) for row in rows if row["origin"] == "synthetic") == seeds
    assert {row["generator"] for row in rows if row["origin"] == "synthetic"} == set(made.origin.maker.tolist())
    assert all(not row["seed"] and not row["generator"] for row in rows if row["origin"] == "real")
    for row in rows:
        pixels = opened(folder / row["path"])
        assert content_of([pixels])[0].decode() == row["digest"]
        np.testing.assert_array_equal(pixels, opened(folder / row["balanced"]))
        if row["origin"] == "real":
            np.testing.assert_array_equal(pixels, digits(20, 14, 10)[0][int(row["source"])])
            assert row["path"] == f"original/{row['label']}/real-{int(row['source']):06}.png"


def test_no_picture_of_validation_or_test_is_in_it(result: Result, tmp_path: Path) -> None:
    for repeat in (0, 1):
        rows = manifest(export_pictures(result, tmp_path / f"{repeat}", "vae", repeat=repeat))
        used = {int(row["source"]) for row in rows if row["origin"] == "real"}
        split = result.store.arrays(result.page["splits"][repeat]["key"])
        assert used == set(split["train"].tolist())
        assert not used & {*split["val"].tolist(), *split["test"].tolist()}


def test_the_card_says_which_arm_study_split_and_how_many(result: Result, tmp_path: Path) -> None:
    folder = export_pictures(result, tmp_path / "out", "vae", repeat=1)
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    about = card["about"]
    assert (about["arm"], about["repeat"], about["study"]) == ("vae", 1, result.page["digest"])
    assert about["split"] == result.page["splits"][1]["digest"]
    assert about["data"] == result.page["source"]["digest"]
    assert (about["generator"]["kind"], about["amount"], about["selection"]["kind"]) == ("vae", {"add": 5}, "none")
    assert card["handful"] == handful.__version__
    before = result.store.record(result.keys("baseline", "classifier")[1])["result"]["train"]
    assert [(one["name"], one["original"], one["generated"], one["balanced"]) for one in card["classes"]] == [
        (name, num, 5, num + 5) for name, num in zip(NAMES, before, strict=True)
    ]
    assert card["total"] == {"original": sum(before), "generated": 15, "balanced": sum(before) + 15}
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert f"| zero | zero | {before[0]} | 5 | {before[0] + 5} |" in text
    assert "Only pictures of the training part of one repeat are here" in text
    assert "inflated" not in text


def test_an_arm_without_a_generator_says_that_balanced_is_original(result: Result, tmp_path: Path) -> None:
    folder = export_pictures(result, tmp_path / "out", "baseline")
    assert not (folder / "generated").exists()
    assert "its balanced set is the original set" in (folder / "README.md").read_text(encoding="utf-8")
    assert all(row["balanced"] == row["path"].replace("original/", "balanced/") for row in manifest(folder))


def test_weights_while_training_are_said_not_to_be_in_the_files(result: Result, tmp_path: Path) -> None:
    text = {
        arm: (export_pictures(result, tmp_path / arm, arm) / "README.md").read_text()
        for arm in ("baseline", "weighted")
    }
    assert "class-weights" in text["weighted"]
    assert "while training are not in these files" in text["weighted"]
    assert "while training are not in these files" not in text["baseline"]


def test_training_on_synthetic_alone_leaves_the_originals_out_of_balanced(result: Result, tmp_path: Path) -> None:
    folder = export_pictures(result, tmp_path / "out", "alone")
    rows = manifest(folder)
    assert {row["origin"] for row in rows if row["balanced"]} == {"synthetic"}
    assert open_source(folder / "balanced").counts.tolist() == [5, 5, 5]
    assert any(row["origin"] == "real" and not row["balanced"] for row in rows)
    assert "trains on synthetic pictures alone" in (folder / "README.md").read_text(encoding="utf-8")


def test_pictures_that_a_cap_leaves_out_are_in_original_alone(result: Result, tmp_path: Path) -> None:
    folder = export_pictures(result, tmp_path / "out", "capped")
    before = result.store.record(result.keys("baseline", "classifier")[0])["result"]["train"]
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    assert [(one["original"], one["balanced"]) for one in card["classes"]] == [(num, 4) for num in before]
    assert card["about"]["composition"]["cap"] == 4
    assert open_source(folder / "balanced").counts.tolist() == [4, 4, 4]
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert f"leaves {sum(before) - 12} real pictures out: they are in `original/` alone" in text


def test_copies_made_before_training_name_the_picture_they_come_from(result: Result, tmp_path: Path) -> None:
    folder = export_pictures(result, tmp_path / "out", "filled")
    rows, before = manifest(folder), result.store.record(result.keys("baseline", "classifier")[0])["result"]["train"]
    assert open_source(folder / "balanced").counts.tolist() == [max(before)] * 3
    real = {row["source"]: row["label"] for row in rows if row["origin"] == "real"}
    made = [row for row in rows if row["origin"] == "synthetic"]
    assert len(made) == 3 * max(before) - sum(before)
    assert all(real[row["source"]] == row["label"] for row in made)
    assert {row["generator"] for row in made} == {Augmentation().digest()}
    assert "Copies that augmentation made before training" in (folder / "README.md").read_text(encoding="utf-8")


def test_flaws_are_printed_first_and_the_training_set_is_the_one_they_made(flawed: Result, tmp_path: Path) -> None:
    folder = export_pictures(flawed, tmp_path / "out", "vae")
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert text.index("inflated because validation holds synthetic pictures") < text.index("| class |")
    assert "real pictures of the validation part are here" in text
    record = flawed.store.record(flawed.keys("vae", "classifier")[0])
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    assert [one["balanced"] for one in card["classes"]] == record["result"]["train"]
    assert card["about"]["flaws"] == ["synthetic-in-val"]


def test_a_training_set_that_cannot_be_rebuilt_is_an_error(
    result: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = result.store.record
    other = {"result": {"train": [99, 1, 1]}}
    key = result.keys("vae", "classifier")[0]
    monkeypatch.setattr(result.store, "record", lambda asked: {**record(asked), **(other if asked == key else {})})
    with pytest.raises(StoreError, match=r"was trained on \[99, 1, 1\] pictures per class, found are"):
        export_pictures(result, tmp_path / "out", "vae")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arm", "repeat", "message"),
    [
        ("vae", 2, r"no finished classifier in repeat 2 \(finished: 0, 1\)"),
        ("rebuilt", 0, "no finished classifier in repeat 0 .finished: none"),
        ("vea", 0, "did you mean 'vae'"),
    ],
)
def test_what_was_not_computed_is_an_error(result: Result, tmp_path: Path, arm: str, repeat: int, message: str) -> None:
    with pytest.raises(StoreError, match=message):
        export_pictures(result, tmp_path / "out", arm, repeat=repeat)
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_and_is_no_export_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "card.json").write_text('{"mine": 1}')
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("text")
    export = write_pictures(pictures(), None, tmp_path / "export", card={})
    (tmp_path / "link").symlink_to(export)
    (tmp_path / "nowhere").symlink_to(tmp_path / "gone")
    before = sorted(p.relative_to(tmp_path) for p in tmp_path.rglob("*"))
    for name in ("mine", "empty", "file", "link", "nowhere"):
        with pytest.raises(StoreError, match="not an export of pictures; choose another folder"):
            write_pictures(pictures(), None, tmp_path / name, card={})
    assert sorted(p.relative_to(tmp_path) for p in tmp_path.rglob("*")) == before


def test_an_older_export_is_replaced_unless_something_else_lies_in_it(tmp_path: Path) -> None:
    folder = write_pictures(pictures(), synthetic(), tmp_path / "out", card={"arm": "old"})
    (folder / "Thumbs.db").write_bytes(b"of a file browser")
    write_pictures(pictures(), None, folder, card={"arm": "new"})
    assert json.loads((folder / "card.json").read_text())["about"] == {"arm": "new"}
    assert not (folder / "generated").exists()
    (folder / "my notes.txt").write_text("keep me")
    with pytest.raises(StoreError, match=r"holds my notes\.txt beside an older export"):
        write_pictures(pictures(), None, folder, card={})
    assert (folder / "my notes.txt").read_text() == "keep me"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_failure_leaves_nothing_and_keeps_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_pictures(pictures(), None, tmp_path / "out", card={"arm": "old"})
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    monkeypatch.setattr("handful.data.export._readme", lambda page: 1 / 0)
    for place in ("out", "new"):
        with pytest.raises(ZeroDivisionError):
            write_pictures(pictures(), None, tmp_path / place, card={})
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_balanced_files_are_links_or_copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    linked = write_pictures(pictures(), synthetic(), tmp_path / "linked", card={})

    def no_links(*_: object) -> None:
        raise OSError("no hard links here")

    monkeypatch.setattr("handful.data.export.os.link", no_links)
    copied = write_pictures(pictures(), synthetic(), tmp_path / "copied", card={})
    for row in manifest(linked):
        assert os.path.samefile(linked / row["path"], linked / row["balanced"])
        assert not os.path.samefile(copied / row["path"], copied / row["balanced"])
        assert (copied / row["balanced"]).read_bytes() == (linked / row["balanced"]).read_bytes()


def test_the_same_pictures_give_the_same_files(tmp_path: Path) -> None:
    folders = [write_pictures(pictures(), synthetic(), tmp_path / name, card={"arm": "x"}) for name in "ab"]
    one, other = ({p.relative_to(f): p.read_bytes() for p in f.rglob("*") if p.is_file()} for f in folders)
    assert one == other


def test_pictures_of_one_seed_or_one_row_get_names_of_their_own(tmp_path: Path) -> None:
    twice = synthetic().take(np.array([0, 0, 1]))
    folder = write_pictures(pictures().take(np.array([1, 1])), twice, tmp_path / "out", card={})
    names = sorted(path.name for path in (folder / "balanced").rglob("*.png"))
    assert names == ["made-0-2.png", "made-0.png", "made-1.png", "real-000001-2.png", "real-000001.png"]
    assert [row["source"] for row in manifest(folder)] == ["1", "1", "4", "4", "4"]


def test_the_manifest_opens_as_a_source_with_the_true_names(tmp_path: Path) -> None:
    names = ("a/b", "a:b")
    folder = write_pictures(pictures((3, 2), names), synthetic((0, 2), names), tmp_path / "out", card={})
    source = open_source(folder / "manifest.csv")
    assert dict(zip(source.class_names, source.counts.tolist(), strict=True)) == {"a/b": 3, "a:b": 4}
    balanced = open_source(folder / "balanced")
    assert sorted(source.content.tolist()) == sorted(balanced.content.tolist())
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert "take validation and test pictures from elsewhere" in text


def test_originals_are_called_by_their_files_as_far_as_file_systems_allow(tmp_path: Path) -> None:
    ids = ["cat/on grass.jpg", "more/on grass.png", "cat/ON GRASS.jpg", "dog/made-0.tif", "dog/a:b?.webp"]
    folder = write_pictures(pictures(), synthetic(), tmp_path / "out", card={}, ids=ids)
    assert [row["path"] for row in manifest(folder)][:5] == [
        "original/cat/on grass.png",
        "original/cat/on grass-2.png",
        "original/cat/ON GRASS-3.png",
        "original/dog/made-0.png",
        "original/dog/a_b_.png",
    ]
    balanced = [row["balanced"] for row in manifest(folder)]
    assert len(set(balanced)) == len(balanced)
    assert "balanced/dog/made-0-2.png" in balanced
    assert len(open_source(folder / "balanced")) == len(balanced)


def test_names_that_are_no_files_leave_the_row_in_the_name(tmp_path: Path) -> None:
    folder = write_pictures(pictures(), None, tmp_path / "out", card={}, ids=[f"train/{row}" for row in range(5)])
    assert [row["path"] for row in manifest(folder)][4] == "original/dog/real-000004.png"
    assert [row["source"] for row in manifest(folder)][4] == "train/4"


def test_an_export_of_an_arm_names_files_and_a_store_without_names_gives_rows(tmp_path: Path) -> None:
    study = tiny("baseline", source=write_pictures_of(tmp_path / "set"), repeats=1)
    result = handful.run(study, tmp_path / "store", engine="serial", device="cpu")
    rows = manifest(export_pictures(result, tmp_path / "out"))
    ids = open_source(tmp_path / "set").ids
    assert {row["source"] for row in rows} <= set(ids)
    assert all(Path(row["source"]).stem == Path(row["path"]).stem for row in rows)
    for row in rows:
        assert np.array_equal(opened(tmp_path / "set" / row["source"]), opened(tmp_path / "out" / row["path"]))
    moved = tmp_path / "moved"
    for name in ids:
        place = moved / name.replace(".png", "-renamed.png")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes((tmp_path / "set" / name).read_bytes())
    again = handful.run(study.changed(source=moved), tmp_path / "store", engine="serial", device="cpu")
    assert again.page["digest"] == result.page["digest"]
    assert all("-renamed" in row["path"] for row in manifest(export_pictures(again, tmp_path / "out")))
    for kept in (tmp_path / "store" / "sources").iterdir():
        kept.unlink()
    assert all("/real-" in row["path"] for row in manifest(export_pictures(again, tmp_path / "out")))


def test_ids_of_the_caller_name_the_originals(tmp_path: Path) -> None:
    ids = [f"cat/{row}.jpg" for row in range(5)]
    folder = write_pictures(pictures(), synthetic(), tmp_path / "out", card={}, ids=ids)
    rows = manifest(folder)
    assert [row["source"] for row in rows if row["origin"] == "real"] == ids
    assert {row["source"] for row in rows if row["origin"] == "synthetic"} == {ids[4]}


def test_every_fault_of_the_pictures_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        write_pictures(synthetic(), pictures(), tmp_path / "out", card={}, ids=["one"], kept=np.array([True]))
    assert [fault.split(":")[0] for fault in error.value.faults] == [
        "original",
        "1 ids for 2 real pictures",
        "kept has shape [1], for 2 real pictures it must be [2]",
        "generated",
    ]
    with pytest.raises(DataError, match="must be equal"):
        write_pictures(pictures(), synthetic((1, 1), ("cat", "cow")), tmp_path / "out", card={})
    assert list(tmp_path.iterdir()) == []


ODD = (
    "a/b",
    "a:b",
    "A_b",
    "a_b",
    "..",
    ".hidden",
    "__MACOSX",
    "CON",
    "con.x",
    "name ",
    "line\nbreak",
    "标志",
    "x" * 300,
    "",
)


def test_odd_class_names_become_folders_and_stay_true_in_the_manifest(tmp_path: Path) -> None:
    folder = write_pictures(pictures((1,) * len(ODD), ODD), None, tmp_path / "out", card={})
    rows = manifest(folder)
    assert [row["label"] for row in rows] == list(ODD)
    source = open_source(folder / "balanced")
    assert source.counts.tolist() == [1] * len(ODD)
    assert source.ignored == ()
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    said = {one["name"]: one["folder"] for one in card["classes"]}
    assert all(row["path"].split("/")[1] == said[row["label"]] for row in rows)
    assert (said["A_b"], said["标志"]) == ("A_b", "标志")  # who has a valid name keeps it, the first of them
    assert len({said[name].casefold() for name in ("a/b", "a:b", "A_b", "a_b")}) == 4
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert "some folders are named otherwise" in text
    assert "'line\\\\nbreak'" in text


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=8, unique=True))
def test_folder_names_are_different_and_valid_for_any_class_names(names: list[str]) -> None:
    found = folder_names(names)
    assert list(found) == names
    assert len({folder.casefold() for folder in found.values()}) == len(names)
    for folder in found.values():
        assert folder
        assert not set(folder) & set('<>:"/\\|?*\n\0')
        assert not folder.startswith((".", " "))
        assert not folder.endswith((".", " "))
        assert len(folder.encode()) < 120


def cli(*words: object) -> str:
    return CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False).output


def test_the_command_exports_pictures_or_the_model(
    result: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = result.store.root
    assert cli("export", store, "--pictures", "--arm", "vae", "--repeat", 1).strip() == "pictures"
    assert json.loads(Path("pictures/card.json").read_text(encoding="utf-8"))["about"]["repeat"] == 1
    assert cli("export", store, "--pictures", "--arm", "baseline", "-o", "mine").strip() == "mine"
    assert manifest(Path("mine"))
    assert cli("export", store, "--arm", "baseline").strip() == "model"
    assert Path("model/classifier.json").exists()
    with pytest.raises(ConfigError, match="--repeat is for --pictures"):
        cli("export", store, "--repeat", 1)
    with pytest.raises(StoreError, match="not an export of pictures"):
        cli("export", store, "--pictures", "-o", "model")


def test_colour_and_grey_are_kept(tmp_path: Path) -> None:
    colour = write_pictures(pictures(), None, tmp_path / "colour", card={})
    assert opened(next(colour.rglob("*.png"))).shape == (3, 6, 6)
    assert pixels_by_class(load(open_source(colour / "balanced"), View(size=6))) == pixels_by_class(pictures())
    grey = write_pictures(LabeledImages.of_arrays(*digits()[:2]), None, tmp_path / "grey", card={})
    assert opened(next(grey.rglob("*.png"))).shape == (1, 8, 8)
