"""A whole inference on AArch64: its instructions counted under QEMU, block by block, and its cycles modelled.

QEMU's user mode runs the program with the plugin qemu/insn_count.c, which counts every translation block between two marker
system calls; llvm-mca then models each block by itself. The counts repeat exactly; wall time under QEMU means nothing.
"""

from __future__ import annotations

import contextlib
import importlib.util
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import build_runtime

from benchmarks import arm_code

REPEATS = 2
MODELLED_SHARE = 0.999
"""Of the instructions, the most frequent blocks first; the cycles of the rest are extrapolated."""

CLASSES = (
    ("mul-acc", r"([su]{1,2}dot|[su]{1,2}mmla|f?ml[as]|f?mlal2?|[su]m(ul|la|ls)l2?) v"),
    ("widen-add", r"[su]ad(al|d)[lwp]+2? v"),
    ("float", r"f"),
    ("load", r"ld|prf"),
    ("store", r"st"),
    ("branch", r"(b|bl|br|blr|ret|cbn?z|tbn?z|b\..*)( |$)"),
    ("simd", r"[a-z0-9]+2? ([vq]\d|[hsdb]\d)"),
)
"""Class of an instruction → pattern of its text; the first that matches, else "integer"."""


@dataclass(frozen=True)
class Block:
    """Instructions that ran one after the other, ``executions`` times per inference."""

    address: int
    executions: float
    words: tuple[int, ...]

    @property
    def instructions(self) -> float:
        """Per inference."""
        return self.executions * len(self.words)


def parse_blocks(text: str, repeats: int) -> list[Block]:
    """The blocks that the plugin wrote for ``repeats`` inferences, the one with the most instructions first."""
    blocks = []
    for line in text.splitlines():
        address, executions, *words = line.split()
        blocks.append(
            Block(int(address, 16), int(executions) / repeats, tuple(int(word, 16) for word in words))
        )
    return sorted(blocks, key=lambda block: -block.instructions)


def build_plugin(folder: Path) -> Path:
    """Compile the plugin with this machine's C compiler, or the one of the package ziglang, where it is newer than before."""
    source = Path(__file__).resolve().parent / "qemu" / "insn_count.c"
    plugin = folder / "insn_count.so"
    if plugin.exists() and plugin.stat().st_mtime > source.stat().st_mtime:
        return plugin
    folder.mkdir(parents=True, exist_ok=True)
    if shutil.which("cc"):
        compiler = ["cc"]
    elif importlib.util.find_spec("ziglang"):
        compiler = [sys.executable, "-m", "ziglang", "cc"]
    else:
        raise build_runtime.MissingToolError("no C compiler: apt install gcc, or pip install ziglang")
    temporary = plugin.with_suffix(".tmp.so")
    subprocess.run([*compiler, "-O2", "-fPIC", "-shared", "-o", str(temporary), str(source)], check=True)
    return temporary.replace(plugin)


def build_benchmark(folder: Path) -> Path:
    """benchmark_bin for arm64 as it is shipped, but with its symbols. Says what it does on stderr: stdout is the tables'."""
    options = ("-DCMAKE_BUILD_TYPE=Symbols", "-DCMAKE_CXX_FLAGS_SYMBOLS=-O3 -DNDEBUG")
    environment = build_runtime.build_environment(build_runtime.ROOT / "build" / "runtime")
    with build_runtime.locked(folder), contextlib.redirect_stdout(sys.stderr):
        build_runtime.configure(build_runtime.ABIS["arm64-v8a"], None, folder / "cmake", environment, options)
        command = [build_runtime.find_python_tool("ninja"), "-C", str(folder / "cmake"), "benchmark_bin"]
        build_runtime.run(command, environment, folder / "cmake.log", "arm64 benchmark_bin with symbols")
    return folder / "cmake" / "benchmark_bin"


def count(binary: Path, flat_file: Path, cpu: str, plugin: Path) -> list[Block]:
    """Blocks of one inference of ``flat_file`` on QEMU's ``cpu``, on one thread."""
    qemu = shutil.which("qemu-aarch64")
    assert qemu is not None
    with tempfile.NamedTemporaryFile("r", suffix=".txt") as out:
        command = [
            "setarch", "-R", qemu, "-seed", "1", "-cpu", cpu, "-plugin", f"{plugin},out={out.name}", str(binary),
            "--warmup=0", f"--repeats={REPEATS}", "--threads=1", "--count-markers", str(flat_file),
        ]  # fmt: skip
        subprocess.run(command, check=True, env={})
        blocks = parse_blocks(out.read(), REPEATS)
    if not blocks:
        raise arm_code.ToolError(f"{binary} made no marker calls: is it newer than --count-markers?")
    return blocks


@dataclass(frozen=True)
class HotBlock:
    """A block with its text and modelled cost."""

    block: Block
    symbol: str
    code: tuple[str, ...]
    cost: arm_code.Cost


@dataclass(frozen=True)
class Inference:
    """One inference: instructions, modelled cycles, and both by symbol; `mix` is instructions by class."""

    instructions: float
    cycles: float
    instructions_of: Counter[str]
    cycles_of: Counter[str]
    mix: Counter[str]
    blocks: list[HotBlock]


def classify(instruction: str) -> str:
    """The name of its row in CLASSES."""
    return next((name for name, pattern in CLASSES if re.match(pattern, instruction)), "integer")


def model_inference(blocks: list[Block], symbols: arm_code.Symbols, model_cpu: str) -> Inference:
    """Model the blocks that make up MODELLED_SHARE of the instructions, and extrapolate."""
    total = sum(block.instructions for block in blocks)
    chosen, covered = [], 0.0
    for block in blocks:
        if covered >= MODELLED_SHARE * total:
            break
        chosen.append(block)
        covered += block.instructions
    text = iter(arm_code.decode([word for block in chosen for word in block.words]))
    codes = [tuple(next(text) for _ in block.words) for block in chosen]
    hot = [
        HotBlock(block, symbols.at(block.address), code, cost)
        for block, code, cost in zip(chosen, codes, arm_code.model(codes, model_cpu), strict=True)
    ]
    instructions_of: Counter[str] = Counter()
    cycles_of: Counter[str] = Counter()
    mix: Counter[str] = Counter()
    for item in hot:
        instructions_of[item.symbol] += item.block.instructions  # type: ignore[assignment]
        cycles_of[item.symbol] += item.cost.cycles * item.block.executions  # type: ignore[assignment]
        for instruction in item.code:
            mix[classify(instruction)] += item.block.executions  # type: ignore[assignment]
    cycles = sum(cycles_of.values()) * total / covered
    return Inference(total, cycles, instructions_of, cycles_of, mix, hot)
