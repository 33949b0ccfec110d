"""What is in a store is there whole or not at all, and a folder that is no store is never touched."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from handful.errors import StoreError
from handful.study.store import FORMAT, Store

KEY = "ab" + "0" * 62
OTHER = "cd" + "1" * 62


def write_numbers(folder: Path) -> None:
    np.savez(folder / "arrays.npz", numbers=np.arange(3))


def files(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def test_making_one_writes_nothing(store: Store) -> None:
    assert not store.root.exists()
    assert not store.has(KEY)
    assert store.failure(KEY) is None
    assert store.seconds(KEY) == 0.0
    assert list(store.records("split")) == []
    assert not store.root.exists()


def test_a_result_comes_back_as_it_was_put(store: Store) -> None:
    store.put(KEY, {"stage": "split", "answer": 42}, write_numbers)
    again = Store(store.root)
    assert again.has(KEY)
    assert again.record(KEY) == {"stage": "split", "answer": 42}
    assert again.arrays(KEY)["numbers"].tolist() == [0, 1, 2]
    assert not again.has(OTHER)
    assert not list((store.root / "aside").iterdir())


def test_records_are_those_of_one_stage(store: Store) -> None:
    store.put(KEY, {"stage": "split"}, write_numbers)
    store.put(OTHER, {"stage": "images"}, write_numbers)
    assert list(store.records("images")) == [{"stage": "images"}]


def test_a_result_that_is_not_there_names_the_remedy(store: Store) -> None:
    with pytest.raises(StoreError, match=r"result abcd.* is not there; `handful run` computes"):
        store.record("abcd" + KEY)


def test_an_exception_while_writing_leaves_nothing(store: Store) -> None:
    def half(folder: Path) -> None:
        write_numbers(folder)
        raise RuntimeError("the disk is full")

    with pytest.raises(RuntimeError, match="the disk is full"):
        store.put(KEY, {}, half)
    assert not store.has(KEY)
    assert files(store.root) == ["store.json"]
    store.put(KEY, {}, write_numbers)
    assert store.arrays(KEY)["numbers"].tolist() == [0, 1, 2]


def test_a_result_is_not_there_before_it_is_whole(store: Store) -> None:
    seen: list[bool] = []

    def slow(folder: Path) -> None:
        write_numbers(folder)
        seen.extend([store.has(KEY), store.folder(KEY).exists()])

    store.put(KEY, {}, slow)
    assert seen == [False, False]
    assert store.has(KEY)


def test_two_writers_of_one_key_keep_the_first_and_neither_fails(store: Store) -> None:
    both = threading.Barrier(2, timeout=20)
    faults: list[Exception] = []

    def writer(number: int) -> None:
        def write(folder: Path) -> None:
            both.wait()
            (folder / "who.txt").write_text(str(number))

        try:
            store.put(KEY, {"who": number}, write)
        except Exception as error:
            faults.append(error)

    threads = [threading.Thread(target=writer, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    assert (store.folder(KEY) / "who.txt").read_text() == str(store.record(KEY)["who"])
    assert not list((store.root / "aside").iterdir())


def test_a_second_put_does_not_replace_the_first(store: Store) -> None:
    store.put(KEY, {"who": 1}, write_numbers)
    before = os.stat(store.folder(KEY) / "record.json").st_mtime_ns
    store.put(KEY, {"who": 2}, write_numbers)
    assert store.record(KEY) == {"who": 1}
    assert os.stat(store.folder(KEY) / "record.json").st_mtime_ns == before


def test_a_result_that_cannot_take_its_place_is_an_error(store: Store) -> None:
    store.folder(KEY).mkdir(parents=True)
    store.start()
    (store.folder(KEY) / "stray").touch()
    with pytest.raises(OSError, match="not empty"):
        store.put(KEY, {}, write_numbers)


def test_a_failure_is_kept_until_the_result_is_there(store: Store) -> None:
    store.start()
    store.fail(KEY, {"error": "LeakError: no"})
    assert store.failure(KEY) == {"error": "LeakError: no"}
    assert not store.has(KEY)
    store.put(KEY, {}, write_numbers)
    assert store.failure(KEY) is None


def test_times_stand_beside_the_results(store: Store) -> None:
    store.put(KEY, {}, write_numbers)
    before = {path: path.read_bytes() for path in (store.root / "results").rglob("*") if path.is_file()}
    store.set_time(KEY, 1.5, "cpu")
    assert store.seconds(KEY) == 1.5
    assert {path: path.read_bytes() for path in (store.root / "results").rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("text", ["{half", "[1, 2]", ""])
@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("store.json", lambda root: Store(root)),
        (f"results/{KEY[:2]}/{KEY}/record.json", lambda root: Store(root).record(KEY)),
        (f"failed/{KEY}.json", lambda root: Store(root).failure(KEY)),
        (f"times/{KEY}.json", lambda root: Store(root).seconds(KEY)),
        ("study.json", lambda root: Store(root).study()),
        ("plans/p.json", lambda root: Store(root).plan("p")),
    ],
)
def test_damaged_json_is_an_error_that_names_the_file(store: Store, name: str, read: Any, text: str) -> None:
    store.put(KEY, {}, write_numbers)
    place = store.root / name
    place.parent.mkdir(exist_ok=True)
    place.write_text(text)
    with pytest.raises(StoreError) as caught:
        read(store.root)
    (fault,) = caught.value.faults
    assert fault.startswith(f"{place}: damaged")
    assert "delete this file" in fault


def test_a_folder_that_is_no_store_is_refused_and_not_touched(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(StoreError, match=f"{tmp_path}: is not empty and not a store; choose another folder"):
        Store(tmp_path)
    with pytest.raises(StoreError, match="no store here"):
        Store.existing(tmp_path)
    assert files(tmp_path) == ["thesis.txt"]
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("mine")
    with pytest.raises(StoreError, match="is a file; a store is a folder"):
        Store(tmp_path / "store")
    assert (tmp_path / "store").read_text() == "mine"


def test_an_empty_folder_becomes_a_store(tmp_path: Path) -> None:
    Store(tmp_path).put(KEY, {}, write_numbers)
    assert Store.existing(tmp_path).has(KEY)


def test_a_store_whose_making_was_killed_is_taken_up_again(tmp_path: Path) -> None:
    """The mark is written aside and renamed; between the two the folder holds the aside file alone."""
    seen: list[list[str]] = []
    rename = os.replace

    def killed(aside: Path, path: Path) -> None:
        seen.append([entry.name for entry in tmp_path.iterdir()])
        rename(aside, path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "replace", killed)
        Store(tmp_path).start()
    (left,) = seen[0]
    (tmp_path / "store.json").rename(tmp_path / left)
    Store(tmp_path).put(KEY, {}, write_numbers)
    assert Store.existing(tmp_path).has(KEY)


def test_another_format_is_refused(store: Store) -> None:
    store.start()
    (store.root / "store.json").write_text(json.dumps({"handful": "store", "format": FORMAT + 1}))
    with pytest.raises(StoreError, match=f"written in format {FORMAT + 1}; this version reads format {FORMAT}"):
        Store(store.root)


def test_a_store_without_a_study_says_what_to_do(store: Store) -> None:
    store.start()
    with pytest.raises(StoreError, match="no study has been run in this store"):
        store.study()


def test_the_study_run_last_is_the_one_that_is_read(store: Store) -> None:
    store.set_study("one", {"name": "first"})
    store.set_study("two", {"name": "second"})
    assert store.study() == {"name": "second"}
    assert store.study("one") == {"name": "first"}


def test_sweeping_removes_what_dead_processes_left_and_nothing_else(store: Store) -> None:
    script = (
        "import sys; from handful.study.store import Store; import os\n"
        "Store(sys.argv[1]).put(sys.argv[2], {}, lambda folder: os._exit(9))"
    )
    subprocess.run([sys.executable, "-c", script, str(store.root), OTHER], check=False)
    assert len(list((store.root / "aside").iterdir())) == 1

    def write(folder: Path) -> None:
        write_numbers(folder)
        store.sweep()

    store.put(KEY, {}, write)
    assert store.arrays(KEY)["numbers"].tolist() == [0, 1, 2]
    assert not list((store.root / "aside").iterdir())
