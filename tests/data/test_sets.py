"""Hugging Face datasets, parquet files and torchvision's data sets are sources like any other."""

from __future__ import annotations

import gzip
import importlib
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from handful.data.images import View
from handful.data.load import load
from handful.data.source import Source, open_source
from handful.data.torchvision_sets import SETS
from handful.errors import DataError

LABELS = [0] * 6 + [1] * 6
Png = Callable[[NDArray[np.uint8]], bytes]


class Feature:
    """What `datasets` calls a feature: its kind in `_type`, the names of a ClassLabel in `names`."""

    def __init__(self, kind: str, names: list[str] | None = None) -> None:
        self._type = kind
        if names is not None:
            self.names = names


class FakeDataset:
    """As much of `datasets.Dataset` as is asked of one."""

    def __init__(self, pictures: list[Any], labels: list[Any], names: list[str] | None = None, **columns: str) -> None:
        image, label = columns.get("image", "image"), columns.get("label", "label")
        self._columns = {image: pictures, label: labels, "note": ["x"] * len(labels)}
        kind = Feature("ClassLabel", names) if names else Feature("Value")
        self.features = {image: Feature("Image"), label: kind, "note": Feature("Value")}
        self.column_names = list(self._columns)

    def __len__(self) -> int:
        return len(self._columns["note"])

    def __getitem__(self, key: Any) -> Any:
        return self._columns[key] if isinstance(key, str) else {name: row[key] for name, row in self._columns.items()}


def pil(pixels: NDArray[np.uint8]) -> list[Image.Image]:
    return [Image.fromarray(one.transpose(1, 2, 0)) for one in pixels]


def faults_of(what: Any, **options: Any) -> tuple[str, ...]:
    with pytest.raises(DataError) as error:
        open_source(what, **options)
    return error.value.faults


def test_pictures_labels_and_names_of_a_dataset(pixels: Any, png: Png) -> None:
    expected = open_source((pixels, np.array(LABELS), ["cat", "dog"]))
    made = [png(one) for one in pixels]
    for pictures in (pil(pixels), made, [{"bytes": one, "path": "x.png"} for one in made], list(pixels)):
        source = open_source(FakeDataset(pictures, LABELS, ["cat", "dog"], image="img"))
        assert source.digest == expected.digest
        assert source.ignored == ("column 'note'",)
        np.testing.assert_array_equal(source.take([7]).read(0), pixels[7])
        np.testing.assert_array_equal(load(source, View(size=6), [3, 1]).pixels, pixels[[3, 1]])
    assert open_source(FakeDataset(pil(pixels), ["b"] * 6 + ["a"] * 6)).class_names == ("a", "b")
    assert open_source(FakeDataset(pil(pixels), [10] * 6 + [9] * 6)).class_names == ("9", "10")


def test_the_parts_of_a_dict_of_datasets(pixels: Any) -> None:
    train, test = np.r_[0:4, 6:10], np.r_[4:6, 10:12]
    labels = np.array(LABELS)
    made = {
        name: FakeDataset(pil(pixels[rows]), labels[rows].tolist(), ["cat", "dog"])
        for name, rows in (("test", test), ("validation", test), ("train", train))
    }
    source = open_source(made)
    assert source.parts == ("train",) * 8 + ("val",) * 4 + ("test",) * 4
    assert source.ids[8:10] == ("val/0", "val/1")
    np.testing.assert_array_equal(source.read(12), pixels[4])


