#!/usr/bin/env python3
"""`make bench`: latency of the runtime and of its peers side by side, one thread, batch 1, on this machine.

    build/peers/bin/python scripts/bench_latency.py [--models build/models] [--model NAME] [--precision fp32|int8] [--rounds 5]

Every runtime is a process of its own, all pinned to one core and, where the system allows it, with real-time priority. They take
turns of a second (A B C A B C ...), all precisions of a model in one run. The table has the fastest and the median inference.
Where the CPU has AMX, int8 is measured twice: as it is, and with AMX refused to every process alike, which compares the runtimes
on AVX-512 VNNI. Exit codes: 0 every target met, 1 one missed, 2 wrong argument, 3 something is missing.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import importlib.util
import os
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import numpy as np
from peers import CLASSIC, OURS, PEERS, Peer

ROOT = Path(__file__).resolve().parent.parent
MODELS = OURS.models
PRECISIONS = ("fp32", "int8")
FEATURES = ("avx2", "fma", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_int8")
WARM_UP = 3
REALTIME_PRIORITY = 10

RATIO = {"fp32": 1.0, "int8": 0.9}
"""Precision → our latency is at most so many times the fastest peer's."""

INT8_SPEED_UP = 2.5
"""Our int8 is at least so many times as fast as our fp32."""

CELL = 13


def forbid_amx() -> None:
    """Make the kernel refuse AMX's tile registers to this process, by a seccomp filter: libraries ask before they use it."""
    arch_prctl, request_permission = 158, 0x1023
    load, jump_if_equal, give = 0x20, 0x15, 0x06  # BPF_LD|W|ABS, BPF_JMP|JEQ|K, BPF_RET|K
    program = (
        (load, 0, 0, 0),  # the system call's number
        (jump_if_equal, 0, 3, arch_prctl),
        (load, 0, 0, 16),  # the low half of its first argument
        (jump_if_equal, 0, 1, request_permission),
        (give, 0, 0, 0x00050000 | 1),  # fail with EPERM
        (give, 0, 0, 0x7FFF0000),  # allow
    )
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in program))
    header = struct.pack("HxxxxxxP", len(program), ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    no_new_privileges, set_seccomp, filter_mode = 38, 22, 2
    if libc.prctl(no_new_privileges, 1, 0, 0, 0) or libc.prctl(set_seccomp, filter_mode, header, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl: no seccomp filter")


def work(name: str, path: str, core: int, amx: bool) -> None:
    """A runtime's process: for each line with seconds on standard input, a line of milliseconds on standard output."""
    if not amx:
        forbid_amx()
    os.sched_setaffinity(0, {core})
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # libraries may print
    peer = next(peer for peer in (OURS, *PEERS) if peer.name == name)
    x = np.random.default_rng(0).uniform(-1, 1, (1, 3, 224, 224)).astype(np.float32)
    run = peer.load(Path(path), x)
    run()
    print("ready", file=answers, flush=True)
    with contextlib.suppress(PermissionError):  # of all processes or of none
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(REALTIME_PRIORITY))
    for line in sys.stdin:
        for _ in range(WARM_UP):
            run()
        samples: list[float] = []
        end = time.perf_counter() + float(line)
        while not samples or time.perf_counter() < end:
            begin = time.perf_counter()
            run()
            samples.append(1e3 * (time.perf_counter() - begin))
        print(*(f"{sample:.4f}" for sample in samples), file=answers, flush=True)


@dataclass(frozen=True)
class Row:
    """What all runtimes are compared on. ``sets`` says in words which instruction sets, where that is a choice."""

    model: str
    precision: str
    amx: bool
    sets: str = ""

    @property
    def title(self) -> str:
        return f"{self.model} {self.precision}{self.sets}"


def rows_of(model: str, amx_here: bool) -> list[Row]:
    """The rows of one model; no runtime computes float32 in AMX."""
    if not amx_here:
        return [Row(model, precision, False) for precision in PRECISIONS]
    return [
        Row(model, "fp32", True),
        Row(model, "int8", False, ", no AMX"),
        Row(model, "int8", True, ", AMX"),
    ]


@dataclass
class Case:
    """One runtime on one model, its process and what was measured."""

    peer: Peer
    row: Row
    process: subprocess.Popen[str]
    log: IO[str]
    samples_ms: list[float] = field(default_factory=list)

    @property
    def fastest(self) -> float:
        return min(self.samples_ms)

    @property
    def median(self) -> float:
        return statistics.median(self.samples_ms)

    def ask(self, seconds: float) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{seconds}\n")
        self.process.stdin.flush()
        self.samples_ms += map(float, self.read_line())

    def read_line(self) -> list[str]:
        assert self.process.stdout is not None
        words = self.process.stdout.readline().split()
        if not words:
            self.log.seek(0)
            raise RuntimeError(
                f"{self.peer.name} ended with {self.process.wait()}:\n{self.log.read()[-2000:]}"
            )
        return words


def cpu_features() -> list[str]:
    """Of FEATURES, those that /proc/cpuinfo lists."""
    flags = next(line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("flags"))
    return [feature for feature in FEATURES if feature in flags.split()]


def model_file(peer: Peer, folder: Path, precision: str) -> Path:
    """The file that ``peer`` runs, converted from the ONNX file if it is not there or older."""
    source, target = folder / f"{precision}.onnx", folder / f"{precision}{peer.suffix}"
    if peer.convert is not None and (not target.exists() or target.stat().st_mtime < source.stat().st_mtime):
        peer.convert(source, target)
    return target


def start(peer: Peer, row: Row, path: Path, core: int) -> Case:
    """Start its process and wait until the model is loaded and has run."""
    command = [sys.executable, __file__, "--work", peer.name, str(path), str(core), str(int(row.amx))]
    log = tempfile.TemporaryFile("w+")  # noqa: SIM115 (measure closes it)
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=log, text=True)
    case = Case(peer, row, process, log)
    case.read_line()
    return case


