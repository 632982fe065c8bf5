"""Runs `ptq` many times a second: a process that has imported everything forks for each command.

A command ends as a real one does, with the interpreter's own end behind it. It leads a process group of its own.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from ptq_cli import signals

MOST_KEPT = 60_000_000
"""Bytes of an output that are kept."""

Stream = Literal["file", "full", "closed", "broken"]
"""Where an output leads: to a file, to a full disk, nowhere, to a pipe that nobody reads."""


@dataclass(frozen=True)
class Order:
    """One run of `ptq` with ``words`` in ``folder``, its output in ``folder``/../stdout and stderr.

    ``limits`` are numbers of `resource` by name, RLIMIT_AS in bytes above what is taken already. ``stop`` is sent after
    ``stop_after_s``. After ``most_s`` its whole group is killed.
    """

    words: Sequence[str]
    folder: str
    environment: Mapping[str, str] = field(default_factory=dict)
    stdout: Stream = "file"
    stderr: Stream = "file"
    limits: Mapping[str, int] = field(default_factory=dict)
    stop: int = 0
    stop_after_s: float = 0.0
    most_s: float = 120.0


@dataclass(frozen=True)
class End:
    """``code``: the exit code, or minus the signal that ended it. ``left``: a process of its group was still there."""

    code: int
    seconds: float
    peak_bytes: int
    hung: bool
    left: bool


class Nest:
    """A context manager around the process that forks."""

    def __init__(self) -> None:
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.attack.nest"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            text=True,
        )

    def run(self, order: Order) -> End:
        """Run ``order`` and wait for its end. Raises RuntimeError if the nest itself is gone."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asdict(order)) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the nest ended with {self._process.wait()}")
        return End(**json.loads(answer))

    def __enter__(self) -> Nest:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def preload() -> None:
    """Import what commands import. Nothing here may start a thread: forked processes would miss it."""
    import PIL.Image

    from ptq_cli import start
    from ptq_cli.main import COMMANDS, load_command
    from ptq_core.analyze import pipeline as analyze
    from ptq_core.bench import pipeline as bench
    from ptq_core.bench.export import files
    from ptq_core.calibration import pipeline as calibration
    from ptq_core.evaluate import accuracy
    from ptq_core.optimize import pipeline as optimize
    from ptq_core.quantize import pipeline as quantize

    PIL.Image.init()
    for name in COMMANDS:
        load_command(name)
    assert all((start, analyze, bench, files, calibration, accuracy, optimize, quantize))
    assert len(list(Path("/proc/self/task").iterdir())) == 1, "a library started a thread"


class Collected:
    """What comes through pipes, up to `MOST_KEPT` bytes each: a limit of files' sizes does not hold for them."""

    def __init__(self, readers: Mapping[str, int]) -> None:
        self._readers = dict(readers)
        self.kept = {name: bytearray() for name in readers}
        for reader in readers.values():
            os.set_blocking(reader, False)

    def until(self, handle: int, seconds: float) -> bool:
        """Read until the process of ``handle`` has ended, for so long at most; whether it has."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            ready = select.select([handle, *self._readers.values()], [], [], left)[0]
            self.read()
            if handle in ready:
                return True
        return False

    def read(self) -> None:
        """Read what is there."""
        for name, reader in list(self._readers.items()):
            with suppress(BlockingIOError):
                while data := os.read(reader, 1 << 16):
                    self.kept[name] += data[: MOST_KEPT - len(self.kept[name])]
                self.close(name)

    def close(self, name: str) -> None:
        """Read no more of ``name``."""
        os.close(self._readers.pop(name))

    def write(self, folder: Path) -> None:
        """Write it all, and close what is open still."""
        self.read()
        for name in list(self._readers):
            self.close(name)
        for name, data in self.kept.items():
            (folder / name).write_bytes(data)


def wait(pid: int, order: Mapping[str, Any], output: Collected) -> End:
    """The end of the process ``pid``, whose output is written to files."""
    began = time.monotonic()
    handle = os.pidfd_open(pid)
    ended = False
    if order["stop"]:
        ended = output.until(handle, order["stop_after_s"])
        if not ended:
            os.kill(pid, order["stop"])
    ended = ended or output.until(handle, order["most_s"])
    if not ended:
        os.killpg(pid, signal.SIGKILL)
    os.close(handle)
    _, status, usage = os.wait4(pid, 0)
    seconds = time.monotonic() - began
    output.write(Path(order["folder"]).parent)
    left = False
    with suppress(ProcessLookupError):
        os.killpg(pid, 0)
        time.sleep(0.5)  # what was killed with it takes a moment
        os.killpg(pid, signal.SIGKILL)
        left = True
    return End(os.waitstatus_to_exitcode(status), seconds, usage.ru_maxrss * 1024, not ended, left)


def redirect(descriptor: int, kind: Stream, writer: int) -> None:
    """Let ``descriptor`` lead to ``writer``, or to what ``kind`` is."""
    if kind == "closed":
        os.close(descriptor)
        setattr(sys, ("stdin", "stdout", "stderr")[descriptor], None)  # what Python makes of it at its start
    elif kind == "broken":
        reader, broken = os.pipe()
        os.close(reader)
        os.dup2(broken, descriptor)
        os.close(broken)
    elif kind == "full":
        os.dup2(os.open("/dev/full", os.O_WRONLY), descriptor)
    else:
        os.dup2(writer, descriptor)


def become(order: Mapping[str, Any], out: int, err: int) -> None:
    """Turn this forked process into that of ``order``."""
    signals.install(signals.end)
    os.setpgid(0, 0)
    os.chdir(order["folder"])
    os.environ.update(order["environment"])
    os.dup2(os.open(os.devnull, os.O_RDWR), 0)
    redirect(1, order["stdout"], out)
    redirect(2, order["stderr"], err)
    os.closerange(3, 64)
    for name, most in order["limits"].items():
        taken = 0
        if name == "RLIMIT_AS":
            taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(getattr(resource, name), (taken + most, taken + most))
    sys.argv = ["ptq", *order["words"]]
    signal.pthread_sigmask(signal.SIG_UNBLOCK, signals.STOPS)


def serve() -> bool:
    """Answer orders. False at their end; True in a forked process that is to run its command."""
    preload()
    gc.freeze()  # forked processes need not look through what was imported
    while line := sys.stdin.readline():
        order = json.loads(line)
        sys.stdout.flush()
        out, err = os.pipe(), os.pipe()
        signal.pthread_sigmask(signal.SIG_BLOCK, signals.STOPS)
        pid = os.fork()
        if pid == 0:
            become(order, out[1], err[1])
            return True
        os.setpgid(pid, pid)  # as the child does: whoever comes first
        signal.pthread_sigmask(signal.SIG_UNBLOCK, signals.STOPS)
        for writer in (out[1], err[1]):
            os.close(writer)
        end = wait(pid, order, Collected({"stdout": out[0], "stderr": err[0]}))
        sys.stdout.write(json.dumps(asdict(end)) + "\n")
        sys.stdout.flush()
    return False


if __name__ == "__main__" and serve():
    from ptq_cli.start import main

    main()
