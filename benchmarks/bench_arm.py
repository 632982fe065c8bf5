#!/usr/bin/env python3
"""`make bench-arm`: how good the Arm kernels are, where no phone is at hand.

    python -m benchmarks.bench_arm                                   everything, each line with PASS or MISS
    python -m benchmarks.bench_arm loops [PATTERN] [--code]          inner loops: MACs per cycle on neoverse-n1 (n2 for smmla)
    python -m benchmarks.bench_arm inferences [--model mobilenet_v1] [--precision int8] [--cpu cortex-a76] [--hot 12] [--blocks 3]
                                                   whole inferences counted under QEMU, modelled on neoverse-n1

--hot prints the symbols with the most cycles, --blocks the hottest blocks with their code: the profiler of kernel work.
--binary measures another benchmark_bin than the one built from this tree (it must not be stripped), --models other flat files.
Method and limits: docs/performance.md. Exit codes: 0 every target met, 2 wrong argument,
3 a tool or a file is missing or failed, 4 a target was missed.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import build_runtime

from benchmarks import arm_code, arm_count
from benchmarks.exit_codes import MISSED, MISSING, PASSED
from benchmarks.markdown_table import markdown_table

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "build" / "bench-arm"


@dataclass(frozen=True)
class Kind:
    """A kind of multiply-accumulate loop: what the core can do in a cycle, and what a GEMM has to reach."""

    model_cpu: str
    peak: float
    target: float | None


KINDS = {
    "mmla": Kind("neoverse-n2", 64, None),
    "dot": Kind("neoverse-n1", 32, 28),
    "smlal": Kind("neoverse-n1", 8, 7.5),
    "float": Kind("neoverse-n1", 8, 7),
    "half": Kind("neoverse-n1", 16, 14),
}


CORES = {"neoverse-n1": "N1", "neoverse-n2": "N2"}
"""What the table calls the modelled cores."""

PHONE_GHZ, PHONE_MODEL = 2.84, "neoverse-n1"
"""The Snapdragon 855's fastest core is a Cortex-A76."""

LEAST_MACS = 16
"""Per pass of a loop outside of kernels, to be listed."""


@dataclass(frozen=True)
class Row:
    """An inference to count: the best peer's and our own bounds in millions, None where nothing is asked or known."""

    model: str
    precision: str
    cpu: str
    peer: str = ""
    peer_instructions: float | None = None
    peer_cycles: float | None = None
    most_instructions: float | None = None
    most_cycles: float | None = None
    least_cycles: float | None = None


ROWS = (
    Row("mobilenet_v1", "int8", "cortex-a76", "onnxruntime", 105.5, 49.8, 55, 24, 17.8),
    Row("mobilenet_v2", "int8", "cortex-a76", "LiteRT", 49.6, 22.8, 44, 20, 9.4),
    Row("mobilenet_v2", "int8", "max", "LiteRT", 44.6, None, 40),
    Row("mobilenet_v2", "int8", "cortex-a53", "LiteRT", 132.3, None, 125),
    Row("mobilenet_v1", "fp32", "cortex-a76", "MNN", 173.1, 78.8, 170, 77, 71.1),
    Row("mobilenet_v2", "fp32", "cortex-a76", "ncnn", 101.2, 48.4, 100, 47, 37.6),
    Row("mobilenet_v1", "fp16", "cortex-a76", "MNN", 90.7, 40.4, 90.7, 40.4, 35.5),
    Row("mobilenet_v2", "fp16", "cortex-a76", "MNN", 57.2, 26.5, 57.2, 26.5, 18.8),
)
"""The peers were measured in the same way: onnxruntime 1.32, LiteRT 2.3 with XNNPACK, MNN 3.6, ncnn."""

CPUS = {"cortex-a53": None, "cortex-a76": "neoverse-n1", "max,sve=off,sme=off": "neoverse-n2"}
"""QEMU's CPU → the model of its cycles; llvm-mca's in-order models are not trustworthy, so cortex-a53 has none."""

ALIASES = {"max": "max,sve=off,sme=off"}


APT_PACKAGES = {
    "qemu-aarch64": "qemu-user",  # the static one takes no plugins
    **{
        f"{name}-{arm_code.LLVM}": f"llvm-{arm_code.LLVM}" for name in ("llvm-mc", "llvm-mca", "llvm-objdump")
    },
}


def check_tools() -> None:
    """Raises MissingToolError that names every missing apt package."""
    missing = sorted({package for program, package in APT_PACKAGES.items() if shutil.which(program) is None})
    if missing:
        raise build_runtime.MissingToolError(f"missing apt packages: {' '.join(missing)}")
    build_runtime.check_tools()


