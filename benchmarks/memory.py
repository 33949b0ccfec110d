"""What huge pages save in a training step on a CPU, each way in a process of its own.

    python benchmarks/memory.py --output docs/memory.md

The network is the recommended one without its weights, batches of 32, one thread; medians of processor seconds over
the steps, which a busy machine changes less than wall time. handful sets `THP_MEM_ALLOC_ENABLE`, which torch reads, so
that large buffers lie in huge pages where Linux offers them (`madvise` or `always` in
/sys/kernel/mm/transparent_hugepage/enabled). Keeping freed memory in the process instead (glibc's M_MMAP_MAX = 0) is
faster still and was tried: training with changing sizes then grew to 16 GiB.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
from pathlib import Path

import torch
from torch.nn import functional as F

from handful.nn.backbones import Backbone

SIZES = (64, 128, 224)


def measure(size: int, steps: int) -> None:
    """Print processor seconds and page faults of a step, and the most memory this process had."""
    torch.set_num_threads(1)
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
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        measure(options.one, options.steps)
        return
    lines = [
        "# Huge pages",
        "",
        f"A training step of EfficientNet-Lite0, 32 pictures, one thread, torch {torch.__version__}: "
        "processor seconds.",
        "",
        "| px | huge pages | user | system | page faults | most memory, GiB | times as fast |",
        "|---|---|---|---|---|---|---|",
    ]
    for size in SIZES:
        slowest = 0.0
        for how, value in (("no", "0"), ("yes", "1")):
            words = [sys.executable, __file__, "--steps", str(options.steps), "--one", str(size)]
            environment = {**os.environ, "THP_MEM_ALLOC_ENABLE": value}
            made = subprocess.run(words, check=True, capture_output=True, text=True, env=environment)
            told = json.loads(made.stdout)
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
