"""The one way from a command to the terminal: whole lines, each made printable.

What was asked for (`ptq show`, lists, --json -) goes to standard output. A report is what people read of work that was done:
it goes there too, and --quiet leaves it out. Everything else goes to standard error, for people as lines, with --log-json as
one JSON object per line (schemas/log.schema.json).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import dataclass, field

import click

from ptq_core.errors import PtqError, cut
from ptq_core.printable import printable, printable_json
from ptq_core.progress import Bar, Meter, shown_by

MOST_LOGGED = 300
"""Characters of what a library logs that are shown."""

MOST_LOGS = 20
"""Different texts of libraries that a command shows."""


@dataclass
class _Manner:
    """How a command speaks, and since when."""

    quiet: bool = False
    log_json: bool = False
    began: float = field(default_factory=time.monotonic)


_manner = _Manner()


def speak(*, quiet: bool | None = None, log_json: bool | None = None) -> None:
    """Choose how; None leaves it. With ``quiet`` there are no reports, notes and progress."""
    if quiet is not None:
        _manner.quiet = quiet
    if log_json is not None:
        _manner.log_json = log_json


@contextmanager
def conversation() -> Iterator[None]:
    """Within, one command speaks: it begins as commands do, and libraries and meters speak through it."""
    global _manner
    _manner = _Manner()
    with _libraries_heard(), shown_by(_meter):
        yield


def echo(*lines: str, err: bool = False) -> None:
    """Print ``lines`` on stdout or stderr. One line stays one line, whatever names are in it.

    What stderr does not take is lost: the exit code tells all the same. Raises OSError for stdout.
    """
    for line in lines:
        if err:
            _tell("text", line, text=line)
        else:
            _print(printable(line))


def report(*lines: str, err: bool = False) -> None:
    """... unless the user asked for --quiet."""
    if not _manner.quiet:
        echo(*lines, err=err)


def warn(*texts: str) -> None:
    """Print what may be wrong with what was done."""
    for text in texts:
        _tell("warning", f"warning: {text}", text=text)


def note(*texts: str) -> None:
    """Print what is good to know."""
    for text in () if _manner.quiet else texts:
        _tell("note", f"note: {text}", text=text)


def echo_error(error: PtqError, about: str = "") -> None:
    """Print the lines of ``error``, which is of ``about``, on stderr."""
    first, *others = error.lines
    parts = {"problem": error.problem, "details": list(error.details), "rule": error.rule, "fix": error.fix}
    _tell("error", f"error: {about}{': ' if about else ''}{first}", *others, about=about, **parts)


def echo_failed(about: str, words: str) -> None:
    """Print ``words``, the lines of an error that ended ``about``: a stranger may have written them, so they are indented."""
    first, *others = words.split("\n")
    lines = [f"  {line.strip()}" for line in others]
    parts = {"problem": first, "details": [line.strip() for line in lines], "rule": "", "fix": ""}
    _tell("error", f"error: {about}: {first}", *lines, about=about, **parts)


def echo_bug(error: Exception) -> None:
    """Print that ``error`` should not have come to the user."""
    problem = f"this is a bug in ptq: {type(error).__name__}: {error}"
    rule, fix = (
        "wrong input gets a clear message, anything else is our fault",
        "run again with --debug and report what it prints",
    )
    parts = {"about": "", "problem": problem, "details": [], "rule": rule, "fix": fix}
    _tell("error", f"error: {problem}", f"  rule: {rule}", f"  next: {fix}", **parts)


def echo_refusal(error: click.ClickException) -> None:
    """Print what click says of a command line that it refuses, as click does, on stderr."""
    lines, fix = [f"Error: {error.format_message()}"], ""
    if isinstance(error, click.UsageError) and error.ctx is not None:
        fix = f"Try '{error.ctx.command_path} --help' for help."
        lines = [*error.ctx.get_usage().split("\n"), fix, "", *lines]
    parts = {
        "problem": error.format_message(),
        "details": [],
        "rule": "flags are those of --help",
        "fix": fix,
    }
    _tell("error", *lines, about="", **parts)


def log(event: str, **fields: object) -> None:
    """Tell machines alone."""
    _tell(event, **fields)


def _tell(event: str, *lines: str, **fields: object) -> None:
    """On stderr: ``lines``, or with --log-json the ``event`` with its ``fields``."""
    with suppress(OSError):
        if not _manner.log_json:
            for line in lines:
                _print(printable(line), err=True)
            return
        seconds = round(time.monotonic() - _manner.began, 3)
        _print(printable_json({"event": event, "seconds": seconds, **fields}), err=True)


def _print(line: str, *, err: bool = False) -> None:
    click.echo(line, err=err)  # noqa: TID251


class _Handler(logging.Handler):
    """Prints what libraries log, as notes: a line for each text, once. No traceback, whatever they caught."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._said: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        """Print ``record`` on stderr."""
        words = f"{record.name}: {cut(record.getMessage(), MOST_LOGGED)}"
        if words not in self._said and len(self._said) < MOST_LOGS:
            self._said.add(words)
            note(words)


@contextmanager
def _libraries_heard() -> Iterator[None]:
    """Within, what libraries log and warn of is printed here too: names from models are in it."""
    handler = _Handler()
    logging.captureWarnings(True)
    logging.root.addHandler(handler)
    try:
        yield
    finally:
        logging.root.removeHandler(handler)
        logging.captureWarnings(False)


class _Logged:
    """A meter for machines: an event when something else is done, or `SECONDS` have passed, and at the end."""

    SECONDS = 0.5

    def __init__(self, what: str, unit: str, total: int | None) -> None:
        self._state: dict[str, object] = {"what": what, "unit": unit, "done": 0, "total": total}
        self._told: dict[str, object] = {}
        self._when = 0.0

    def at(self, done: int, total: int | None = None, what: str | None = None) -> None:
        """See Meter."""
        other = what is not None and what != self._state["what"]
        self._state |= {"done": done}
        self._state |= {} if total is None else {"total": total}
        self._state |= {} if what is None else {"what": what}
        if other or time.monotonic() - self._when >= self.SECONDS:
            self._tell()

    def close(self) -> None:
        """See Meter."""
        if self._told != self._state:
            self._tell()

    def _tell(self) -> None:
        self._when, self._told = time.monotonic(), dict(self._state)
        log("progress", **self._state)


class _Unseen:
    """A meter that shows nothing."""

    def at(self, done: int, total: int | None = None, what: str | None = None) -> None:
        """See Meter."""

    def close(self) -> None:
        """See Meter."""


def logged_meter(what: str, unit: str, total: int) -> AbstractContextManager[Meter]:
    """A meter, closed at the end of a `with`, that machines alone see: people read a report of every piece of this work."""
    return closing(_meter(what, unit, total) if _manner.log_json else _Unseen())


def _meter(what: str, unit: str, total: int | None) -> Meter:
    if _manner.quiet:
        return _Unseen()
    return (_Logged if _manner.log_json else Bar)(what, unit, total)
