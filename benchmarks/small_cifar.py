r"""Write a small folder of CIFAR-10 (JPEG copies), for a bare run on pictures that no recipe was chosen on.

    HANDFUL_DATA=... python benchmarks/small_cifar.py build/cifar
    handful run build/cifar --long-tail 60:6 --arms baseline,class-weights,oversample,augment,default --repeats 5 \
        --budget 0 --measures none -o build/cifar-store

60 training and 100 test pictures of each class; the study thins the training part from 60 to 6.
"""

from __future__ import annotations

import argparse
import os
import random
import tarfile
from pathlib import Path

AMOUNTS = {"test": 100, "train": 60}  # in the order they are drawn


def write_folder(archive: Path, place: Path, amounts: dict[str, int] = AMOUNTS) -> None:
    """Write PLACE/{train,test}/CLASS/FILE, drawn from each class."""
    stream = random.Random(0)
    with tarfile.open(archive) as packed:
        named: dict[tuple[str, str], list[tarfile.TarInfo]] = {}
        for member in packed.getmembers():
            if member.isfile() and member.name.endswith((".jpg", ".jpeg", ".png")):
                part, label = Path(member.name).parts[-3:-1]
                named.setdefault((part, label), []).append(member)
        for part, most in amounts.items():
            for label in sorted(label for one, label in named if one == part):
                for member in stream.sample(sorted(named[part, label], key=lambda one: one.name), most):
                    target = place / part / label / Path(member.name).name
                    target.parent.mkdir(parents=True, exist_ok=True)
                    data = packed.extractfile(member)
                    assert data is not None
                    target.write_bytes(data.read())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="to write")
    folder = parser.parse_args().folder
    if folder.exists():
        parser.error(f"{folder} is there already")
    write_folder(Path(os.environ["HANDFUL_DATA"], "cifar10", "cifar10.tar.gz"), folder)


if __name__ == "__main__":
    main()
