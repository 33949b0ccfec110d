"""Mixes of two training pictures of one class: the cheapest generator, and a floor for the others."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from safetensors.torch import load_file

from handful import rng
from handful.data.images import LabeledImages
from handful.errors import DataError
from handful.generate.contract import Generator, GeneratorRecipe, check_train, fit_digest, from_card
from handful.nn.train import How
from handful.nn.weight_files import write_tensors


class Interpolation(GeneratorRecipe):
    """Weighted means of two different pictures of one class, as in mixup (Zhang et al. 2018) but within a class.

    Args:
        alpha: the weight is drawn from Beta(alpha, alpha): 1 is uniform, smaller stays nearer to one of the two.
    """

    kind: Literal["interpolate"] = "interpolate"
    alpha: Annotated[float, Field(gt=0)] = 1.0

    def fit(
        self, train: LabeledImages, val: LabeledImages | None, *, seed: int, how: How | None = None
    ) -> InterpolationGenerator:
        check_train(self, train, val)
        return InterpolationGenerator(
            recipe=self,
            class_names=train.class_names,
            counts=tuple(train.counts.tolist()),
            shape=tuple(train.pixels.shape[1:]),
            fitted=fit_digest(self, train, seed),
            history={},
            pixels=np.array(train.pixels),
            labels=train.labels,
            rows=train.origin.parent,
        )


@dataclass(frozen=True)
class InterpolationGenerator(Generator):
    """Holds its training pictures: pixels uint8 [N, C, H, W], labels int64 [N], source rows int64 [N]."""

    pixels: NDArray[np.uint8] = field(repr=False)
    labels: NDArray[np.int64] = field(repr=False)
    rows: NDArray[np.int64] = field(repr=False)

    def _make(
        self, labels: NDArray[np.int64], seeds: Sequence[int], device: str
    ) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        assert isinstance(self.recipe, Interpolation)
        made = np.empty((len(labels), *self.shape), dtype=np.uint8)
        parents = np.empty(len(labels), dtype=np.int64)
        for place, (label, seed) in enumerate(zip(labels, seeds, strict=True)):
            members = np.flatnonzero(self.labels == label)
            if len(members) < 2:
                name = self.class_names[label]
                raise DataError(f"class {name!r} has 1 training picture; interpolation mixes two, so it needs 2")
            stream = rng.numpy_rng(seed, "interpolate")
            one, other = stream.choice(members, size=2, replace=False)
            weight = stream.beta(self.recipe.alpha, self.recipe.alpha)
            mixed = weight * self.pixels[one].astype(np.float64) + (1 - weight) * self.pixels[other]
            made[place] = np.rint(mixed).astype(np.uint8)
            parents[place] = self.rows[one if weight >= 0.5 else other]
        return made, parents

    def save(self, folder: str | Path) -> None:
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        arrays = {"pixels": self.pixels, "labels": self.labels, "rows": self.rows}
        tensors = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()}
        write_tensors(folder / "generator.safetensors", tensors)
        (folder / "generator.json").write_text(json.dumps(self.card(), indent=1), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path, card: dict[str, Any]) -> InterpolationGenerator:
        tensors = load_file(folder / "generator.safetensors")
        arrays: dict[str, Any] = {name: tensors[name].numpy() for name in ("pixels", "labels", "rows")}
        return cls(**from_card(Interpolation, card, folder), **arrays)
