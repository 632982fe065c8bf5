"""Progress of long work: a bar on a terminal, nothing in a pipe, unless somebody chose another way to show it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from typing import Any, Protocol

from tqdm import tqdm

from ptq_core.printable import printable


class Meter(Protocol):
    """Shows how far one piece of work is. Called from one thread at a time."""

    def at(self, done: int, total: int | None = None, what: str | None = None) -> None:
        """``done`` of ``total`` (None: as before); ``what`` is done now (None: as before)."""

    def close(self) -> None:
        """The work has ended, well or not."""


class MeterFactory(Protocol):
    """Makes meters."""

    def __call__(self, what: str, unit: str, total: int | None) -> Meter:
        """A meter for ``what``, counted in ``unit``."""


class Bar:
    """On a terminal a line of its own below the other bars; gone when it is closed."""

    _open = 0
    """Bars that are on the terminal now."""

    def __init__(self, what: str, unit: str, total: int | None) -> None:
        self._bar: Any = tqdm(
            total=total,
            unit=unit,
            desc=printable(what),
            disable=None if sys.stderr is not None else True,
            file=sys.stderr,
            leave=False,
            position=Bar._open,
        )
        Bar._open += 1

    def at(self, done: int, total: int | None = None, what: str | None = None) -> None:
        """See Meter."""
        if total is not None:
            self._bar.total = total
        if what is not None:
            self._bar.set_description_str(printable(what), refresh=False)
        self._bar.update(done - self._bar.n)
        self._bar.refresh()

    def close(self) -> None:
        """See Meter."""
        Bar._open -= 1
        self._bar.close()


_factories: list[MeterFactory] = [Bar]


@contextmanager
def shown_by(factory: MeterFactory) -> Iterator[None]:
    """Within, meters are those of ``factory``."""
    _factories.append(factory)
    try:
        yield
    finally:
        _factories.pop()


def meter(what: str, unit: str, total: int | None = None) -> AbstractContextManager[Meter]:
    """A meter of the kind that is chosen, closed at the end of a `with`."""
    return closing(_factories[-1](what, unit, total))
