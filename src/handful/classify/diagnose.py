"""Whether a classifier fits, overfits, underfits or has not converged, in plain words with the numbers behind them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

import numpy as np

LEVEL = 0.90  # of the intervals: what is above 0 in one is so at a one-sided level of 95 %
GAPS = (0.05, 0.10, 0.25)  # training accuracy over validation accuracy: slightly, plainly, severely overfitted
SHORTFALLS = (0.005, 0.03, 0.10)  # below the best validation accuracy that was reached: the same of underfitting
LEARNED = (0.85, 0.75, 0.60)  # training accuracy under which a network has not even learned its own pictures
FALL, KNOWN = 0.10, 0.95  # loss that falls by this share in the last quarter, unless so many pictures are known
RISE = 1.1  # last over lowest validation loss that is worth telling
LONGER = "train longer"
ADVICE = {
    "overfits": "regularise, augment, or add pictures",
    "underfits": "raise the learning rate, regularise less, or take a larger network",
    "not converged": LONGER,
}

Word = Literal["fits", "overfits", "underfits", "not converged", "cannot tell"]
Interval = tuple[float, float]


@dataclass(frozen=True)
class Evidence:
    """What one run, or the mean of several, is judged by; None is what is not known.

    Args:
        train_accuracy, val_accuracy: at the end, without augmentation and dropout, on `num_train` and `num_val`
            pictures.
        train_loss, val_loss, lowest_val_loss: cross-entropy in nats; the lowest of all looks.
        fall: share that the training loss lost over the last quarter of the looks.
        stopped_early: validation ended the training.
    """

    train_accuracy: float | None = None
    val_accuracy: float | None = None
    num_train: int = 0
    num_val: int = 0
    train_loss: float | None = None
    val_loss: float | None = None
    lowest_val_loss: float | None = None
    fall: float | None = None
    stopped_early: bool = False


@dataclass(frozen=True)
class Diagnosis:
    """A verdict on a run.

    Args:
        word: `overfits` where training accuracy is more than 5 points above that of validation; `not converged` where
            the loss was still falling; `underfits` where its own training pictures are not learned, or validation
            accuracy is below the best that was reached; `cannot tell` where the validation part is too small, or
            missing.
        grade: `slight`, `severe` or empty.
        said: word, numbers and what to do, in one sentence.
        gap: training minus validation accuracy, with its interval at 90 % by the sizes of both parts.
        shortfall: the best validation accuracy reached minus that of this run, with its interval.
    """

    word: Word
    grade: str
    said: str
    evidence: Evidence
    gap: float | None = None
    gap_interval: Interval | None = None
    shortfall: float | None = None
    shortfall_interval: Interval | None = None

    def to_json(self) -> dict[str, Any]:
        return {name: list(one) if isinstance(one, tuple) else one for name, one in asdict(self).items()}


def evidence_of(history: Mapping[str, Any]) -> Evidence:
    """Return the evidence in the history on a classifier's card."""
    final = history.get("final") or {}
    train, val = final.get("train") or {}, final.get("val") or {}
    losses = [found["loss"] for found in history.get("values", ()) if "loss" in found]
    return Evidence(
        train_accuracy=train.get("accuracy"),
        val_accuracy=val.get("accuracy"),
        num_train=int(train.get("num", 0)),
        num_val=int(val.get("num", 0)),
        train_loss=train.get("loss"),
        val_loss=val.get("loss"),
        lowest_val_loss=min(losses, default=None),
        fall=fall([next(iter(found.values())) for found in history.get("train_loss", ()) if found]),
        stopped_early=bool(history.get("stopped_early")),
    )


def mean_evidence(runs: Sequence[Evidence]) -> Evidence:
    """Return the means of several runs, each number where all have it; the sizes are those of one run."""
    found: dict[str, Any] = {}
    for name in (one.name for one in fields(Evidence)):
        values = [getattr(run, name) for run in runs]
        found[name] = None if not values or None in values else float(np.mean(values))
    whole = {name: round(found[name] or 0) for name in ("num_train", "num_val")}
    return Evidence(**{**found, **whole, "stopped_early": bool(found["stopped_early"])})


