"""Results in the terminal."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from handful.data.balance import balance_table
from handful.data.files import shown
from handful.report.facts import drawing_words
from handful.report.look_lines import drift_lines, lines
from handful.report.measure_lines import MARKS, faults, measure_lines, number
from handful.report.network import shape_words
from handful.reproduce.entry import Finished, Reproduction
from handful.reproduce.rows import main_table
from handful.reproduce.speed import minutes_here
from handful.study.estimate import disk, why_open
from handful.study.plan import Plan, minutes
from handful.study.result import Result
from handful.study.run import Progress as RunProgress
from handful.study.run import resolution
from handful.study.stages import Job
from handful.study.store import Store
from handful.study.summarized import Shown
from handful.synthesize import Made

COLOURS = {"helps": "green", "hurts": "red", "no difference that matters": "blue", "cannot tell": "yellow"}
TONES = {"bad": ("!!", "bold red"), "warn": (" !", "yellow"), "good": ("ok", "green"), "fact": ("  ", "default")}


def print_result(result: Result) -> None:
    """Print the table of arms and the verdict."""
    console = _console()
    table = Table(box=None, header_style="bold")
    for column in ("arm", result.protocol.score.replace("_", " "), "95 %", "difference", "interval", "p", "verdict"):
        table.add_column(column, justify="left" if column in ("arm", "verdict") else "right", no_wrap=True)
    for row in result.table():
        verdict = row["verdict"] or "no verdict"
        colour = COLOURS.get(verdict, "dim")
        table.add_row(
            escape(row["arm"]),
            "-" if row["score"] is None else f"{row['score']:.3f}",
            "{:.3f} to {:.3f}".format(*row["interval"]) if row["interval"] else "",
            "" if row["difference"] is None else f"{100 * row['difference']:+.1f}",
            "{:+.1f} to {:+.1f}".format(*_points(row["difference_interval"])) if row["difference_interval"] else "",
            "" if row["p_adjusted"] is None else f"{row['p_adjusted']:.3f}",
            f"[{colour}]{verdict}[/]",
        )
    console.print(table)
    for arm in result.arms:
        for said in drawing_words(result.drawing(arm)):
            console.print(f"{shown(arm)}: {said}", markup=False, highlight=False, soft_wrap=True)
    console.print()
    console.print(result.verdict, markup=False, highlight=False, soft_wrap=True)


def _console() -> Console:
    """A console wide enough for tables where the output goes to a file or a pipe."""
    console = Console()
    return console if console.is_terminal else Console(width=max(console.width, 160))


def print_studies(entries: Sequence[Reproduction], workers: int) -> None:
    """Print the published studies that can be run again: what, data, headline, and the minutes here."""
    console, table = _console(), Table(box=None, header_style="bold")
    for column in ("study", "", "what", "pictures", "published headline", "quick, here"):
        table.add_column(column, overflow="fold")
    for entry in entries:
        minutes = f"{minutes_here(entry.minutes, workers):.0f} min"
        table.add_row(entry.name, entry.code, escape(entry.what), entry.pictures.name, entry.headline, minutes)
    console.print(table)


def print_reproduced(finished: Finished) -> None:
    """Print published numbers beside ours, why ours as published are inflated, and what was not run."""
    console, made = _console(), main_table(finished)
    shown_columns = [
        place for place, name in enumerate(made.columns) if name not in ("scale", "stand-in", "inflated because")
    ]
    table = Table(box=None, header_style="bold")
    for place in shown_columns:
        table.add_column(made.columns[place], overflow="fold")
    for row in made.rows:
        table.add_row(*(escape(row[place]) for place in shown_columns))
    console.print(table)
    for (protocol, key), result in finished.results.items():
        if protocol == "published" and result.inflated:
            console.print(f"as published ({key}): {result.inflated}", markup=False, soft_wrap=True)
    for one in finished.stands_in:
        console.print(f"stand-in: {one}", markup=False, soft_wrap=True)
    if finished.scale.note:
        console.print(f"every row of ours is {finished.scale.note}", markup=False, soft_wrap=True)


def print_status(result: Result) -> None:
    """Print how far each arm is, its diagnosis and that of runs that differ from it, and each failed job."""
    console, jobs = _console(), result.jobs
    console.print(f"{jobs['finished']} jobs finished, {jobs['failed']} failed, {jobs['open']} open")
    for arm in result.progress:
        console.print(f"  {arm['name']}: {arm['finished']} of {arm['repeats']} repeats", markup=False)
        if diagnosis := result.diagnosis(arm["name"]):
            console.print(f"    {diagnosis.whole.said}", markup=False, highlight=False, soft_wrap=True)
            for repeat, run in diagnosis.differing.items():
                console.print(f"      repeat {repeat}: {run.said}", markup=False, highlight=False, soft_wrap=True)
    for failure in result.failed:
        console.print(f"\n{failure['stage']} of {failure['arm']}, repeat {failure['repeat']}:", markup=False)
        console.print(failure["traceback"] or failure["error"], markup=False, highlight=False, soft_wrap=True)


def print_plan(plan: Plan, store: Store, workers: int, device: str) -> None:
    """Print every job, which are there and why the others are not, the cost, and what the study can tell."""
    console = _console()
    table = Table(box=None, header_style="bold")
    for column in ("stage", "arm", "repeats", "state", "seconds each", "why"):
        table.add_column(column, justify="right" if column == "seconds each" else "left")
    for (stage, arm, state, why), jobs in _grouped(plan, store).items():
        each = sum(plan.seconds.get(job.key, 0.0) for job in jobs) / len(jobs)
        repeats = ", ".join(str(job.repeat) for job in jobs)
        table.add_row(stage, escape(arm), repeats, state, f"{each:.1f}" if state == "open" else "", why)
    console.print(table)
    _print_balance(plan, console)
    count = Counter(store.has(job.key) for job in plan.jobs)
    for reason in plan.reasons:
        console.print(f"recommended: {reason}", markup=False, highlight=False)
    for cut in plan.cuts:
        console.print(f"to fit the budget: {cut}", markup=False)
    console.print(resolution(plan), markup=False, highlight=False)
    console.print(
        f"{len(plan.jobs)} jobs, {count[True]} cached, {count[False]} to run: about {minutes(plan, workers):.1f} "
        f"minutes on {workers} workers, {disk(plan, store, device) / 1e6:.0f} MB on disk",
        highlight=False,
    )


def _print_balance(plan: Plan, console: Console) -> None:
    """Print the training pictures of each class before and after every treatment that changes their number."""
    names, rows = plan.source.class_names, plan.split(plan.study.arms[0].name, 0).train
    counts = np.bincount(plan.source.labels[rows], minlength=len(names))
    tables = {arm.name: balance_table(counts, arm, names) for arm in plan.study.arms}
    changing = {name: table for name, table in tables.items() if any(row.after != row.real for row in table)}
    if not changing:
        return
    console.print("training pictures of the first repeat: real ones, then kept + made under each treatment")
    shape = Table(box=None, header_style="bold")
    for column in ("class", "real", *changing):
        shape.add_column(escape(column), justify="left" if column == "class" else "right")
    for place, name in enumerate(names):
        cells = (f"{table[place].kept} + {table[place].synthetic}" for table in changing.values())
        shape.add_row(escape(shown(name)), str(counts[place]), *cells)
    console.print(shape)


def _grouped(plan: Plan, store: Store) -> dict[tuple[str, str, str, str], list[Job]]:
    """The plan's jobs by stage, arm, state and reason."""
    records: dict[str, list[dict[str, Any]]] = {}
    groups: dict[tuple[str, str, str, str], list[Job]] = {}
    for job in plan.jobs:
        state, why = ("cached", "") if store.has(job.key) else ("open", "failed before; is tried again")
        if state == "open" and store.failure(job.key) is None:
            if job.stage not in records:
                records[job.stage] = list(store.records(job.stage))
            why = why_open(job, records[job.stage])
        groups.setdefault((job.stage, job.arm, state, why), []).append(job)
    return groups


