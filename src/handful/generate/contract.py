"""What every generator is: a recipe that fits, and what it returns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self, final

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import model_validator

from handful.config import Recipe, digest_of, recipe_from
from handful.data.images import LabeledImages, Origin, View, require_real
from handful.errors import ConfigError, DataError, unknown
from handful.nn.encoders import Encoder
from handful.nn.train import How

CHUNK = 32


class GeneratorRecipe(Recipe, ABC):
    """What every family of generators has.

    A family's `presets` are published settings by name: `preset("s1")`, or `{ kind = "gan", from = "s1" }` in a file,
    which other fields may change.

    Args:
        view: how pictures are seen; None: the view of the study's classifier.
    """

    kind: str
    view: View | None = None
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    rebuilds: ClassVar[bool] = False  # whether its generators can rebuild a picture
    encodes: ClassVar[bool] = False  # whether a classifier can inherit its encoder

    @classmethod
    def preset(cls, name: str, /, **fields: Any) -> Self:
        """Return a preset of this family with some fields changed.

        Raises:
            ConfigError: no such preset, or an impossible field.
        """
        return cls(**{"from": name, **fields})

    @model_validator(mode="before")
    @classmethod
    def _start_from_preset(cls, given: Any) -> Any:
        if not isinstance(given, Mapping) or "from" not in given:
            return given
        kind, name = cls.model_fields["kind"].default, given["from"]
        if name not in cls.presets:
            if not cls.presets:
                raise ConfigError(f"{kind} has no presets, got {name!r}")
            raise ConfigError(unknown(f"preset of {kind}", str(name), cls.presets))
        return {**cls.presets[name], **{field: value for field, value in given.items() if field != "from"}}

    @property
    def encoder(self) -> Encoder:
        """The network of a classifier that inherits this family's encoder; families with `encodes` have it.

        Raises:
            ConfigError: this family has no encoder, or fits several where a classifier inherits one.
        """
        raise ConfigError(f"{self.kind!r} has no encoder that a classifier could inherit")

    @abstractmethod
    def fit(self, train: LabeledImages, val: LabeledImages | None, *, seed: int, how: How | None = None) -> Generator:
        """Return a generator fitted to `train`; `val` chooses its weights and nothing else.

        Args:
            train: real pictures in this recipe's view, at least one.
            val: real pictures, or None where a family chooses nothing.
            seed: initialisation, order and noise while fitting.
            how: device, checkpoint, progress.

        Raises:
            LeakError: a picture is synthetic.
            DataError: no pictures. A class with too few for this family is named here or when it is sampled.
        """


@dataclass(frozen=True)
class Generator(ABC):
    """A fitted generator.

    Args:
        recipe: what was fitted.
        class_names: of the training part.
        counts: training pictures per class; a class with none cannot be sampled.
        shape: (C, H, W) of the pictures.
        fitted: digest of recipe, training pictures and seed; the `maker` in the origin of every sample.
        history: learning curves, JSON values.
    """

    recipe: GeneratorRecipe
    class_names: tuple[str, ...]
    counts: tuple[int, ...]
    shape: tuple[int, int, int]
    fitted: str
    history: dict[str, Any] = field(repr=False)

    @final
    def sample(
        self, labels: Sequence[int] | NDArray[np.int64], *, seeds: Sequence[int], device: str = "cpu"
    ) -> LabeledImages:
        """Return one synthetic picture per label, uint8; each depends on its label and its seed alone.

        Args:
            labels: class ids [N].
            seeds: one integer per picture [N].
            device: torch device.

        Raises:
            DataError: a class the generator has not seen, or another number of seeds than labels.
        """
        wanted = self.checked(labels)
        if len(wanted) != len(seeds):
            raise DataError(f"{len(wanted)} labels but {len(seeds)} seeds: one seed per picture is needed")
        pixels = np.empty((len(wanted), *self.shape), dtype=np.uint8)
        parents = np.full(len(wanted), -1, dtype=np.int64)
        by_class = np.argsort(wanted, kind="stable")  # few chunks hold two classes, which two networks may have to make
        for start in range(0, len(wanted), CHUNK):
            rows = by_class[start : start + CHUNK]
            padded = np.resize(rows, CHUNK)  # one fixed size: a sample never depends on who asks for how many
            made, from_rows = self._make(wanted[padded], [int(seeds[int(row)]) for row in padded], device)
            pixels[rows], parents[rows] = made[: len(rows)], from_rows[: len(rows)]
        origin = Origin.of_synthetic(pixels, self.fitted, list(seeds), parents.tolist())
        return LabeledImages(pixels, wanted, self.class_names, origin)

    def checked(self, labels: Sequence[int] | NDArray[np.int64]) -> NDArray[np.int64]:
        """Return class ids as int64 [N]; raise DataError for what is no id or a class without training pictures."""
        given = np.asarray(labels)
        if given.size and not np.issubdtype(given.dtype, np.integer):
            raise DataError(f"labels must be class ids (whole numbers), got {given.dtype}")
        known = [name for name, count in zip(self.class_names, self.counts, strict=True) if count]
        for label in np.unique(given).tolist():
            if not 0 <= label < len(self.counts) or self.counts[label] == 0:
                name = f" ({self.class_names[label]!r})" if 0 <= label < len(self.counts) else ""
                raise DataError(f"class {label}{name} was not in the generator's training part (it has: {known})")
        return given.astype(np.int64)

    @abstractmethod
    def _make(
        self, labels: NDArray[np.int64], seeds: Sequence[int], device: str
    ) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Return pictures uint8 [CHUNK, C, H, W] and their parents' source rows [CHUNK], -1 where there is none."""

    def rebuild(self, images: LabeledImages, *, device: str = "cpu") -> NDArray[np.uint8]:
        """Return uint8 [N, C, H, W], each picture through the model and back; families with `rebuilds` have it.

        Raises:
            DataError: this family rebuilds nothing.
        """
        raise DataError(f"{self.recipe.kind!r} rebuilds nothing")

    def encoder_weights(self) -> dict[str, torch.Tensor]:
        """Return the weights of the body of `recipe.encoder`, by name; families with `encodes` have it.

        Raises:
            ConfigError: as `recipe.encoder`.
        """
        raise ConfigError(f"{self.recipe.kind!r} has no encoder that a classifier could inherit")

    @abstractmethod
    def save(self, folder: str | Path) -> None:
        """Write the generator into a folder: safetensors and a JSON card, no pickle."""

    def card(self) -> dict[str, Any]:
        """Return the JSON card: everything but the weights."""
        return {
            "handful": "generator",
            "recipe": self.recipe.to_json(),
            "class_names": list(self.class_names),
            "counts": list(self.counts),
            "shape": list(self.shape),
            "fitted": self.fitted,
            "history": self.history,
        }


