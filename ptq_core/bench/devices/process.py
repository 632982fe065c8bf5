"""Child processes with an end: a time-out, a flood of output or an interrupt kills the whole process group."""

from __future__ import annotations

import contextlib
import os
import resource
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import IO

MOST_OUTPUT_BYTES = 16 << 20
"""Of each of standard output and error: `adb devices` has a few hundred bytes, a phone's /proc and /sys a few hundred KB."""

_running: set[subprocess.Popen[bytes]] = set()
_lock = threading.Lock()


class FloodError(Exception):
    """A process printed more than `MOST_OUTPUT_BYTES`."""


@dataclass(frozen=True)
class Finished:
    """Exit code (negative: killed by that signal) and what was printed, undecodable bytes replaced."""

    exit_code: int
    stdout: str
    stderr: str


def run_process(
    arguments: Sequence[str],
    *,
    timeout_s: float,
    environment: Mapping[str, str] | None = None,
    most_file_bytes: int | None = None,
) -> Finished:
    """Run ``arguments`` without a shell and without input; writing a file larger than ``most_file_bytes`` ends it (SIGXFSZ).

    Raises OSError if it cannot start, TimeoutError if it does not end, FloodError if it prints without end.
    """
    process = subprocess.Popen(
        arguments,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        env=None if environment is None else {**os.environ, **environment},
    )
    with _lock:
        _running.add(process)
    try:
        if most_file_bytes is not None:
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (most_file_bytes, most_file_bytes))
        stdout, stderr = _output(process, time.monotonic() + timeout_s)
    except BaseException:
        _kill(process)
        raise
    finally:
        with _lock:
            _running.discard(process)
    return Finished(process.returncode, stdout, stderr)


def _output(process: subprocess.Popen[bytes], end: float) -> tuple[str, str]:
    """What ``process`` prints until it ends, which is waited for."""
    assert process.stdout is not None
    assert process.stderr is not None
    printed: dict[IO[bytes], bytearray] = {process.stdout: bytearray(), process.stderr: bytearray()}
    with selectors.DefaultSelector() as streams:
        for stream, text in printed.items():
            streams.register(stream, selectors.EVENT_READ, text)
        while streams.get_map():
            ready = streams.select(max(0, end - time.monotonic()))
            if not ready:
                raise TimeoutError
            for key, _ in ready:
                data = os.read(key.fd, 1 << 16)
                if not data:
                    streams.unregister(key.fileobj)
                key.data.extend(data)
                if len(key.data) > MOST_OUTPUT_BYTES:
                    raise FloodError
    try:
        process.wait(max(0, end - time.monotonic()))
    except subprocess.TimeoutExpired:
        raise TimeoutError from None
    stdout, stderr = (text.decode("utf-8", "replace") for text in printed.values())
    return stdout, stderr


def kill_running() -> None:
    """Kill what other threads wait for in `run_process`; there it ends with the signal."""
    with _lock:
        for process in _running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def _kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            stream.close()
