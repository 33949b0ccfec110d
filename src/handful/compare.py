"""What a study may say: intervals, verdicts, and what it could have told before it was run.

Every claim is about *this training pool, new pictures and new training runs*. Two things vary between one answer and
the next: the training run (repeat r: split, initialisation, order) and the test pictures j. Both are random effects
here, crossed, and the error of a mean score has a part from each; repeats shrink one of them only.

Arrays: `predicted` int [R, m], class that repeat r gave to picture j, -1 where j was not in the test part of r;
`labels` int [m]. Fractions in [0, 1] throughout, never percent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from math import inf, isfinite, isnan, nan, sqrt
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

Array = NDArray[Any]
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

SCORES = ("accuracy", "balanced_accuracy", "macro_f1")
MIN_REPEATS = 5  # fewer give no verdict
ZERO_VARIANCE = 1e-20  # rounding of equal scores; one answer that differs among 10^6 pictures is far above it


@dataclass(frozen=True)
class Components:
    """Standard deviations of the three sources of error, in score units, per repeat / per picture / per answer.

    With R repeats and m test pictures the error variance of the mean is
    s_repeat^2 / R + [s_picture^2 (overlap + (1 - overlap) / R) + s_residual^2 / R] / m.
    `overlap` is the share of its test pictures that a repeat has in common with another: 1 for a fixed test part.
    Where it is 0 pictures and residual cannot be told apart and all is residual. `num_pictures` is the mean size of
    a test part (rounded). `pooled_classes` are those with a single test picture in some repeat (and, where such a
    class stood alone, the smallest others it had to join): they share one variance.
    """

    s_repeat: float
    s_picture: float
    s_residual: float
    num_repeats: int = 0
    num_pictures: int = 0
    overlap: float = 1.0
    pooled_classes: tuple[int, ...] = ()


@dataclass(frozen=True)
class Estimate:
    """A mean score or a difference of two, with its interval. `p_value` is two-sided, for "no difference"."""

    value: float
    interval: tuple[float, float]
    level: float
    df: float
    variance: float
    p_value: float | None
    components: Components


@dataclass(frozen=True)
class Verdict:
    """One word, whether the effect is proven to be at least the margin, and the reason as a sentence."""

    word: Literal["helps", "hurts", "no difference that matters", "cannot tell"]
    at_least_margin: bool
    reason: str


@dataclass(frozen=True)
class _Variance:
    """Leading axes are studies; V_R, V_E, and the covariance V_P - V_E that two repeats share through pictures."""

    repeat: Floats
    residual: Floats
    shared: Floats
    total: Floats
    df: Floats


def estimate_score(predicted: Array, labels: Array, *, score: str, num_classes: int, level: float = 0.95) -> Estimate:
    """Mean score of one arm over repeats, with its interval for new pictures and new training runs.

    The variance is that of `compare` with the score in the place of a difference. Scores: `accuracy` weighs pictures
    equally; `balanced_accuracy` is the mean recall and `macro_f1` the mean F1 of the classes present among the labels
    of that repeat's test part (both arms of a comparison so have the same classes). An answer outside them only costs
    its own class.

    Args:
        predicted: int [R, m], class ids in [0, num_classes), -1 where a picture was not tested in a repeat.
        labels: int [m], class ids in [0, num_classes).
        score: one of `SCORES`.
        num_classes: number of classes.
        level: confidence, in (0, 1).

    Returns:
        value in [0, 1] (higher is better), the interval clipped to [0, 1], and no p-value: nothing is tested.
        One repeat, or a score without any variation, gives (nan, nan).

    Raises:
        ValueError: unknown score; shapes, types or class ids that do not fit; fewer than two pictures in a test part.
    """
    predicted, labels = _checked(predicted, labels, score, num_classes, level)
    weights = _weights(predicted >= 0, labels, score, num_classes)
    scores, values = _influence(predicted, labels, weights, score, num_classes)
    return within(estimate_values(scores, values, weights, labels, level), 1.0)


def compare(
    treatment: Array, reference: Array, labels: Array, *, score: str, num_classes: int, level: float = 0.95
) -> Estimate:
    """Paired difference treatment - reference of the mean score, with its interval from two crossed random effects.

    With D_jr the difference of the two arms at picture j in repeat r (correct or not; for macro F1 its influence
    value), u_jr its weight in the score d_r of the repeat, and a_jr = u_jr (D_jr - mean of class and repeat):

        H_rs = sum over classes of [sum_j a_jr a_js / kappa_rs],    kappa = 1 - 1/m_r - 1/m_s + n_rs / (m_r m_s)
        V_R  = s2(d_r) / R
        V_P - V_E = sum_{r != s} H_rs / (R (R - 1))                 covariance through the pictures that repeats share
        V_E  = trace(H) / R^2 - (V_P - V_E) / R                     picture x repeat residual
        V    = V_E + max(V_R - V_E, 0) + max(V_P - V_E, 0)
        df   = V^2 / [V_R^2 / (R-1) + V_P^2 / df_P + V_E^2 / ((R-1) df_P)],  df_P = V_P^2 / sum_c v_Pc^2 / (m_c - 1)
        interval = mean of d_r -+ t(df) sqrt(V)

    m_r and n_rs count the pictures of a class in the test part of r, and in those of r and s; kappa removes what
    centring on the own class mean takes away. Where all repeats test the same pictures this is, term by term,
    V_P = sum_c w_c^2 s2_c(picture means) / m_c and V_E = sum_c w_c^2 MSE_c / (m_c R) of the two-way table.
    Pictures are taken as independent of each other and the class mix as given.

    Args:
        treatment, reference: int [R, m], on the same splits: -1 at the same places.
        labels, score, num_classes, level: as in `estimate_score`.

    Returns:
        value in [-1, 1], above 0 where the treatment scores higher; interval (nan, nan) and p-value None for one
        repeat or V = 0 (all differences equal, which in a finite study proves nothing). Below five repeats the
        interval stands but `judge` gives no verdict. Level and coverage with 5 to 15 repeats and 139 to 1,000
        pictures: docs/verdict_simulation.md.

    Raises:
        ValueError: as in `estimate_score`; shapes that differ; the first repeat and picture tested in one arm only.

    Source: two-way random effects (Searle, Casella, McCulloch 1992, ch. 4), degrees of freedom of Satterthwaite
    (1946); what varies between runs after Bouthillier et al. (2021). Checked against mean squares by slow loops.
    """
    treatment, labels = _checked(treatment, labels, score, num_classes, level)
    reference, _ = _checked(reference, labels, score, num_classes, level)
    if treatment.shape != reference.shape:
        raise ValueError(
            f"treatment has shape {treatment.shape} and reference {reference.shape}: "
            "give both arms the same repeats and pictures"
        )
    differ = (treatment >= 0) != (reference >= 0)
    if differ.any():
        repeat, picture = np.argwhere(differ)[0].tolist()
        raise ValueError(
            f"repeat {repeat}, picture {picture} was tested in one arm only: arms are compared on the same test parts"
        )
    weights = _weights(treatment >= 0, labels, score, num_classes)
    ours, theirs = (_influence(arm, labels, weights, score, num_classes) for arm in (treatment, reference))
    return estimate_values(ours[0] - theirs[0], ours[1] - theirs[1], weights, labels, level)


def within(made: Estimate, highest: float) -> Estimate:
    """Return the estimate of a mean score with its interval clipped to [0, highest], and no p-value."""
    low, high = (min(max(bound, 0.0), highest) if isfinite(bound) else bound for bound in made.interval)
    return replace(made, interval=(low, high), p_value=None)


def turned(made: Estimate) -> Estimate:
    """Return the estimate of the opposite difference: a gain where less is better."""
    low, high = made.interval
    return replace(made, value=-made.value, interval=(-high, -low))


def judge(estimate: Estimate, *, margin: float, num_repeats: int) -> Verdict:
    """Verdict on a difference from its one interval, which should already have the simultaneous level of the study.

    Inside +-margin, bounds included: no difference that matters (even where 0 is outside). Else above 0: helps; below
    0: hurts; with `at_least_margin` where the whole interval is past the margin. Else, with under five repeats, and
    with V = 0: cannot tell.

    Args:
        estimate: from `compare`; `turned` where less is better.
        margin: smallest difference that matters, >= 0, in score units.
        num_repeats: repeats behind the estimate.

    Raises:
        ValueError: margin negative or not finite.
    """
    if not (isfinite(margin) and margin >= 0):
        raise ValueError(f"margin is {margin!r}: give a finite number >= 0, in score units (0.01 is one point)")
    if num_repeats < MIN_REPEATS:
        return Verdict("cannot tell", False, f"{num_repeats} repeats are fewer than {MIN_REPEATS}")
    low, high = estimate.interval
    if isnan(low) or isnan(high):
        return Verdict("cannot tell", False, "no variation between repeats and pictures to judge by")
    span = f"the interval [{low:+.4f}, {high:+.4f}]"
    if -margin <= low and high <= margin:
        return Verdict("no difference that matters", False, f"{span} is inside +-{margin:g}")
    if low > 0:
        return Verdict("helps", low >= margin, f"{span} is above 0{f' and {margin:g}' if low >= margin else ''}")
    if high < 0:
        at_least = high <= -margin
        return Verdict("hurts", at_least, f"{span} is below 0{f' and {-margin:g}' if at_least else ''}")
    return Verdict("cannot tell", False, f"{span} holds 0 and reaches past +-{margin:g}")


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Adjusted p-values in the order given: reject where <= 1 - level, and the family-wise error is kept.

    Step-down of Holm (1979): with p_(1) <= ... <= p_(K), adjusted p_(i) = max over h <= i of min(1, (K - h + 1) p_(h)).
    None (a comparison that cannot tell) stays None and counts in K.

    Raises:
        ValueError: a p-value outside [0, 1].
    """
    for p in p_values:
        if p is not None and not 0 <= p <= 1:
            raise ValueError(f"p-value {p!r} is outside [0, 1]")
    adjusted: list[float | None] = [None] * len(p_values)
    largest = 0.0
    known = sorted((p, index) for index, p in enumerate(p_values) if p is not None)
    for rank, (p, index) in enumerate(known):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p))
        adjusted[index] = largest
    return adjusted


