"""The pictures of the published studies: where they are found, and what has to be put where."""

from __future__ import annotations

import csv
import io
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from handful.config import digest_of
from handful.data.images import View
from handful.data.source import Source, open_source
from handful.errors import DataError
from handful.rng import numpy_rng

VARIABLE = "HANDFUL_DATA"


@dataclass(frozen=True)
class Pictures:
    """A set of pictures that a study needs.

    Args:
        name: what it is.
        path: below the folder that HANDFUL_DATA names; a file, or a folder of files.
        torchvision: name of the set there, where it can be downloaded; else empty.
        stand_in: for what it stands in, in words; empty where it is the study's own set.
        needs: what to put there, in words.
    """

    name: str
    path: str
    torchvision: str
    stand_in: str
    needs: str

    def find(self) -> str:
        """Return what `open_source` opens.

        Raises:
            DataError: the pictures are not there and cannot be downloaded; says what to put where.
        """
        given = os.environ.get(VARIABLE)
        if given and (Path(given) / self.path).exists():
            return str(Path(given) / self.path)
        if self.torchvision:
            try:
                open_source(f"torchvision:{self.torchvision}")
                return f"torchvision:{self.torchvision}"
            except DataError as error:
                raise DataError(self._missing(given), *error.faults) from None
        raise DataError(self._missing(given))

    def _missing(self, given: str | None) -> str:
        where = Path(given) / self.path if given else Path(f"${VARIABLE}") / self.path
        told = "" if given else f"; then set {VARIABLE} to the folder above {Path(self.path).parts[0]}"
        return f"{self.name}: put {self.needs} at {where}{told}"


SIGNS = Pictures(
    "ten road-sign classes",
    "traffic-signs/traffic-signs-10.zip",
    "",
    "",
    "traffic-signs-10.zip, the distinct pictures with a manifest.csv of every published file,",
)
CIFAR = Pictures(
    "CIFAR-10", "cifar10/cifar10.tar.gz", "CIFAR10", "JPEG copies of CIFAR-10 for CIFAR-10", "cifar10.tar.gz of JPEGs"
)
FASHION = Pictures("Fashion-MNIST", "fashion-mnist", "FashionMNIST", "", "the four IDX files of Fashion-MNIST")
LAND_USE = Pictures(
    "UC Merced or EuroSAT",
    "uc-merced/uc-merced-128.zip",
    "EuroSAT",
    "UC Merced (2,100 pictures, 21 classes) for EuroSAT",
    "uc-merced-128.zip",
)
ANIMALS = Pictures(
    "Caltech animals",
    "animals-caltech101/animals-caltech101.zip",
    "",
    "30 animals of Caltech-101 (1,968 pictures) for the 30 animals of 13,000",
    "animals-caltech101.zip",
)


def rebuild_published_signs(archive: Path, output: Path) -> int:
    """Write every published file of the road signs, copies included, and return how many there are.

    The archive holds every distinct picture once and a `manifest.csv` with a row for each published file.

    Raises:
        DataError: a path of the manifest leads out of the folder, or the archive has no manifest.
    """
    with zipfile.ZipFile(archive) as pictures:
        if "manifest.csv" not in pictures.namelist():
            raise DataError(f"{archive}: no manifest.csv, so the published files cannot be rebuilt")
        rows = list(csv.DictReader(io.StringIO(pictures.read("manifest.csv").decode())))
        for row in rows:
            path = PurePosixPath(row["path"])
            if path.is_absolute() or ".." in path.parts:
                raise DataError(f"{archive}: manifest.csv names {path}, which is outside the set")
            target = output / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(pictures.read(row["duplicate_of"] or row["path"]))
    return len(rows)


def published_signs(archive: str, folder: Path) -> Path:
    """Return the folder with the published files, written once per archive."""
    mark = folder / "of.txt"
    stamp = digest_of([str(archive), Path(archive).stat().st_size])
    if not mark.exists() or mark.read_text() != stamp:
        rebuild_published_signs(Path(archive), folder / "files")
        mark.write_text(stamp)
    return folder / "files"


def some_of(source: Source, per_class: int | None, seed: int = 0) -> Source:
    """Return a source with at most `per_class` training pictures of each class, a third as many test pictures.

    The draw is by class and part and says so among the source's notes; None takes all.
    """
    if per_class is None:
        return source
    parts = np.array(source.parts)
    kept = []
    for part in np.unique(parts).tolist():
        most = max(2, per_class // 3) if part == "test" else per_class
        for label in range(source.num_classes):
            rows = np.flatnonzero((parts == part) & (source.labels == label))
            kept.append(rows[numpy_rng(seed, "some", part, label).permutation(len(rows))[:most]])
    return source.take(np.sort(np.concatenate(kept)))


def opened(what: str | Path, view: View, per_class: int | None) -> Source:
    """Return the source, decoded at a view at once, thinned to what a scale takes of it."""
    return some_of(open_source(what, view=view), per_class)
