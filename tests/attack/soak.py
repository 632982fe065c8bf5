"""The runtime for minutes: threads that load, run and close programs, contexts of several threads, forks in between.

    python -m tests.attack.soak FILE.nb --seconds 600 --contexts 10000

Prints a JSON record. Every output must be the first one to the bit; memory, threads and open files must stay what they
were after the first tenth. Exit code 1 if not.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import select
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptq_core.memory import give_back_freed
from ptq_core.runtime import Program

WORKERS = 4
RUNS = 3
"""Of each context."""

CONTEXTS_PER_FORK = 40
MOST_GROWTH = 4_000_000
"""Bytes of resident memory between the first tenth and the end: malloc's arenas move by less than 1 MB."""

FORK_S = 60.0
"""A forked process that takes longer hangs."""


@dataclass
class Record:
    """What was done and seen; memory in bytes, at the end of each tenth."""

    contexts: int = 0
    forks: int = 0
    seconds: float = 0.0
    memory: list[int] = field(default_factory=list)
    threads: list[int] = field(default_factory=list)
    files: list[int] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


class Soak:
    """One program that stays open, and workers that open and close others of the same file."""

    def __init__(self, data: bytes) -> None:
        self._data, self._lock, self.record = data, threading.Lock(), Record()
        self._program = Program(data)
        random = np.random.default_rng(0)
        self._feeds = [random.standard_normal(info.shape).astype(info.dtype) for info in self._program.inputs]
        self._right = self._program.run(*self._feeds)
        self._stop = threading.Event()
        self._pause = threading.Barrier(WORKERS + 1)
        self._paused = threading.Event()

    def run(self, seconds: float, contexts: int) -> Record:
        """Until both have passed."""
        began = time.monotonic()
        workers = [threading.Thread(target=self._work, args=(index,)) for index in range(WORKERS)]
        for worker in workers:
            worker.start()
        tenths = 0
        while not self.record.wrong:
            done = min((time.monotonic() - began) / seconds, self.record.contexts / contexts)
            if self.record.contexts >= CONTEXTS_PER_FORK * (self.record.forks + 1):
                self._fork()
            if int(10 * done) > tenths:
                tenths = int(10 * done)
                self._measure()
            if done >= 1:
                break
            time.sleep(0.002)
        self._stop.set()
        for worker in workers:
            worker.join()
        self.record.seconds = time.monotonic() - began
        self._judge()
        self._program.close()
        return self.record

    def _work(self, index: int) -> None:
        made = 0
        while not self._stop.is_set():
            with Program(self._data) as program:
                for threads in ((1, 2, 4)[(index + made) % 3], 4):
                    for _ in range(RUNS):
                        self._compare(program.run(*self._feeds, threads=threads), "a run")
            made += 1
            with self._lock:
                self.record.contexts += len({(1, 2, 4)[(index + made - 1) % 3], 4})
            if self._paused.is_set():
                self._pause.wait()
                self._pause.wait()

    def _compare(self, got: Sequence[NDArray[Any]], what: str) -> None:
        if any(mine.tobytes() != right.tobytes() for mine, right in zip(got, self._right, strict=True)):
            self.record.wrong.append(f"{what} gave other bits")

    def _fork(self) -> None:
        """A child, while the workers work, runs what is open, closes it, and opens and runs its own."""
        self.record.forks += 1
        threads = self.record.forks % 4 + 1
        child = os.fork()
        if child == 0:
            before = len(self.record.wrong)
            try:
                self._compare(self._program.run(*self._feeds, threads=threads), "a forked run")
                self._program.close()
                with Program(self._data) as program:
                    self._compare(program.run(*self._feeds, threads=threads), "a forked program")
            finally:
                os._exit(len(self.record.wrong) - before)
        handle = os.pidfd_open(child)
        if not select.select([handle], [], [], FORK_S)[0]:
            self.record.wrong.append(f"fork {self.record.forks} hung")
            os.kill(child, 9)
        os.close(handle)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if code != 0:
            self.record.wrong.append(f"fork {self.record.forks} ended with {code}")

    def _measure(self) -> None:
        """Memory, threads and files, while the workers wait with nothing open."""
        self._paused.set()
        self._pause.wait()
        self._paused.clear()
        give_back_freed()
        status = Path("/proc/self/status").read_text()
        for kept, name, unit in ((self.record.memory, "VmRSS", 1024), (self.record.threads, "Threads", 1)):
            found = re.search(rf"{name}:\s+(\d+)", status)
            assert found
            kept.append(int(found[1]) * unit)
        self.record.files.append(len(list(Path("/proc/self/fd").iterdir())))
        self._pause.wait()

    def _judge(self) -> None:
        for name, values, most in (
            ("memory", self.record.memory, MOST_GROWTH),
            ("threads", self.record.threads, 0),
            ("open files", self.record.files, 0),
        ):
            if values and values[-1] - values[0] > most:
                self.record.wrong.append(f"{name} grew from {values[0]} to {values[-1]}")


def main(arguments: Sequence[str] | None = None) -> int:
    """See above."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--contexts", type=int, default=10_000)
    parsed = parser.parse_args(arguments)
    record = Soak(parsed.file.read_bytes()).run(parsed.seconds, parsed.contexts)
    print(json.dumps(asdict(record)))
    return bool(record.wrong)


if __name__ == "__main__":
    sys.exit(main())
