"""Child processes with an end: a time-out or an interrupt kills the whole process group."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_running: set[subprocess.Popen[str]] = set()
_lock = threading.Lock()


@dataclass(frozen=True)
class Finished:
    """Exit code (negative: killed by that signal) and what was printed, undecodable bytes replaced."""

    exit_code: int
    stdout: str
    stderr: str


def run_process(
    arguments: Sequence[str], *, timeout_s: float, environment: Mapping[str, str] | None = None
) -> Finished:
    """Run ``arguments`` without a shell and without input. Raises OSError if it cannot start, TimeoutError if it does not end."""
    process = subprocess.Popen(
        arguments,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
        env=None if environment is None else {**os.environ, **environment},
    )
    with _lock:
        _running.add(process)
    try:
        stdout, stderr = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        _kill(process)
        raise TimeoutError from None
    except BaseException:
        _kill(process)
        raise
    finally:
        with _lock:
            _running.discard(process)
    return Finished(process.returncode, stdout, stderr)


def kill_running() -> None:
    """Kill what other threads wait for in `run_process`; there it ends with the signal."""
    with _lock:
        for process in _running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def _kill(process: subprocess.Popen[str]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