def measure(rows: Sequence[Row], folder: Path, arguments: argparse.Namespace) -> list[Case]:
    """All rows of one model on all runtimes, in turns."""
    cases = [
        start(peer, row, model_file(peer, folder, row.precision), arguments.core)
        for row in rows
        for peer in (OURS, *arguments.peers)
        if row.precision in peer.precisions and row.model in peer.models
    ]
    for _ in range(arguments.rounds):
        for case in cases:
            case.ask(arguments.seconds)
    for case in cases:
        case.process.communicate()
        case.log.close()
    return cases


def judge(value: float, bound: float) -> str:
    """PASS if ``value`` is at most ``bound``."""
    return "PASS" if value <= bound else "MISS"


def cells_of(row: Row, cases: Sequence[Case], peers: Sequence[Peer]) -> list[str]:
    """The row of the table of latencies: ours, each of ``peers``, ours to the fastest of them, its bound and the verdict."""
    of_row = {case.peer.name: case for case in cases if case.row == row}
    cells = [row.title]
    for peer in (OURS, *peers):
        case = of_row.get(peer.name)
        cells.append("–" if case is None else f"{case.fastest:.2f} ({case.median:.2f})")
    rivals = [case.fastest for name, case in of_row.items() if name != OURS.name]
    if not rivals:
        return [*cells, "", "", ""]
    ratio = of_row[OURS.name].fastest / min(rivals)
    if row.model not in CLASSIC:
        return [*cells, f"{ratio:.2f}", "", ""]
    bound = RATIO[row.precision]
    return [*cells, f"{ratio:.2f}", f"{bound:.2f}", judge(ratio, bound)]


def speed_ups(rows: Sequence[Row], cases: Sequence[Case]) -> list[list[str]]:
    """For each int8 row whose model was measured in fp32 too: how much faster ours is, the least it should be, the verdict."""
    ours = {case.row: case.fastest for case in cases if case.peer is OURS}
    fp32 = {row.model: fastest for row, fastest in ours.items() if row.precision == "fp32"}
    table = []
    for row in rows:
        if row.precision == "int8" and row.model in fp32:
            ratio = fp32[row.model] / ours[row]
            target = (
                [f"{INT8_SPEED_UP:.2f}", judge(-ratio, -INT8_SPEED_UP)] if row.model in CLASSIC else ["", ""]
            )
            table.append([row.title, f"{ratio:.2f}", *target])
    return table


def print_row(cells: Sequence[str], width: int = 0) -> None:
    """A line of a Markdown table, its first column wide."""
    first, *others = cells
    print(f"| {first:<32} | " + " | ".join(f"{cell:<{width}}" for cell in others) + " |", flush=True)


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--models", type=Path, default=ROOT / "build" / "models")
    parser.add_argument("--model", choices=MODELS, action="append", help="may be repeated (default: all)")
    parser.add_argument("--precision", choices=PRECISIONS, action="append")
    parser.add_argument("--peer", choices=[peer.name for peer in PEERS], action="append")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each runtime's turn")
    parser.add_argument("--core", type=int, default=max(os.sched_getaffinity(0)))
    parsed = parser.parse_args(arguments)
    parsed.model = parsed.model or MODELS
    parsed.precision = parsed.precision or PRECISIONS
    parsed.peers = []
    for peer in PEERS:
        if parsed.peer is None or peer.name in parsed.peer:
            if importlib.util.find_spec(peer.package):
                parsed.peers.append(peer)
            else:
                print(f"{peer.name} is not installed, left out (pip install '.[peers]')", file=sys.stderr)
    return parsed


def main(arguments: Sequence[str] | None = None) -> int:
    parsed = parse_arguments(arguments)
    features = cpu_features()
    print(f"CPU features: {' '.join(features)}\n")
    names = [OURS.name, *(peer.name for peer in parsed.peers)]
    print_row(["fastest (median) ms", *names, "ours / fastest peer", "at most", ""], CELL)
    print_row(["---"] * (len(names) + 4), CELL)
    rows: list[Row] = []
    cases: list[Case] = []
    for model in parsed.model:
        folder = parsed.models / model
        if not (folder / "int8.nb").is_file():
            print(f"bench_latency.py: no {folder}/int8.nb: run scripts/make_models.py", file=sys.stderr)
            return 3
        of_model = [
            row for row in rows_of(model, "amx_int8" in features) if row.precision in parsed.precision
        ]
        rows += of_model
        cases += measure(of_model, folder, parsed)
        for row in of_model:
            print_row(cells_of(row, cases, parsed.peers), CELL)
    verdicts = [cells_of(row, cases, parsed.peers)[-1] for row in rows]
    table = speed_ups(rows, cases)
    if table:
        print()
        print_row(["our int8", "times as fast as our fp32", "at least", ""], CELL)
        print_row(["---"] * 4, CELL)
    for cells in table:
        print_row(cells, CELL)
    verdicts += [cells[-1] for cells in table]
    return 1 if "MISS" in verdicts else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--work"]:
        work(sys.argv[2], sys.argv[3], int(sys.argv[4]), sys.argv[5] == "1")
    else:
        sys.exit(main())