def simultaneous_level(num_comparisons: int, level: float = 0.95) -> float:
    """Level of each of K intervals that hold together at `level`: 1 - (1 - level) / K (Bonferroni).

    Raises:
        ValueError: no comparison, or a level outside (0, 1).
    """
    if num_comparisons < 1:
        raise ValueError(f"num_comparisons is {num_comparisons}: give at least 1")
    check_open_interval("level", level)
    return 1 - (1 - level) / num_comparisons


def check_open_interval(name: str, value: float) -> None:
    """Raise ValueError where a level or a power is not inside (0, 1)."""
    if not 0 < value < 1:
        raise ValueError(f"{name} is {value!r}: give a number between 0 and 1, both excluded")


def _checked(predicted: Array, labels: Array, score: str, num_classes: int, level: float) -> tuple[Integers, Integers]:
    if score not in SCORES:
        close = get_close_matches(score, SCORES, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise ValueError(f"unknown score {score!r}{hint} (allowed: {', '.join(SCORES)})")
    check_open_interval("level", level)
    predicted, labels = np.asarray(predicted), np.asarray(labels)
    if predicted.ndim != 2 or labels.ndim != 1 or predicted.shape[1] != len(labels) or not len(predicted):
        raise ValueError(f"predicted has shape {predicted.shape}, labels {labels.shape}: give [R, m] and [m], R >= 1")
    for name, ids, lowest in (("predicted", predicted, -1), ("labels", labels, 0)):
        if not np.issubdtype(ids.dtype, np.integer):
            raise ValueError(f"{name} has type {ids.dtype}: give class ids as integers")
        if ids.size and not lowest <= ids.min() <= ids.max() < num_classes:
            raise ValueError(f"{name} holds {ids.min()} to {ids.max()}: allowed are {lowest} to {num_classes - 1}")
    sizes = (predicted >= 0).sum(1)
    if sizes.min() < 2:
        raise ValueError(f"repeat {sizes.argmin()} tests {sizes.min()} pictures: give every repeat at least 2")
    return predicted.astype(np.int64), labels.astype(np.int64)


def _class_counts(present: NDArray[np.bool_], classes: Integers, num_classes: int) -> Floats:
    """Pictures of each class in each repeat; classes int, [m] or [R, m] => float [R, K]."""
    repeat = np.broadcast_to(np.arange(len(present))[:, None], present.shape)[present]
    flat = repeat * num_classes + np.broadcast_to(classes, present.shape)[present]
    return np.bincount(flat, minlength=len(present) * num_classes).reshape(-1, num_classes).astype(np.float64)


def _weights(present: NDArray[np.bool_], labels: Integers, score: str, num_classes: int) -> Floats:
    """Weight of each picture in the score of each repeat, rows sum to 1; bool [R, m] => float [R, m]."""
    share: Floats = present.sum(1, keepdims=True, dtype=np.float64)
    if score == "balanced_accuracy":
        counts = _class_counts(present, labels, num_classes)
        share = np.maximum(counts[:, labels], 1) * (counts > 0).sum(1, keepdims=True)
    return present / share


def _influence(
    predicted: Integers, labels: Integers, weights: Floats, score: str, num_classes: int
) -> tuple[Floats, Floats]:
    """Score of each repeat [R] and value of each picture in it [R, m] whose weighted mean varies as the score does.

    Means over pictures: correct or not. Macro F1 over the K classes present, F_c = 2 TP_c / (t_c + q_c) with t_c true
    and q_c predicted: n / K [2 correct / (t_y + q_y) - F_y / (t_y + q_y) - F_p / (t_p + q_p)], of mean 0.
    """
    correct = (predicted == labels).astype(np.float64)
    if score != "macro_f1":
        return (weights * correct).sum(1), correct
    present = predicted >= 0
    true = _class_counts(present, labels, num_classes)
    size = np.where(true > 0, true + _class_counts(present, predicted, num_classes), 1)
    hits = _class_counts(present & (predicted == labels), labels, num_classes)
    f1 = 2 * hits / size  # 0 for a class absent from the labels: it has no hits
    num_present = (true > 0).sum(1, keepdims=True)
    by_prediction = np.take_along_axis(f1 / size, np.maximum(predicted, 0), axis=1)
    values = 2 * correct / size[:, labels] - (f1 / size)[:, labels] - by_prediction
    return f1.sum(1) / num_present[:, 0], present * values * present.sum(1, keepdims=True) / num_present


def _strata(weights: Floats, labels: Integers) -> tuple[list[Integers], tuple[int, ...]]:
    """Columns of each class, those with one picture in some repeat pooled => (columns per stratum, pooled classes)."""
    tested = weights > 0
    classes, sizes = np.unique(labels[tested.any(0)], return_counts=True)
    counts = np.stack([tested[:, labels == c].sum(1) for c in classes], axis=1)  # [R, classes]
    single = (counts == 1).any(0)
    order = [index for index in np.argsort(sizes, kind="stable") if not single[index]]
    while (counts[:, single].sum(1) == 1).any():  # alone in some repeat: joined by the smallest class it finds there
        alone = counts[:, single].sum(1) == 1
        single[next(index for index in order if not single[index] and counts[alone, index].any())] = True
    strata = [np.flatnonzero(labels == c) for c in classes[~single]]
    if single.any():
        strata.append(np.flatnonzero(np.isin(labels, classes[single])))
    return strata, tuple(classes[single].tolist())


def satterthwaite(total: Any, repeat: Any, picture: Any, residual: Any, num_repeats: int, df_picture: Any) -> Any:
    """Degrees of freedom of V as in `compare`, for numbers or arrays."""
    below = repeat**2 / (num_repeats - 1) + picture**2 / df_picture + residual**2 / ((num_repeats - 1) * df_picture)
    return total**2 / below


def _variance(scores: Floats, values: Floats, weights: Floats, strata: Sequence[Integers]) -> _Variance:
    """Formulas of `compare`; scores [..., R], values [..., R, m], weights broadcast to them, R >= 2."""
    num_repeats = scores.shape[-1]
    repeat = scores.var(-1, ddof=1) / num_repeats
    residual, shared, picture_mean_square, df_share = (np.zeros(scores.shape[:-1]) for _ in range(4))
    for columns in strata:
        u = weights[..., columns]
        part = u / np.maximum(u.sum(-1, keepdims=True), np.finfo(np.float64).tiny)
        centred = values[..., columns]
        centred = u * (centred - (part * centred).sum(-1, keepdims=True))
        common = part @ part.swapaxes(-1, -2)
        loss = part**2 @ part.swapaxes(-1, -2)
        positive = common > 0
        kappa = 1 - (loss + loss.swapaxes(-1, -2)) / np.where(positive, common, 1) + common
        cross = np.where(positive, centred @ centred.swapaxes(-1, -2) / np.where(positive, kappa, 1), 0)
        own = np.trace(cross, axis1=-2, axis2=-1)
        covariance = (cross.sum((-2, -1)) - own) / (num_repeats * (num_repeats - 1))
        in_class = own / num_repeats**2 - covariance / num_repeats
        mean_square = np.maximum(in_class + covariance, 0)
        residual += in_class
        shared += covariance
        picture_mean_square += mean_square
        df_share += mean_square**2 / np.maximum((u > 0).any(-2).sum(-1) - 1, 1)
    residual = np.maximum(residual, 0)
    total = residual + np.maximum(repeat - residual, 0) + np.maximum(shared, 0)
    total = np.where(total > ZERO_VARIANCE, total, 0)
    safe = np.where(total > 0, 1.0, nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        df_picture = np.where(df_share > 0, picture_mean_square**2 / df_share, inf)
        df = satterthwaite(total * safe, repeat, picture_mean_square, residual, num_repeats, df_picture)
    return _Variance(repeat, residual, shared, total, df)


def spread(scores: Floats, values: Floats, weights: Floats, labels: Integers) -> tuple[Floats, Floats]:
    """Return V and df of `compare` for a stack of scores that share their pictures.

    Args:
        scores: [..., R], R >= 2; values: [..., R, m], whose weighted mean over pictures varies as the score does.
        weights: [R, m], rows sum to 1, 0 where a picture was not tested; labels: int [m].

    Returns:
        V [...], 0 where nothing varies, and df [...], NaN there.
    """
    made = _variance(scores, values, weights, _strata(weights, labels)[0])
    return made.total, made.df


def estimate_values(scores: Floats, values: Floats, weights: Floats, labels: Integers, level: float = 0.95) -> Estimate:
    """Return the mean of any score, or of differences of one, with the interval of `compare`.

    Args:
        scores: [R]; values, weights: [R, m]; labels: int [m], as in `spread`.
        level: confidence, in (0, 1).
    """
    check_open_interval("level", level)
    num_repeats = len(scores)
    value = float(scores.mean())
    strata, pooled = _strata(weights, labels)
    num_tested = float((weights > 0).sum(1).mean())
    if num_repeats < 2:
        unknown = Components(nan, nan, nan, num_repeats, round(num_tested), pooled_classes=pooled)
        return Estimate(value, (nan, nan), level, nan, nan, None, unknown)
    v = _variance(scores, values, weights, strata)
    both = weights @ weights.T
    own = float(np.trace(both)) / num_repeats
    overlap = (float(both.sum()) / num_repeats - own) / (num_repeats - 1) / own
    shared = float(v.shared)
    per_answer = max(num_repeats * (float(v.residual) + shared / num_repeats), 0.0) * num_tested
    picture = min(max(shared, 0.0) * num_tested / overlap, per_answer) if overlap > 0 else 0.0
    components = Components(
        s_repeat=sqrt(num_repeats * max(float(v.repeat - v.residual), 0.0)),
        s_picture=sqrt(picture),
        s_residual=sqrt(max(per_answer - picture, 0.0)),
        num_repeats=num_repeats,
        num_pictures=round(num_tested),
        overlap=overlap,
        pooled_classes=pooled,
    )
    variance, df = float(v.total), float(v.df)
    if variance == 0:
        return Estimate(value, (nan, nan), level, nan, 0.0, None, components)
    half = float(stdtrit(df, 0.5 + level / 2)) * sqrt(variance)
    p_value = float(2 * stdtr(df, -abs(value) / sqrt(variance)))
    return Estimate(value, (value - half, value + half), level, df, variance, p_value, components)
