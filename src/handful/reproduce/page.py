"""The pages of a reproduced study: HTML that opens offline, Markdown for the documentation, a CSV of each table."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

from markupsafe import Markup

from handful.report.html import environment, write_report
from handful.reproduce.entry import Finished, Section, Table
from handful.reproduce.rows import NUMBERS, main_table
from handful.reproduce.scale import OFFERED
from handful.reproduce.weights import UNASKED

STAND_IN = "stand-in"
FOLDED = ("inflated because", "scale", STAND_IN)


def write_pages(finished: Finished, folder: Path, docs: Path | None = None) -> Path:
    """Write index.html, study.md, tables/*.csv and a report of every study, and return the path of index.html."""
    sections = sections_of(finished)
    reports = {}
    for (protocol, key), result in finished.results.items():
        reports[f"{protocol}: {key}"] = write_report(result, folder / "reports" / f"{protocol}-{key}.html")
    for key, result in finished.extra.items():
        reports[key] = write_report(result, folder / "reports" / f"{key}.html")
    for table in (table for section in sections for table in section.tables):
        write_csv(table, folder / "tables" / f"{table.name}.csv")
    text = markdown(finished, sections)
    (folder / "study.md").write_text(text, encoding="utf-8")
    if docs is not None:
        docs.mkdir(parents=True, exist_ok=True)
        (docs / f"{docs_name(finished)}.md").write_text(text, encoding="utf-8")
    links = {label: path.relative_to(folder).as_posix() for label, path in reports.items()}
    index = folder / "index.html"
    template = environment().get_template("reproduced.html.j2")
    page = template.render(
        finished=finished, entry=finished.entry, sections=sections, links=links, folded=folded, markup=Markup
    )
    index.write_text(page, encoding="utf-8")
    return index


def docs_name(finished: Finished) -> str:
    """Return the name of the study, with the scale where that is not the one a plain command runs."""
    name, scale = finished.entry.name, finished.scale.name
    return name if scale == OFFERED[0] else f"{name}-{scale}"


def sections_of(finished: Finished) -> tuple[Section, ...]:
    """Return the table of numbers and what else the study shows."""
    text, table = [], main_table(finished)
    scales = {row[table.columns.index("scale")] for row in table.rows} - {""}
    if len(scales) == 1:
        text.append(f"Every row of ours here is {scales.pop()}.")
    for (protocol, key), result in finished.results.items():
        if protocol == "published" and result.inflated:
            text.append(f"As published ({key}): {result.inflated}.")
    text += [f"Stand-in: {one}." for one in finished.stands_in]
    text += [f"{arm}: {why}" for arm, why in finished.missing.items() if why != UNASKED]
    if unasked := [arm for arm, why in finished.missing.items() if why == UNASKED]:
        text.append(f"Not asked for: {'; '.join(unasked)}.")
    numbers = Section("Numbers", tuple(text), (table,))
    return (numbers, *(_named(section, finished.stands_in) for section in finished.entry.sections(finished)))


def _named(section: Section, stands_in: tuple[str, ...]) -> Section:
    """A section whose tables with numbers of ours name what stands in for what, in a last column."""
    if not stands_in:
        return section
    told = "; ".join(stands_in)

    def named(table: Table) -> Table:
        columns, rows = (*table.columns, STAND_IN), tuple((*row, told) for row in table.rows)
        return replace(table, columns=columns, rows=rows) if table.ours else table

    return replace(section, tables=tuple(map(named, section.tables)))


def folded(table: Table) -> Table:
    """Return a table as a page shows it: what says the same in every row that says it is told once, above it.

    So are columns of numbers that all lack the same weights.

    Above the table of numbers the page's own words say it.
    """
    told, left = [], []
    for place, column in enumerate(table.columns):
        said = {row[place] for row in table.rows if row[place]}
        unmade = bool(said) and table.name != NUMBERS and all(one.startswith("not run: ") for one in said)
        if (column in FOLDED or unmade) and len(table.rows) > 1 and len(said) <= 1:
            told += [f"{column}: {one}" for one in said]
        else:
            left.append(place)
    caption = table.caption if table.name == NUMBERS else "; ".join((table.caption, *told))
    rows = tuple(tuple(row[place] for place in left) for row in table.rows)
    return Table(table.name, caption, tuple(table.columns[place] for place in left), rows)


def write_csv(table: Table, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(table.columns)
        writer.writerows(table.rows)


def markdown(finished: Finished, sections: tuple[Section, ...]) -> str:
    """Return the page of the documentation; every number of ours in it comes from the run."""
    entry = finished.entry
    lines = [f"# {entry.code}: {entry.what}", "", f"Written by `{finished.command} --docs docs/studies`.", ""]
    lines += ["## What it did and claimed", "", *(line for one in entry.did for line in (one, ""))]
    lines += ["## What we found", ""]
    for section in sections:
        lines += [f"### {section.title}", "", *(line for one in section.text for line in (one, ""))]
        if num := len(section.figures) + len(section.sheets):
            shown = "A drawing" if num == 1 else f"{num} drawings"
            lines += [f"{shown}, in `reproduce/{entry.name}/index.html`.", ""]
        for table in map(folded, section.tables):
            lines += [f"{table.caption}:", "", *_rows(table), ""]
    lines += ["## The traps", "", *(f"- {one}" for one in entry.traps), ""]
    lines += [
        "## How to run it",
        "",
        f"    handful reproduce {entry.name} --scale quick             # minutes on two cores",
        f"    handful reproduce {entry.name} --scale paper --dry-run   # the full plan, its time and disk",
        f"    handful reproduce {entry.name} --scale paper",
        "",
        f"Pictures: {entry.pictures.name}, at `$HANDFUL_DATA/{entry.pictures.path}`. Pages, tables as CSV and a report "
        f"of every study go to `reproduce/{entry.name}/`.",
        "",
    ]
    return "\n".join(lines)


def _rows(table: Table) -> list[str]:
    def row(cells: tuple[str, ...]) -> str:
        return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"

    return [row(table.columns), "|" + "---|" * len(table.columns), *(row(cells) for cells in table.rows)]
