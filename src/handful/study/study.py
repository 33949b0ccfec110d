"""A study: a source, a protocol and arms. A Python function returns one, or a TOML file holds the same."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, get_args

from pydantic import BeforeValidator, Field, field_validator

from handful.classify.cnn import CNN
from handful.classify.contract import ClassifierRecipe
from handful.classify.recommend import Recommendation, fitting_size, for_steps
from handful.config import Recipe, read_toml, recipe_from
from handful.data.files import shown
from handful.data.images import ResizePolicy, View
from handful.data.source import Source
from handful.data.split import Split
from handful.errors import ConfigError, unknown
from handful.generate.contract import GeneratorRecipe
from handful.generate.select import KeepAll
from handful.generate.select_copies import RejectCopies
from handful.generate.selection import Selection
from handful.measure.extractors import extractor_of
from handful.nn.train import Training
from handful.scores import scores_for
from handful.study.advice import advice_for, likely_size
from handful.study.arms import DEFAULT_ARMS, AnyClassifier, Arm, Pretraining, arm_named, read_arm
from handful.study.goals import Goal
from handful.study.inheriting import changes_of, pinned, with_controls
from handful.study.measured import default_extractor
from handful.study.protocol import DEFAULT_REPEATS, Protocol, Score


def _read_arms(given: Any) -> tuple[Arm, ...]:
    """Every arm of a list is read before any fault is raised, so that all faults come at once."""
    if isinstance(given, str):
        given = [part for part in given.split(",") if part.strip()]
    if not isinstance(given, list | tuple):
        raise ConfigError(f"expected a list of arms, got {given!r}")
    arms: list[Arm] = []
    faults: list[str] = []
    for one in given:
        try:
            arms.append(read_arm(one))
        except ConfigError as error:
            faults += error.faults
    if faults:
        raise ConfigError(*faults)
    return tuple(arms)


class Study(Recipe):
    """What is compared on which pictures.

    Args:
        source: a folder, archive, array file or name (see `handful.data.source.open_source`), arrays, or a `Source`.
        arms: names of the table, `Arm` recipes, or tables of fields; None: the default set.
        protocol: split, repeats, seed, score, margin, reference, flaws.
        classifier: the recipe that all arms share; None: what `handful.classify.recommend` recommends for the pictures,
            without its augmentation, which is a treatment; the arm `default` is the whole of it.
        steps: changes the optimizer steps of the classifier.
        image_size, resize: change the classifier's view.
        axes: `{"ARM.FIELD": (values, ...)}` makes an arm for each value, e.g. `{"vae.add": (50, 100, 500)}`.
        skip_unreadable: leave out files that cannot be read, instead of stopping.
        regions: a CSV of boxes (see `handful.data.regions.read_boxes`); of each picture with one, only its box is used.
        splits_from: a file of splits (see `handful.data.split_file`) that are used instead of drawing them; repeats
            that are left open are as many as it holds.
        measures: the extractor that synthetic pictures are measured with, see `handful.measure.extractors`, or `none`;
            None: `lite0` where its weights are at hand, else `pixels`. It changes no other number. The pictures of
            the first repeat are also drawn in one plane by its features.
        mistakes: of the first repeat of each arm, the most confident ones on test that the report shows, with where
            the network looked and the training pictures most like them; 0: none. A few seconds an arm.
        goals: what a class is to reach, `{"stop": {"recall": 0.9}}`; told of every arm, and nothing else changes.
    """

    source: Annotated[Any, Field(exclude=True)]
    arms: Annotated[tuple[Arm, ...], BeforeValidator(_read_arms)] | None = None
    protocol: Protocol = Protocol()
    classifier: AnyClassifier | None = None
    steps: Annotated[int, Field(ge=1)] | None = None
    image_size: Annotated[int, Field(ge=4, le=1024)] | None = None
    resize: ResizePolicy | None = None
    axes: dict[str, tuple[Any, ...]] = Field(default={})
    skip_unreadable: Annotated[bool, Field(exclude=True)] = False
    regions: Annotated[str | Path | None, Field(exclude=True)] = None
    splits_from: Annotated[str | Path | None, Field(exclude=True)] = None
    measures: str | None = None
    mistakes: Annotated[int, Field(ge=0, le=100)] = 12
    goals: dict[str, Goal] = Field(default={}, exclude=True)

    def __init__(self, source: Any = None, /, **fields: Any) -> None:
        super().__init__(**({**fields, "source": source} if source is not None else fields))

    @field_validator("measures")
    @classmethod
    def _is_an_extractor(cls, name: str | None) -> str | None:
        if name not in (None, "none"):
            try:
                extractor_of(name)
            except ConfigError as error:
                raise ConfigError(*(f"measures: {fault}; none measures nothing" for fault in error.faults)) from None
        return name

    @field_validator("axes", mode="before")
    @classmethod
    def _values_are_tuples(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        return {key: tuple(item) if isinstance(item, list) else item for key, item in given.items()}

    @field_validator("arms")
    @classmethod
    def _names_differ(cls, arms: tuple[Arm, ...] | None) -> tuple[Arm, ...] | None:
        names = [arm.name for arm in arms or ()]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"two arms are called {', '.join(twice)}; names must differ")
        if arms is not None and not arms:
            raise ValueError("no arms: a study needs at least one")
        return arms

    def changed(self, **fields: Any) -> Study:
        own = {name: getattr(self, name) for name in self.model_fields_set}
        return Study(**{**own, **fields})


class ResolvedStudy(Recipe):
    """A study with nothing left open; its digest names it in a store.

    Args:
        data: digest of the source's rows, after copies.
        arms: every arm with its own view, classifier and generator filled in.
        splits: digests of the splits that were given in a file; None where the protocol draws them.
        measures: extractor that synthetic pictures are measured with, or `none`.
        mistakes: how many of each arm are explained.
    """

    data: str
    channels: int
    protocol: Protocol
    classifier: AnyClassifier
    arms: tuple[Arm, ...]
    splits: tuple[str, ...] | None = None
    measures: str = "none"
    mistakes: int = 0

    def classifier_of(self, arm: Arm) -> ClassifierRecipe:
        """Return the classifier recipe of an arm: the study's own with the arm's change."""
        changes: dict[str, Any] = {}
        if arm.balance is not None:
            changes["balance"] = arm.balance
        if arm.augment is not None and not arm.augments_once:
            changes["augment"] = arm.augment
        if arm.mix is not None:
            changes["mix"] = arm.mix
        if arm.mirror_pairs is not None:
            changes["mirror_pairs"] = arm.mirror_pairs
        recipe = arm.classifier or self.classifier
        return recipe.changed(view=self.view(recipe.view), **changes, **changes_of(arm, recipe))

    def generator_of(self, arm: Arm) -> GeneratorRecipe:
        """Return the generator recipe of an arm, its view that of the study's classifier where it has none."""
        assert arm.generator is not None
        view = arm.generator.view or self.classifier.view
        return arm.generator.changed(view=self.view(view))

    def pretraining_of(self, arm: Arm) -> Pretraining:
        """Return what the classifier of an arm inherits from, in the classifier's view."""
        assert arm.pretrain is not None
        recipe = self.classifier_of(arm)
        if isinstance(arm.pretrain, GeneratorRecipe):
            return arm.pretrain.changed(view=recipe.view)
        own = (arm.classifier or self.classifier).dropout  # type: ignore[attr-defined]  # the arm's is for later
        dropout = own if arm.pretrain.dropout is None else arm.pretrain.dropout
        return arm.pretrain.changed(view=recipe.view, network=recipe.network, dropout=dropout)  # type: ignore[attr-defined]

    def gate_of(self, arm: Arm) -> Selection:
        """Return the gate of an arm; by default near copies are turned away, unless the protocol studies flaws."""
        return arm.gate or (KeepAll() if self.protocol.all_flaws else RejectCopies())

    @property
    def judge(self) -> ClassifierRecipe:
        """The classifier that tells class probabilities to a selection: the study's own, without any treatment."""
        return self.classifier.changed(view=self.view(self.classifier.view))

    def view(self, view: View) -> View:
        """Return a view with its channels resolved."""
        return view if view.channels else view.changed(channels=self.channels)

    def arm(self, name: str) -> Arm:
        for arm in self.arms:
            if arm.name == name:
                return arm
        raise ConfigError(unknown("arm", name, [arm.name for arm in self.arms]))


