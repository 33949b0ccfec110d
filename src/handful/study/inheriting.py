"""Arms whose classifier inherits an encoder: which network that makes, and the arms from random weights beside them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from handful.classify.contract import ClassifierRecipe
from handful.classify.pretrain import SimCLR
from handful.config import digest_of
from handful.errors import ConfigError, DataError
from handful.nn.encoders import Encoder, require_fit
from handful.nn.network import NetworkRecipe
from handful.study.arms import Arm, Pretraining

if TYPE_CHECKING:
    from handful.study.study import ResolvedStudy

IN_THE_CLASSIFIER = ("balance", "mix", "dropout")


def network_of_heir(pretrain: Pretraining, classifier: ClassifierRecipe) -> NetworkRecipe | None:
    """Return the network of a classifier that inherits; None: the one it has.

    A classifier that already is on the same encoder keeps what it says of the head.
    """
    network, own = pretrain.encoder, network_in(classifier)
    if isinstance(network, Encoder) and isinstance(own, Encoder) and own.changed(relu=network.relu) == network:
        return own
    return network


def changes_of(arm: Arm, classifier: ClassifierRecipe) -> dict[str, Any]:
    """Return the fields of a classifier that an arm's pre-training and dropout change: `network` and `dropout`."""
    heir = None if arm.pretrain is None else network_of_heir(arm.pretrain, classifier)
    made = {"network": heir, "dropout": arm.dropout}
    return {name: value for name, value in made.items() if value is not None}


def network_in(classifier: ClassifierRecipe) -> NetworkRecipe | None:
    """Return the network of a classifier's recipe; None: it has no choice of one."""
    return getattr(classifier, "network", None)


def pinned(arm: Arm, classifier: ClassifierRecipe) -> Arm:
    """Return an arm with the weights pinned that a network of its pre-training's own starts from."""
    if not isinstance(arm.pretrain, SimCLR) or arm.pretrain.network is None:
        return arm
    network = arm.pretrain.network.resolved((arm.classifier or classifier).view.size)
    return arm.changed(pretrain=arm.pretrain.changed(network=network))


def with_controls(study: ResolvedStudy) -> tuple[Arm, ...]:
    """Return the arms, and after every pre-trained one that asks for it the same from random weights.

    An arm that another one is already, but for its name, is not added.

    Raises:
        ConfigError: an encoder that the classifier of its arm cannot have.
    """
    if faults := [f"arm {arm.name!r}: {fault}" for arm in study.arms for fault in _unfit(study, arm)]:
        raise ConfigError(*faults)
    made: list[Arm] = []
    fits = {_what_is_fitted(study, arm) for arm in study.arms}
    for arm in study.arms:
        made.append(arm)
        if arm.pretrain is not None and arm.control:
            control = control_of(study, arm)
            if _what_is_fitted(study, control) not in fits:
                fits.add(_what_is_fitted(study, control))
                made.append(control)
    names = [arm.name for arm in made]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigError(f"two arms are called {', '.join(twice)}; rename one, or give its arm control=False")
    return tuple(made)


def control_of(study: ResolvedStudy, arm: Arm) -> Arm:
    """Return a pre-trained arm from what its network starts with: the same network, pictures and budget."""
    classifier, network = arm.classifier, network_in(study.classifier_of(arm))
    if network != network_in(classifier or study.classifier):
        classifier = (classifier or study.classifier).changed(network=network)
    what = "without-pretraining" if network is not None and network.pretrained else "random-encoder"
    return arm.changed(name=f"{arm.name} {what}", pretrain=None, control=True, classifier=classifier)


def control_among(study: ResolvedStudy, arm: Arm) -> Arm | None:
    """Return the arm of a study that is a pre-trained one from random weights; None: there is none."""
    if arm.pretrain is None:
        return None
    wanted = _what_is_fitted(study, control_of(study, arm))
    return next((other for other in study.arms if _what_is_fitted(study, other) == wanted), None)


def _what_is_fitted(study: ResolvedStudy, arm: Arm) -> str:
    """The digest of an arm but for its name."""
    fields: dict[str, Any] = {**arm.to_json(), "classifier": study.classifier_of(arm).to_json()}
    left = ("name", "control", *IN_THE_CLASSIFIER, *(() if arm.augments_once else ("augment",)))
    return digest_of({name: value for name, value in fields.items() if name not in left})


def _unfit(study: ResolvedStudy, arm: Arm) -> Iterator[str]:
    if arm.pretrain is None:
        return
    recipe = study.classifier_of(arm)
    network = network_in(recipe)
    if arm.pretrain.view is not None and study.view(arm.pretrain.view) != recipe.view:
        yield "pretrain has a view other than its classifier's, which must see what the encoder saw; leave it out"
    if arm.classifier is not None and arm.pretrain.encoder is not None:
        own = network_in(arm.classifier)
        free = [network, network_in(study.classifier), network_in(type(arm.classifier)())]  # type: ignore[call-arg]
        if own not in free:
            yield (
                f"its classifier's network {own.kind if own else None!r} is not the encoder that it inherits; "
                "leave the network out"
            )
    if isinstance(network, Encoder):
        try:
            require_fit(network.family, recipe.view.channels or study.channels, recipe.view.size)
        except DataError as error:
            yield str(error)
