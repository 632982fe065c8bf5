"""The errors a user can cause or meet, each with what was wrong, the rule it broke and what to do next.

A message calls a parameter of what was called `name=` or, with a value, `name=value`, in backticks: the command line knows
its flags by the same names and writes `--name` there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ptq_core.printable import printable

MOST_SHOWN = 80
"""Characters of a value that a message shows."""


def cut(words: str, most: int = MOST_SHOWN) -> str:
    """``words``, a value as a message shows it: a long one is cut, and what is left out is counted."""
    left = len(words) - most
    return words if left <= 0 else f"{words[:most]}… ({left} more)"


class PtqError(Exception):
    """Base of every error that the user sees without a traceback.

    ``problem`` names the offending value, ``rule`` what was expected of it, ``fix`` the next step. All three are
    short sentences without a closing full stop; ``details`` are lines below the problem. They hold names as they are:
    ``lines`` and the error as text show each of them on one line, printable. ``exit_code`` belongs to the class.
    """

    exit_code = 1

    def __init__(self, problem: str, *, rule: str, fix: str, details: Sequence[str] = ()) -> None:
        super().__init__(problem)
        self.problem = problem
        self.rule = rule
        self.fix = fix
        self.details = tuple(details)

    def reword(self, change: Callable[[str], str]) -> None:
        """Put all its sentences through ``change``."""
        self.problem, self.rule, self.fix = change(self.problem), change(self.rule), change(self.fix)
        self.details = tuple(map(change, self.details))
        self.args = (self.problem,)

    @property
    def reason(self) -> str:
        """The problem with its details on one line, for another message."""
        return " ".join((self.problem, "; ".join(self.details))).strip()

    @property
    def lines(self) -> tuple[str, ...]:
        """What the user reads: the problem, then details, rule and fix, indented."""
        below = (*self.details, f"rule: {self.rule}", f"next: {self.fix}")
        return (printable(self.problem), *(f"  {printable(line)}" for line in below))

    def __str__(self) -> str:
        return "\n".join(self.lines)


class InputError(PtqError):
    """The user's input is wrong: a flag, the configuration, a model, a picture, a missing file."""

    exit_code = 2


class DeviceError(PtqError):
    """The device or the environment is missing or failed: no runtime built, no phone, a full disk."""

    exit_code = 3


class MissedTargetError(PtqError):
    """Everything was measured, and a target was missed or a limit exceeded."""

    exit_code = 4
