"""Drawing pictures until every class has what it is to get: sample, gate, select, in rounds."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from handful import rng
from handful.data.images import LabeledImages
from handful.errors import DataError
from handful.generate.contract import Generator
from handful.generate.ledger import Ledger
from handful.generate.selection import MOST, Judged, Known, Selection

Probabilities = Callable[[LabeledImages], NDArray[np.floating]]


@dataclass
class _Drawing:
    """The candidates of one class so far: pictures, what the gate said, probabilities of those that passed it."""

    label: int
    train: LabeledImages
    wanted: int
    drawn: int = 0
    pictures: list[LabeledImages] = field(default_factory=list)
    gated: list[Judged] = field(default_factory=list)
    probabilities: list[NDArray[np.floating]] = field(default_factory=list)
    judged: Judged | None = None

    @property
    def most(self) -> int:
        return math.ceil(MOST * self.wanted)


def draw(
    generator: Generator,
    train: LabeledImages,
    wanted: NDArray[np.int64],
    *,
    gate: Selection,
    selection: Selection,
    seed: int,
    probabilities: Probabilities | None = None,
    device: str = "cpu",
) -> tuple[LabeledImages, Ledger]:
    """Return every candidate that was drawn, by class in the order drawn, and the ledger of what became of it.

    Candidates come in rounds: as many as the selection asks for, then as many as are missing after the gate and the
    selection, until a class has what it is to get, or four times that have been drawn: then it stops short. The n-th
    candidate of a class is the same picture whatever the gate, the selection and the other classes are.

    Args:
        generator: fitted.
        train: the real training part, in the generator's view.
        wanted: int64 [K], pictures per class.
        gate: judges each candidate by itself, before the selection.
        selection: chooses among those that the gate lets pass.
        seed: root of the candidates' seeds.
        probabilities: class probabilities float [N, K] of candidates, by a classifier that was trained on the real
            training part alone; needed where gate or selection says so.
        device: torch device for sampling and features.

    Raises:
        DataError: a class is wanted that the generator has not seen, or probabilities are needed and not given.
    """
    if missing := sorted((gate.needs | selection.needs) - ({"probabilities"} if probabilities else set())):
        raise DataError(f"selection {selection.kind!r} needs {', '.join(missing)}; give them")
    wants = [(label, int(want)) for label, want in enumerate(wanted) if want]
    generator.checked([label for label, _ in wants])
    classes = [_Drawing(label, train.of_class(label), want) for label, want in wants]
    rounds = [(one, min(one.most, selection.num_candidates(one.wanted))) for one in classes]
    while rounds:
        labels = np.repeat([one.label for one, _ in rounds], [num for _, num in rounds])
        places = [range(one.drawn, one.drawn + num) for one, num in rounds]
        seeds = [
            rng.derive(seed, "sample", one.label, at)
            for (one, _), part in zip(rounds, places, strict=True)
            for at in part
        ]
        made = generator.sample(labels, seeds=seeds, device=device)
        start = 0
        for one, num in rounds:
            _add(one, made.take(np.arange(start, start + num)), gate, selection, probabilities, device)
            start += num
        rounds = [(one, num) for one, _ in rounds if (num := _missing(one, selection))]
    return _whole(train, classes, generator), Ledger.joined([_ledger(one) for one in classes])


def _add(
    one: _Drawing,
    made: LabeledImages,
    gate: Selection,
    selection: Selection,
    probabilities: Probabilities | None,
    device: str,
) -> None:
    """Judge a round of one class: the new ones by the gate, all that passed by the selection."""
    needed = gate.needs | selection.needs
    probs = probabilities(made) if probabilities and "probabilities" in needed else None
    gated = gate.judge(made, Known(one.train, len(made), probs, device))
    one.drawn += len(made)
    one.pictures.append(made)
    one.gated.append(gated)
    if probs is not None:
        one.probabilities.append(probs[gated.kept])
    pool = _passed(one)
    if not len(pool):
        one.judged = Judged(np.empty(0, dtype=np.bool_), (), ())
        return
    known = Known(one.train, one.wanted, np.concatenate(one.probabilities) if one.probabilities else None, device)
    one.judged = selection.judge(pool, known)


def _passed(one: _Drawing) -> LabeledImages:
    parts = [made.take(np.flatnonzero(gated.kept)) for made, gated in zip(one.pictures, one.gated, strict=True)]
    return _joined(parts)


def _missing(one: _Drawing, selection: Selection) -> int:
    """How many candidates the next round of a class has; 0: it is finished."""
    assert one.judged is not None
    passed, kept = len(one.judged.kept), int(one.judged.kept.sum())
    short = max(selection.num_candidates(one.wanted) - passed, one.wanted - kept)
    if short <= 0:
        return 0
    share = (kept if kept < one.wanted else passed) / one.drawn
    return min(math.ceil(short / max(share, 1 / MOST)), one.most - one.drawn)


def _ledger(one: _Drawing) -> Ledger:
    """What became of the candidates of one class; those kept beyond the quota are turned away last."""
    assert one.judged is not None
    num = one.drawn
    passed = np.concatenate([gated.kept for gated in one.gated])
    rows = np.flatnonzero(passed)
    said = [words for gated in one.gated for words in gated.said]
    step = [f"gate: {by}" if by else "" for gated in one.gated for by in gated.step]
    scores = {
        f"gate: {name}": np.concatenate([gated.scores[name] for gated in one.gated]) for name in one.gated[0].scores
    }
    for name, score in one.judged.scores.items():
        scores[name] = np.full(num, np.nan)
        scores[name][rows] = score
    for row, words, by in zip(rows.tolist(), one.judged.said, one.judged.step, strict=True):
        said[row], step[row] = words or said[row], by
    kept = np.zeros(num, dtype=np.bool_)
    kept[rows[one.judged.kept]] = True
    for row in np.flatnonzero(kept)[one.wanted :].tolist():
        kept[row], step[row] = False, "quota"
        said[row] = f"quota full{'; ' if said[row] else ''}{said[row]}"
    seeds = np.concatenate([made.origin.seed for made in one.pictures])
    return Ledger(np.full(num, one.label, dtype=np.int64), seeds, kept, tuple(step), tuple(said), scores)


def _whole(train: LabeledImages, classes: list[_Drawing], generator: Generator) -> LabeledImages:
    parts = [made for one in classes for made in one.pictures]
    return _joined(parts) if parts else generator.sample(np.empty(0, dtype=np.int64), seeds=[])


def _joined(parts: list[LabeledImages]) -> LabeledImages:
    whole = parts[0]
    for part in parts[1:]:
        whole = whole.joined(part)
    return whole
