"""Arms: treatments, each the study's shared classifier with one thing changed."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SerializeAsAny, model_validator

from handful.classify.contract import ClassifierRecipe
from handful.classify.table import CLASSIFIERS
from handful.config import Recipe, choose, recipe_from
from handful.data.augment import Augmentation
from handful.errors import ConfigError, unknown
from handful.generate.contract import GeneratorRecipe
from handful.generate.interpolate import Interpolation
from handful.generate.select import SELECTORS, KeepAll, Selection
from handful.generate.table import GENERATORS
from handful.generate.vae import VAE

AnyClassifier = Annotated[
    ClassifierRecipe, BeforeValidator(lambda given: choose(CLASSIFIERS, given, "classifier")), SerializeAsAny()
]
AnyGenerator = Annotated[
    GeneratorRecipe, BeforeValidator(lambda given: choose(GENERATORS, given, "generator")), SerializeAsAny()
]
AnySelection = Annotated[
    Selection, BeforeValidator(lambda given: choose(SELECTORS, given, "selection")), SerializeAsAny()
]
Count = Annotated[int, Field(ge=1)]


class Arm(Recipe):
    """One treatment. What is None is the study's own.

    Args:
        name: how the arm is called in tables; any text without commas.
        balance: class weights or class-balanced batches.
        augment: classical augmentation of every training batch.
        generator: family that makes synthetic pictures.
        selection: which of them are used.
        fill_to: every class is filled to this many training pictures, or to the `largest` class (the default with a
            generator). A class with more keeps them all.
        add: this many synthetic pictures for every class, instead of `fill_to`.
        real: False trains on the synthetic pictures alone.
        classifier: a classifier of its own instead of the study's.
        judged_by: `classifier`, or `reconstruction` for an arm without one: the mean squared error with which its
            generator rebuilds the test pictures.
    """

    name: Annotated[str, Field(min_length=1, pattern=r"^[^,\s][^,]*$")]
    balance: Literal["class-weights", "oversample"] | None = None
    augment: Augmentation | None = None
    generator: AnyGenerator | None = None
    selection: AnySelection = KeepAll()
    fill_to: Count | Literal["largest"] | None = None
    add: Count | None = None
    real: bool = True
    classifier: AnyClassifier | None = None
    judged_by: Literal["classifier", "reconstruction"] = "classifier"

    def __init__(self, name: str | None = None, /, **fields: Any) -> None:
        super().__init__(**({**fields, "name": name} if name is not None else fields))

    @model_validator(mode="after")
    def _fits_together(self) -> Arm:
        needs = [
            field
            for field, used in (
                ("fill_to", self.fill_to is not None),
                ("add", self.add is not None),
                ("real=False", not self.real),
                ("selection", "selection" in self.model_fields_set and not isinstance(self.selection, KeepAll)),
                ("judged_by='reconstruction'", self.judged_by == "reconstruction"),
            )
            if used and self.generator is None
        ]
        if needs:
            raise ValueError(f"arm {self.name!r}: {', '.join(needs)} needs a generator")
        if self.fill_to is not None and self.add is not None:
            raise ValueError(f"arm {self.name!r}: fill_to and add are two rules for one amount; give one")
        return self

    def changed(self, **fields: Any) -> Arm:
        own = {name: getattr(self, name) for name in self.model_fields_set}
        return Arm(**{**own, **fields})

    @property
    def amount(self) -> dict[str, int | str]:
        """The rule for how many synthetic pictures a class gets: {"add": n} or {"fill_to": n or "largest"}."""
        return {"add": self.add} if self.add is not None else {"fill_to": self.fill_to or "largest"}


ARMS: dict[str, Arm] = {
    arm.name: arm
    for arm in (
        Arm("baseline"),
        Arm("class-weights", balance="class-weights"),
        Arm("oversample", balance="oversample"),
        Arm("augment", augment=Augmentation()),
        Arm("interpolate", generator=Interpolation()),
        Arm("vae", generator=VAE()),
    )
}
DEFAULT_ARMS = tuple(ARMS)


def arm_named(name: str) -> Arm:
    """Return an arm of the table, or the composition of several: `augment+vae` has what both change.

    Raises:
        ConfigError: a name that is not in the table, or two parts that change the same thing.
    """
    parts = [part.strip() for part in name.split("+")]
    faults = [unknown("arm", part, ARMS) for part in parts if part not in ARMS]
    if faults:
        raise ConfigError(*faults)
    fields: dict[str, Any] = {}
    for part in parts:
        own = {field: getattr(ARMS[part], field) for field in ARMS[part].model_fields_set - {"name"}}
        if both := sorted(set(own) & set(fields)):
            raise ConfigError(f"arm {name!r}: two of its parts set {', '.join(both)}")
        fields |= own
    return Arm("+".join(parts), **fields)


def read_arm(given: Any) -> Arm:
    """Return an arm from a name, a recipe, or a table of fields; a table's `from` names an arm to start from."""
    if isinstance(given, Arm):
        return given
    if isinstance(given, str):
        return arm_named(given)
    if isinstance(given, dict) and "from" in given:
        start = arm_named(str(given["from"]))
        rest = {key: value for key, value in given.items() if key != "from"}
        own = {field: getattr(start, field) for field in start.model_fields_set}
        return recipe_from(Arm, {**own, **rest}, where=f"arm {rest.get('name', start.name)!r}")
    where = f"arm {given['name']!r}" if isinstance(given, dict) and "name" in given else "arm"
    return recipe_from(Arm, given, where=where)
