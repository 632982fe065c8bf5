#!/usr/bin/env python3
"""`make bench`: latency of the runtime and of its peers side by side, one thread, batch 1, on this machine.

    build/peers/bin/python scripts/bench_latency.py [--models build/models] [--model NAME] [--precision fp32|int8] [--rounds 5]

Every runtime is a process of its own, all pinned to one core and, where the system allows it, with real-time priority. They take
turns of a second (A B C A B C ...). The table shows the fastest and the median inference, and the ratio of the fastest to ours.
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
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from peers import CLASSIC, OURS, PEERS, Peer

ROOT = Path(__file__).resolve().parent.parent
MODELS = OURS.models
WITH_TARGETS = CLASSIC
PRECISIONS = ("fp32", "int8")
FEATURES = ("avx2", "fma", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_int8")
WARM_UP = 3
REALTIME_PRIORITY = 10

FP32_RATIO = 1.0
INT8_RATIO = 0.9
INT8_SPEED_UP = 2.5


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


@dataclass
class Case:
    """One runtime on one model, its process and what was measured."""

    peer: Peer
    amx: bool
    process: subprocess.Popen[str]
    samples_ms: list[float] = field(default_factory=list)

    @property
    def fastest(self) -> float:
        return min(self.samples_ms)

    def ask(self, seconds: float) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{seconds}\n")
        self.process.stdin.flush()
        self.samples_ms += map(float, self.read_line())

    def read_line(self) -> list[str]:
        assert self.process.stdout is not None
        words = self.process.stdout.readline().split()
        if not words:
            raise RuntimeError(f"{self.peer.name}: its process ended with {self.process.wait()}")
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


def start(peer: Peer, path: Path, core: int, amx: bool) -> Case:
    """Start its process and wait until the model is loaded and has run."""
    command = [sys.executable, __file__, "--work", peer.name, str(path), str(core), str(int(amx))]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    case = Case(peer, amx, process)
    case.read_line()
    return case


def measure(folder: Path, precision: str, arguments: argparse.Namespace, amx_here: bool) -> list[Case]:
    """All runtimes on one model, in turns."""
    cases = []
    for amx in (False, True) if amx_here and precision == "int8" else (amx_here,):
        for peer in (OURS, *arguments.peers):
            if precision in peer.precisions and folder.name in peer.models:
                cases.append(start(peer, model_file(peer, folder, precision), arguments.core, amx))
    for _ in range(arguments.rounds):
        for case in cases:
            case.ask(arguments.seconds)
    for case in cases:
        case.process.communicate()
    return cases


def judge(what: str, value: float, bound: float) -> bool:
    """Print a line; whether ``value`` is at most ``bound``."""
    good = value <= bound
    print(f"{'PASS' if good else 'MISS'}  {what}: {value:.3f}, at most {bound:.3f}")
    return good


def report(title: str, cases: Sequence[Case]) -> tuple[float, float]:
    """Print the table of cases on the same instruction sets; ms of ours, and of the fastest peer."""
    ours = next(case for case in cases if case.peer is OURS)
    print(f"\n{title}\n\n| runtime     | fastest ms | median ms | fastest / ours |\n|---|---|---|---|")
    for case in sorted(cases, key=lambda case: case.fastest):
        median = statistics.median(case.samples_ms)
        print(
            f"| {case.peer.name:<11} | {case.fastest:10.3f} | {median:9.3f} | {case.fastest / ours.fastest:14.2f} |"
        )
    rivals = [case.fastest for case in cases if case.peer is not OURS]
    return ours.fastest, min(rivals, default=float("inf"))


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
    amx_here = "amx_int8" in features
    print(f"CPU features: {' '.join(features)}")
    good = True
    for model in parsed.model or MODELS:
        folder = parsed.models / model
        if not (folder / "int8.nb").is_file():
            if parsed.model or model in WITH_TARGETS:
                print(f"bench_latency.py: no {folder}/int8.nb: run scripts/make_models.py", file=sys.stderr)
                return 3
            continue
        ours_fp32 = None
        for precision in parsed.precision or PRECISIONS:
            cases = measure(folder, precision, parsed, amx_here)
            for amx in sorted({case.amx for case in cases}):
                sets = "" if precision == "fp32" or not amx_here else ", AMX" if amx else ", no AMX"
                title = f"{model} {precision}{sets}"
                ours, rival = report(title, [case for case in cases if case.amx == amx])
                if model not in WITH_TARGETS:
                    continue
                bound = FP32_RATIO if precision == "fp32" else INT8_RATIO
                good &= judge(f"{title}, ours / fastest peer", ours / rival, bound)
                if precision == "fp32":
                    ours_fp32 = ours
                elif ours_fp32 is not None:
                    good &= judge(f"{title}, ours / our fp32", ours / ours_fp32, 1 / INT8_SPEED_UP)
    return 0 if good else 1


if __name__ == "__main__":
    if sys.argv[1:2] == ["--work"]:
        work(sys.argv[2], sys.argv[3], int(sys.argv[4]), sys.argv[5] == "1")
    else:
        sys.exit(main())
