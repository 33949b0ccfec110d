"""How often each way to compare two arms is wrong, and how often it finds what is there, on simulated studies.

    python benchmarks/verdict_simulation.py --studies 2000 --seed 1 --output docs/verdict_simulation.md

With --folds only the studies of k-fold test parts are simulated, and their section of the output is written anew.

Probit model: arm a is right on picture j of class c in repeat r where
    theta_ac + alpha u_j + tau_a h_aj + lambda g_ar + e_ajr > 0,    u, h, g, e standard normal.
u is the difficulty of the picture, shared by the arms; h what the treatment changes at this picture; g the luck of the
training run. alpha, tau and lambda are solved for s_repeat, s_picture and s_residual of `handful.planner.PRIOR`;
theta for the accuracy of each class and the true difference. Every study has new pictures and new runs.
"""

from __future__ import annotations

import argparse
import itertools
import shlex
import sys
import textwrap
import time
from collections import defaultdict
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from math import sqrt
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import fsolve
from scipy.special import ndtr, ndtri, stdtr, stdtrit
from scipy.stats import binom, qmc

from handful.compare import _influence, _strata, _variance, _weights, simultaneous_level
from handful.planner import PRIOR

Floats = NDArray[np.float64]
Parameters = tuple[float, float, float]  # alpha, tau, lambda
Tally = dict[tuple[str, str], list[int]]  # (score, procedure) => [studies, claims, covered, studies with interval]

NUM_CLASSES = 10
ACCURACY = np.linspace(0.80, 0.60, NUM_CLASSES)  # of the reference arm; the rare classes are the hard ones
TEST_FRACTION = 0.2  # of the pool, for resampled test parts
FOLDS = 5  # so that a fold is as large a part of the pool
FOLD_TITLE = f"## Test parts from {FOLDS}-fold cross-validation"
NUM_ARMS = 5
RESAMPLES = 400
CHUNK = 3_000_000  # answers held at once
EFFECTS = {"inert": 0.0, "mixed": 0.0, "+2": 0.02, "+5": 0.05}
OURS = "two-way components, t"
PROCEDURES = (
    OURS,
    "paired t over repeats",
    "corrected resampled t",
    "exact sign flip",
    "percentile bootstrap over repeats",
    "two-way bootstrap",
    "McNemar on votes",
)


@dataclass(frozen=True)
class Cell:
    design: str  # fixed | resampled | folds
    mix: str  # balanced | imbalanced
    num_repeats: int
    num_pictures: int
    effect: str
    scores: tuple[str, ...] = ("accuracy",)
    family: bool = False


Task = tuple[Cell, int, Parameters, tuple[int, ...]]  # cell, studies, parameters, seed


def _moments(alpha: float, tau: float, normals: Floats) -> tuple[float, float, float]:
    """s_picture, s_residual of a treatment of no mean effect, and the slope of the accuracy in g, over all classes."""
    spread_reference, spread = sqrt(1 + alpha**2), sqrt(1 + alpha**2 + tau**2)
    quantile = ndtri(ACCURACY)[:, None]
    reference = ndtr(quantile * spread_reference + alpha * normals[:, 0])
    treatment = ndtr(quantile * spread + alpha * normals[:, 0] + tau * normals[:, 1])
    residual = (reference * (1 - reference) + treatment * (1 - treatment)).mean()
    slope = np.exp(-(quantile**2) / 2).mean() / sqrt(2 * np.pi)
    return (
        float((treatment - reference).std(axis=1).mean()),
        sqrt(residual),
        slope * sqrt(spread_reference**-2 + spread**-2),
    )


def calibrate() -> Parameters:
    """alpha, tau, lambda that give the components of PRIOR (lambda to first order: it is small)."""
    normals = ndtri(qmc.Sobol(2, seed=0).random_base2(14))

    def miss(parameters: Floats) -> list[float]:
        picture, residual, _ = _moments(parameters[0], parameters[1], normals)
        return [picture - PRIOR.s_picture, residual - PRIOR.s_residual]

    alpha, tau = np.abs(fsolve(miss, [2.0, 1.0]))
    return float(alpha), float(tau), float(PRIOR.s_repeat / _moments(alpha, tau, normals)[2])


def class_sizes(mix: str, num_pictures: int) -> NDArray[np.int64]:
    share = np.ones(NUM_CLASSES) if mix == "balanced" else np.geomspace(10, 1, NUM_CLASSES)
    sizes: NDArray[np.int64] = np.floor(share / share.sum() * num_pictures).astype(np.int64)
    sizes[: num_pictures - sizes.sum()] += 1
    return sizes