def resolve(
    study: Study, source: Source, splits: Sequence[Split] | None = None, advice: Recommendation | None = None
) -> ResolvedStudy:
    """Return the study with every default filled in for this source, and with the splits given in a file, if any.

    Args:
        advice: the recommended recipe, as `advice_for` returns it, where it is known already.

    Raises:
        ConfigError: an axis that fits no arm, a reference that is no arm, a family asked for what it cannot do.
        WeightsError: pretrained weights that are not to be had.
    """
    given = _arms_of(study)
    if advice is None and asks_advice(study):
        advice = advice_for(source, study.protocol, splits, likely_view(study), size=study.image_size)
    bare = study.arms is None and study.classifier is None
    if bare and advice is not None and advice.facts.pairs:
        given = (*given[:-1], arm_named("mirror"), given[-1])
    classifier = shared_classifier(study, source, advice)
    arms = expand(tuple(_advised(arm, study, source, advice) for arm in given), study.axes, classifier)
    arms = tuple(pinned(arm, classifier) for arm in arms)
    repeats = DEFAULT_REPEATS if splits is None else len(splits)
    protocol = study.protocol.changed(repeats=study.protocol.repeats or repeats)
    if protocol.reference not in [arm.name for arm in arms]:
        raise ConfigError(unknown("reference arm", protocol.reference, [arm.name for arm in arms]))
    resolved = ResolvedStudy(
        data=source.digest,
        channels=source.channels,
        protocol=protocol,
        classifier=classifier.resolved(),
        arms=tuple(arm.changed(classifier=arm.classifier.resolved()) if arm.classifier else arm for arm in arms),
        splits=None if splits is None else tuple(split.digest for split in splits),
        measures=study.measures or default_extractor(),
        mistakes=study.mistakes,
    )
    if protocol.score not in (sensible := scores_for(len(source.class_names))):
        offered = [name for name in get_args(Score) if name in sensible]
        raise ConfigError(
            f"score {protocol.score!r} is 1 whatever is predicted with {len(source.class_names)} classes; "
            f"give another ({', '.join(offered)})"
        )
    resolved = resolved.changed(arms=with_controls(resolved))
    for arm in arms:
        if arm.judged_by == "reconstruction" and not arm.generator.rebuilds:  # type: ignore[union-attr]  # checked by Arm
            raise ConfigError(f"arm {arm.name!r}: {arm.generator.kind!r} rebuilds nothing")  # type: ignore[union-attr]
    return resolved


