"""The errors a user can cause or meet, each with what was wrong, the rule it broke and what to do next.

A message calls a parameter of what was called `name=` or, with a value, `name=value`, in backticks: the command line knows
its flags by the same names and writes `--name` there.
"""

from __future__ import annotations

from collections.abc import Callable

MOST_SHOWN = 80
"""Characters of a value that a message shows."""


def cut(words: str) -> str:
    """``words``, a value as a message shows it: a long one is cut, and what is left out is counted."""
    left = len(words) - MOST_SHOWN
    return words if left <= 0 else f"{words[:MOST_SHOWN]}… ({left} more)"


class PtqError(Exception):
    """Base of every error that the user sees without a traceback.

    ``problem`` names the offending value, ``rule`` what was expected of it, ``fix`` the next step. All three are
    short sentences without a closing full stop. ``exit_code`` belongs to the class.
    """

    exit_code = 1

    def __init__(self, problem: str, *, rule: str, fix: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.rule = rule
        self.fix = fix

    def reword(self, change: Callable[[str], str]) -> None:
        """Put its three sentences through ``change``."""
        self.problem, self.rule, self.fix = change(self.problem), change(self.rule), change(self.fix)
        self.args = (self.problem,)

    def __str__(self) -> str:
        return f"{self.problem}\n  rule: {self.rule}\n  next: {self.fix}"


class InputError(PtqError):
    """The user's input is wrong: a flag, the configuration, a model, a picture, a missing file."""

    exit_code = 2


class DeviceError(PtqError):
    """The device or the environment is missing or failed: no runtime built, no phone, a full disk."""

    exit_code = 3


class MissedTargetError(PtqError):
    """Everything was measured, and a target was missed or a limit exceeded."""

    exit_code = 4