def verdict(pairs: Iterable[tuple[float | None, float | None]]) -> str:
    """PASS if every measured value is at most its bound, MISS if not, "" if there are no bounds."""
    bounded = [(value, bound) for value, bound in pairs if bound is not None]
    if not bounded:
        return ""
    return "PASS" if all(value is not None and value <= bound for value, bound in bounded) else "MISS"


def millions(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def is_kernel(name: str) -> bool:
    """Whether it is named as kernels are, <op>_<dtype>_<tile>__<isa>."""
    return re.fullmatch(r"\w+__\w+", name) is not None


def loop_target(name: str, kind: Kind) -> float | None:
    """Targets are for GEMM; portable kernels have none."""
    return kind.target if name.startswith("gemm_") and not name.endswith("__scalar") else None


def find_loops(
    functions: Sequence[arm_code.Function], pattern: str
) -> list[tuple[str, arm_code.Loop | None]]:
    """Every kernel with its main loop, None for a GEMM kernel whose loop was not found; then other functions with such loops.

    Not found is the loop of a kernel that calls its inner function through a table of pointers; it is among the others.
    """
    callees = {function.address: function for function in functions}
    found: list[tuple[str, arm_code.Loop | None]] = []
    named = [(arm_code.short_name(function.name), function) for function in functions]
    named.sort(key=lambda item: item[0])
    for name, function in named:
        if is_kernel(name):
            loop = arm_code.main_loop(function, callees)
            if loop is not None or loop_target(name, KINDS["float"]) is not None:
                found.append((name, loop))
    claimed = {loop.function for _, loop in found if loop is not None}
    for name, function in named:
        if not is_kernel(name) and function.name not in claimed:
            loop = arm_code.main_loop(function, {})
            if loop is not None and loop.macs >= LEAST_MACS:
                found.append((name, loop))
    return [(name, loop) for name, loop in found if re.search(pattern, name)]


def bench_loops(binary: Path, pattern: str, show_code: bool) -> bool:
    """Print the main loop of every kernel; whether no target was missed."""
    found = find_loops(arm_code.disassemble(binary), pattern)
    rows, good = [], True
    for name, loop in found:
        if loop is None:
            rows.append((name, "", "", "", "", "", "no loop found", "", "MISS"))
            good = False
            continue
        kind = KINDS[loop.kind or "float"]
        (cost,) = arm_code.model([loop.code], kind.model_cpu)
        target = loop_target(name, kind)
        word = verdict([(-loop.macs / cost.cycles, None if target is None else -target)])
        good = good and word != "MISS"
        rows.append((name, CORES[kind.model_cpu], str(len(loop.code)), str(loop.macs), f"{cost.cycles:.2f}",
                     f"{loop.macs / cost.cycles:.2f} of {kind.peak:g}", cost.bound,
                     "" if target is None else f"{target:g}", word))  # fmt: skip
    header = ("kernel", "core", "instr.", "MAC", "cycles", "MAC/cycle", "bound by", "target", "")
    print(markdown_table(header, rows))
    for name, loop in found if show_code else ():
        if loop is not None:
            print(f"\n{name}, in {arm_code.short_name(loop.function)} at {loop.address:#x}:")
            print("\n".join(f"    {line}" for line in loop.code))
    return good


def print_hot(inference: arm_count.Inference, symbols: int, blocks: int) -> None:
    """The profile of one inference: by symbol, by class of instruction, by block."""
    total = sum(inference.instructions_of.values())
    cycles = sum(inference.cycles_of.values())
    for name, of_cycles in inference.cycles_of.most_common(symbols):
        of_instructions = inference.instructions_of[name]
        print(f"  {100 * of_cycles / cycles:5.1f} % of cycles {of_cycles / 1e6:8.3f} M"
              f"  {100 * of_instructions / total:5.1f} % of instructions {of_instructions / 1e6:8.3f} M  {name}")  # fmt: skip
    if symbols:
        print("  " + ", ".join(f"{name} {100 * n / total:.1f} %" for name, n in inference.mix.most_common()))
    by_cycles = sorted(inference.blocks, key=lambda hot: -hot.cost.cycles * hot.block.executions)
    for hot in by_cycles[:blocks]:
        share = hot.cost.cycles * hot.block.executions / cycles
        print(f"\n  {hot.symbol} at {hot.block.address:#x}: {100 * share:.1f} % of cycles, {hot.block.executions:.0f} x "
              f"{len(hot.code)} instructions in {hot.cost.cycles:.1f} cycles, {hot.cost.bound}")  # fmt: skip
        print("\n".join(f"      {line}" for line in hot.code))


def bench_inferences(rows: Sequence[Row], binary: Path, models: Path, hot: int, blocks: int) -> bool:
    """Print a table of instructions and one of cycles; whether no target was missed."""
    plugin = arm_count.build_plugin(FOLDER)
    symbols = arm_code.Symbols(arm_code.disassemble(binary))
    tables: tuple[list[list[str]], list[list[str]]] = ([], [])
    profiles = []
    for row in rows:
        cpu = ALIASES.get(row.cpu, row.cpu)
        model_cpu = CPUS.get(cpu)
        flat_file = models / row.model / f"{row.precision}.nb"
        if not flat_file.is_file():
            raise FileNotFoundError(f"no {flat_file}: python -m benchmarks.make_models --out {models}")
        counted = arm_count.count(binary, flat_file, cpu, plugin)
        inference = arm_count.model_inference(counted, symbols, model_cpu or "neoverse-n1")
        instructions = inference.instructions / 1e6
        cycles = inference.cycles / 1e6 if model_cpu else None
        name = f"{row.model} {row.precision}, {row.cpu}"
        tables[0].append([name, row.peer, millions(row.peer_instructions), millions(instructions),
                          millions(row.most_instructions), verdict([(instructions, row.most_instructions)])])  # fmt: skip
        if (cycles, row.most_cycles) != (None, None):
            tables[1].append([name, row.peer, millions(row.peer_cycles), millions(cycles), millions(row.most_cycles),
                              verdict([(cycles, row.most_cycles)]), millions(row.least_cycles),
                              f"{cycles / PHONE_GHZ:.1f}" if cycles and model_cpu == PHONE_MODEL else ""])  # fmt: skip
        profiles.append((f"{name} (cycles of {model_cpu or 'neoverse-n1, for orientation only'})", inference))
    common = ("best peer", "peer's", "ours", "limit", "")
    headers = (("M instructions", *common), ("M cycles", *common, "MACs alone", f"ms at {PHONE_GHZ} GHz"))
    print("\n\n".join(markdown_table(*table) for table in zip(headers, tables, strict=True)))
    good = not any(cells[5] == "MISS" for table in tables for cells in table)
    for title, inference in profiles if hot or blocks else ():
        print(f"\n{title}")
        print_hot(inference, hot, blocks)
    return good


def choose_rows(model: str | None, precision: str | None, cpu: str | None) -> list[Row]:
    """The rows of the table that match; where none does, a row without targets."""
    chosen = [row for row in ROWS if model in (None, row.model) and precision in (None, row.precision)
              and cpu in (None, row.cpu)]  # fmt: skip
    return chosen or [Row(model or "mobilenet_v1", precision or "int8", cpu or "cortex-a76")]


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--binary", type=Path, help="an arm64 benchmark_bin with symbols (default: build it)")
    parser.set_defaults(part="all", pattern="", code=False, binary=None, models=ROOT / "build" / "models",
                        model=None, precision=None, cpu=None, hot=0, blocks=0)  # fmt: skip
    parts = parser.add_subparsers(dest="part")
    loops = parts.add_parser("loops", parents=[common], help="inner loops of the kernels")
    loops.add_argument("pattern", nargs="?", default="", help="regular expression for the kernels' names")
    loops.add_argument("--code", action="store_true", help="print the loops' code")
    inferences = parts.add_parser("inferences", parents=[common], help="whole inferences")
    inferences.add_argument(
        "--models", type=Path, default=ROOT / "build" / "models", help="folder of MODEL/PRECISION.nb"
    )
    inferences.add_argument("--model", help="e.g. mobilenet_v2")
    inferences.add_argument("--precision", choices=("fp32", "fp16", "int8"))
    inferences.add_argument("--cpu", help="cortex-a53, cortex-a76, max or another of QEMU's")
    inferences.add_argument("--hot", type=int, default=0, metavar="N", help="print N symbols")
    inferences.add_argument(
        "--blocks", type=int, default=0, metavar="N", help="print N blocks with their code"
    )
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    parsed = parse_arguments(arguments)
    good = True
    try:
        check_tools()
        binary = parsed.binary or arm_count.build_benchmark(FOLDER)
        if parsed.part in ("loops", None):
            good = bench_loops(binary, parsed.pattern, parsed.code) and good
            print()
        if parsed.part in ("inferences", None):
            rows = choose_rows(parsed.model, parsed.precision, parsed.cpu)
            good = bench_inferences(rows, binary, parsed.models, parsed.hot, parsed.blocks) and good
    except (arm_code.ToolError, build_runtime.MissingToolError, OSError) as error:
        print(f"bench_arm.py: {error}", file=sys.stderr)
        return MISSING
    except subprocess.CalledProcessError as error:
        print(f"bench_arm.py: failed: {' '.join(map(str, error.cmd))}", file=sys.stderr)
        return MISSING
    return PASSED if good else MISSED


if __name__ == "__main__":
    sys.exit(main())
