"""What an arm changes and what a classifier is, in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from handful.classify.contract import ClassifierRecipe
from handful.classify.pretrain import SimCLR
from handful.classify.tuning import Tuning
from handful.data.balance import balance_words
from handful.data.files import shown
from handful.data.mirrored import MirrorPair
from handful.data.mix import Mix
from handful.generate.select import selection_words
from handful.nn.backbones import Backbone
from handful.nn.custom import Custom
from handful.nn.encoders import Encoder
from handful.nn.fusion import Fusion
from handful.nn.network import DropoutRates, NetworkRecipe
from handful.nn.training import Training
from handful.study.arms import Arm
from handful.study.inheriting import changes_of

TRAINING_WORDS = {  # a field of Training => what it is called
    "optimizer": "optimizer",
    "lr": "learning rate",
    "schedule": "schedule",
    "weight_decay": "weight decay",
    "l1": "L1",
    "patience": "patience",
    "ema": "averaged weights",
    "swa_start": "stochastic weight averaging from share",
}


def arm_words(arm: Arm) -> str:
    """Return what an arm changes, in words; `no treatment` where that is nothing."""
    words = []
    if arm.recommended:
        words.append("the recommended classifier, augmentation included")
    if arm.classifier is not None:
        own = arm.classifier.changed(**changes_of(arm, arm.classifier))
        words.append(f"a classifier of its own ({classifier_words(own)})")
    if isinstance(arm.pretrain, SimCLR):
        words.append("a network that starts from contrastive training without labels (simclr)")
    elif arm.pretrain is not None:
        words.append(f"a network that starts from the encoder of {arm.pretrain.kind}, fitted to the same training part")
    if arm.dropout is not None and arm.classifier is None:
        words.append(_dropout_words(arm.dropout))
    if arm.balance is not None:
        words.append(balance_words(arm.balance))
    if arm.augment is not None and not arm.augments_once:
        words.append("classical augmentation of every batch")
    if arm.mix is not None:
        words.append(f"{_mix_words(arm.mix)} of every batch")
    if arm.mirror_pairs == "found":
        words.append("classes that mirror each other lend each other pictures")
    elif arm.mirror_pairs:
        words += _lent(arm.mirror_pairs)
    if arm.cap is not None:
        words.append(f"real pictures of a class limited to {arm.cap}")
    if arm.copies:
        words.append(f"augmented copies, made once, {_amount_words(arm)}")
    if arm.enlarge is not None:
        words.append(f"{arm.enlarge} augmented copies of every picture, made once")
    if arm.generator is not None:
        kind = arm.generator.kind
        if arm.judged_by == "reconstruction":
            return f"no classifier: how well {kind} rebuilds the test pictures"
        words.append(f"synthetic pictures by {kind}, {_amount_words(arm)}")
        if selected := selection_words(arm.selection):
            words.append(f"selected by {selected}")
        if arm.gate is not None and arm.gate.kind == "none":
            words.append("near copies of training pictures let pass")
    if not arm.real:
        words.append("trained on synthetic pictures alone")
    return "; ".join(words) or "no treatment"


def classifier_words(recipe: ClassifierRecipe) -> str:
    """Return what a classifier is, in words: its network first, then what of it is trained and on what."""
    network, tuning = getattr(recipe, "network", None), getattr(recipe, "tuning", None)
    words = [recipe.kind if network is None else network_words(network), *([] if tuning is None else _tuned(tuning))]
    if (dropout := getattr(recipe, "dropout", None)) is not None:
        words.append(_dropout_words(dropout))
    if recipe.balance != "none":
        words.append(balance_words(recipe.balance))
    if recipe.augment is not None:
        words.append("augmented")
    if recipe.mix is not None:
        words.append(_mix_words(recipe.mix))
    if recipe.label_smoothing:
        words.append(f"label smoothing {recipe.label_smoothing:g}")
    words += _training_words(recipe.training)
    if tta := getattr(recipe, "tta", 0):
        words.append("the mean over its flips" if tta == "flips" else f"the mean over {tta} augmented views")
    return ", ".join([*words, *_lent(recipe.mirror_pairs)])


def _training_words(training: Training) -> Iterator[str]:
    """What of a training is not as `Training()` has it, but for how long it is."""
    usual = Training()
    for name, word in TRAINING_WORDS.items():
        if (value := getattr(training, name)) != getattr(usual, name):
            yield f"{word} {value:g}" if isinstance(value, float) else f"{word} {value}"


def _lent(pairs: Sequence[MirrorPair]) -> list[str]:
    return [f"pictures of {first!r} and {second!r} made of each other by a {what}" for first, second, what in pairs]


def network_words(network: NetworkRecipe) -> str:
    """Return which network it is, and which weights where they are not those published with it."""
    if isinstance(network, Custom):
        return network.factory
    if isinstance(network, Encoder):
        return f"encoder of the family {network.family}"
    if isinstance(network, Fusion):
        return f"fusion of {network_words(network.first)} and {network_words(network.second)}"
    if isinstance(network, Backbone) and network.weights != "pretrained":
        weights = "random weights" if network.weights == "random" else f"weights of {shown(network.weights)}"
        return f"{network.kind} from {weights}"
    return network.kind


def _tuned(tuning: Tuning) -> Iterator[str]:
    if tuning.frozen:
        yield "frozen"
    if tuning.freeze_steps:
        yield f"frozen for {tuning.freeze_steps} steps"
    if tuning.gradual_steps:
        yield f"thawed over {tuning.gradual_steps} steps"
    if tuning.decay != 1:
        yield f"learning rate times {tuning.decay:g} from stage to stage"


def _dropout_words(dropout: DropoutRates) -> str:
    if isinstance(dropout, tuple):
        return f"dropout {dropout[0]:g} to {dropout[1]:g} from the first dropout layer to the last"
    return f"dropout {dropout:g} in every dropout layer"


def _mix_words(mix: Mix) -> str:
    return " and ".join(name for name in ("mixup", "cutmix") if getattr(mix, name))


def _amount_words(arm: Arm) -> str:
    if arm.add is not None:
        return f"{arm.add} for every class"
    if "replace" in arm.amount:
        return "as many as real ones"
    if arm.fill_level is not None:
        return f"classes filled {100 * arm.fill_level:g} % of the way to the largest one"
    return f"classes filled to {_level(arm.fill_to)}"


def _level(fill_to: int | str | None) -> str:
    return f"{fill_to} pictures" if isinstance(fill_to, int) else "the largest one"
