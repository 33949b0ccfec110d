"""How something is computed, never what."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch


@dataclass(frozen=True)
class How:
    """How something is computed, never what: nothing here changes a result on one device type.

    Args:
        device: torch device.
        checkpoint: file that a long fit saves itself to and resumes from; None: none.
        checkpoint_seconds: least time between two saves.
        leaves_checkpoint: a finished fit leaves its checkpoint, from which it is whole again at once, to be removed
            by who runs several; else it is removed.
        progress: called with (steps done, steps in all).
    """

    device: str = "cpu"
    checkpoint: Path | None = None
    checkpoint_seconds: float = 20.0
    leaves_checkpoint: bool = False
    progress: Callable[[int, int], None] | None = None

    def part(self, name: str) -> How:
        """Return the same for one of several networks, with a checkpoint file of its own."""
        if self.checkpoint is None:
            return self
        return replace(self, checkpoint=self.checkpoint.with_name(f"{self.checkpoint.name}.{name}"))


@contextmanager
def one_thread() -> Iterator[None]:
    """Run a block with one torch thread: the same bits on any number of cores, and no fight between processes."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