def fall(losses: Sequence[float]) -> float | None:
    """Return the share that a loss lost over its last quarter by a straight line; None for fewer than 8 looks."""
    last = np.asarray(losses[-max(3, len(losses) // 4) :], dtype=np.float64)
    if len(losses) < 8 or not np.isfinite(last).all():
        return None
    slope, _ = np.polyfit(np.arange(len(last)), last, 1)
    first = float(last.mean() - slope * (len(last) - 1) / 2)
    return float(-slope * (len(last) - 1) / first) if first > 0 else None


def diagnose(evidence: Evidence, best: tuple[float, int] | None = None) -> Diagnosis:
    """Return what a run's numbers say.

    Args:
        evidence: of the run.
        best: the highest validation accuracy that was reached on these pictures, by whatever run, and of how many
            pictures; without it, underfitting is told by the training pictures alone.
    """
    gap, gap_interval = _difference(
        evidence.train_accuracy, evidence.num_train, evidence.val_accuracy, evidence.num_val
    )
    short, short_interval = (
        (None, None) if best is None else _difference(*best, evidence.val_accuracy, evidence.num_val)
    )
    over = _grade(gap, GAPS)
    sure = gap_interval is not None and gap_interval[0] > 0
    under = _underfit(evidence, short, short_interval)
    word, grade = _word(evidence, over, sure, under)
    said = _said(word, grade, evidence, gap, gap_interval, short if word == "underfits" else None)
    return Diagnosis(word, grade, said, evidence, gap, gap_interval, short, short_interval)


def _word(evidence: Evidence, over: int, sure: bool, under: int) -> tuple[Word, str]:
    grades = ("", "slight", "", "severe")
    if over and sure:
        return "overfits", grades[over]
    known = evidence.train_accuracy is not None and evidence.train_accuracy >= KNOWN
    if evidence.fall is not None and evidence.fall > FALL and not known and not evidence.stopped_early:
        return "not converged", ""
    if under:
        return "underfits", grades[under]
    return ("cannot tell", "") if over or evidence.val_accuracy is None else ("fits", "")


def _underfit(evidence: Evidence, short: float | None, interval: Interval | None) -> int:
    learned = 0 if evidence.train_accuracy is None else sum(evidence.train_accuracy < least for least in LEARNED)
    return max(learned, _grade(short, SHORTFALLS) if interval is not None and interval[0] > 0 else 0)


def _grade(value: float | None, limits: Sequence[float]) -> int:
    return 0 if value is None else sum(value > limit for limit in limits)


def _difference(
    one: float | None, num: int, other: float | None, other_num: int
) -> tuple[float | None, Interval | None]:
    if one is None or other is None or not num or not other_num:
        return None, None
    return one - other, newcombe(one, num, other, other_num)


def wilson(share: float, num: int, level: float = LEVEL) -> Interval:
    """Return the interval of a share of `num` draws (Wilson 1927)."""
    from scipy.stats import norm

    z = float(norm.ppf(0.5 + level / 2))
    middle = (share + z * z / (2 * num)) / (1 + z * z / num)
    half = z / (1 + z * z / num) * math.sqrt(share * (1 - share) / num + z * z / (4 * num * num))
    return middle - half, middle + half


def newcombe(one: float, num: int, other: float, other_num: int, level: float = LEVEL) -> Interval:
    """Return the interval of the difference of two independent shares (Newcombe 1998, method 10).

    Checked against the published example, 56 of 70 and 48 of 80: 0.2 (0.0524 to 0.3339) at 95 %.
    """
    (low, high), (other_low, other_high) = wilson(one, num, level), wilson(other, other_num, level)
    down = math.hypot(one - low, other_high - other)
    up = math.hypot(high - one, other - other_low)
    return one - other - down, one - other + up


def _said(
    word: Word, grade: str, evidence: Evidence, gap: float | None, interval: Interval | None, short: float | None
) -> str:
    parts = []
    if evidence.train_accuracy is not None:
        parts.append(f"{evidence.train_accuracy:.1%} of its training pictures are right")
    if evidence.val_accuracy is not None:
        parts.append(f"{evidence.val_accuracy:.1%} of {evidence.num_val} for validation")
    else:
        parts.append("there is no validation part")
    if gap is not None and interval is not None:
        low, high = (100 * end for end in interval)
        parts.append(f"a gap of {100 * gap:.1f} points ({LEVEL:.0%} interval {low:.1f} to {high:.1f})")
    if short is not None and short > 0:
        parts.append(f"{100 * short:.1f} points below the best of this study")
    if word == "not converged":
        parts.append(f"the training loss fell by {evidence.fall:.0%} in the last quarter")
    least, last = evidence.lowest_val_loss, evidence.val_loss
    if least is not None and last is not None and last > RISE * least:
        parts.append(f"validation loss rose from {least:.3g} to {last:.3g}")
    advice = ADVICE.get(word, "")
    if word == "underfits" and evidence.fall is None and not evidence.stopped_early:
        advice = f"it was looked at too seldom to tell whether it had converged: {LONGER}, or else {advice}"
    return f"{word}{f' ({grade})' if grade else ''}: {', '.join(parts)}{f'; {advice}' if advice else ''}"
