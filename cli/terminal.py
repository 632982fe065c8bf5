"""The one way from a command to the terminal: whole lines, each made printable."""

from __future__ import annotations

import click

from ptq_core.errors import PtqError
from ptq_core.printable import printable


def echo(*lines: str, err: bool = False) -> None:
    """Print ``lines`` on stdout or stderr. One line stays one line, whatever names are in it."""
    for line in lines:
        click.echo(printable(line), err=err)  # noqa: TID251


def echo_error(error: PtqError, before: str = "error: ") -> None:
    """Print ``before`` and the lines of ``error`` on stderr."""
    first, *others = error.lines
    echo(before + first, *others, err=True)


def echo_refusal(error: click.ClickException) -> None:
    """Print what click says of a command line that it refuses, as click does, on stderr."""
    if isinstance(error, click.UsageError) and error.ctx is not None:
        where = error.ctx
        echo(*where.get_usage().split("\n"), f"Try '{where.command_path} --help' for help.", "", err=True)
    echo(f"Error: {error.format_message()}", err=True)