def fit_digest(recipe: GeneratorRecipe, train: LabeledImages, seed: int) -> str:
    """Return the digest of a fit: recipe, seed, training pictures with their labels."""
    pictures = [content.decode() for content in train.origin.content.tolist()]
    return digest_of([recipe.describe(), seed, pictures, train.labels.tolist()])


def check_train(recipe: GeneratorRecipe, train: LabeledImages, val: LabeledImages | None) -> None:
    """Raise where a generator must not be fitted on these parts."""
    if len(train) == 0:
        raise DataError("the generator's training part is empty")
    require_real(train, "the generator's training part")
    if val is not None:
        require_real(val, "the generator's validation part")
        if train.class_names != val.class_names or train.pixels.shape[1:] != val.pixels.shape[1:]:
            raise DataError("the generator's training and validation parts differ in their classes, size or channels")
    size = train.pixels.shape[-1]
    if recipe.view is not None and recipe.view.size != size:
        raise DataError(f"the training part is {size} px, the generator's view {recipe.view.size} px")


def from_card(kind: type[GeneratorRecipe], card: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return the fields of `Generator` from its JSON card."""
    return {
        "recipe": recipe_from(kind, card["recipe"], str(folder)),
        "class_names": tuple(card["class_names"]),
        "counts": tuple(card["counts"]),
        "shape": tuple(card["shape"]),
        "fitted": card["fitted"],
        "history": card["history"],
    }