def print_look(told: dict[str, Any], against: dict[str, Any] | None = None) -> None:
    """Print what is in a set of pictures: classes, then the findings, the most important first.

    Args:
        told: the JSON of `handful look`.
        against: of its comparison with another set, or None.
    """
    console = _console()
    parts = [part for part in ("train", "val", "test", "unassigned") if any(row.get(part) for row in told["classes"])]
    table = Table(box=None, header_style="bold")
    table.add_column("class")
    for part in parts:
        table.add_column("pictures" if part == "unassigned" else part, justify="right")
    others = {row["name"]: row["other"] for row in against["classes"]} if against else {}
    if against:
        table.add_column(escape(against["names"][1]), justify="right")
    for row in told["classes"]:
        more = [str(others[row["name"]])] if against else []
        table.add_row(escape(shown(row["name"])), *(str(row.get(part, 0)) for part in parts), *more)
    console.print(table)
    said = [*(drift_lines(against) if against else []), *lines(told)]
    for line in said:
        sign, colour = TONES[line.tone]
        console.print(f"[{colour}]{sign}[/] {escape(line.text)}", highlight=False, soft_wrap=True)


def print_measures(told: dict[str, Any]) -> None:
    """Print how real, varied and new synthetic pictures are: the findings, then every number between its marks.

    Args:
        told: the JSON of `handful measure`.
    """
    console, floor = _console(), MARKS[told["marks"]][0]
    for line in measure_lines(told):
        sign, colour = TONES[line.tone]
        console.print(f"[{colour}]{sign}[/] {escape(line.text)}", highlight=False, soft_wrap=True)
    table = Table(box=None, header_style="bold", title_justify="left")
    for column in ("", "value", "95 %", floor, "copies", "noise", "to noise", "real", "made", "taken on"):
        table.add_column(column, justify="left" if column in ("", "taken on") else "right", no_wrap=True)
    group = ""
    for row in told["whole"]["rows"]:
        if row["value"] is None:
            continue
        if row["group"] != group:
            table.add_row(f"[dim]{row['group']}[/]")
            group = row["group"]
        table.add_row(
            f"  {row['title']}",
            number(row["value"]),
            " to ".join(map(number, row["interval"])) if row["interval"] else "",
            *(number(row[mark]) for mark in ("floor", "copies", "noise")),
            "" if row["to_noise"] is None else f"{100 * row['to_noise']:.0f} %",
            str(row["num_real"]),
            str(row["num_synthetic"]),
            escape(row["on"]),
        )
    console.print()
    console.print(table)
    for titles, why in faults(told["whole"]["rows"]):
        console.print(f"  {titles}: {why}", markup=False, highlight=False, soft_wrap=True)
    if told["classes"]:
        _print_classes(told["classes"], console)


