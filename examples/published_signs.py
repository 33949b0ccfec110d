"""Rebuild the ten-class road-sign set as it was published, copies included, from its archive of distinct pictures.

    python examples/published_signs.py traffic-signs-10.zip PUBLISHED

The archive holds every distinct picture once and a `manifest.csv` with a row for each published file. It writes
`PUBLISHED/train/CLASS/NAME` (520 files) and `PUBLISHED/test/CLASS/NAME` (340 files), most of them copies.
"""

from __future__ import annotations

import sys
from pathlib import Path

from handful.reproduce.inputs import rebuild_published_signs

if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    print(rebuild_published_signs(Path(sys.argv[1]), Path(sys.argv[2])), "files")