def test_datasets_that_do_not_fit(pixels: Any) -> None:
    good, pictures = FakeDataset(pil(pixels), LABELS, ["cat", "dog"]), pil(pixels)
    cases: list[tuple[Any, str]] = [
        ({"tset": good}, "'tset' is no part of a split; did you mean 'test'?"),
        ({"val": good, "validation": good}, "two parts are the val part"),
        ({"train": good, "test": FakeDataset(pictures, LABELS, ["cat", "fox"])}, "different class names"),
        ({"train": good, "test": FakeDataset(pictures, [-1] * 12, ["cat", "dog"])}, "test: 12 pictures have no label"),
        (FakeDataset(pictures, [None, *LABELS[1:]]), "1 pictures have no label"),
        (FakeDataset(pictures, LABELS, ["cat"]), "not in [0, 1)"),
        (FakeDataset(pictures, LABELS, label="kind"), "no label column among image, kind, note"),
        (FakeDataset([{"path": "/etc/passwd", "bytes": None}] * 12, LABELS), "names a file instead of holding"),
        (FakeDataset([b"text"] * 12, LABELS), "not a picture of a known format"),
        (FakeDataset([3.5] * 12, LABELS), "float is no picture"),
    ]
    for given, words in cases:
        assert any(words in fault for fault in faults_of(given)), words
    two = FakeDataset(pictures, LABELS, ["cat", "dog"], label="fine")
    two.features["coarse"] = Feature("ClassLabel", ["pet"])
    assert "several label columns (fine, coarse)" in faults_of(two)[0]


def test_a_picture_of_a_dataset_that_cannot_be_read_can_be_left_out(pixels: Any, png: Png) -> None:
    made = [*(png(one) for one in pixels[:-1]), b"text"]
    assert faults_of(FakeDataset(made, LABELS))[0].startswith("11: not a picture")
    source = open_source(FakeDataset(made, LABELS), skip_unreadable=True)
    assert len(source) == 11
    np.testing.assert_array_equal(source.read(10), pixels[10])


