"""The one way from a command to the terminal: whole lines, each made printable."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress

import click

from ptq_core.errors import PtqError, cut
from ptq_core.printable import printable

MOST_LOGGED = 300
"""Characters of what a library logs that are shown."""

MOST_LOGS = 20
"""Different texts of libraries that a command shows."""


def echo(*lines: str, err: bool = False) -> None:
    """Print ``lines`` on stdout or stderr. One line stays one line, whatever names are in it.

    What stderr does not take is lost: the exit code tells all the same. Raises OSError for stdout.
    """
    with suppress(OSError) if err else nullcontext():
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


class _Handler(logging.Handler):
    """Prints what libraries log, as notes: a line for each text, once. No traceback, whatever they caught."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._said: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        """Print ``record`` on stderr."""
        words = f"note: {record.name}: {cut(record.getMessage(), MOST_LOGGED)}"
        if words not in self._said and len(self._said) < MOST_LOGS:
            self._said.add(words)
            echo(words, err=True)


@contextmanager
def libraries_heard() -> Iterator[None]:
    """Within, what libraries log and warn of is printed here too: names from models are in it."""
    handler = _Handler()
    logging.captureWarnings(True)
    logging.root.addHandler(handler)
    try:
        yield
    finally:
        logging.root.removeHandler(handler)
        logging.captureWarnings(False)
