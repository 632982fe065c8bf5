#!/usr/bin/env python3
"""`make bench`: latency of the runtime and of its peers side by side, one thread, batch 1, on this machine.

    build/peers/bin/python -m benchmarks.bench_latency [--models build/models] [--model NAME] [--precision fp32|int8] [--rounds 5]

Every runtime is a process of its own, all pinned to one core and, where the system allows it, with real-time priority. They take
turns of a second (A B C A B C ...), all precisions of a model in one run. A table has the fastest inference, another the median.
Where the CPU has AMX, int8 is measured twice: as it is, and with AMX refused to every process alike, which compares the runtimes
on AVX-512 VNNI. All get the same input; a table holds their outputs against onnxruntime's, another our time to load and
our peak of memory against their targets. Without --peer every peer has to be there: a PASS is one beside all of them.
Exit codes: 0 every target met, 2 wrong argument, 3 something is missing or failed, 4 a target was missed.
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

from benchmarks import start_up
from benchmarks.exit_codes import MISSED, MISSING, PASSED
from benchmarks.markdown_table import markdown_table
from benchmarks.peers import CLASSIC, OURS, PEERS, Peer, PeerError, load_onnxruntime

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

OUR_COSINE, PEER_COSINE = 0.999, 0.95
"""Least cosine to onnxruntime's output. Peers round int8 in their own ways, and LiteRT has its own SAME padding."""


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


def input_values() -> np.ndarray:
    """What every runtime computes on: float32 [1, 3, 224, 224]."""
    return np.random.default_rng(0).uniform(-1, 1, (1, 3, 224, 224)).astype(np.float32)


def work(name: str, path: str, core: int, amx: bool) -> None:
    """A runtime's process: writes a line with its output, then for each line with seconds a line of milliseconds."""
    if not amx:
        forbid_amx()
    os.sched_setaffinity(0, {core})
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # libraries may print
    peer = next(peer for peer in (OURS, *PEERS) if peer.name == name)
    run = peer.load(Path(path), input_values())
    print(*np.array(run()).ravel().tolist(), file=answers, flush=True)
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
    """One runtime on one model, its process, its output (float32 [CLASSES]) and what was measured."""

    peer: Peer
    row: Row
    process: subprocess.Popen[str]
    log: IO[str]
    output: np.ndarray = field(default_factory=lambda: np.empty(0, np.float32))
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
            raise PeerError(f"{self.peer.name} ended with {self.process.wait()}:\n{self.log.read()[-2000:]}")
        return words


def cpu_features() -> list[str]:
    """Of FEATURES, those that /proc/cpuinfo lists."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    flags = next((line for line in lines if line.startswith("flags")), "")  # only x86 has such a line
    return [feature for feature in FEATURES if feature in flags.split()]


def model_file(peer: Peer, folder: Path, precision: str) -> Path:
    """The file that ``peer`` runs, converted from the ONNX file if it is not there or older."""
    source, target = folder / f"{precision}.onnx", folder / f"{precision}{peer.suffix}"
    if peer.convert is not None and (not target.exists() or target.stat().st_mtime < source.stat().st_mtime):
        peer.convert(source, target)
    return target


def start(peer: Peer, row: Row, path: Path, core: int) -> Case:
    """Start its process and wait until the model is loaded and has run. Raises PeerError."""
    module = [sys.executable, "-m", "benchmarks.bench_latency"]
    command = [*module, "--work", peer.name, str(path.resolve()), str(core), str(int(row.amx))]
    log = tempfile.TemporaryFile("w+")  # noqa: SIM115 (measure closes it)
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=log, text=True)
    case = Case(peer, row, process, log)
    case.output = np.array(case.read_line(), np.float32)
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
    """The row of the fastest: ours, each of ``peers``, the ratio of ours to the fastest of them, its bound and the verdict."""
    of_row = {case.peer.name: case for case in cases if case.row == row}
    cells = [row.title]
    for peer in (OURS, *peers):
        case = of_row.get(peer.name)
        cells.append("–" if case is None else f"{case.fastest:.2f}")
    rivals = [case.fastest for name, case in of_row.items() if name != OURS.name]
    if not rivals:
        return [*cells, "", "", ""]
    ratio = of_row[OURS.name].fastest / min(rivals)
    if row.model not in CLASSIC:
        return [*cells, f"{ratio:.2f}", "", ""]
    bound = RATIO[row.precision]
    return [*cells, f"{ratio:.2f}", f"{bound:.2f}", judge(ratio, bound)]


def medians_of(row: Row, cases: Sequence[Case], peers: Sequence[Peer]) -> list[str]:
    """The row of the medians: ours, each of ``peers``."""
    medians = {case.peer.name: f"{case.median:.2f}" for case in cases if case.row == row}
    return [row.title, *(medians.get(peer.name, "–") for peer in (OURS, *peers))]


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


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    """Of the angle between two vectors; 0 if they differ in length."""
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b))) if a.size == b.size else 0.0


def outputs_of(row: Row, cases: Sequence[Case], peers: Sequence[Peer], reference: np.ndarray) -> list[str]:
    """The row of the table of outputs: each runtime's cosine to ``reference``, * for another best class, the verdict."""
    of_row = {case.peer.name: case for case in cases if case.row == row}
    cells, good = [row.title], True
    for peer in (OURS, *peers):
        if peer.name not in of_row:
            cells.append("–")
            continue
        output = of_row[peer.name].output
        value = cosine(output, reference)
        good = good and value >= (OUR_COSINE if peer is OURS else PEER_COSINE)
        cells.append(f"{value:.5f}" + ("" if output.argmax() == reference.argmax() else " *"))
    return [*cells, "PASS" if good else "MISS"]


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
    parsed.peers = [peer for peer in PEERS if parsed.peer is None or peer.name in parsed.peer]
    return parsed


