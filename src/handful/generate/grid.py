"""S0's search for an autoencoder: plain and denoising, depths, losses and optimizers, chosen on validation."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from itertools import product
from pathlib import Path
from typing import Any, Literal

import numpy as np

from handful.config import digest_of
from handful.data.images import LabeledImages
from handful.errors import ConfigError, HandfulError, StoreError
from handful.generate.autoencoder import Autoencoder
from handful.generate.neural import ALL
from handful.nn.train import How

Rule = Literal["val_mse", "val_loss"]
NUMBERS = ("val_loss", "val_mse", "train_loss")


@dataclass(frozen=True)
class GridRow:
    """One recipe of the grid and what it reached.

    Args:
        recipe: as it was trained.
        val_loss: its own loss on validation, a mean over its networks, at the last look, or at the best one where it
            keeps the best weights; comparable between recipes of one loss and one noise.
        val_mse: mean squared error of the rebuilt clean validation pictures, pixels in [0, 1]: comparable between all.
        train_loss: mean training loss before the last look.
        steps: optimizer steps taken.
        failed: why there are no numbers (they are NaN then); empty: it was trained.
    """

    recipe: Autoencoder
    val_loss: float
    val_mse: float
    train_loss: float
    steps: int
    failed: str = ""


@dataclass(frozen=True)
class GridResult:
    """Every row of a grid in its order, and the recipe it chose.

    Args:
        rows: one per recipe.
        chosen_by: the column with the lowest value in `best`.
    """

    rows: tuple[GridRow, ...]
    chosen_by: Rule

    @property
    def best(self) -> Autoencoder:
        return min((row for row in self.rows if not row.failed), key=lambda row: _value(row, self.chosen_by)).recipe

    def to_json(self) -> dict[str, Any]:
        """Return JSON values; what is missing in a failed row is None."""
        rows = [{name: _plain(value) for name, value in _fields(row).items()} for row in self.rows]
        return {"chosen_by": self.chosen_by, "best": self.best.to_json(), "rows": rows}

    def table(self) -> str:
        """Return the rows as a Markdown table, the lowest `chosen_by` first."""
        lines = [
            "| noise | depth | loss | optimizer | validation loss | validation MSE | training loss |",
            "|---|---|---|---|---|---|---|",
        ]
        for row in sorted(self.rows, key=lambda row: (bool(row.failed), _value(row, self.chosen_by))):
            recipe = row.recipe
            shown = (f"{value:.5f}" for value in (row.val_loss, row.val_mse, row.train_loss))
            numbers = " | ".join(["failed", "", ""] if row.failed else shown)
            lines.append(
                f"| {recipe.denoising:g} | {recipe.form['depth']} | {recipe.reconstruction} | "
                f"{recipe.training.optimizer} | {numbers} |"
            )
        return "\n".join(lines)


def autoencoder_grid(
    train: LabeledImages,
    val: LabeledImages,
    *,
    seed: int,
    start: Autoencoder | None = None,
    denoising: Sequence[float] = (0.0, 0.1),
    depths: Sequence[int] = (2, 3),
    losses: Sequence[Literal["mse", "l1", "bce"]] = ("mse", "l1"),
    optimizers: Sequence[Literal["adam", "adamw", "sgd"]] = ("adam", "sgd"),
    sgd_lr: float = 0.5,
    chosen_by: Rule = "val_mse",
    folder: Path | None = None,
    how: How | None = None,
) -> GridResult:
    """Return every combination trained with the same seed and budget, and the best on validation.

    S0 chose by the lowest validation loss, `val_loss`. That compares losses in different units: of two networks that
    rebuild alike, one trained on MSE has a far lower loss than one trained on L1, because |e| < 1 makes e^2 < |e|. The
    default therefore rebuilds the clean validation pictures and compares one and the same error.

    Args:
        train: real pictures.
        val: real pictures, at least one.
        seed: of every fit.
        start: what the recipes have in common; its own noise, depth, loss and optimizer are replaced. None: the
            default, told the class.
        denoising: standard deviations of the added noise; 0 is a plain autoencoder.
        depths: numbers of halvings.
        losses, optimizers: see `Autoencoder` and `Training`.
        sgd_lr: learning rate of sgd, which needs a larger one than adam; the others have that of `start`.
        chosen_by: what the best one is lowest in.
        folder: finished rows are kept here and not trained again.
        how: device, checkpoint, progress over the whole grid.

    Raises:
        ConfigError: an empty axis, or values that no recipe can have, all at once.
        HandfulError: every row failed; says why the first one did. One that fails alone is in the table.
        StoreError: a file in the folder is not one of these rows.
    """
    recipes = grid_recipes(
        start or Autoencoder(),
        denoising=denoising,
        depths=depths,
        losses=losses,
        optimizers=optimizers,
        sgd_lr=sgd_lr,
    )
    if len(val) == 0:
        raise ConfigError("the grid chooses on validation: give at least one validation picture")
    rows = []
    for place, recipe in enumerate(recipes):
        rows.append(_row(recipe, train, val, seed, folder, _share(how or How(), place, len(recipes))))
    if all(row.failed for row in rows):
        raise HandfulError(f"none of the {len(rows)} autoencoders of the grid could be trained: {rows[0].failed}")
    return GridResult(tuple(rows), chosen_by)


def grid_recipes(
    start: Autoencoder,
    *,
    denoising: Sequence[float] = (0.0, 0.1),
    depths: Sequence[int] = (2, 3),
    losses: Sequence[Any] = ("mse", "l1"),
    optimizers: Sequence[Any] = ("adam", "sgd"),
    sgd_lr: float = 0.5,
) -> list[Autoencoder]:
    """Return every combination as a recipe; arguments and errors are those of `autoencoder_grid`."""
    axes = {"denoising": denoising, "depths": depths, "losses": losses, "optimizers": optimizers}
    faults = [f"the axis {name!r} of the grid is empty" for name, values in axes.items() if not len(values)]
    recipes = []
    for noise, depth, loss, optimizer in product(*axes.values()):
        try:
            lr = sgd_lr if optimizer == "sgd" else start.training.lr
            training = start.training.changed(optimizer=optimizer, lr=lr)
            given = {"denoising": float(noise), "depth": depth, "reconstruction": loss}
            recipes.append(start.changed(**given, training=training))
        except ConfigError as error:
            faults += error.faults
    if faults:
        raise ConfigError(*dict.fromkeys(faults))
    return recipes


def _row(
    recipe: Autoencoder, train: LabeledImages, val: LabeledImages, seed: int, folder: Path | None, how: How
) -> GridRow:
    pictures = [[content.decode() for content in part.origin.content.tolist()] for part in (train, val)]
    key = digest_of([recipe.describe(), seed, pictures, train.labels.tolist(), val.labels.tolist()])
    path = None if folder is None else folder / f"{key}.json"
    if path is not None and path.exists():
        return _read(path, recipe)
    try:
        row = _trained(recipe, train, val, seed, how)
    except HandfulError as error:
        if type(error) is not HandfulError:  # what was given is at fault, not this recipe's training
            raise
        row = GridRow(recipe, math.nan, math.nan, math.nan, 0, failed=str(error))
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(f"{path.name}.{os.getpid()}.part")
        kept = {name: _plain(value) for name, value in _fields(row).items()}
        aside.write_text(json.dumps(kept, indent=1), encoding="utf-8")
        os.replace(aside, path)
    return row


def _trained(recipe: Autoencoder, train: LabeledImages, val: LabeledImages, seed: int, how: How) -> GridRow:
    generator = recipe.fit(train, val, seed=seed, how=how)
    rebuilt = generator.rebuild(val, device=how.device).astype(np.float64)
    losses, trained = [], []
    tuned = {name: one for name, one in generator.history.items() if recipe.scope != "specialised" or name != ALL}
    for history in tuned.values():
        best = recipe.training.keeps_best and history["best_step"]
        look = history["steps"].index(history["best_step"]) if best else -1
        if "loss" in history["values"][look]:
            losses.append(history["values"][look]["loss"])
        trained.append(history["train_loss"][-1]["autoencoder"])
    return GridRow(
        recipe=recipe,
        val_loss=float(np.mean(losses)),
        val_mse=float(((rebuilt - val.pixels) ** 2).mean() / 255**2),
        train_loss=float(np.mean(trained)),
        steps=sum(history["steps_done"] for history in generator.history.values()),
    )


def _read(path: Path, recipe: Autoencoder) -> GridRow:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if found.pop("recipe") != recipe.to_json():
            raise ValueError("another recipe")
        val_loss, val_mse, train_loss = (math.nan if found[name] is None else float(found[name]) for name in NUMBERS)
        return GridRow(recipe, val_loss, val_mse, train_loss, int(found["steps"]), str(found["failed"]))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(f"{path}: not a row of this grid ({error}); delete it") from None


def _share(how: How, place: int, num: int) -> How:
    """The same for one of several fits: a checkpoint of its own, progress over all of them."""
    own = how.part(f"grid{place}")
    if how.progress is None:
        return own
    told: Callable[[int, int], None] = how.progress
    return replace(own, progress=lambda done, steps: told(place * steps + done, num * steps))


def _fields(row: GridRow) -> dict[str, Any]:
    own = {field.name: getattr(row, field.name) for field in fields(row)}
    return {**own, "recipe": row.recipe.to_json()}


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _value(row: GridRow, rule: Rule) -> float:
    return row.val_mse if rule == "val_mse" else row.val_loss
