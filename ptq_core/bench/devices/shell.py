"""The shell of another machine, whatever carries it there: the contract that a transport fulfils, and its errors."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from ptq_core.bench.devices.process import Finished
from ptq_core.errors import DeviceError

SHORT_S = 30.0
"""For calls that only ask something; the first may have to start a server or a connection."""

PUSH_BYTES_PER_S = 500_000
"""A transfer slower than this (a tenth of USB 2 in practice) is taken for dead."""


class SilenceError(DeviceError):
    """The transport or the machine behind it did not answer in time."""


class Shell(Protocol):
    """A machine that runs POSIX shell commands and takes and gives files.

    Every method raises DeviceError where the transport fails, SilenceError where nothing comes in time.
    """

    @property
    def name(self) -> str:
        """What messages call the machine."""

    @property
    def scratch(self) -> str:
        """The folder there that may be written to and executed from."""

    def run(self, command: str, *, timeout_s: float = SHORT_S) -> Finished:
        """Run ``command``; the exit code (negative: killed by that signal) is the command's, and the caller's to judge."""

    def push(self, file: Path, path: str) -> None:
        """Copy ``file`` of this machine to ``path`` there."""

    def pull(self, path: str, most_bytes: int) -> bytes | None:
        """The content of ``path`` there; None if there is no such file. DeviceError if it is larger than ``most_bytes``."""

    def trouble(self, finished: Finished) -> DeviceError:
        """Why a command failed that never should, as an error with a next step."""


class Trouble(NamedTuple):
    """What a transport says when it fails (a pattern), and the error that it means; `{name}` and `{said}` are filled in."""

    pattern: str
    problem: str
    rule: str
    fix: str


def explain(name: str, said: str, lines: Sequence[str], known: Sequence[Trouble]) -> DeviceError | None:
    """The first of ``known`` that ``said`` or ``lines`` fit, None if none does."""
    for trouble in known:
        if re.search(trouble.pattern, "\n".join((said, *lines)), re.IGNORECASE):
            problem = trouble.problem.format(name=name, said=said)
            return DeviceError(problem, rule=trouble.rule, fix=trouble.fix)
    return None


class TooLargeError(DeviceError):
    """What comes from the machine has more bytes than anything that was asked for."""


def too_large(name: str, what: str, most_bytes: int) -> TooLargeError:
    """``what`` of the machine ``name`` has more than ``most_bytes``."""
    return TooLargeError(
        f"{name}: {what} is larger than {most_bytes} bytes",
        rule="a device gives what it is asked for, and no more",
        fix="restart it; look at what runs under that name",
    )


def quote(*words: str) -> str:
    """``words`` as a POSIX shell reads them back."""
    return shlex.join(words)


def push_seconds(file: Path) -> float:
    """How long a transfer of ``file`` may take."""
    return SHORT_S + file.stat().st_size / PUSH_BYTES_PER_S