def _answers(
    cell: Cell, studies: int, parameters: Parameters, rng: np.random.Generator
) -> tuple[NDArray[np.bool_], NDArray[np.int64], NDArray[np.bool_]]:
    """Right or wrong of reference and treatments [A + 1, S, R, N], labels [N], tested [S, R, N] or [R, N]."""
    alpha, tau, luck = parameters
    sizes = class_sizes(cell.mix, cell.num_pictures)
    pool = {"fixed": sizes, "resampled": np.ceil(sizes / TEST_FRACTION).astype(np.int64), "folds": sizes * FOLDS}
    labels = np.repeat(np.arange(NUM_CLASSES), pool[cell.design])
    tau = 0.0 if cell.effect == "inert" else tau
    single = np.float32
    difficulty = alpha * rng.standard_normal((studies, 1, len(labels)), dtype=single)
    arms = []
    for arm in range(1 + (NUM_ARMS if cell.family else 1)):
        changed, gain = (tau, EFFECTS[cell.effect]) if arm else (0.0, 0.0)
        spread = sqrt(1 + alpha**2 + changed**2 + luck**2)
        latent = difficulty + (ndtri(ACCURACY + gain) * spread)[labels].astype(single)
        latent = latent + changed * rng.standard_normal(latent.shape, dtype=single)
        latent = latent + luck * rng.standard_normal((studies, cell.num_repeats, 1), dtype=single)
        arms.append(latent + rng.standard_normal(latent.shape, dtype=single) > 0)
    if cell.design == "fixed":
        return np.stack(arms), labels, np.ones((cell.num_repeats, len(labels)), dtype=bool)
    if cell.design == "folds":
        return np.stack(arms), labels, _folds(labels, studies, cell.num_repeats, rng)
    tested = np.zeros((studies, cell.num_repeats, len(labels)), dtype=bool)
    for c, size in enumerate(sizes):
        columns = np.flatnonzero(labels == c)
        order = rng.random((studies, cell.num_repeats, len(columns)), dtype=single)
        tested[..., columns] = order <= np.partition(order, size - 1, axis=-1)[..., size - 1 : size]
    return np.stack(arms), labels, tested


