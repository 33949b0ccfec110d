"""What keeping freed memory saves in a training step, each way in a process of its own.

    python benchmarks/memory.py --output docs/memory.md

The network is the recommended one without its weights, batches of 32, one thread; medians of processor seconds over
the steps, which a busy machine changes less than wall time.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
from pathlib import Path

import torch
from torch.nn import functional as F

from handful.nn.backbones import Backbone
from handful.nn.memory import keep_memory

SIZES = (64, 128, 224)


def measure(size: int, kept: bool, steps: int) -> None:
    """Print processor seconds and page faults of a step, and the most memory this process had."""
    torch.set_num_threads(1)
    if kept:
        keep_memory()
    network = Backbone(kind="lite0", weights="random").build(3, size, 10, None).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(network.parameters())
    images = torch.rand(32, 3, size, size).contiguous(memory_format=torch.channels_last)
    labels = torch.arange(32) % 10
    user, system, faults = [], [], []
    for _ in range(steps + 2):
        before = resource.getrusage(resource.RUSAGE_SELF)
        optimizer.zero_grad()
        F.cross_entropy(network(images), labels).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        after = resource.getrusage(resource.RUSAGE_SELF)
        user.append(after.ru_utime - before.ru_utime)
        system.append(after.ru_stime - before.ru_stime)
        faults.append(after.ru_minflt - before.ru_minflt)
    middle = [statistics.median(values[2:]) for values in (user, system, faults)]
    print(json.dumps([*middle, after.ru_maxrss / 1024**2]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--one", nargs=2, metavar=("SIZE", "KEPT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        measure(int(options.one[0]), options.one[1] == "kept", options.steps)
        return
    lines = [
        "# Memory that is kept",
        "",
        f"A training step of EfficientNet-Lite0, 32 pictures, one thread, torch {torch.__version__}: "
        "processor seconds.",
        "",
        "| px | freed memory | user | system | page faults | most memory, GiB | times as fast |",
        "|---|---|---|---|---|---|---|",
    ]
    for size in SIZES:
        slowest = 0.0
        for how in ("given back", "kept"):
            words = [sys.executable, __file__, "--steps", str(options.steps), "--one", str(size), how]
            told = json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
            user, system, faults, most = told
            slowest = slowest or user + system
            ratio = slowest / (user + system)
            lines.append(f"| {size} | {how} | {user:.2f} | {system:.2f} | {faults:,.0f} | {most:.1f} | {ratio:.2f} |")
    text = "\n".join([*lines, ""])
    print(text)
    if options.output:
        options.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