def test_parquet_without_pyarrow_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "train.parquet").write_bytes(b"PAR1")

    def absent(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr("handful.data.parquet.import_module", absent)
    for given in (tmp_path, tmp_path / "train.parquet"):
        assert "pip install 'handful[datasets]'" in faults_of(given)[0]


def write_parquet(path: Path, pictures: list[bytes], labels: list[Any], metadata: str | None = None) -> None:
    pyarrow = importlib.import_module("pyarrow")
    structs = [{"bytes": one, "path": f"{row}.png"} for row, one in enumerate(pictures)]
    table = pyarrow.table({"image": structs, "label": labels, "note": ["x"] * len(labels)})
    if metadata:
        table = table.replace_schema_metadata({"huggingface": metadata})
    importlib.import_module("pyarrow.parquet").write_table(table, path, row_group_size=5)


FEATURES = {
    "image": {"_type": "Image"},
    "label": {"names": ["cat", "dog"], "_type": "ClassLabel"},
    "note": {"dtype": "string", "_type": "Value"},
}
NAMED = json.dumps({"info": {"features": FEATURES}})


def test_parquet_files(tmp_path: Path, pixels: Any, png: Png) -> None:
    pytest.importorskip("pyarrow", reason="reading parquet is the extra 'datasets', not installed here")
    made = [png(one) for one in pixels]
    expected = open_source((pixels, np.array(LABELS), ["cat", "dog"]))
    write_parquet(tmp_path / "signs.parquet", made, LABELS, NAMED)
    source = open_source(tmp_path / "signs.parquet")
    assert (source.digest, source.name) == (expected.digest, "signs")
    assert source.ignored == ("column 'note'",)
    order = [11, 0, 7, 3]
    assert {row: picture.tolist() for row, picture in source.read_all(order)} == {
        row: pixels[row].tolist() for row in order
    }
    write_parquet(tmp_path / "signs.parquet", made, ["cat"] * 6 + ["dog"] * 6)
    assert open_source(tmp_path / "signs.parquet").digest == expected.digest


def test_a_folder_of_parquet_files_has_the_parts_in_their_names(tmp_path: Path, pixels: Any, png: Png) -> None:
    pytest.importorskip("pyarrow", reason="reading parquet is the extra 'datasets', not installed here")
    for name, rows in (("train-00000-of-00002", [0, 6]), ("train-00001-of-00002", [1, 2, 7]), ("test-0", [3, 8])):
        given = [png(pixels[row]) for row in rows]
        write_parquet(tmp_path / f"{name}.parquet", given, [LABELS[row] for row in rows], NAMED)
    source = open_source(tmp_path)
    assert source.parts == ("train",) * 5 + ("test",) * 2
    np.testing.assert_array_equal(source.read(4), pixels[7])
    assert source.ids[2] == "train-00001-of-00002/0"
    (tmp_path / "test-0.parquet").write_bytes(b"PAR1 cut short")
    assert "test-0.parquet: cannot be read as parquet" in faults_of(tmp_path)[0]
    (tmp_path / "test-0.parquet").rename(tmp_path / "other.parquet")
    assert "other.parquet: not named after a part" in faults_of(tmp_path)[0]


def idx(array: NDArray[np.uint8]) -> bytes:
    return gzip.compress(struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes())


@pytest.fixture
def datasets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of downloaded sets, empty, and no network."""
    pytest.importorskip("torchvision", reason="torchvision is an extra, not installed here")
    monkeypatch.setenv("HANDFUL_DATASETS", str(tmp_path / "sets"))

    def offline(*_: Any, **__: Any) -> None:
        raise URLError("no network in tests")

    monkeypatch.setattr("urllib.request.urlopen", offline)
    return tmp_path / "sets"


def test_fashion_mnist_in_torchvisions_own_files(datasets: Path, pixels: Any) -> None:
    raw = datasets / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    grey, labels = pixels[:, 0], np.tile(np.arange(10), 2)[:12].astype(np.uint8)
    for stem, rows in (("train", slice(0, 12)), ("t10k", slice(2, 12))):
        (raw / f"{stem}-images-idx3-ubyte").write_bytes(gzip.decompress(idx(grey[rows])))
        (raw / f"{stem}-labels-idx1-ubyte").write_bytes(gzip.decompress(idx(labels[rows])))
    source: Source = open_source("torchvision:FashionMNIST")
    assert source.parts == ("train",) * 12 + ("test",) * 10
    assert source.class_names[0] == "T-shirt/top"
    assert source.name == "FashionMNIST"
    assert source.ids[12] == "test/0"
    np.testing.assert_array_equal(source.read(13)[0], grey[3])
    assert open_source("torchvision:FashionMNIST") == source


def test_eurosat_in_torchvisions_own_folders(
    datasets: Path, flat: dict[str, bytes], to_folder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    to_folder(datasets / "eurosat" / "2750", flat)
    source = open_source("torchvision:EuroSAT")
    assert source.class_names == ("cat", "dog")
    assert set(source.parts) == {""}
    assert source.content.tolist() == open_source(datasets / "eurosat" / "2750").content.tolist()
    with monkeypatch.context() as patch:
        patch.setattr("handful.data.sets.picture_of", lambda value: pytest.fail("decoded again"))
        assert open_source("torchvision:EuroSAT").digest == source.digest
    (datasets / "eurosat" / "2750" / "cat" / "0.png").write_bytes(b"text")
    assert "0: cannot be read (UnidentifiedImageError" in faults_of("torchvision:EuroSAT")[0]


@pytest.mark.parametrize("name", SETS)
def test_a_set_that_is_not_there_names_the_folder_and_the_files(datasets: Path, name: str) -> None:
    (fault,) = faults_of(f"torchvision:{name}")
    assert f"torchvision:{name} is not in {datasets} and cannot be downloaded (" in fault
    assert "no network in tests" in fault or "Error downloading" in fault
    assert all(file in fault for file in SETS[name].files)
    assert f"into {datasets / SETS[name].folder}, or name the folder" in fault
    assert "HANDFUL_DATASETS" in fault


def test_a_name_that_torchvision_does_not_have(datasets: Path) -> None:
    assert "unknown torchvision data set 'CIFAR1'; did you mean 'CIFAR10'?" in faults_of("torchvision:CIFAR1")[0]
