"""AArch64 machine code: disassembled, its loops found, its cycles modelled with llvm-mca.

The models are those of LLVM 19. Cortex-A76 and its successors have none (their names are aliases of Cortex-A57's): neoverse-n1,
the A76's server twin, stands for it, neoverse-n2 for cores with the int8 matrix multiply. No model has cache misses in it.
"""

from __future__ import annotations

import bisect
import json
import re
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

LLVM = "19"
ITERATIONS = 200
ARCHITECTURE = "-triple=aarch64-linux-gnu"

MACS = (
    (r"[su]{1,2}dot v\d+\.4s", 16),
    (r"[su]{1,2}dot v\d+\.2s", 8),
    (r"[su]{1,2}mmla v\d+\.4s", 32),
    (r"f(mla|mls)l?2? v\d+\.(4s|4h)", 4),
    (r"f(mla|mls) v\d+\.8h", 8),
    (r"f(mla|mls) v\d+\.2[sd]", 2),
    (r"fn?m(add|sub) |m(add|sub) w", 1),
    (r"[su]m(ul|la|ls)l2? v\d+\.8h", 8),
    (r"[su]m(ul|la|ls)l2? v\d+\.4s", 4),
    (r"[su]m(ul|la|ls)l2? v\d+\.2d", 2),
    (r"ml[as] v\d+\.16b", 16),
    (r"ml[as] v\d+\.8[hb]", 8),
    (r"ml[as] v\d+\.4[sh]", 4),
    (r"ml[as] v\d+\.2s", 2),
)
"""Instruction as llvm-mc prints it, blanks for tabs → multiply-accumulates it makes. The first row that matches counts."""


class ToolError(Exception):
    """A program of LLVM refused its input."""


def llvm(name: str, *arguments: str, text: str | None = None) -> str:
    """Standard output of LLVM's program ``name`` of the version that the models are known of."""
    command = [f"{name}-{LLVM}", *arguments]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ToolError(f"{name} failed: {done.stderr[:500]}")
    return done.stdout


def decode(words: Sequence[int]) -> list[str]:
    """Assembly text of each 32-bit instruction, one blank after the mnemonic."""
    lines = (" ".join(f"0x{byte:02x}" for byte in word.to_bytes(4, "little")) for word in words)
    output = llvm("llvm-mc", "--disassemble", ARCHITECTURE, "-mattr=+all", text="\n".join(lines))
    code = [" ".join(line.split()) for line in output.splitlines()]
    code = [line for line in code if line and not line.startswith(".")]
    if len(code) != len(words):
        raise ToolError(f"{len(words)} instructions disassembled to {len(code)}")
    return code


def macs_of(instruction: str) -> int:
    """Multiply-accumulates of one instruction; multiplications without an addition to the accumulator count if they widen."""
    return next((macs for pattern, macs in MACS if re.match(pattern, instruction)), 0)


@dataclass(frozen=True)
class Cost:
    """What llvm-mca says of one pass through a piece of code that is repeated without end."""

    cycles: float
    bound: str
    """The unit that is busiest, its cycles; or the dispatch width; or "latency" where neither explains the cycles."""


def model(pieces: Sequence[Sequence[str]], cpu: str) -> list[Cost]:
    """Cost of each piece of assembly text on ``cpu``, each repeated by itself."""
    if not pieces:
        return []
    source = [".arch armv8.7-a+dotprod+i8mm+bf16+fp16"]
    for index, piece in enumerate(pieces):
        source += [f"# LLVM-MCA-BEGIN p{index}", *piece, f"# LLVM-MCA-END p{index}"]
    flags = (f"-m{ARCHITECTURE[1:]}", f"-mcpu={cpu}", f"-iterations={ITERATIONS}", "-call-latency=1", "-json")
    result = json.loads(llvm("llvm-mca", *flags, text="\n".join(source) + "\n"))
    resources = result["TargetInfo"]["Resources"]
    costs = {}
    for region in result["CodeRegions"]:
        summary = region["SummaryView"]
        cycles = summary["TotalCycles"] / ITERATIONS
        loads = {"dispatch": summary["TotaluOps"] / ITERATIONS / summary["DispatchWidth"]}
        total = len(region["Instructions"])  # this pseudo-instruction holds the sums
        for row in region["ResourcePressureView"]["ResourcePressureInfo"]:
            if row["InstructionIndex"] == total:
                name = resources[row["ResourceIndex"]]
                unit = re.sub(r"^N\dUnit|\..*", "", name)  # N1UnitL.1 → L: of several equal ones the busiest
                loads[unit] = max(loads.get(unit, 0), row["ResourceUsage"])
        unit = max(loads, key=lambda name: loads[name])
        explains = loads[unit] >= 0.9 * cycles
        bound = f"{unit} {loads[unit]:.1f}" if explains else f"latency ({unit} {loads[unit]:.1f})"
        costs[region["Name"]] = Cost(cycles, bound)
    return [costs[f"p{index}"] for index in range(len(pieces))]


