"""The network of an arm, of a study, of a model or of the table, built to be looked at; no weights are fetched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from handful import rng
from handful.classify.cnn import CNN
from handful.classify.contract import ClassifierRecipe
from handful.classify.recommend import Facts, Recommendation, recommend
from handful.config import load_part, recipe_from
from handful.data.images import View
from handful.errors import ConfigError, unknown
from handful.nn.custom import require_trust
from handful.nn.networks import NETWORKS
from handful.nn.summary import Summary, summarize
from handful.study.advice import weights_at_hand
from handful.study.arms import ARMS, DEFAULT_ARMS, Arm, read_arm
from handful.study.inheriting import network_of_heir
from handful.study.result import Result
from handful.study.store import Store
from handful.study.study import read_study

SIZE = 64


def summary_of(
    what: str,
    *,
    arm: str | None = None,
    size: int | None = None,
    classes: int | None = None,
    channels: int | None = None,
    trust_code: bool = False,
) -> tuple[str, Summary]:
    """Return (title, summary) of a network.

    Args:
        what: a name of NETWORKS or `timm:NAME`, an arm of the table, a study file (.toml), a store or a model that
            `handful export` wrote, whose repeats share one network. Where a study says no classifier, it is the one
            that its arms would share, and for `default` the one recommended, of ten classes of 30 pictures of 64 px.
        arm: of a study file or a store; a file's shared classifier where it is None, a store's first arm.
        size, classes, channels: of the pictures; None: a store's or a model's own, a recipe's, else 64 px, 10 classes,
            3 channels.
        trust_code: run the function that a store or a model names where a network is one of its maker's own code.

    Raises:
        ConfigError: no such name, or a network that does not take such pictures.
        StoreError: a store or a model that wants code to be run, or a damaged card.
    """
    recipe, known = _found(what, arm, trust_code)
    if classes is not None and known is not None and classes != known:
        raise ConfigError(f"--classes {classes}: {what} has {known}")
    view = recipe_from(View, {**recipe.view.to_json(), "size": size or recipe.view.size}, where="--image-size")
    found = looked_at(recipe.changed(view=view), classes or known or 10, channels)
    return f"{what}, {arm}" if arm else what, found


def looked_at(recipe: CNN, classes: int, channels: int | None = None) -> Summary:
    """Return the summary of a recipe's network, built for so many classes without any weights.

    Args:
        channels: of the pictures; None: those of the recipe's view, else 3.
    """
    given, size = channels or recipe.view.channels or 3, recipe.view.size
    seen = recipe.network.takes(given)
    with rng.forked(0):
        network = recipe.network.build(given, size, classes, recipe.dropout)
    return summarize(network, seen, size, network.stages if recipe.tuning.frozen else ())


def _found(what: str, arm: str | None, trust_code: bool) -> tuple[CNN, int | None]:
    """The recipe, and how many classes there are where that is known."""
    path = Path(what)
    if (path / "store.json").exists():
        result = Result.of(Store.existing(path))
        found = result.study.classifier_of(result.study.arm(arm or result.arms[0]))
        made = _network_recipe(found)
        if not trust_code:
            require_trust(made.network, path)
        return made, len(result.class_names)
    if path.suffix == ".toml":
        return _of_file(path, arm), None
    if arm is not None:
        raise ConfigError(f"--arm is for a study file or a store, {what!r} is neither")
    if (path / "classifier.json").exists():
        return _of_model(path, trust_code)
    if what in NETWORKS or what.startswith("timm:"):
        return CNN(network=what, view=View(size=SIZE)), None  # type: ignore[arg-type]  # read by its validator
    if what.split("+")[0] in ARMS:
        return _of_arm(read_arm(what), None), None
    names = [*NETWORKS, *ARMS]
    raise ConfigError(f"{what}: no study file, store or model, and {unknown('network or arm', what, names)}")


def _of_model(folder: Path, trust_code: bool) -> tuple[CNN, int]:
    """The recipe and the number of classes of an exported classifier, by its card alone."""

    def of_network(folder: Path, card: dict[str, Any]) -> tuple[CNN, int]:
        recipe = recipe_from(CNN, card["recipe"], str(folder))
        if not trust_code:
            require_trust(recipe.network, folder)
        view = recipe.view.changed(channels=int(card["channels"]))
        return recipe.changed(view=view), len(card["class_names"])

    networks = {"cnn": of_network}
    first = {"ensemble": lambda folder, card: load_part(folder / "member-0", "classifier", networks)}
    return load_part(folder, "classifier", {**networks, **first})


def _of_file(path: Path, arm: str | None) -> CNN:
    study = read_study(path)
    shared = study.classifier
    if arm is None:
        return _network_recipe(_at(study.image_size, shared or _recommended().plain))
    arms = {one.name: one for one in study.arms or map(read_arm, DEFAULT_ARMS)}
    if arm not in arms:
        raise ConfigError(f"{path}: {unknown('arm', arm, arms)}")
    return _of_arm(arms[arm], shared, study.image_size)


def _at(size: int | None, recipe: ClassifierRecipe) -> ClassifierRecipe:
    return recipe if size is None else recipe.changed(view=recipe.view.changed(size=size))


def _of_arm(arm: Arm, shared: ClassifierRecipe | None, size: int | None = None) -> CNN:
    """The recipe of an arm, with the network that it inherits, if any; `size` is that of its study's pictures."""
    advised = _recommended()
    if arm.recommended:
        recipe = _network_recipe(_at(size, advised.classifier))
    else:
        recipe = _network_recipe(arm.classifier or _at(size, shared or advised.plain))
    heir = None if arm.pretrain is None else network_of_heir(arm.pretrain, recipe)
    changes: dict[str, Any] = {} if heir is None else {"network": heir}
    return recipe.changed(**changes, **({} if arm.dropout is None else {"dropout": arm.dropout}))


def _recommended() -> Recommendation:
    """What is recommended for pictures of middling size and number, as no pictures are at hand."""
    return recommend(Facts(counts=(30,) * 10, side=SIZE, weights=weights_at_hand()))


def _network_recipe(recipe: ClassifierRecipe) -> CNN:
    if not isinstance(recipe, CNN):
        raise ConfigError(f"a classifier of kind {recipe.kind!r} is no network: there is nothing to summarize")
    return recipe