def _print_classes(classes: list[dict[str, Any]], console: Console) -> None:
    """Print a line for each class: value, and in brackets the floor."""
    table = Table(box=None, header_style="bold")
    names = ("near_copies", "kernel", "density", "coverage", "vendi", "ssim_within")
    titles = {row["name"]: row["title"] for row in classes[0]["rows"]}
    for column in ("class", "real", "made", "p", *(titles[name] for name in names)):
        table.add_column(column, justify="left" if column == "class" else "right")
    for one in classes:
        rows = {row["name"]: row for row in one["rows"]}
        p = one["audit"] and one["audit"]["p"]
        table.add_row(
            escape(shown(one["name"])),
            str(one["num"]["real"]),
            str(one["num"]["synthetic"]),
            "" if p is None else "< 0.001" if p < 0.001 else f"{p:.2g}",
            *(
                "too few"
                if rows[name]["value"] is None
                else number(rows[name]["value"])
                + ("" if rows[name]["floor"] is None else f" ({number(rows[name]['floor'])})")
                for name in names
            ),
        )
    console.print()
    console.print(table)


def print_summary(networks: Sequence[Shown]) -> None:
    """Print each network layer by layer, then its totals."""
    console = _console()
    for one in networks:
        told, table = one.summary, Table(box=None, header_style="bold")
        for column in ("layer", "kind", "output", "parameters", "trained", "multiply-adds"):
            table.add_column(column, justify="left" if column in ("layer", "kind") else "right")
        for layer in told.layers:
            numbers = (f"{num:,}" if num else "" for num in (layer.parameters, layer.trained, layer.multiply_adds))
            table.add_row(escape(layer.name), layer.kind, shape_words(layer.output), *numbers)
        console.print(table)
        console.print(
            f"{one.title}: pictures {shape_words(told.picture)}; {told.parameters:,} parameters, {told.trained:,} "
            f"trained, {told.parameters - told.trained:,} frozen; {told.multiply_adds:,} multiply-adds of a picture; "
            f"weights {told.weight_bytes / 1e6:.1f} MB, about {told.training_bytes(32) / 1e6:.0f} MB for a step of 32 "
            "pictures",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )


