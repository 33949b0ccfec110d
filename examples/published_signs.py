"""Rebuild the ten-class road-sign set as it was published, copies included, from its archive of distinct pictures.

    python examples/published_signs.py traffic-signs-10.zip PUBLISHED

The archive holds every distinct picture once and a `manifest.csv` with a row for each published file. It writes
`PUBLISHED/train/CLASS/NAME` (520 files) and `PUBLISHED/test/CLASS/NAME` (340 files), most of them copies.
"""

from __future__ import annotations

import csv
import io
import sys
import zipfile
from pathlib import Path, PurePosixPath


def rebuild(archive: Path, output: Path) -> int:
    """Write every published file and return how many there are; raises ValueError for a path out of the folder."""
    with zipfile.ZipFile(archive) as pictures:
        rows = list(csv.DictReader(io.StringIO(pictures.read("manifest.csv").decode())))
        for row in rows:
            path = PurePosixPath(row["path"])
            if path.is_absolute() or ".." in path.parts:
                raise ValueError(f"{archive}: manifest.csv names {path}, which is outside the set")
            target = output / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(pictures.read(row["duplicate_of"] or row["path"]))
    return len(rows)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    print(rebuild(Path(sys.argv[1]), Path(sys.argv[2])), "files")
