r"""Write a small folder of a well-known set, for a bare run on pictures that no recipe from weights was chosen on.

    HANDFUL_DATA=... python benchmarks/small_sets.py cifar10 build/cifar
    handful run build/cifar --long-tail 60:6 --arms baseline,class-weights,oversample,augment,default --repeats 5 \
        --budget 0 --measures none -o build/cifar-store

60 training and 100 test pictures of each class; the study thins the training part from 60 to 6. `cifar10` are the JPEG
copies, file by file, `fashion-mnist` grey PNG of 28 px.
"""

from __future__ import annotations

import argparse
import os
import random
import tarfile
from pathlib import Path

import numpy as np
from PIL import Image

from handful import View, load, open_source

AMOUNTS = {"test": 100, "train": 60}  # in the order they are drawn


def write_cifar(data: Path, place: Path) -> None:
    """Write PLACE/{train,test}/CLASS/FILE, drawn from each class."""
    stream = random.Random(0)
    with tarfile.open(data / "cifar10" / "cifar10.tar.gz") as packed:
        named: dict[tuple[str, str], list[tarfile.TarInfo]] = {}
        for member in packed.getmembers():
            if member.isfile() and member.name.endswith((".jpg", ".jpeg", ".png")):
                part, label = Path(member.name).parts[-3:-1]
                named.setdefault((part, label), []).append(member)
        for part, most in AMOUNTS.items():
            for label in sorted(label for one, label in named if one == part):
                for member in stream.sample(sorted(named[part, label], key=lambda one: one.name), most):
                    target = place / part / label / Path(member.name).name
                    target.parent.mkdir(parents=True, exist_ok=True)
                    content = packed.extractfile(member)
                    assert content is not None
                    target.write_bytes(content.read())


def write_fashion(data: Path, place: Path) -> None:
    """Write PLACE/{train,test}/CLASS/NUMBER.png, drawn from each class."""
    source, stream = open_source(data / "fashion-mnist"), np.random.default_rng(0)
    parts = np.array(source.parts)
    for part, most in AMOUNTS.items():
        for label, name in enumerate(source.class_names):
            rows = stream.choice(np.flatnonzero((parts == part) & (source.labels == label)), most, replace=False)
            folder = place / part / name.replace("/", "-")
            folder.mkdir(parents=True)
            for row, pixels in zip(rows, load(source, View(size=28, channels=1), rows).pixels, strict=True):
                Image.fromarray(pixels[0]).save(folder / f"{row:05}.png")


SETS = {"cifar10": write_cifar, "fashion-mnist": write_fashion}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", choices=SETS)
    parser.add_argument("folder", type=Path, help="to write")
    options = parser.parse_args()
    if options.folder.exists():
        parser.error(f"{options.folder} is there already")
    SETS[options.set](Path(os.environ["HANDFUL_DATA"]), options.folder)


if __name__ == "__main__":
    main()
