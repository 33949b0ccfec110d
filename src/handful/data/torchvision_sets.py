"""torchvision's data sets by name: downloaded where there is a network, else told which file to put where."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from importlib import import_module
from io import StringIO
from pathlib import Path
from typing import Any

from handful.config import digest_of
from handful.data.cache import cache_dir
from handful.data.files import shown
from handful.data.sets import Sets, joined_sets
from handful.errors import DataError, unknown

_BY_TRAIN: dict[str, dict[str, Any]] = {"train": {"train": True}, "test": {"train": False}}
_BY_SPLIT: dict[str, dict[str, Any]] = {"train": {"split": "train"}, "test": {"split": "test"}}
_THREE = {"train": {"split": "train"}, "val": {"split": "val"}, "test": {"split": "test"}}
_IDX = tuple(f"{part}-{kind}-ubyte.gz" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1"))


@dataclass(frozen=True)
class TorchvisionSet:
    """How one of torchvision's classes is asked for its parts.

    Args:
        parts: our part -> arguments of the class; '' is a set without parts.
        folder: below the root, where the files belong.
        files: what torchvision downloads; put there by hand, it unpacks them itself.
    """

    parts: Mapping[str, Mapping[str, Any]]
    folder: str
    files: tuple[str, ...]


# names, folders and files as in torchvision 0.26 to 0.29
SETS: dict[str, TorchvisionSet] = {
    "CIFAR10": TorchvisionSet(_BY_TRAIN, "", ("cifar-10-python.tar.gz",)),
    "CIFAR100": TorchvisionSet(_BY_TRAIN, "", ("cifar-100-python.tar.gz",)),
    "DTD": TorchvisionSet(_THREE, "dtd", ("dtd-r1.0.1.tar.gz",)),
    "EuroSAT": TorchvisionSet({"": {}}, "eurosat", ("EuroSAT.zip",)),
    "FashionMNIST": TorchvisionSet(_BY_TRAIN, "FashionMNIST/raw", _IDX),
    "Flowers102": TorchvisionSet(_THREE, "flowers-102", ("102flowers.tgz", "imagelabels.mat", "setid.mat")),
    "Food101": TorchvisionSet(_BY_SPLIT, "", ("food-101.tar.gz",)),
    "GTSRB": TorchvisionSet(
        _BY_SPLIT, "gtsrb", ("GTSRB-Training_fixed.zip", "GTSRB_Final_Test_Images.zip", "GTSRB_Final_Test_GT.zip")
    ),
    "KMNIST": TorchvisionSet(_BY_TRAIN, "KMNIST/raw", _IDX),
    "MNIST": TorchvisionSet(_BY_TRAIN, "MNIST/raw", _IDX),
    "OxfordIIITPet": TorchvisionSet(
        {"train": {"split": "trainval"}, "test": {"split": "test"}},
        "oxford-iiit-pet",
        ("images.tar.gz", "annotations.tar.gz"),
    ),
    "STL10": TorchvisionSet(_BY_SPLIT, "", ("stl10_binary.tar.gz",)),
    "SVHN": TorchvisionSet(_BY_SPLIT, "", ("train_32x32.mat", "test_32x32.mat")),
}


def datasets_dir() -> Path:
    """Return the folder of downloaded data sets: HANDFUL_DATASETS, else `datasets` in the cache folder."""
    given = os.environ.get("HANDFUL_DATASETS")
    return Path(given).expanduser() if given else cache_dir() / "datasets"


def torchvision_set(name: str) -> Sets:
    """Return the pictures of one of torchvision's data sets, its parts kept.

    It is looked for in `datasets_dir()`, in torchvision's own layout, and downloaded there where it is not. Class names
    are torchvision's where it has some, else the numbers of the classes.

    Args:
        name: a key of `SETS`.

    Raises:
        DataError: an unknown name; the set is not there and cannot be downloaded, with the folder and the files to put
            there.
    """
    if name not in SETS:
        raise DataError(unknown("torchvision data set", name, SETS))
    torchvision = import_module("torchvision")
    row = SETS[name]
    kind = getattr(torchvision.datasets, name)
    made = {part: _made(kind, name, dict(arguments)) for part, arguments in row.parts.items()}
    classes = [getattr(block, "classes", None) for block in made.values()]
    names = None if classes[0] is None else tuple(_words(given) for given in classes[0])
    blocks = [(part, part, _labels(block), names) for part, block in made.items()]
    if names is not None and any(max(labels, default=0) >= len(names) for _, _, labels, _ in blocks):
        blocks = [(lead, part, labels, None) for lead, part, labels, _ in blocks]
    return joined_sets(name, blocks, tuple(made.values()), field=0, key=_key(name, torchvision.__version__))


def _made(kind: Any, name: str, arguments: dict[str, Any]) -> Any:
    root = datasets_dir()
    try:
        return kind(root=str(root), **arguments, download=False)
    except (RuntimeError, OSError):
        pass  # not there, or not whole
    try:
        root.mkdir(parents=True, exist_ok=True)
        with redirect_stdout(StringIO()):
            return kind(root=str(root), **arguments, download=True)
    except Exception as error:  # URLError, RuntimeError, OSError, and what a broken archive makes its reader raise
        row = SETS[name]
        reason = (str(error).splitlines() or [type(error).__name__])[0][:120]
        raise DataError(
            f"torchvision:{name} is not in {shown(str(root))} and cannot be downloaded ({reason}); without "
            f"network put {', '.join(row.files)} into {shown(str(root / row.folder))}, or name the folder that has the "
            "set with HANDFUL_DATASETS"
        ) from None


def _labels(block: Any) -> list[int]:
    """The labels without decoding a picture; every class of the table keeps them under one of these names."""
    for name in ("targets", "labels", "_labels"):
        if hasattr(block, name):
            return [int(label) for label in getattr(block, name)]
    return [int(label) for _, label in block._samples]


def _words(given: Any) -> str:
    return ", ".join(given) if isinstance(given, tuple) else str(given)


def _key(name: str, version: str) -> str:
    """The names, sizes and times of the files below the set's folder: its bytes may be many gigabytes."""
    row = SETS[name]
    folder = datasets_dir() / row.folder
    files = [path for path in folder.rglob("*") if path.is_file()] if row.folder else [folder / row.files[0]]
    found = []
    for path in sorted(files):
        if path.exists():
            state = path.stat()
            found.append([str(path.relative_to(folder)), state.st_size, state.st_mtime_ns])
    return digest_of([name, version, found]) if found else ""
