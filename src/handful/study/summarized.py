"""The networks of an arm, of a study, of a model or of the table, built to be looked at; no weights are fetched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from handful import rng
from handful.classify.cnn import CNN
from handful.classify.contract import ClassifierRecipe
from handful.classify.recommend import Facts, Recommendation, fitting_size, recommend
from handful.config import load_part, recipe_from
from handful.data.images import View
from handful.errors import ConfigError, unknown
from handful.generate.contract import GeneratorRecipe
from handful.generate.neural import NeuralRecipe
from handful.generate.summarized import networks_of
from handful.nn.custom import require_trust
from handful.nn.network import built
from handful.nn.networks import NETWORKS
from handful.nn.summary import Summary, summarize
from handful.study.advice import weights_at_hand
from handful.study.arms import ARMS, DEFAULT_ARMS, Arm, read_arm
from handful.study.inheriting import changes_of
from handful.study.result import Result
from handful.study.store import Store
from handful.study.study import read_study

SIZE = 64


@dataclass(frozen=True)
class Shown:
    """A network, or the networks of a generator: `part` is `classifier` or `generator`."""

    title: str
    part: Literal["classifier", "generator"]
    summary: Summary


@dataclass(frozen=True)
class _Found:
    """What was asked for; a recipe is None where there is none, `classes` where nobody knows how many."""

    where: str
    arm: str | None
    classifier: CNN | None
    generator: NeuralRecipe | None = None
    classes: int | None = None

    def title(self, part: str) -> str:
        if self.arm is None:
            return self.where
        kind = f" ({self.generator.kind})" if part == "generator" and self.generator else ""
        return f"{self.where}{part} of arm {self.arm}{kind}"


def summary_of(
    what: str,
    *,
    arm: str | None = None,
    size: int | None = None,
    classes: int | None = None,
    channels: int | None = None,
    trust_code: bool = False,
) -> tuple[Shown, ...]:
    """Return the network of a classifier, then those that its arm's generator trains, where it has such a generator.

    An arm that is judged by reconstruction has no classifier, so its generator is all there is.

    Args:
        what: a name of NETWORKS, `timm:NAME` or `module:function`, an arm of the table, a study file (.toml), a store
            or a model that `handful export` wrote, whose repeats share one network. Where a study says no classifier,
            it is the one that its arms would share, and for `default` the one recommended, of ten classes of 30
            pictures of 64 px.
        arm: of a study file or a store; a file's shared classifier where it is None, a store's first arm.
        size, classes, channels: of the pictures; None: a store's or a model's own, a recipe's, else 64 px, 10 classes,
            3 channels.
        trust_code: run the function that a store or a model names where a network is one of its maker's own code.

    Raises:
        ConfigError, DataError: no such name, or a network that does not take such pictures.
        StoreError: a store or a model that wants code to be run, or a damaged card.
    """
    found = _found(what, arm, trust_code)
    if classes is not None and found.classes is not None and classes != found.classes:
        raise ConfigError(f"--classes {classes}: {what} has {found.classes}")
    num, shown = classes or found.classes or 10, []
    if (classifier := found.classifier) is not None:
        summary = looked_at(classifier.changed(view=_sized(classifier.view, size)), num, channels)
        shown.append(Shown(found.title("classifier"), "classifier", summary))
    if (generator := found.generator) is not None:
        view = _sized(generator.view or View(), size)
        summary = networks_of(generator, channels or view.channels or 3, view.size, num)
        shown.append(Shown(found.title("generator"), "generator", summary))
    return tuple(shown)


def summary_json(shown: Sequence[Shown]) -> dict[str, Any]:
    """Return JSON values: the numbers of the classifier, and under `generator` those of the generator, if any."""
    made: dict[str, Any] = {}
    for one in shown:
        made |= one.summary.to_json() if one.part == "classifier" else {one.part: one.summary.to_json()}
    return made


def _sized(view: View, size: int | None) -> View:
    return recipe_from(View, {**view.to_json(), "size": size or view.size}, where="--image-size")


def looked_at(recipe: CNN, classes: int, channels: int | None = None) -> Summary:
    """Return the summary of a recipe's network, built for so many classes without any weights.

    Args:
        channels: of the pictures; None: those of the recipe's view, else 3.
    """
    given, size = channels or recipe.view.channels or 3, recipe.view.size
    seen = recipe.network.takes(given)
    with rng.forked(0):
        network = built(recipe.network, given, size, classes, recipe.dropout)
    return summarize(network, seen, size, network.stages if recipe.tuning.frozen else ())


def _found(what: str, arm: str | None, trust_code: bool) -> _Found:
    path = Path(what)
    if (path / "store.json").exists():
        return _of_store(path, arm, trust_code)
    if path.suffix == ".toml":
        return _of_file(path, arm)
    if arm is not None:
        raise ConfigError(f"--arm is for a study file or a store, {what!r} is neither")
    if (path / "classifier.json").exists():
        return _of_model(path, trust_code)
    if what in NETWORKS or ":" in what:
        return _Found(what, None, CNN(network=what, view=View(size=SIZE)))  # type: ignore[arg-type]  # read by its validator
    if what.split("+")[0] in ARMS:
        return _of_arm(read_arm(what), None)
    names = [*NETWORKS, *ARMS]
    raise ConfigError(f"{what}: no study file, store or model, and {unknown('network or arm', what, names)}")


def _of_model(folder: Path, trust_code: bool) -> _Found:
    """The network of an exported classifier, by its card alone."""

    def of_network(part: Path, card: dict[str, Any]) -> _Found:
        recipe = recipe_from(CNN, card["recipe"], str(part))
        if not trust_code:
            require_trust(recipe.network, folder)
        view = recipe.view.changed(channels=int(card["channels"]))
        made = recipe.changed(view=view)
        return _Found(f"classifier of {folder}", None, made, classes=len(card["class_names"]))

    networks = {"cnn": of_network}
    first = {"ensemble": lambda folder, card: load_part(folder / "member-0", "classifier", networks)}
    return load_part(folder, "classifier", {**networks, **first})


def _of_store(path: Path, name: str | None, trust_code: bool) -> _Found:
    result = Result.of(Store.existing(path))
    study, classes = result.study, len(result.class_names)
    arm = study.arm(name or result.arms[0])
    generator = _trained(study.generator_of(arm)) if arm.generator is not None else None
    if arm.judged_by == "reconstruction":
        return _Found(f"{path}, ", arm.name, None, generator, classes)
    made = _network_recipe(study.classifier_of(arm))
    if not trust_code:
        require_trust(made.network, path)
    return _Found(f"{path}, ", arm.name, made, generator, classes)


def _of_file(path: Path, name: str | None) -> _Found:
    study = read_study(path)
    shared = study.classifier
    if name is None:
        recipe = _network_recipe(_at(study.image_size, shared or _recommended().plain))
        return _Found(f"classifier of {path}", None, recipe)
    arms = {one.name: one for one in study.arms or map(read_arm, DEFAULT_ARMS)}
    if name not in arms:
        raise ConfigError(f"{path}: {unknown('arm', name, arms)}")
    return _of_arm(arms[name], shared, study.image_size, f"{path}, ")


def _at(size: int | None, recipe: ClassifierRecipe) -> ClassifierRecipe:
    return recipe if size is None else recipe.changed(view=recipe.view.changed(size=size))


def _of_arm(arm: Arm, shared: ClassifierRecipe | None, size: int | None = None, where: str = "") -> _Found:
    """The recipes of an arm, with the network that it inherits, if any; `size` is that of its study's pictures."""
    advised = _recommended()
    plain = _at(size, shared or advised.plain)
    generator = _trained(arm.generator)
    if generator is not None and generator.view is None:
        fitting = View(size=size or fitting_size(SIZE)) if shared is None else plain.view
        generator = generator.changed(view=fitting)
    if arm.judged_by == "reconstruction":
        return _Found(where, arm.name, None, generator)
    own = _at(size, advised.classifier) if arm.recommended else arm.classifier or plain
    recipe = _network_recipe(own)
    return _Found(where, arm.name, recipe.changed(**changes_of(arm, recipe)), generator)


def _trained(generator: GeneratorRecipe | None) -> NeuralRecipe | None:
    """A generator that trains networks; None for one that does not."""
    return generator if isinstance(generator, NeuralRecipe) else None


def _recommended() -> Recommendation:
    """What is recommended for pictures of middling size and number, as no pictures are at hand."""
    return recommend(Facts(counts=(30,) * 10, side=SIZE, weights=weights_at_hand()))


def _network_recipe(recipe: ClassifierRecipe) -> CNN:
    if not isinstance(recipe, CNN):
        raise ConfigError(f"a classifier of kind {recipe.kind!r} is no network: there is nothing to summarize")
    return recipe
