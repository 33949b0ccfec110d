"""Arms: treatments, each the study's shared classifier with one thing changed."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SerializeAsAny, model_validator

from handful.classify.contract import ClassifierRecipe
from handful.classify.pretrain import SimCLR
from handful.classify.table import CLASSIFIERS
from handful.config import Recipe, choose, recipe_from
from handful.data.augment import Augmentation
from handful.data.balance import AnyBalance, Balance, Composition
from handful.data.mirrored import MirrorPair
from handful.data.mix import NAMED, Mix
from handful.errors import ConfigError, unknown
from handful.generate.contract import GeneratorRecipe
from handful.generate.interpolate import Interpolation
from handful.generate.select import GATES, SELECTORS, KeepAll, in_turn
from handful.generate.selection import Selection
from handful.generate.table import GENERATORS
from handful.generate.vae import VAE
from handful.nn.network import DropoutRates

AnyClassifier = Annotated[
    ClassifierRecipe, BeforeValidator(lambda given: choose(CLASSIFIERS, given, "classifier")), SerializeAsAny()
]
AnyGenerator = Annotated[
    GeneratorRecipe, BeforeValidator(lambda given: choose(GENERATORS, given, "generator")), SerializeAsAny()
]
Pretraining = GeneratorRecipe | SimCLR
PRETRAININGS: dict[str, type[Pretraining]] = {
    **{kind: family for kind, family in GENERATORS.items() if family.encodes},
    "simclr": SimCLR,
}


def _read_pretraining(given: Any) -> Pretraining:
    made: Pretraining = choose(PRETRAININGS, given, "pretraining")
    return made


AnyPretraining = Annotated[Pretraining, BeforeValidator(_read_pretraining), SerializeAsAny()]
AnySelection = Annotated[
    Selection, BeforeValidator(lambda given: choose(SELECTORS, given, "selection")), SerializeAsAny()
]
AnyGate = Annotated[Selection, BeforeValidator(lambda given: choose(GATES, given, "gate")), SerializeAsAny()]
Count = Annotated[int, Field(ge=1)]


class Arm(Recipe):
    """One treatment. What is None is the study's own.

    Args:
        name: how the arm is called in tables; any text without commas.
        balance: how the loss and the batches weigh the classes: a name of BALANCES or a `Balance`.
        augment: classical augmentation of every training batch; a recipe or the name of a preset. Where `enlarge` is
            given, or an amount without a generator, it makes copies once, before training, instead.
        mix: mixup or cutmix of every training batch.
        mirror_pairs: pairs of classes that lend each other mirrored pictures, see `ClassifierRecipe`; `found`: those
            that the training pictures show to be surely such (`handful.study.advice.flips_and_pairs`), filled in when
            the study is planned.
        generator: family that makes synthetic pictures.
        gate: what keeps single pictures out before the selection: `copies`, a `RejectCopies`, or `none`; None: near
            copies of training pictures are turned away, except in a protocol that studies flaws.
        selection: which of those that the gate lets pass are used.
        fill_to: every class is filled to this many training pictures, or to the `largest` class (the default with a
            generator). A class with more keeps them all. Without a generator, `augment` makes them as copies.
        add: this many synthetic pictures for every class, instead of `fill_to`.
        fill_level: part of the way to the largest class, in [0, 1], instead of `fill_to`.
        cap: a class keeps at most this many real pictures, or as many as the `smallest` has: the only option that
            leaves real pictures out. Amounts count from what is kept; a generator is still fitted to all of them.
        enlarge: this many augmented copies of every real training picture, made once.
        enlarge_synthetic: with `enlarge`, also of every synthetic picture.
        real: False trains on the synthetic pictures alone; by default as many of each class as it has real ones.
        pretrain: the classifier starts from the encoder of a generator fitted to the same training part: `autoencoder`,
            `vae`, or a recipe of one, whose encoder then is the classifier's network (see `handful.nn.encoders`). Or
            from its own network after contrastive training without labels: `simclr`, or a `SimCLR`.
        control: with `pretrain`, an arm `NAME random-encoder` is added: the same classifier from random weights; after
            `simclr` from what its network starts with, which is called `NAME without-pretraining` where these are
            weights that were fitted before. Not where an arm of the study is that already.
        dropout: one rate for all dropout layers of the classifier, or (first, last), a linear ramp over them; with
            `pretrain`, after inheriting.
        classifier: a classifier of its own instead of the study's.
        recommended: its classifier is the complete recipe that `handful.classify.recommend` recommends for the
            pictures, augmentation included; filled in as `classifier` when the study is planned.
        judged_by: `classifier`, or `reconstruction` for an arm without one: the mean squared error with which its
            generator rebuilds the test pictures.
    """

    name: Annotated[str, Field(min_length=1, pattern=r"^[^,\s][^,]*$")]
    balance: AnyBalance = None
    augment: Augmentation | None = None
    mix: Mix | None = None
    mirror_pairs: tuple[MirrorPair, ...] | Literal["found"] | None = None
    generator: AnyGenerator | None = None
    gate: AnyGate | None = None
    selection: AnySelection = KeepAll()
    fill_to: Count | Literal["largest"] | None = None
    add: Count | None = None
    fill_level: Annotated[float, Field(ge=0, le=1)] | None = None
    cap: Count | Literal["smallest"] | None = None
    enlarge: Count | None = None
    enlarge_synthetic: bool = False
    real: bool = True
    pretrain: AnyPretraining | None = None
    control: bool = True
    dropout: DropoutRates | None = None
    classifier: AnyClassifier | None = None
    recommended: bool = False
    judged_by: Literal["classifier", "reconstruction"] = "classifier"

    def __init__(self, name: str | None = None, /, **fields: Any) -> None:
        super().__init__(**({**fields, "name": name} if name is not None else fields))

    @model_validator(mode="after")
    def _fits_together(self) -> Arm:
        faults = []
        rules = [name for name in ("fill_to", "add", "fill_level") if getattr(self, name) is not None]
        makes = "a generator, or augment to make copies with" if rules else "a generator"
        needs = [
            field
            for field, used in (
                *((rule, self.augment is None) for rule in rules),
                ("real=False", not self.real),
                ("selection", "selection" in self.model_fields_set and not isinstance(self.selection, KeepAll)),
                ("gate", self.gate is not None),
                ("judged_by='reconstruction'", self.judged_by == "reconstruction"),
            )
            if used and self.generator is None
        ]
        if needs:
            faults.append(f"{', '.join(needs)} needs {makes if set(needs) <= set(rules) else 'a generator'}")
        if len(rules) > 1:
            faults.append(f"{' and '.join(rules)} are {len(rules)} rules for one amount; give one")
        if self.recommended and self.classifier is not None:
            faults.append("recommended and classifier both say which classifier; leave one of the two")
        if self.enlarge is not None and self.augment is None:
            faults.append("enlarge makes copies by augmentation; give augment, such as augment='s1'")
        if self.enlarge_synthetic and (self.enlarge is None or not (self.generator or rules)):
            faults.append("enlarge_synthetic needs enlarge and synthetic pictures")
        if not self.real and self.enlarge is not None and not self.enlarge_synthetic:
            faults.append("enlarge copies real pictures, and real=False leaves none; give enlarge_synthetic=True")
        if not self.real and self.cap is not None and not rules:
            faults.append("cap limits real pictures, and real=False leaves none")
        if self.pretrain is None and not self.control:
            faults.append("control=False leaves the random encoder out, and there is no pretrain")
        if self.judged_by == "reconstruction" and (self.pretrain is not None or self.dropout is not None):
            faults.append("judged_by='reconstruction' has no classifier; leave pretrain and dropout out")
        if isinstance(self.pretrain, GeneratorRecipe):
            try:
                _ = self.pretrain.encoder
            except ConfigError as error:
                faults += [f"pretrain: {fault}" for fault in error.faults]
        if faults:
            raise ConfigError(*(f"arm {self.name!r}: {fault}" for fault in faults))
        return self

    def changed(self, **fields: Any) -> Arm:
        own = {name: getattr(self, name) for name in self.model_fields_set}
        return Arm(**{**own, **fields})

    @property
    def amount(self) -> dict[str, int | float | str]:
        """The rule for how many synthetic pictures a class gets, see `handful.data.balance.amounts`."""
        if self.add is not None:
            return {"add": self.add}
        if not self.real and self.fill_to is None and self.fill_level is None:
            return {"replace": 1}
        return {"fill_to": self.fill_to or "largest"} if self.fill_level is None else {"fill_level": self.fill_level}

    @property
    def copies(self) -> bool:
        """Whether augmented copies fill the classes, for want of a generator."""
        rules = (self.fill_to, self.add, self.fill_level)
        return self.generator is None and any(rule is not None for rule in rules)

    @property
    def augments_once(self) -> bool:
        """Whether `augment` makes copies before training instead of changing every batch."""
        return self.copies or self.enlarge is not None

    @property
    def composition(self) -> Composition:
        """What the training part is made of."""
        return Composition(
            cap=self.cap,
            amount=self.amount if self.generator is not None or self.copies else None,
            real=self.real,
            enlarge=self.enlarge or 0,
            enlarge_synthetic=self.enlarge_synthetic,
        )


ARMS: dict[str, Arm] = {
    arm.name: arm
    for arm in (
        Arm("baseline"),
        Arm("class-weights", balance="class-weights"),
        Arm("oversample", balance="oversample"),
        Arm("augment", augment=Augmentation()),
        Arm("interpolate", generator=Interpolation()),
        Arm("vae", generator=VAE()),
        Arm("default", recommended=True),
        Arm("effective-number", balance="effective-number"),
        Arm("focal", balance="focal"),
        Arm("logit-adjusted", balance="logit-adjusted"),
        Arm("oversample-half", balance=Balance(level=0.5)),
        Arm("undersample", cap="smallest"),
        Arm("augment-light", augment=Augmentation.preset("light")),
        Arm("augment-strong", augment=Augmentation.preset("strong")),
        Arm("rand-augment", augment=Augmentation.preset("randaugment")),
        Arm("trivial-augment", augment=Augmentation.preset("trivialaugment")),
        Arm("crop", augment=Augmentation.preset("crop")),
        Arm("cutout", augment=Augmentation.preset("cutout")),
        *(Arm(name, mix=Mix(**{name: alpha})) for name, alpha in NAMED.items()),
        Arm("mirror", mirror_pairs="found"),
        Arm("fill-copies", augment=Augmentation(), fill_to="largest"),
        Arm("enlarge", augment=Augmentation(), enlarge=3),
        *(
            Arm(kind, generator=choose(GENERATORS, kind, "generator"))
            for kind in GENERATORS
            if kind not in ("interpolate", "vae")
        ),
        Arm("autoencoder-encoder", pretrain="autoencoder"),
        Arm("vae-encoder", pretrain="vae"),
        Arm("simclr", pretrain="simclr"),
    )
}
# `mirror` joins them where classes are found that mirror each other
DEFAULT_ARMS = ("baseline", "class-weights", "oversample", "augment", "interpolate", "vae", "default")


SELECTIONS: dict[str, Selection] = {
    kind: choose(SELECTORS, kind, "selection") for kind in SELECTORS if kind not in ("none", "chain")
}
UNGATED = "ungated"
ALONE = "synthetic-only"


def arm_named(name: str) -> Arm:
    """Return an arm of the table, or the composition of several: `augment+vae` has what both change.

    The name of a selection chooses among the pictures of a generator, two or more of them one after another
    (`vae+confidence+ssim`), `ungated` lets near copies of training pictures pass, and `synthetic-only`
    leaves the real ones out: its score is what the synthetic pictures alone are worth (CAS, Ravuri and Vinyals 2019).

    Raises:
        ConfigError: a name that is not in the table, or two parts that change the same thing.
    """
    parts = [part.strip() for part in name.split("+")]
    allowed = [*ARMS, *SELECTIONS, UNGATED, ALONE]
    faults = [unknown("arm", part, allowed) for part in parts if part not in allowed]
    if faults:
        raise ConfigError(*faults)
    fields: dict[str, Any] = {}
    for part in parts:
        if part not in ARMS:
            continue
        own = {field: getattr(ARMS[part], field) for field in ARMS[part].model_fields_set - {"name"}}
        if both := sorted(set(own) & set(fields)):
            raise ConfigError(f"arm {name!r}: two of its parts set {', '.join(both)}")
        fields |= own
    if steps := tuple(SELECTIONS[part] for part in parts if part in SELECTIONS):
        fields["selection"] = in_turn(steps)
    if UNGATED in parts:
        fields["gate"] = "none"
    if ALONE in parts:
        fields["real"] = False
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
