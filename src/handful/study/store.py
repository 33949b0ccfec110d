"""Immutable results by key, in a folder.

    STORE/results/ab/abcd.../record.json   what was computed, from what, with which versions
                             ...           its files: .npz, .npy, .safetensors, .json
    STORE/times/KEY.json                   how long it took and where; no part of the result
    STORE/failed/KEY.json                  a job that raised, with its traceback; gone once it succeeds
    STORE/checkpoints/KEY                  what an interrupted fit resumes from
    STORE/studies/DIGEST.json, study.json  studies run here, and which was run last
    STORE/plans/DIGEST.json                what a time budget was resolved to
    STORE/sources/DIGEST.json              names of a source's pictures by row, as the last run on it found them

A result is written aside and renamed, so it is there whole or not at all; two runs on one store are safe.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handful.errors import StoreError

FORMAT = 1


class Store:
    """A folder of results. Making one writes nothing; the first result creates the folder."""

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        for path in (self.root, *self.root.parents):
            if path.exists() and not path.is_dir():
                raise StoreError(f"{path}: is a file; a store is a folder")
        others = [
            path for path in self.root.glob("*") if not path.name.startswith(".store.json.")
        ]  # as a kill leaves it
        if others and not (self.root / "store.json").exists():
            raise StoreError(f"{self.root}: is not empty and not a store; choose another folder for -o")
        mark = read_json(self.root / "store.json")
        if mark and mark.get("format") != FORMAT:
            raise StoreError(f"{self.root}: written in format {mark.get('format')}; this version reads format {FORMAT}")

    @classmethod
    def existing(cls, root: str | Path) -> Store:
        """Return a store that must be there already."""
        if not (Path(root) / "store.json").exists():
            raise StoreError(f"{root}: no store here; `handful run PICTURES -o {root}` makes one")
        return cls(root)

    def folder(self, key: str) -> Path:
        return self.root / "results" / key[:2] / key

    def has(self, key: str) -> bool:
        return (self.folder(key) / "record.json").exists()

    def record(self, key: str) -> dict[str, Any]:
        """Return the record of a result.

        Raises:
            StoreError: it has not been computed.
        """
        record = read_json(self.folder(key) / "record.json")
        if record is None:
            raise StoreError(f"{self.root}: result {key[:12]} is not there; `handful run` computes what is missing")
        return record

    def arrays(self, key: str, name: str = "arrays") -> dict[str, NDArray[Any]]:
        """Return the arrays of a result's `NAME.npz`."""
        self.record(key)
        with np.load(self.folder(key) / f"{name}.npz", allow_pickle=False) as file:
            return {array: file[array] for array in file.files}

    def put(self, key: str, record: dict[str, Any], write: Callable[[Path], None]) -> None:
        """Store a result: `write` fills a folder, which then takes its place in one rename."""
        self.start()
        aside = self.root / "aside" / f"{platform.node()}-{os.getpid()}-{uuid.uuid4().hex}"
        aside.mkdir(parents=True)
        try:
            write(aside)
            (aside / "record.json").write_text(json.dumps(record, indent=1, sort_keys=True), encoding="utf-8")
            final = self.folder(key)
            final.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.rename(aside, final)
            except OSError:
                if not self.has(key):  # anything but: another run has just finished the same result
                    raise
        finally:
            shutil.rmtree(aside, ignore_errors=True)
        (self.root / "failed" / f"{key}.json").unlink(missing_ok=True)

    def sweep(self) -> None:
        """Remove what killed processes of this machine left half written."""
        for aside in (self.root / "aside").glob(f"{platform.node()}-*"):
            if not _alive(int(aside.name.split("-")[-2])):
                shutil.rmtree(aside, ignore_errors=True)

    def start(self) -> None:
        """Create the folder and its mark where they are not there yet."""
        if not (self.root / "store.json").exists():
            self.root.mkdir(parents=True, exist_ok=True)
            write_json(self.root / "store.json", {"handful": "store", "format": FORMAT})

    def fail(self, key: str, failure: dict[str, Any]) -> None:
        write_json(self.root / "failed" / f"{key}.json", failure)

    def failure(self, key: str) -> dict[str, Any] | None:
        return read_json(self.root / "failed" / f"{key}.json")

    def set_time(self, key: str, seconds: float, device: str) -> None:
        write_json(self.root / "times" / f"{key}.json", {"seconds": seconds, "device": device})

    def seconds(self, key: str) -> float:
        """Return how long a result took to compute, 0 where it is not known."""
        return float((read_json(self.root / "times" / f"{key}.json") or {}).get("seconds", 0.0))

    def checkpoint(self, key: str) -> Path:
        return self.root / "checkpoints" / key

    def records(self, stage: str) -> Iterator[dict[str, Any]]:
        """Yield the records of every finished result of one stage, in no particular order."""
        for path in sorted((self.root / "results").glob("*/*/record.json")):
            record = read_json(path)
            if record and record.get("stage") == stage:
                yield record

    def set_study(self, digest: str, study: dict[str, Any]) -> None:
        """Keep a study's page and make it the one that `status` and `report` read."""
        self.start()
        write_json(self.root / "studies" / f"{digest}.json", study)
        write_json(self.root / "study.json", {"digest": digest})

    def study(self, digest: str | None = None) -> dict[str, Any]:
        """Return the page of a study, by default of the one run last.

        Raises:
            StoreError: no study was run here.
        """
        digest = digest or (read_json(self.root / "study.json") or {}).get("digest")
        page = read_json(self.root / "studies" / f"{digest}.json") if digest else None
        if page is None:
            raise StoreError(f"{self.root}: no study has been run in this store; `handful run` does")
        return page

    def set_ids(self, data: str, ids: Sequence[str]) -> None:
        """Keep the names of a source's pictures, by row; those of the last run on this data are kept.

        Args:
            data: digest of the source, which does not depend on names.
        """
        self.start()
        write_json(self.root / "sources" / f"{data}.json", {"ids": list(ids)})

    def ids(self, data: str) -> tuple[str, ...] | None:
        """Return the names of a source's pictures, by row; None in a store written before names were kept."""
        found = read_json(self.root / "sources" / f"{data}.json")
        return None if found is None else tuple(found["ids"])

    def plan(self, digest: str) -> dict[str, Any] | None:
        return read_json(self.root / "plans" / f"{digest}.json")

    def set_plan(self, digest: str, plan: dict[str, Any]) -> None:
        self.start()
        write_json(self.root / "plans" / f"{digest}.json", plan)


def _alive(pid: int) -> bool:
    if os.name == "nt":  # signal 0 would interrupt the process there
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def read_json(path: Path) -> dict[str, Any] | None:
    """Return the object in a JSON file, None where there is no such file."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValueError as error:
        raise StoreError(f"{path}: damaged, not JSON ({error}); delete this file and run again") from None
    if not isinstance(value, dict):
        raise StoreError(f"{path}: damaged, not an object; delete this file and run again")
    return value


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Write a JSON file aside and rename it into place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with _aside(path) as aside:
        aside.write_text(json.dumps(value, indent=1, sort_keys=True), encoding="utf-8")


@contextmanager
def _aside(path: Path) -> Iterator[Path]:
    aside = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        yield aside
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)
