"""The ledger: every candidate that was drawn, what became of it, and why."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handful.data.export import folder_names
from handful.data.images import LabeledImages
from handful.errors import DataError, StoreError

SCORE = "score: "


@dataclass(frozen=True)
class Ledger:
    """N candidates, by class in the order they were drawn.

    Args:
        labels: int64 [N].
        seeds: int64 [N], that they were sampled from.
        kept: bool [N].
        step: what turned a candidate away: `gate: NAME`, a selection, or `quota`; empty where it was kept.
        said: why, in words.
        scores: float64 [N] by step; NaN where a step has not seen a candidate.
    """

    labels: NDArray[np.int64]
    seeds: NDArray[np.int64]
    kept: NDArray[np.bool_]
    step: tuple[str, ...]
    said: tuple[str, ...]
    scores: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.labels)

    @classmethod
    def joined(cls, parts: Sequence[Ledger]) -> Ledger:
        """Return one ledger after another; a score that one of them lacks is NaN there."""
        if not parts:
            empty = np.empty(0, dtype=np.int64)
            return cls(empty, empty, np.empty(0, dtype=np.bool_), (), ())
        names = dict.fromkeys(name for part in parts for name in part.scores)
        return cls(
            np.concatenate([part.labels for part in parts]),
            np.concatenate([part.seeds for part in parts]),
            np.concatenate([part.kept for part in parts]),
            tuple(step for part in parts for step in part.step),
            tuple(said for part in parts for said in part.said),
            {
                name: np.concatenate([part.scores.get(name, np.full(len(part), np.nan)) for part in parts])
                for name in names
            },
        )

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return arrays for a .npz without pickle."""
        words = {"step": np.array(self.step, dtype=np.str_), "said": np.array(self.said, dtype=np.str_)}
        scores = {f"{SCORE}{name}": score for name, score in self.scores.items()}
        return {"labels": self.labels, "seeds": self.seeds, "kept": self.kept, **words, **scores}

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Ledger:
        """Return the ledger that `to_arrays` gave."""
        scores = {name.removeprefix(SCORE): array for name, array in arrays.items() if name.startswith(SCORE)}
        step, said = tuple(arrays["step"].tolist()), tuple(arrays["said"].tolist())
        return cls(arrays["labels"], arrays["seeds"], arrays["kept"], step, said, scores)

    def counts(self, num_classes: int) -> dict[str, list[int]]:
        """Return, per class, candidates `drawn`, `kept`, and turned away by the gate (`gated`)."""
        gated = np.array([step.startswith("gate: ") for step in self.step], dtype=np.bool_)
        shown = {"drawn": np.ones(len(self), dtype=np.bool_), "kept": self.kept, "gated": gated}
        return {name: np.bincount(self.labels[mask], minlength=num_classes).tolist() for name, mask in shown.items()}


def write_ledger(folder: str | Path, ledger: Ledger, candidates: LabeledImages) -> Path:
    """Write a ledger into a new folder and return it.

        ledger.csv                        a row per candidate: picture, label, seed, kept, turned away by, why, scores
        CLASS/kept/00012.png              the candidates, named by their row in ledger.csv, counted from 0
        CLASS/turned-away/00013.png

    Args:
        folder: must not be there, or be empty.
        candidates: the N pictures of the ledger, in its order.

    Raises:
        DataError: another number of pictures than rows, or other labels or seeds.
        StoreError: the folder is there and holds something.
    """
    from PIL import Image

    folder = Path(folder)
    same = len(candidates) == len(ledger) and np.array_equal(candidates.labels, ledger.labels)
    if not same or not np.array_equal(candidates.origin.seed, ledger.seeds):
        raise DataError(f"{len(candidates)} pictures are not those of a ledger of {len(ledger)} rows")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise StoreError(f"{folder}: is there already; choose a new folder")
    classes = folder_names(candidates.class_names)
    rows = []
    for row, (pixels, label) in enumerate(zip(candidates.pixels, ledger.labels.tolist(), strict=True)):
        name = candidates.class_names[label]
        path = Path(classes[name]) / ("kept" if ledger.kept[row] else "turned-away") / f"{row:05}.png"
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)).save(folder / path)
        scores = ["" if np.isnan(score[row]) else f"{score[row]:.6g}" for score in ledger.scores.values()]
        kept = "yes" if ledger.kept[row] else "no"
        rows.append([path.as_posix(), name, int(ledger.seeds[row]), kept, ledger.step[row], ledger.said[row], *scores])
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "ledger.csv").open("w", newline="", encoding="utf-8") as file:
        head = ["picture", "label", "seed", "kept", "turned away by", "why", *ledger.scores]
        csv.writer(file).writerows([head, *rows])
    return folder