def _arms_of(study: Study) -> tuple[Arm, ...]:
    return study.arms or _read_arms(DEFAULT_ARMS)


def asks_advice(study: Study) -> bool:
    """Return whether a part of a study is the recommended recipe, or wants to know what flips do to the classes."""
    return recommends(study) or any(arm.mirror_pairs == "found" for arm in _arms_of(study))


def recommends(study: Study) -> bool:
    """Return whether a part of a study is the recommended recipe."""
    return study.classifier is None or any(arm.recommended for arm in _arms_of(study))


def shared_classifier(study: Study, source: Source, advice: Recommendation | None) -> ClassifierRecipe:
    """Return the classifier all arms share, seen at the study's size and channels."""
    if study.classifier is None:
        assert advice is not None
        return _advised_classifier(advice.plain, study, source)
    steps = study.steps or study.classifier.training.steps
    return _with_options(study.classifier, study, source, study.classifier.training.changed(steps=steps))


def _with_options(classifier: ClassifierRecipe, study: Study, source: Source, training: Training) -> ClassifierRecipe:
    view = classifier.view.changed(
        size=study.image_size or classifier.view.size,
        resize=study.resize or classifier.view.resize,
        channels=classifier.view.channels or source.channels,
    )
    return classifier.changed(view=view, training=training)


def _advised_classifier(classifier: CNN, study: Study, source: Source) -> ClassifierRecipe:
    """A recommended recipe for the study's view and steps."""
    made = classifier if study.steps is None else for_steps(classifier, study.steps)
    return _with_options(made, study, source, made.training)


