"""`handful report`: the page of a study."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from handful.commands.options import AsJson, StorePath, print_json, result_of
from handful.errors import ConfigError


def report(
    store: StorePath,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="HTML file to write [report.html, without --json and --csv].")
    ] = None,
    as_json: AsJson = False,
    tables: Annotated[
        Path | None, typer.Option("--csv", help="Folder to write the tables into as CSV instead.")
    ] = None,
) -> None:
    """Write the report of the last study: one HTML file that opens offline."""
    if as_json and tables is not None:
        raise ConfigError("--csv and --json are two forms of the same numbers; give one")
    if as_json and output is not None:
        raise ConfigError("--json prints the numbers and writes no page; leave -o out, or --json")
    result = result_of(store)
    if as_json:
        print_json(result.to_json())
        return
    if tables is not None:
        from handful.study.tables import write_tables

        for path in write_tables(result, tables):
            print(path)
        if output is None:
            return
    from handful.report.html import write_report

    print(write_report(result, output or Path("report.html")))