def check_present(peers: Sequence[Peer], files: Sequence[Path]) -> None:
    """Raises PeerError that names all packages, or the first file, that are missing."""
    missing = [peer.name for peer in peers if importlib.util.find_spec(peer.package) is None]
    if missing:
        raise PeerError(
            f"not installed: {', '.join(missing)}: make build/peers/.installed, or choose by --peer"
        )
    for path in files:
        if not path.is_file():
            raise PeerError(f"no {path}: run python -m benchmarks.make_models")


def bench(parsed: argparse.Namespace) -> bool:
    """Measure and print all tables; whether no target was missed. Raises PeerError."""
    names = [OURS.name, *(peer.name for peer in parsed.peers)]
    features = cpu_features()
    rows: list[Row] = []
    cases: list[Case] = []
    references: dict[Row, np.ndarray] = {}
    for model in parsed.model:
        folder = parsed.models / model
        of_model = [
            row for row in rows_of(model, "amx_int8" in features) if row.precision in parsed.precision
        ]
        rows += of_model
        cases += measure(of_model, folder, parsed)
        for row in of_model:
            print("  ".join(cells_of(row, cases, parsed.peers)), file=sys.stderr, flush=True)
            references[row] = load_onnxruntime(folder / f"{row.precision}.onnx", input_values())().ravel()
    chosen = [r for r in start_up.START_UPS if r.model in parsed.model and r.precision in parsed.precision]
    tables: dict[tuple[str, ...], list[list[str]]] = {
        ("fastest, ms", *names, "ratio", "limit", ""): [cells_of(row, cases, parsed.peers) for row in rows],
        ("median, ms", *names): [medians_of(row, cases, parsed.peers) for row in rows],
        ("our int8", "times as fast as our fp32", "at least", ""): speed_ups(rows, cases),
        ("output: cosine to onnxruntime's", *names, ""): [
            outputs_of(row, cases, parsed.peers, references[row]) for row in rows
        ],
        ("our start", "load ms", "limit", "peak resident MB", "limit", ""): [
            start_up.cells_of(r, *start_up.measure(r, parsed.models, parsed.core)) for r in chosen
        ],
    }
    print(f"CPU features: {' '.join(features)}")
    for header, table in tables.items():
        if table:
            print(f"\n{markdown_table(header, table)}", flush=True)
    return not any(cells[-1] == "MISS" for table in tables.values() for cells in table)


def main(arguments: Sequence[str] | None = None) -> int:
    parsed = parse_arguments(arguments)
    files = [
        parsed.models / model / f"{precision}.nb" for model in parsed.model for precision in parsed.precision
    ]
    try:
        check_present(parsed.peers, files)
        return PASSED if bench(parsed) else MISSED
    except (PeerError, OSError, subprocess.CalledProcessError) as error:
        print(f"bench_latency.py: {error}", file=sys.stderr)
        return MISSING


if __name__ == "__main__":
    if sys.argv[1:2] == ["--work"]:
        work(sys.argv[2], sys.argv[3], int(sys.argv[4]), sys.argv[5] == "1")
    else:
        sys.exit(main())
