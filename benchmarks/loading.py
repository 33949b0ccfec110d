"""How fast a folder of pictures becomes training batches: handful against torchvision's ImageFolder and DataLoader.

    HANDFUL_DATA=... python benchmarks/loading.py --runs 5 --output docs/loading_speed.md

Every run is a process of its own, the readers in turn, so that a busy machine disturbs all alike. What is timed starts
after the imports, with the files in the system's cache. `handful` opens the folder for the view (digests, copies,
sizes, pictures at the size), loads it and hands out shuffled batches of one tensor: with an empty cache, with the one
that such a start has left, and with an empty cache where opening was not told the view. `ImageFolder` gets the same
size and filter, and its DataLoader 0, 1, 2 or 4 workers. Both give uint8 [64, 3, 64, 64], and the pictures are compared
once: they are the same.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

SETS = {
    "Caltech animals": "animals-caltech101/animals-caltech101.zip",
    "UC Merced": "uc-merced/uc-merced-128.zip",
}
SIZE, BATCH, PASSES = 64, 64, 10
PEERS = tuple(f"ImageFolder {workers}" for workers in (0, 1, 2, 4))
READERS = ("handful", "handful, second start", "handful, view named at load only", *PEERS)
GOAL_FIRST, GOAL_TEN = 1.0, 5.0


def handful_batches(folder: Path, named: bool) -> Iterator[Iterator[Any]]:
    """Yield one iterator of (pixels, labels) per pass; `named`: opening the folder is told the view."""
    import torch

    from handful import View, load, open_source

    view = View(size=SIZE, channels=3)
    images = load(open_source(folder, view=view if named else None), view)
    pixels, labels = torch.from_numpy(images.pixels), torch.from_numpy(images.labels)
    while True:
        order = torch.randperm(len(labels))
        rows = (order[start : start + BATCH] for start in range(0, len(labels), BATCH))
        yield ((pixels[batch], labels[batch]) for batch in rows)


def torchvision_batches(folder: Path, workers: int) -> Iterator[Iterator[Any]]:
    """Yield one iterator of (pixels, labels) per pass."""
    from torch.utils.data import DataLoader

    loader = DataLoader(image_folder(folder), BATCH, shuffle=True, num_workers=workers, persistent_workers=workers > 0)
    while True:
        yield iter(loader)


def image_folder(folder: Path) -> Any:
    """torchvision's data set at the size and with the filter that handful uses."""
    how, sets = import_module("torchvision.transforms"), import_module("torchvision.datasets")
    resize = how.Resize((SIZE, SIZE), how.InterpolationMode.BICUBIC, antialias=True)
    return sets.ImageFolder(str(folder), how.Compose([resize, how.PILToTensor()]))


def measure(reader: str, folder: Path) -> dict[str, float]:
    """Return pictures per pass, seconds of the first pass and of all, and peak memory in MiB (own, largest worker)."""
    import torch

    import handful

    # imported by all, so that none pays for it
    _ = handful.View, handful.load, handful.open_source, torch.utils.data.DataLoader
    _ = import_module("torchvision.transforms"), import_module("torchvision.datasets")
    name, _, workers = reader.rpartition(" ")
    batches: Callable[[], Iterator[Iterator[Any]]] = (
        (lambda: torchvision_batches(folder, int(workers)))
        if name == "ImageFolder"
        else (lambda: handful_batches(folder, "load only" not in reader))
    )
    torch.manual_seed(0)
    began = time.perf_counter()
    ends, num = [], 0
    for done, one_pass in enumerate(batches(), start=1):
        num = sum(len(labels) for _, labels in one_pass)
        ends.append(time.perf_counter() - began)
        if done == PASSES:
            break
    worker = largest_worker() if name == "ImageFolder" and int(workers) else 0
    own = int(status_of(Path("/proc/self/status"))["VmHWM"].split()[0])  # getrusage would count the parent's peak
    return {"num": num, "first": ends[0], "all": ends[-1], "own": own / 1024, "worker": worker / 1024}


def largest_worker() -> int:
    """Peak memory in KiB of the largest process below this one that is still there."""
    peaks = [0]
    for place in Path("/proc").glob("[0-9]*/status"):
        fields = status_of(place)
        if int(fields.get("PPid", 0)) == os.getpid() and "VmHWM" in fields:
            peaks.append(int(fields["VmHWM"].split()[0]))
    return max(peaks)


def status_of(place: Path) -> dict[str, str]:
    """The fields of a /proc status file; none where the process has ended."""
    try:
        return dict(line.split(":", 1) for line in place.read_text().splitlines() if ":" in line)
    except OSError:
        return {}


def same_pictures(folder: Path) -> int:
    """Return how many pictures were compared; raise where handful's and torchvision's differ in a pixel or a label."""
    import numpy as np

    from handful import View, load, open_source

    source = open_source(folder)
    images, theirs = load(source, View(size=SIZE, channels=3)), image_folder(folder)
    place = {Path(path).relative_to(folder).as_posix(): row for row, (path, _) in enumerate(theirs.samples)}
    for row, name in enumerate(source.ids):
        pixels, label = theirs[place[name]]
        if not np.array_equal(pixels.numpy(), images.pixels[row]) or theirs.classes[label] != name.split("/")[-2]:
            raise SystemExit(f"{name}: the two readers disagree")
    return len(images)