@dataclass
class Function:
    """A symbol's instructions, at consecutive addresses from ``address``."""

    name: str
    address: int
    words: list[int] = field(default_factory=list)
    targets: dict[int, int] = field(default_factory=dict)
    """Index of a branch → the address that it goes to."""

    def loops(self) -> list[tuple[int, int]]:
        """First and last index of each innermost loop: a branch backwards with no other one in between."""
        found: list[tuple[int, int]] = []
        for last, target in sorted(self.targets.items()):
            first = (target - self.address) // 4
            if 0 <= first <= last and not any(first <= begin and end <= last for begin, end in found):
                found.append((first, last))
        return found


def parse_disassembly(text: str) -> list[Function]:
    """Functions in the output of ``llvm-objdump -d``."""
    functions: list[Function] = []
    for line in text.splitlines():
        if header := re.match(r"([0-9a-f]+) <(.+)>:$", line):
            functions.append(Function(header[2], int(header[1], 16)))
        elif code := re.match(r"\s*([0-9a-f]+): ([0-9a-f]{8})\s+(\S+)(.*)", line):
            function = functions[-1]
            branches = re.match(r"(b|bl|b\..+|cbn?z|tbn?z)$", code[3])
            if branches and (target := re.search(r"(?:0x)?([0-9a-f]+) <", code[4])):
                function.targets[len(function.words)] = int(target[1], 16)
            function.words.append(int(code[2], 16))
    return functions


def disassemble(binary: Path) -> list[Function]:
    """The functions of a program or object file that has symbols; C++ names are demangled."""
    return parse_disassembly(llvm("llvm-objdump", "-d", "--demangle", str(binary)))


@dataclass(frozen=True)
class Loop:
    """An innermost loop of a function: its code, with branches' targets named, and MACs per pass."""

    function: str
    address: int
    code: tuple[str, ...]
    macs: int

    @property
    def kind(self) -> str:
        """Which multiplication it is made of: "mmla", "dot", "smlal", "half", or "" for float and none."""
        for kind, pattern in (
            ("mmla", r"[su]+mmla "),
            ("dot", r"[su]+dot "),
            ("smlal", r"[su]m(ul|la|ls)l2? v"),
            ("half", r"f(mla|mls) v\d+\.8h"),
        ):
            if any(re.match(pattern, line) for line in self.code):
                return kind
        return ""


def main_loop(function: Function, callees: dict[int, Function]) -> Loop | None:
    """The innermost loop with the most MACs, of the function or, if it has none with any, of those that it calls."""
    loops = []
    for first, last in function.loops():
        code = tuple(decode(function.words[first : last + 1]))
        loops.append(Loop(function.name, function.address + 4 * first, code, sum(map(macs_of, code))))
    best = max(loops, key=lambda loop: loop.macs, default=None)
    if best is not None and best.macs > 0:
        return best
    called = (callees[target] for target in function.targets.values() if target in callees)
    inner = (main_loop(callee, {}) for callee in called if callee is not function)
    return max((loop for loop in inner if loop is not None), key=lambda loop: loop.macs, default=None)


class Symbols:
    """Which function an address belongs to."""

    def __init__(self, functions: Iterable[Function]) -> None:
        self.functions = sorted(functions, key=lambda function: function.address)
        self.addresses = [function.address for function in self.functions]

    def at(self, address: int) -> str:
        """Name without its parameters."""
        index = bisect.bisect(self.addresses, address) - 1
        return short_name(self.functions[index].name) if index >= 0 else "?"


def short_name(demangled: str) -> str:
    """``ptq::(anonymous namespace)::Store<ptq::F, 8ul>(int, ...)`` → ``Store<F, 8>``; C names as they are."""
    name = demangled.replace("(anonymous namespace)::", "").split("(")[0]
    return re.sub(r"^[^<]* |ptq::|(?<=\d)ul\b", "", name) or demangled
