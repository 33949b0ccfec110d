"""The facts of a study's source that the recommended recipe goes by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from handful.classify.recommend import COMPARED_SIZE, SIZES, SMALL_SIDE, TRANSFER_SIZE, Facts, Recommendation, recommend
from handful.data.decode import resized
from handful.data.images import View
from handful.data.load import load
from handful.data.mirrored import MirrorPair
from handful.data.near import VIEW
from handful.data.source import Source
from handful.data.split import Split
from handful.data.symmetry import find_symmetries, surely_mirrored
from handful.measure.extractors import installed_extractor
from handful.rng import numpy_rng
from handful.study.protocol import Protocol

SAMPLE = 2000  # pictures that flips are tried on


def weights_at_hand() -> bool:
    """Return whether the weights that a recommendation can start from are on this machine."""
    return installed_extractor() is not None


def likely_size(*, shared: bool = True) -> int:
    """Return the side in px of a view, as far as it can be told before pictures are seen.

    Args:
        shared: of the classifier that arms share; else the most of the recommended one.
    """
    transfer = COMPARED_SIZE if shared else TRANSFER_SIZE
    return transfer if weights_at_hand() else SIZES[-1]


def advice_for(
    source: Source,
    protocol: Protocol,
    splits: Sequence[Split] | None = None,
    view: View | None = None,
    *,
    size: int | None = None,
) -> Recommendation:
    """Return the recommended recipe for a source under a protocol, or under the splits given in a file.

    Whether flips are safe is judged on pictures outside a given test part; where the parts are drawn, on a sample of
    all, as it is one recipe for all repeats.

    Args:
        view: that the pictures will probably be loaded at, and are looked at here; None: at the likely size.
        size: side in px that is asked for; None: what fits the pictures.
    """
    return recommend(replace(facts_of(source, protocol, splits, view or View(size=likely_size())), size=size))


def facts_of(source: Source, protocol: Protocol, splits: Sequence[Split] | None, view: View) -> Facts:
    shorter = np.sort(source.sizes.min(axis=1))
    side = int(shorter[len(shorter) // 2])
    safe, pairs = flips_and_pairs(source, splits, view)
    return Facts(
        counts=tuple(_counts(source, protocol, splits)),
        side=side,
        flips=safe if side >= SMALL_SIDE else (),
        weights=weights_at_hand(),
        pairs=pairs,
    )


def flips_and_pairs(
    source: Source, splits: Sequence[Split] | None, view: View
) -> tuple[tuple[str, ...], tuple[MirrorPair, ...]]:
    """Return the operations that leave the classes what they are, and the pairs of classes that one makes each other.

    The former turn no class into another, and the pictures are recognised after them as before.
    """
    rows = np.flatnonzero([part not in ("val", "test") for part in source.parts]) if splits is None else splits[0].train
    if len(rows) > SAMPLE:
        rows = np.sort(numpy_rng(0, "flips").choice(rows, SAMPLE, replace=False))
    small = VIEW.changed(channels=source.channels)
    seen = load(source, view.changed(channels=source.channels), rows).pixels
    pixels = np.array([resized(np.asarray(picture), small, source.channels) for picture in seen], dtype=np.uint8)
    found = find_symmetries(pixels, source.labels[rows], source.num_classes)
    safe = tuple(one.operation for one in found if one.verdict == "safe")
    names = source.class_names
    pairs = tuple(
        (names[turn.first], names[turn.second], one.operation)
        for one in found
        for turn in one.turns
        if surely_mirrored(one.operation, turn)
    )
    return safe, pairs


def _counts(source: Source, protocol: Protocol, splits: Sequence[Split] | None) -> list[int]:
    """About how many training pictures each class will have."""
    if splits is not None:
        drawn = np.bincount(source.labels[splits[0].train], minlength=source.num_classes)
        return [int(count) for count in drawn]
    counts = _share(source, protocol) * np.array(
        [np.sum(source.labels[_learnt(source)] == label) for label in range(source.num_classes)]
    )
    if protocol.train_per_class is not None:
        counts = np.minimum(counts, protocol.train_per_class)
    if protocol.long_tail is not None:
        largest, smallest = protocol.long_tail
        counts = np.minimum(counts, np.geomspace(largest, smallest, len(counts)))
    return [round(float(count)) for count in counts]


def _learnt(source: Source) -> NDArray[np.bool_]:
    return np.array([part in ("train", "") for part in source.parts])


def _share(source: Source, protocol: Protocol) -> float:
    """The part of the pictures outside given parts that is trained on."""
    drawn = 1.0
    if "test" not in source.parts:
        drawn -= 1 / protocol.folds if protocol.folds else protocol.test_fraction
    if "val" not in source.parts:
        drawn -= protocol.val_fraction
    return max(drawn, 0.0)
