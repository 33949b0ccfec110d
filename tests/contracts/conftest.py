"""What the contract suites share: streams that must stay, recipes one field apart, and fitted classifiers."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import numpy as np
import pytest
import torch

from handful.classify.contract import Classifier, ClassifierRecipe
from handful.classify.table import load_classifier
from handful.config import Recipe
from handful.data.images import LabeledImages, View
from handful.errors import ConfigError


@pytest.fixture(scope="session")
def untouched() -> Callable[[], AbstractContextManager[None]]:
    """A block that must leave the global streams of torch, NumPy and Python where they are."""

    @contextmanager
    def check() -> Iterator[None]:
        before = torch.get_rng_state(), np.random.get_state(), random.getstate()
        yield
        assert torch.equal(torch.get_rng_state(), before[0])
        assert all(np.array_equal(now, then) for now, then in zip(np.random.get_state(), before[1], strict=True))
        assert random.getstate() == before[2]

    return check


def others(value: Any) -> Iterator[Any]:
    """Values that a field holding `value` might hold as well."""
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, int):
        yield from (value + 1, value - 1, value + 2, value * 2)
    elif isinstance(value, float):
        yield from (value / 2, value + 0.125)
    elif value == ():
        yield from (((0, 5),), (("a", "b", "half turn"),))
    elif isinstance(value, tuple):
        for place, item in enumerate(value):
            yield from ((*value[:place], other, *value[place + 1 :]) for other in others(item))
    elif isinstance(value, Recipe):
        yield from (changed for name in type(value).model_fields for changed in changes(value, name))
        yield "v2"  # a recipe of a table may have no field but its kind
    elif value is None:
        yield from (1, 0.25, View(size=9), {"rotation": 3.0}, {"mixup": 0.2})
    elif isinstance(value, str):
        yield from ("v2", "oversample")


def words(annotation: Any) -> list[Any]:
    """Every value of a Literal in an annotation, at any depth."""
    args = get_args(annotation)
    return list(args) if get_origin(annotation) is Literal else [word for arg in args for word in words(arg)]


def changes(recipe: Recipe, name: str) -> list[Recipe]:
    """Valid recipes that differ from this one in one field; none where the field can hold one value only."""
    found = []
    for value in [*words(type(recipe).model_fields[name].annotation), *others(getattr(recipe, name))]:
        if value == getattr(recipe, name):
            continue
        try:
            found.append(recipe.changed(**{name: value}))
        except ConfigError:
            continue
    return found


@pytest.fixture(scope="session")
def one_field_changed() -> Callable[[Recipe], dict[str, list[Recipe]]]:
    """one_field_changed(recipe): by field, valid recipes that differ in that field alone, at any depth."""

    def by_field(recipe: Recipe) -> dict[str, list[Recipe]]:
        return {name: changes(recipe, name) for name in type(recipe).model_fields}

    return by_field


@pytest.fixture(scope="module")
def train(digits: Callable[..., LabeledImages]) -> LabeledImages:
    """The training part of the suites of classifiers, unequal; generators have parts of their own."""
    return digits(0, (24, 12, 8, 4))


@pytest.fixture(scope="module")
def val(digits: Callable[..., LabeledImages]) -> LabeledImages:
    return digits(30, (5, 5, 5, 5))


@pytest.fixture(scope="module")
def test(digits: Callable[..., LabeledImages]) -> LabeledImages:
    return digits(60, (10, 10, 10, 10))


@pytest.fixture(scope="module")
def fitted(train: LabeledImages, val: LabeledImages) -> Callable[..., Classifier]:
    """fitted(recipe, seed, order): the classifier of a recipe, fitted once in a module."""
    return functools.cache(lambda recipe, seed=0, order=None: recipe.fit(train, val, seed=seed, order_seed=order))


@pytest.fixture(params=["fresh", "loaded"])
def classifier(
    request: pytest.FixtureRequest, recipe: ClassifierRecipe, fitted: Callable[..., Classifier], tmp_path: Path
) -> Classifier:
    """The classifier of a recipe as it was fitted, and as it comes back from disk."""
    if request.param == "fresh":
        return fitted(recipe)
    fitted(recipe).save(tmp_path)
    return load_classifier(tmp_path)
