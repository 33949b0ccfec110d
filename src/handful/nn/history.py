"""What a training saw on the way."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class History:
    """What training saw: one entry per evaluation, in lists of equal length, and how it ended.

    `train_loss` is the mean over the steps since the evaluation before, and `train_values` are the means of what else
    the step told, such as accuracy. `values` holds what `evaluate` returned.
    """

    steps: list[int] = field(default_factory=list)
    train_loss: list[dict[str, float]] = field(default_factory=list)
    train_values: list[dict[str, float]] = field(default_factory=list)
    values: list[dict[str, float]] = field(default_factory=list)
    lr: list[float] = field(default_factory=list)
    steps_done: int = 0
    pictures_seen: int = 0
    best_step: int = 0
    stopped_early: bool = False

    def to_json(self) -> dict[str, Any]:
        return dict(vars(self))