def _folds(labels: NDArray[np.int64], studies: int, num_repeats: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Tested [S, R, N]: repeat r is fold r % FOLDS of cut r // FOLDS, and every cut tests each picture once."""
    cuts = -(-num_repeats // FOLDS)
    fold = np.zeros((studies, cuts, len(labels)), dtype=np.int64)
    for c in range(NUM_CLASSES):
        columns = np.flatnonzero(labels == c)
        order = rng.random((studies, cuts, len(columns)), dtype=np.float32)
        fold[..., columns] = order.argsort(axis=-1).argsort(axis=-1) % FOLDS
    repeats = np.arange(num_repeats)
    tested: NDArray[np.bool_] = fold[:, repeats // FOLDS] == (repeats % FOLDS)[None, :, None]
    return tested


def _influences(
    right: NDArray[np.bool_], labels: NDArray[np.int64], tested: NDArray[np.bool_], score: str, rng: np.random.Generator
) -> tuple[Floats, Floats, Floats]:
    """Scores [S, R], values [S, R, N] and weights [(S,) R, N] of one arm, by the functions under test."""
    weights = _weights(tested.reshape(-1, len(labels)), labels, score, NUM_CLASSES).reshape(tested.shape)
    if score != "macro_f1":
        values = right.astype(np.float64)
        return np.einsum("srn,rn->sr" if tested.ndim == 2 else "srn,srn->sr", values, weights), values, weights
    others = (labels + rng.integers(1, NUM_CLASSES, right.shape)) % NUM_CLASSES
    predicted = np.where(tested, np.where(right, labels, others), -1).reshape(-1, len(labels))
    flat = np.broadcast_to(weights, right.shape).reshape(predicted.shape)
    scores, values = _influence(predicted, labels, flat, score, NUM_CLASSES)
    return scores.reshape(right.shape[:2]), values.reshape(right.shape), weights


def _truth(cell: Cell, score: str) -> float:
    """True difference of the two arms, for accuracies the gain, for macro F1 from the population's confusion table."""
    gain = EFFECTS[cell.effect]
    if score != "macro_f1":
        return gain
    sizes = class_sizes(cell.mix, cell.num_pictures)
    share = sizes / sizes.sum()

    def macro_f1(recall: Floats) -> float:
        wrong = share * (1 - recall)
        answered = share * recall + (wrong.sum() - wrong) / (NUM_CLASSES - 1)
        return float((2 * share * recall / (share + answered)).mean())

    return macro_f1(ACCURACY + gain) - macro_f1(ACCURACY)


def _interval_tally(value: Floats, half: Floats, truth: float) -> list[int]:
    claims = np.abs(value) > half
    covered = ~(np.abs(value - truth) > half)
    return [len(value), int(claims.sum()), int(covered.sum()), len(value)]


def _percentile_tally(draws: Floats, truth: float) -> list[int]:
    low, high = np.quantile(draws, (0.025, 0.975), axis=1)
    claims, covered = (low > 0) | (high < 0), (low <= truth) & (truth <= high)
    return [len(draws), int(claims.sum()), int(covered.sum()), len(draws)]


def _usual(cell: Cell, scores: Floats, rng: np.random.Generator, truth: float) -> dict[str, list[int]]:
    """The procedures that see only the R differences of a study; scores [S, R]."""
    R = cell.num_repeats
    mean, variance, t = scores.mean(1), scores.var(1, ddof=1), float(stdtrit(R - 1, 0.975))
    correction = 1 / R + TEST_FRACTION / (1 - TEST_FRACTION)
    signs = np.array(list(itertools.product((1, -1), repeat=R - 1)), dtype=np.float32)  # the first sign is free: |sum|
    flipped = np.abs(scores[:, :1] + scores[:, 1:] @ signs.T)
    p_flip = (flipped >= np.abs(scores.sum(1))[:, None] - 1e-6).mean(1)
    again = rng.multinomial(R, np.full(R, 1 / R), size=RESAMPLES) / R
    return {
        "paired t over repeats": _interval_tally(mean, t * np.sqrt(variance / R), truth),
        "corrected resampled t": _interval_tally(mean, t * np.sqrt(variance * correction), truth),
        "exact sign flip": [len(mean), int((p_flip <= 0.05).sum()), 0, 0],
        "percentile bootstrap over repeats": _percentile_tally(scores @ again.T, truth),
    }


def _usual_with_pictures(
    reference: NDArray[np.bool_],
    treatment: NDArray[np.bool_],
    labels: NDArray[np.int64],
    rng: np.random.Generator,
    truth: float,
) -> dict[str, list[int]]:
    """The procedures that see the table [S, R, m] of a fixed test part, for accuracy."""
    S, R, m = reference.shape
    counts = np.empty((RESAMPLES, m), dtype=np.float32)
    for c in range(NUM_CLASSES):
        size = int((labels == c).sum())
        counts[:, labels == c] = rng.multinomial(size, np.full(size, 1 / size), size=RESAMPLES)
    difference = treatment.astype(np.float32) - reference
    by_repeat = (difference.reshape(-1, m) @ counts.T).reshape(S, R, RESAMPLES) / m
    again = rng.multinomial(R, np.full(R, 1 / R), size=RESAMPLES) / R
    draws = np.einsum("srb,br->sb", by_repeat, again)
    ours, theirs = 2 * treatment.sum(1) > R, 2 * reference.sum(1) > R
    gained, lost = (ours & ~theirs).sum(1), (theirs & ~ours).sum(1)
    p_value = np.minimum(1, 2 * binom.cdf(np.minimum(gained, lost), gained + lost, 0.5))
    mcnemar = [S, int((p_value <= 0.05).sum()), 0, 0]
    return {"two-way bootstrap": _percentile_tally(draws, truth), "McNemar on votes": mcnemar}


def _family(value: Floats, p_value: Floats) -> dict[str, list[int]]:
    """Claims in families of arms [A, S]: any arm (error where all are without effect) and the mean over arms."""
    count, size = p_value.shape[1], len(p_value)
    ordered = np.sort(p_value, axis=0) * np.arange(size, 0, -1)[:, None]
    claims = {
        "each at 95 %": p_value < 0.05,
        "simultaneous intervals": p_value < 1 - simultaneous_level(size),
        "Holm": np.maximum.accumulate(ordered, axis=0) < 0.05,
    }
    tally: dict[str, list[int]] = {}
    for name, claimed in claims.items():
        tally[f"{name}: any arm"] = [count, int(claimed.any(0).sum()), 0, 0]
        tally[f"{name}: per arm"] = [count * size, int(claimed.sum()), 0, 0]
    return tally


def simulate(task: Task) -> Tally:
    """One chunk of the studies of a cell."""
    cell, studies, parameters, seed = task
    rng = np.random.default_rng(seed)
    right, labels, tested = _answers(cell, studies, parameters, rng)
    tally: Tally = {}
    for score in cell.scores:
        truth = _truth(cell, score)
        arms = [_influences(arm, labels, tested, score, rng) for arm in right]
        weights = arms[0][2]
        strata, _ = _strata(weights.reshape(-1, cell.num_repeats, len(labels))[0], labels)
        value, p_value = [], []
        for arm in arms[1:]:
            scores = arm[0] - arms[0][0]
            v = _variance(scores, arm[1] - arms[0][1], weights, strata)
            value.append(scores.mean(1))
            p_value.append(2 * stdtr(v.df, -np.abs(value[-1]) / np.sqrt(v.total)))
            half = np.asarray(stdtrit(v.df, 0.975) * np.sqrt(v.total), dtype=np.float64)
        if cell.family:
            tally |= {(score, name): row for name, row in _family(np.stack(value), np.stack(p_value)).items()}
            continue
        tally[score, OURS] = _interval_tally(value[0], half, truth)
        tally |= {(score, name): row for name, row in _usual(cell, scores, rng, truth).items()}
        if score == "accuracy" and cell.design == "fixed":
            rows = _usual_with_pictures(right[0], right[1], labels, rng, truth)
            tally |= {(score, name): row for name, row in rows.items()}
    return tally


def _cells() -> list[Cell]:
    all_scores = ("balanced_accuracy", "macro_f1")
    cells = []
    for design, R, m, effect in itertools.product(("fixed", "resampled"), (5, 10, 15), (139, 1000), EFFECTS):
        cells.append(Cell(design, "balanced", R, m, effect))
        if R != 15:
            cells.append(Cell(design, "imbalanced", R, m, effect, all_scores))
    families = itertools.product((5, 10), (139, 1000), ("inert", "mixed", "+5"))
    return cells + [Cell("fixed", "balanced", R, m, effect, family=True) for R, m, effect in families]


def _fold_cells() -> list[Cell]:
    cells = [
        Cell("folds", "balanced", R, m, effect) for m, R, effect in itertools.product((28, 139), (5, 10, 15), EFFECTS)
    ]
    both = ("balanced_accuracy", "macro_f1")
    return cells + [Cell("folds", "imbalanced", R, 139, e, both) for R, e in itertools.product((5, 10), EFFECTS)]


def _tasks(cells: Iterable[Cell], studies: int, parameters: Parameters, seed: int) -> list[Task]:
    tasks: list[Task] = []
    for index, cell in enumerate(cells):
        held = cell.num_repeats * cell.num_pictures * (1 if cell.design == "fixed" else round(1 / TEST_FRACTION))
        size = max(1, min(250, CHUNK // held))
        for chunk, start in enumerate(range(0, studies, size)):
            tasks.append((cell, min(size, studies - start), parameters, (seed, index, chunk)))
    return tasks


def _percent(row: list[int] | None, column: int = 1) -> str:
    of = 0 if row is None else row[0] if column == 1 else row[3]
    return f"{100 * row[column] / of:.1f}" if row is not None and of else "-"


def _table(results: dict[Cell, Tally], design: str, mix: str, score: str, procedures: Iterable[str]) -> list[str]:
    lines = ["| m | R | procedure | claims, inert | claims, mixed | coverage at 0 / +2 / +5 | power +2 / +5 |"]
    lines.append("|---|---|---|---|---|---|---|")
    for m, R, procedure in itertools.product((28, 139, 1000), (5, 10, 15), procedures):
        rows = {
            cell.effect: tally.get((score, procedure))
            for cell, tally in results.items()
            if (cell.design, cell.mix, cell.num_repeats, cell.num_pictures, cell.family) == (design, mix, R, m, False)
        }
        if not any(rows.values()):
            continue
        coverage = " / ".join(_percent(rows[effect], 2) for effect in ("mixed", "+2", "+5"))
        power = " / ".join(_percent(rows[effect]) for effect in ("+2", "+5"))
        name = f"**{procedure}**" if procedure == OURS else procedure
        row = (m, R, name, _percent(rows["inert"]), _percent(rows["mixed"]), coverage, power)
        lines.append("| " + " | ".join(str(field) for field in row) + " |")
    return lines


def _fold_section(results: dict[Cell, Tally], studies: int, command: str) -> list[str]:
    """The section of k-fold test parts, complete with the command that makes it."""
    error = [100 * sqrt(p * (1 - p) / studies) for p in (0.05, 0.5)]
    few = PROCEDURES[:3]
    text = (
        f"{studies} studies per cell; Monte-Carlo standard error {error[0]:.1f} points at 5 and 95 %, {error[1]:.1f} "
        f"at 50 %. A pool of {FOLDS} m pictures is cut into {FOLDS} stratified folds of m; repeat r tests on fold "
        f"r % {FOLDS} of cut r // {FOLDS}, so {FOLDS} repeats test every picture once and {2 * FOLDS} twice, in folds "
        "cut anew. The luck of each run is drawn on its own; that training parts overlap is not modelled. The "
        f"corrected resampled t uses 1 / R + {1 / (FOLDS - 1):g}."
    )
    return [
        FOLD_TITLE,
        "",
        f"`{command}`",
        "",
        *textwrap.wrap(text, 118),
        "",
        "Accuracy, balanced classes:",
        "",
        *_table(results, "folds", "balanced", "accuracy", PROCEDURES[:5]),
        "",
        "Balanced accuracy, imbalanced classes:",
        "",
        *_table(results, "folds", "imbalanced", "balanced_accuracy", few),
        "",
        "Macro F1, imbalanced classes:",
        "",
        *_table(results, "folds", "imbalanced", "macro_f1", few),
        "",
        *(line for line in _reading(results)[3:] if any(line.startswith(f"- {name}:") for name in PROCEDURES[:5])),
    ]


def _with_section(text: str, section: list[str]) -> str:
    """A document with its section of k-fold test parts replaced, or put before its last one."""
    blocks = text.rstrip("\n").split("\n## ")
    blocks = [block for block in blocks if f"## {block}".split("\n")[0] != FOLD_TITLE]
    blocks.insert(len(blocks) - 1, "\n".join(section).removeprefix("## ") + "\n")
    return "\n## ".join(blocks) + "\n"


def _tables(results: dict[Cell, Tally]) -> list[str]:
    lines: list[str] = []

    def section(title: str, design: str, mix: str, score: str, procedures: Iterable[str]) -> None:
        lines.extend(["", f"## {title}", "", *_table(results, design, mix, score, procedures)])

    section("Fixed test part, accuracy, balanced classes", "fixed", "balanced", "accuracy", PROCEDURES)
    section("Resampled test parts, accuracy, balanced classes", "resampled", "balanced", "accuracy", PROCEDURES[:5])
    few = PROCEDURES[:3]
    for design, title in (("fixed", "Fixed test part"), ("resampled", "Resampled test parts")):
        section(f"{title}, balanced accuracy, imbalanced classes", design, "imbalanced", "balanced_accuracy", few)
        section(f"{title}, macro F1, imbalanced classes", design, "imbalanced", "macro_f1", few)
    lines.extend(["", f"## {NUM_ARMS} arms against one reference (fixed test part, accuracy, our procedure)", ""])
    lines.append("| m | R | claims made on | any false claim, inert | any false claim, mixed | power +5, per arm |")
    lines.append("|---|---|---|---|---|---|")
    for m, R, name in itertools.product((139, 1000), (5, 10), ("each at 95 %", "simultaneous intervals", "Holm")):
        tallies = {
            cell.effect: tally
            for cell, tally in results.items()
            if cell.family and (cell.num_repeats, cell.num_pictures) == (R, m)
        }
        error = [_percent(tallies[effect]["accuracy", f"{name}: any arm"]) for effect in ("inert", "mixed")]
        power = _percent(tallies["+5"]["accuracy", f"{name}: per arm"])
        lines.append(f"| {m} | {R} | {name} | {error[0]} | {error[1]} | {power} |")
    return lines


def _head(options: argparse.Namespace, parameters: Parameters, command: str) -> list[str]:
    n, K = options.studies, NUM_CLASSES
    error = [100 * sqrt(p * (1 - p) / n) for p in (0.05, 0.5)]
    alpha, tau, luck = parameters
    sizes = {(mix, m): class_sizes(mix, m) for mix in ("balanced", "imbalanced") for m in (139, 1000)}
    spans = "; ".join(f"{mix}, m = {m}: {size.max()} to {size.min()}" for (mix, m), size in sizes.items())
    spans = spans.replace("; imb", ";\nimb", 1)
    text = f"""# Which procedure may give a verdict: a simulation

`{command}`

{n} studies per cell, seed {options.seed}; percent. Monte-Carlo standard error: {error[0]:.1f} points at 5 and 95 %,
{error[1]:.1f} at 50 %. Nominal: claims 5, coverage 95. m test pictures in a test part, R repeats, {K} classes.
Pictures per class: {spans}.

Probit model (formula in the script): alpha {alpha:.2f}, tau {tau:.2f}, lambda {luck:.3f}, solved for s_repeat
{PRIOR.s_repeat}, s_picture {PRIOR.s_picture}, s_residual {PRIOR.s_residual}; accuracy of the reference arm
{ACCURACY[0]:.2f} to {ACCURACY[-1]:.2f} by class. *Inert*: the treatment changes nothing (tau = 0). *Mixed*: it helps
some pictures and hurts others, 0 on average. *+2, +5*: as mixed, with a mean gain of that many points in every class.
Every study draws new pictures and new runs; the truth is the mean over both (macro F1: of the whole population).
Claims are two-sided at 5 %, intervals at 95 %.

Resampled: in every repeat a new test part, stratified, {TEST_FRACTION:.0%} of a pool. Corrected resampled t uses
1 / R + {TEST_FRACTION / (1 - TEST_FRACTION):g}. Bootstraps: {RESAMPLES} resamples. The sign flip is exact. McNemar
tests the majority votes, which is another estimand: no coverage given."""
    return text.split("\n")


def _reading(results: dict[Cell, Tally]) -> list[str]:
    """Extremes over all cells, computed so that they stay true."""
    lines = ["", "## Reading", ""]
    for procedure in PROCEDURES:
        claims: dict[str, list[float]] = {"inert": [], "mixed": []}
        coverage = []
        for cell, tally in results.items():
            for (_, name), row in tally.items():
                if name == procedure:
                    if cell.effect in claims:
                        claims[cell.effect].append(100 * row[1] / row[0])
                    if row[3] and cell.effect != "inert":
                        coverage.append(100 * row[2] / row[3])
        if not claims["inert"]:
            continue
        spans = [f"false claims {min(rates):.1f} to {max(rates):.1f} ({effect})" for effect, rates in claims.items()]
        spans += [f"coverage {min(coverage):.1f} to {max(coverage):.1f} (mixed, +2, +5)"] if coverage else []
        lines.append(f"- {procedure}: {', '.join(spans)}.")
    return lines


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Level, coverage and power of verdict procedures, by simulation.")
    parser.add_argument("--studies", type=int, default=2000, help="simulated studies per cell")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, choices=(1, 2), default=1)
    parser.add_argument("--folds", action="store_true", help="k-fold test parts only; the output must be there")
    parser.add_argument("--output", type=Path, default=Path("docs/verdict_simulation.md"))
    options = parser.parse_args(arguments)
    if options.folds and not options.output.exists():
        parser.error(f"--folds writes a section into {options.output}, which is not there; leave --folds out first")
    began = time.perf_counter()
    parameters = calibrate()
    cells = _fold_cells() if options.folds else _cells()
    tasks = _tasks(cells, options.studies, parameters, options.seed)
    results: dict[Cell, Tally] = {cell: defaultdict(lambda: [0, 0, 0, 0]) for cell in cells}
    with ProcessPoolExecutor(options.processes) as executor:
        for task, tally in zip(tasks, executor.map(simulate, tasks), strict=True):
            for key, row in tally.items():
                total = results[task[0]][key]
                results[task[0]][key] = [a + b for a, b in zip(total, row, strict=True)]
    results = {cell: dict(tally) for cell, tally in results.items()}
    command = shlex.join(
        ["python", "benchmarks/verdict_simulation.py", *(sys.argv[1:] if arguments is None else arguments)]
    )
    before = options.output.read_text(encoding="utf-8") if options.output.exists() else ""
    if options.folds:
        text = _with_section(before, _fold_section(results, options.studies, command))
    else:
        text = "\n".join([*_head(options, parameters, command), *_tables(results), *_reading(results), ""])
        if FOLD_TITLE in before:
            kept = before.split(FOLD_TITLE)[1].split("\n## ")[0]
            text = _with_section(text, (FOLD_TITLE + kept).rstrip("\n").split("\n"))
    options.output.write_text(text, encoding="utf-8")
    print(f"{len(cells)} cells of {options.studies} studies in {time.perf_counter() - began:.0f} s -> {options.output}")


if __name__ == "__main__":
    main()
