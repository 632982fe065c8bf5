"""Being stopped: by Ctrl-C, by `kill`, by a terminal that closes. All end a command in the same way."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from types import FrameType

STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

STOPPED = "stopped; nothing half-written is left"

READER_GONE = 128 + signal.SIGPIPE
"""Exit code of a command whose output nobody reads any more (`ptq show MODEL | head`), as of other programs."""

_received = [signal.SIGINT]
"""The last one, of a process that may get several."""


def install(handler: Callable[[int, FrameType | None], None] | signal.Handlers) -> None:
    """Let ``handler`` have each of `STOPS`, but those that the parent ignores: `nohup` means it."""
    for number in STOPS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)


def end(number: int, _: FrameType | None) -> None:
    """End the process at once, where nothing has begun."""
    os.write(2, f"{STOPPED}\n".encode())
    os._exit(128 + number)


def raise_interrupts() -> None:
    """Let each of `STOPS` raise KeyboardInterrupt, on which everything is cleaned up; `exit_code` then knows why.

    Where Python cannot pass an exception on (a finalizer, a callback of a library), it is raised once more a moment later.
    """
    install(_interrupt)
    signal.signal(signal.SIGALRM, _once_more)
    sys.unraisablehook = _not_passed_on


def pass_over() -> None:
    """Ignore `STOPS` from now on: for the last moments of a process, which has nothing left to clean up."""
    install(signal.SIG_IGN)


def _interrupt(number: int, _: FrameType | None) -> None:
    _received[0] = signal.Signals(number)
    raise KeyboardInterrupt


def _once_more(_number: int, _: FrameType | None) -> None:
    raise KeyboardInterrupt


def _not_passed_on(unraisable: sys.UnraisableHookArgs) -> None:
    if unraisable.exc_type is KeyboardInterrupt:
        signal.setitimer(signal.ITIMER_REAL, 0.01)
    else:
        sys.__unraisablehook__(unraisable)


def exit_code() -> int:
    """What a shell expects of a process that was stopped: 128 and the signal's number."""
    return 128 + _received[0]