@contextmanager
def progress_bar() -> Iterator[Callable[[RunProgress], None]]:
    """Yield a callback that shows a run's progress with the time left; plain lines where there is no terminal."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[left]}"))
    bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
    with bar:
        task = bar.add_task("starting", total=None, left="")
        last = [0]

        def show(state: RunProgress) -> None:
            left = "" if state.seconds_left is None else f"{_duration(state.seconds_left)} left"
            doing = f"{state.job.stage} of {escape(state.job.arm)}, repeat {state.job.repeat}"
            bar.update(task, completed=state.done, total=state.total, description=doing, left=left)
            tenth = 10 * state.done // max(1, state.total)
            if not console.is_terminal and tenth > last[0]:
                last[0] = tenth
                console.print(f"{state.done} of {state.total} jobs, {left}", highlight=False)
            if state.event == "failed":
                console.print(f"failed: {doing}", highlight=False)

        yield show


@contextmanager
def steps_bar(what: str, unit: str = "step") -> Iterator[Callable[[int, int], None]]:
    """Yield a callback (done, all) that shows steps with the time left; a line a minute off a terminal."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[left]}"))
    bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
    first: list[tuple[float, int]] = []
    told = [time.monotonic()]
    with bar:
        task = bar.add_task(what, total=None, left="")

        def show(done: int, steps: int) -> None:
            now = time.monotonic()
            first.append((now, done)) if not first else None
            passed = done - first[0][1]
            left = _duration((now - first[0][0]) / passed * (steps - done)) + " left" if passed else ""
            bar.update(task, completed=done, total=steps, left=left)
            if not console.is_terminal and now - told[0] >= 60:
                told[0] = now
                console.print(f"{what}: {unit} {done} of {steps}, {left}", highlight=False)

        yield show


def print_made(made: Made) -> None:
    """Print what was made of each class, and where it is."""
    console = _console()
    table = Table(box=None, header_style="bold")
    for column in ("class", *(["real"] if made.real else []), "made", "wanted"):
        table.add_column(column, justify="left" if column == "class" else "right")
    for name, wanted in made.wanted.items():
        real = [str(made.real[name])] if made.real else []
        table.add_row(escape(shown(name)), *real, str(made.kept[name]), str(wanted))
    console.print(table)
    short = {name: wanted for name, wanted in made.wanted.items() if made.kept[name] < wanted}
    for name, wanted in short.items():
        console.print(
            f"{shown(name)}: {made.kept[name]} of {wanted}: four candidates a picture were drawn, and gate and "
            "selection turned the others away",
            markup=False,
        )
    print(made.output)


def _points(interval: list[float]) -> list[float]:
    return [100 * value for value in interval]


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
