"""What generated pictures are like, by class, in the studies' own measures where the weights are there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handful.data.images import LabeledImages
from handful.errors import DataError, WeightsError
from handful.measure.extractors import extractor_of
from handful.measure.frechet import frechet_distance
from handful.measure.inception_score import inception_score, inception_score_per_class
from handful.measure.metrics import METRICS
from handful.measure.ssim import ssim_pairs
from handful.report.pictures import Sheet
from handful.reproduce.sheets import picture_sheet
from handful.reproduce.weights import what_to_put_where
from handful.study.result import Result
from handful.study.stored import get_images

SHOWN = 6
WHOLE = "all classes"
FID_LAYER = extractor_of("inception/64")  # the layer that the published distances are most likely of
Number = float | str | None


@dataclass(frozen=True)
class Quality:
    """What the generated pictures of one class, or of all, are like.

    Args:
        label: name of the class, or `WHOLE`.
        real, made: numbers of training pictures and of synthetic ones.
        inception: Inception score, or why there is none.
        fid: Frechet distance over `FID_LAYER`, or why there is none.
        ssim: mean over all pairs of a synthetic and a training picture of the class; None for all classes, and where
            these are smaller than its window.
        kernel: kernel distance of the study's own measures; None where it has none.
    """

    label: str
    real: int
    made: int
    inception: Number
    fid: Number
    ssim: float | None
    kernel: float | None


def sets_of(result: Result, arm: str) -> tuple[LabeledImages, LabeledImages] | None:
    """Return the real training pictures and the synthetic ones of an arm's first repeat, in one view."""
    keys = result.keys(arm, "synthetic")
    if not keys:
        return None
    repeat = min(keys)
    classifier = result.store.record(result.keys(arm, "classifier")[repeat])
    split = result.store.arrays(classifier["inputs"]["split"])
    real = get_images(result.store, classifier["inputs"]["images"]).take(split["train"])
    return real, result.synthetic(arm, repeat)


def quality_rows(result: Result, arm: str, device: str) -> list[Quality]:
    """Return a row per class that has pictures of both kinds, then one of all classes, of the arm's first repeat.

    The Inception score and the FID need Inception's weights and read what to put where without them; a FID of fewer
    pictures than its features have dimensions reads how many it needs.
    """
    sets = sets_of(result, arm)
    if sets is None:
        return []
    real, made = sets
    kernel = {
        row["class"]: row["value"]
        for row in result.measures(arm)
        if row["measure"] == "kernel" and row["moment"] == "after"
    }
    scores, fids = _by_inception(real, made, device)
    rows = []
    for label, name in enumerate(result.class_names):
        mine, theirs = made.of_class(label), real.of_class(label)
        if not len(mine) or not len(theirs):
            continue
        similar = _similar(mine.pixels, theirs.pixels)
        measured = None if similar is None else float(similar.mean())
        numbers = (_of(scores, label), _of(fids, label), measured, kernel.get(name))
        rows.append(Quality(name, len(theirs), len(mine), *numbers))
    whole = (_of(scores, None), _of(fids, None), None, kernel.get(None))
    return [*rows, Quality(WHOLE, len(real), len(made), *whole)]


def _similar(mine: NDArray[np.uint8], theirs: NDArray[np.uint8]) -> NDArray[np.float64] | None:
    try:
        return ssim_pairs(np.asarray(mine[:100]), np.asarray(theirs))
    except DataError:  # smaller than its window
        return None


def _of(found: Mapping[int | None, Any] | str, label: int | None) -> Number:
    return found if isinstance(found, str) else found.get(label)


def _by_inception(
    real: LabeledImages, made: LabeledImages, device: str
) -> tuple[dict[int | None, float] | str, dict[int | None, float | str] | str]:
    """Inception scores and FIDs (64 features) by class and, under None, of all; why none, where weights are absent."""
    try:
        logits = extractor_of("inception/logits_unbiased")
        features = [FID_LAYER.features(np.asarray(part.pixels), device) for part in (real, made)]
        raised = logits.features(np.asarray(made.pixels), device).astype(np.float64)
    except WeightsError as error:
        return (f"not run: {what_to_put_where(error.faults[0])}",) * 2
    raised = np.exp(raised - raised.max(axis=1, keepdims=True))
    probs = raised / raised.sum(axis=1, keepdims=True)
    scores: dict[int | None, float] = {None: inception_score(synthetic=probs)} if len(probs) > 1 else {}
    scores.update(inception_score_per_class(synthetic=probs, labels=made.labels).items())
    fids: dict[int | None, float | str] = {}
    for label in (*range(real.num_classes), None):
        rows = [slice(None) if label is None else part.labels == label for part in (real, made)]
        one, other = features[0][rows[0]], features[1][rows[1]]
        few = METRICS["frechet"].fault(one.shape[1], real=len(one), synthetic=len(other))
        fids[label] = few or frechet_distance(real=one, synthetic=other)
    return scores, fids


def best_and_worst(result: Result, arm: str, family: str) -> list[Sheet]:
    """Return the best (left) and worst pictures of the best (top) and the worst class (bottom), by mean SSIM."""
    sets = sets_of(result, arm)
    if sets is None:
        return []
    real, made = sets
    scores: dict[int, NDArray[np.float64]] = {}
    for label in range(real.num_classes):
        mine, theirs = made.of_class(label), real.of_class(label)
        similar = _similar(mine.pixels, theirs.pixels) if len(mine) and len(theirs) else None
        if similar is not None:
            scores[label] = similar.mean(axis=1)
    if not scores:
        return []
    ranked = sorted(scores, key=lambda label: -float(scores[label].mean()))
    rows = []
    for label in (ranked[0], ranked[-1]):
        order = np.argsort(-scores[label], kind="stable")
        pixels = np.asarray(made.of_class(label).pixels)
        chosen = np.concatenate([order[:SHOWN], order[-SHOWN:]]) if len(order) >= 2 * SHOWN else order
        rows.append(pixels[chosen])
    names = [result.class_names[label] for label in (ranked[0], ranked[-1])]
    title = f"{family}: best left, worst right; class {names[0]} (most similar) above class {names[1]} (least)"
    return [picture_sheet(rows, title)]
