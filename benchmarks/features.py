"""How fast and in how much memory features are computed: 10,000 generated pictures, read from a mapped file.

    python benchmarks/features.py --extractor lite0 --pictures 1000 10000

Each row is a process of its own with one torch thread and an empty cache. Private memory is what the process holds
beside mapped files, sampled every 20 ms from /proc (Linux); it is counted from after the network is loaded and has
seen one chunk. What N pictures may cost is their features, 4 N D bytes, and what is kept of them while they are
gathered; the pictures and the maps of the network must not grow with N.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

MIB = 2**20
SIDE = 64


def generated(path: Path, num: int) -> None:
    """Write uint8 [num, 3, 64, 64]: smooth noise, another for every picture."""
    rng = np.random.default_rng(0)
    pixels = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(num, 3, SIDE, SIDE))
    for start in range(0, num, 500):
        coarse = rng.integers(0, 256, (min(500, num - start), 3, 8, 8), dtype=np.uint8)
        pixels[start : start + 500] = coarse.repeat(SIDE // 8, axis=2).repeat(SIDE // 8, axis=3)
    pixels.flush()


class Memory:
    """The largest private memory of this process since it was made, in bytes."""

    def __init__(self) -> None:
        self.peak = self.now()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    @staticmethod
    def now() -> int:
        _, resident, shared, *_ = Path("/proc/self/statm").read_text().split()
        return (int(resident) - int(shared)) * os.sysconf("SC_PAGE_SIZE")

    def _watch(self) -> None:
        while not self._stop.wait(0.02):
            self.peak = max(self.peak, self.now())

    def stop(self) -> int:
        self._stop.set()
        self._thread.join()
        return max(self.peak, self.now())


def measured(file: Path, extractor: str) -> dict[str, Any]:
    """Compute the features of a file of pictures twice, and say what it took."""
    import resource

    import torch

    from handful.measure.extractors import extractor_of

    torch.set_num_threads(1)
    chosen = extractor_of(extractor)
    pixels = np.load(file, mmap_mode="r")
    chosen.features(np.full((1, 3, SIDE, SIDE), 7, dtype=np.uint8))
    before, memory, start = Memory.now(), Memory(), time.perf_counter()
    features = chosen.features(pixels)
    seconds, peak = time.perf_counter() - start, memory.stop()
    start = time.perf_counter()
    same = bool((chosen.features(pixels) == features).all())
    return {
        "label": chosen.label,
        "pictures": len(pixels),
        "features_mib": features.nbytes / MIB,
        "seconds": seconds,
        "before_mib": before / MIB,
        "grown_mib": (peak - before) / MIB,
        "peak_rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / MIB,
        "again_seconds": time.perf_counter() - start,
        "same": same,
    }


def run(num: int, extractor: str) -> dict[str, Any]:
    """Measure in a process of its own, with an empty cache."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "pictures.npy"
        generated(file, num)
        command = [sys.executable, __file__, "--measure", str(file), "--extractor", extractor]
        environment = {**os.environ, "HANDFUL_CACHE": str(Path(folder) / "cache"), "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as Markdown."""
    lines = [
        "| extractor | pictures | seconds | pictures a second | private memory before | grown by at most | of that "
        "features | peak RSS | from the cache |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    lines += [
        f"| `{row['label']}` | {row['pictures']:,} | {row['seconds']:.0f} | {row['pictures'] / row['seconds']:.0f} | "
        f"{row['before_mib']:.0f} MiB | {row['grown_mib']:.0f} MiB | {row['features_mib']:.0f} MiB | "
        f"{row['peak_rss_mib']:.0f} MiB | {row['again_seconds']:.2f} s, {'equal' if row['same'] else 'DIFFERENT'} |"
        for row in rows
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--extractor", default="lite0")
    parser.add_argument("--pictures", type=int, nargs="+", default=[1000, 10000])
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        print(json.dumps(measured(given.measure, given.extractor)))
        return
    rows = []
    for num in given.pictures:
        rows.append(run(num, given.extractor))
        print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    print(table(rows))


if __name__ == "__main__":
    main()