def _advised(arm: Arm, study: Study, source: Source, advice: Recommendation | None) -> Arm:
    """An arm with the recommended recipe filled in, and a trained generator at the size that fits the pictures."""
    if advice is None:
        return arm
    if arm.recommended:
        arm = arm.changed(recommended=False, classifier=_advised_classifier(advice.classifier, study, source))
    if arm.mirror_pairs == "found":
        if not advice.facts.pairs:
            raise ConfigError(
                f"arm {arm.name!r}: no two classes are surely each other's mirror images in {shown(source.name)} "
                "(`handful look` says what flips do to them); leave it out, or name mirror_pairs"
            )
        arm = arm.changed(mirror_pairs=advice.facts.pairs)
    made = arm.generator
    if study.classifier is not None or made is None or made.view is not None or not hasattr(made, "training"):
        return arm
    size = study.image_size or fitting_size(advice.facts.side)
    return arm.changed(generator=made.changed(view=View(size=size, resize=study.resize or View().resize)))


def likely_view(study: Study) -> View:
    """Return the view that pictures will first be loaded at, as far as it can be told before they are seen.

    A wrong guess costs time and changes nothing.
    """
    shared = not all(arm.recommended for arm in _arms_of(study))
    view = View(size=likely_size(shared=shared)) if study.classifier is None else study.classifier.view
    return view.changed(size=study.image_size or view.size, resize=study.resize or view.resize)


def expand(arms: tuple[Arm, ...], axes: dict[str, tuple[Any, ...]], classifier: ClassifierRecipe) -> tuple[Arm, ...]:
    """Return the arms with every axis expanded: `vae` with `vae.add = (50, 100)` is `vae add=50` and `vae add=100`."""
    for path, values in axes.items():
        name, _, field = path.partition(".")
        matching = [arm for arm in arms if arm.name == name or arm.name.startswith(f"{name} ")]
        if not matching:
            raise ConfigError(f"axes: {path!r}: {unknown('arm', name, [arm.name for arm in arms])}")
        if not field or not values:
            raise ConfigError(f"axes: {path!r}: expected 'ARM.FIELD' and one value or more, got {values!r}")
        expanded: list[Arm] = []
        for arm in arms:
            if arm not in matching:
                expanded.append(arm)
                continue
            own = arm.changed(classifier=classifier) if field.startswith("classifier.") and not arm.classifier else arm
            for value in values:
                told = "-".join(map(str, value)) if isinstance(value, list | tuple) else value
                named = own.changed(name=f"{arm.name} {field.rpartition('.')[2]}={told}")
                expanded.append(_set(named, field.split("."), value, path))
        arms = tuple(expanded)
    return arms


def _set(recipe: Any, path: list[str], value: Any, whole: str) -> Any:
    if not isinstance(recipe, Recipe) or path[0] not in type(recipe).model_fields:
        names = type(recipe).model_fields if isinstance(recipe, Recipe) else ()
        raise ConfigError(f"axes: {whole!r}: {unknown('field', path[0], names)}")
    if len(path) > 1:
        value = _set(getattr(recipe, path[0]), path[1:], value, whole)
    return recipe.changed(**{path[0]: tuple(value) if isinstance(value, list) else value})


def read_study(path: Path) -> Study:
    """Return the study in a TOML file; relative paths start at the file's folder where that has such a file.

    These are `source`, `regions`, `splits_from`, and `weights` of a network.

    Raises:
        ConfigError: one line per fault, with the nearest name for a misspelt key.
    """
    fields: dict[str, Any] = _with_weights(read_toml(path), path.parent)
    for name in ("source", "regions", "splits_from"):
        if isinstance(fields.get(name), str):
            fields[name] = _beside(fields[name], path.parent)
    return recipe_from(Study, fields, where=str(path))


def _with_weights(given: Any, folder: Path) -> Any:
    """The values of a file, the paths of weights in the tables of networks found from the file's folder."""
    if isinstance(given, list):
        return [_with_weights(one, folder) for one in given]
    if not isinstance(given, dict):
        return given
    made = {key: _with_weights(one, folder) for key, one in given.items()}
    weights = made.get("weights")
    if "kind" in made and isinstance(weights, str) and weights not in ("pretrained", "random"):
        made["weights"] = _beside(weights, folder)
    return made


def _beside(given: str, folder: Path) -> str:
    return str(folder / given) if (folder / given).exists() else given
