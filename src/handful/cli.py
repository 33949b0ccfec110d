"""The command line. Every command calls the same functions as Python does; torch is loaded only where it is needed."""

from __future__ import annotations

import errno
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from handful import __version__
from handful.commands.export import export
from handful.commands.generate import generate
from handful.commands.look import look
from handful.commands.measure import measure
from handful.commands.predict import predict
from handful.commands.report import report
from handful.commands.reproduce import reproduce
from handful.commands.run import run
from handful.commands.status import status
from handful.commands.summary import summary
from handful.errors import HandfulError, InputError

app = typer.Typer(
    name="handful",
    help="Find the best image classifier that a small set of pictures allows, and prove what made it better.",
    no_args_is_help=True,
    rich_markup_mode=None,  # with it, a default in brackets is taken for a style and vanishes
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

for command in (look, run, generate, measure, status, report, reproduce, predict, export, summary):
    app.command()(command)


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        print(__version__)
        raise typer.Exit


def main() -> None:
    """Run the command line; what the user gave wrong is printed, a line each, with exit code 2."""
    with _errors_printed():
        app()


@contextmanager
def _errors_printed() -> Iterator[None]:
    try:
        yield
    except InputError as error:
        for fault in error.faults:
            print(f"handful: {fault}", file=sys.stderr)
        raise SystemExit(2) from None
    except HandfulError as error:
        print(f"handful: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except BrokenPipeError:
        raise SystemExit(0) from None
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC):
            raise
        print(f"handful: {error.filename}: {error.strerror}", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        print("handful: interrupted; the same command goes on from here", file=sys.stderr)
        raise SystemExit(130) from None