def child(reader: str, folder: Path, cache: Path) -> dict[str, float]:
    """Measure in a process of its own."""
    made = subprocess.run(
        [sys.executable, __file__, "--child", reader, str(folder)],
        env={**os.environ, "HANDFUL_CACHE": str(cache)},
        capture_output=True,
        text=True,
        check=True,
    )
    return {key: float(value) for key, value in json.loads(made.stdout).items()}


def run_set(archive: Path, runs: int, place: Path) -> tuple[int, dict[str, list[dict[str, float]]]]:
    """Return the number of pictures compared and every measurement of every reader."""
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(place)
    folder = class_root(place)
    made: dict[str, list[dict[str, float]]] = {reader: [] for reader in READERS}
    os.environ["HANDFUL_CACHE"] = str(place.with_name(f"{place.name}-compared"))
    compared = same_pictures(folder)  # also brings the files into the system's cache
    for num in range(runs):
        for reader in READERS:
            cache = f"{place.name}-{num}{'-unnamed' if 'load only' in reader else ''}"
            made[reader].append(child(reader, folder, place.with_name(cache)))
    return compared, made


def class_root(folder: Path) -> Path:
    """The folder whose folders are the classes."""
    below = [path for path in folder.iterdir() if path.is_dir()]
    return class_root(below[0]) if len(below) == 1 else folder


def table(made: dict[str, list[dict[str, float]]]) -> list[str]:
    """The rows of one set and what they say, all computed."""
    first = {reader: [run["num"] / run["first"] for run in runs] for reader, runs in made.items()}
    every = {reader: [PASSES * run["num"] / run["all"] for run in runs] for reader, runs in made.items()}
    rows = [
        f"| reader | first pass, pictures/s | {PASSES} passes, pictures/s | seconds for {PASSES} | peak MiB "
        "(largest worker) |",
        "|---|---|---|---|---|",
    ]
    for reader, runs in made.items():
        worker = statistics.median(run["worker"] for run in runs)
        rows.append(
            f"| {reader}{' workers' if reader in PEERS else ''} | {spread(first[reader])} | {spread(every[reader])} | "
            f"{statistics.median(run['all'] for run in runs):.2f} | "
            f"{statistics.median(run['own'] for run in runs):.0f}{f' ({worker:.0f})' if worker else ''} |"
        )
    for what, found, goal in (("First pass", first, GOAL_FIRST), (f"{PASSES} passes", every, GOAL_TEN)):
        best = max(PEERS, key=lambda reader: statistics.median(found[reader]))
        ratios = [ours / theirs for ours, theirs in zip(found["handful"], found[best], strict=True)]
        ratio = statistics.median(found["handful"]) / statistics.median(found[best])
        rows += [
            "",
            f"{what}: {ratio:.2f} times the fastest DataLoader ({best} workers), run by run {min(ratios):.2f} to "
            f"{max(ratios):.2f}; the goal of at least {goal:g} is {'met' if ratio >= goal else 'NOT met'}.",
        ]
    return rows


def spread(values: list[float]) -> str:
    return f"{statistics.median(values):,.0f} ({min(values):,.0f} to {max(values):,.0f})"


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Loading speed against torchvision's ImageFolder.")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--output", type=Path, default=Path("docs/loading_speed.md"))
    parser.add_argument("--child", nargs=2, metavar=("READER", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.child:
        print(json.dumps(measure(options.child[0], Path(options.child[1]))))
        return
    if "HANDFUL_DATA" not in os.environ:
        raise SystemExit("HANDFUL_DATA does not name the folder of real data sets")
    import torch

    versions = f"torchvision {import_module('torchvision').__version__}, torch {torch.__version__}"
    command = shlex.join(["python", "benchmarks/loading.py", *(sys.argv[1:] if arguments is None else arguments)])
    text = [
        "# Loading speed",
        "",
        f"`{command}`",
        "",
        f"{options.runs} runs of each reader, in turn, each in its own process; median (lowest to highest). "
        f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the start. {SIZE} px, batches of {BATCH}, bicubic "
        f"with antialiasing. {versions}. Imports are not timed. "
        "Peak memory holds torch itself, in every row.",
        "",
        "A first pass of handful does what ImageFolder's does not: every file is read twice, once for the digest of "
        "its bytes by which the cache knows it again, once to decode it; the digest of every decoded picture is taken, "
        "by which copies are found; and the pictures at the size are written into the cache. They are decoded and "
        "resized in one step by as many threads as there are cores, at most four. Where opening the folder is not told "
        "the view, pictures are decoded a second time to be loaded. A second start reads the files for their digests "
        "alone and finds the pictures in the cache. From the second pass on, handful hands out rows of one array in "
        "memory.",
    ]
    with tempfile.TemporaryDirectory() as scratch:
        for number, (name, archive) in enumerate(SETS.items()):
            place = Path(scratch) / str(number)
            compared, made = run_set(Path(os.environ["HANDFUL_DATA"]) / archive, options.runs, place)
            text += ["", f"## {name}, {compared:,} pictures", "", *table(made)]
            text += ["", f"All {compared:,} pictures are identical, pixel by pixel, in handful and in torchvision."]
    options.output.write_text("\n".join([*text, ""]), encoding="utf-8")
    print(options.output)


if __name__ == "__main__":
    main()
