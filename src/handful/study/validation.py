"""What in a study cannot do without a validation part, asked where there is none."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from handful.config import Recipe
from handful.data.split import Split
from handful.errors import ConfigError
from handful.nn.train import Training
from handful.study.study import ResolvedStudy


def require_validation(study: ResolvedStudy, splits: Iterable[Split]) -> None:
    """Raise where a recipe needs a validation part and a split has none.

    Raises:
        ConfigError: a line per setting that needs validation, with its arms and what to set instead.
    """
    if all(len(split.val) for split in splits):
        return
    arms: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for arm in study.arms:
        recipes: dict[str, Recipe] = {"generator": study.generator_of(arm)} if arm.generator is not None else {}
        if arm.pretrain is not None:
            recipes["pretrain"] = study.pretraining_of(arm)
        if arm.judged_by == "classifier":
            recipes["classifier"] = study.classifier_of(arm)
        for role, recipe in recipes.items():
            for path, training in trainings_in(recipe):
                for name, found, instead in training.validates:
                    remedy = "leave it out" if instead is None else f"set it to {instead!r}"
                    arms[f"{role}.{path}.{name}", repr(found), remedy].append(repr(arm.name))
    faults = [
        f"{name} is {found} in {', '.join(names)}, and there is no validation part to choose by; {remedy}, drop these "
        "arms, or draw a validation part (val_fraction)"
        for (name, found, remedy), names in arms.items()
    ]
    if faults:
        raise ConfigError(*faults)


def trainings_in(recipe: Any, path: str = "") -> Iterator[tuple[str, Training]]:
    """Yield (path of fields, recipe) of every `Training` inside a recipe."""
    if isinstance(recipe, Training):
        yield path, recipe
    elif isinstance(recipe, Recipe):
        for name in type(recipe).model_fields:
            yield from trainings_in(getattr(recipe, name), f"{path}.{name}" if path else name)
    elif isinstance(recipe, tuple | list):
        for place, one in enumerate(recipe):
            yield from trainings_in(one, f"{path}.{place}")
