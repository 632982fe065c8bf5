"""Which kernel the runtime chooses for each operator of a flat file, on any CPU of any target, and why not another.

The runtime itself is asked: `show_bin` as built for the target, through qemu-user where this machine is of another kind.
Nothing is run but the choice, so every CPU can be asked about.
"""

from __future__ import annotations

import platform
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ptq_core.errors import DeviceError, PtqError
from ptq_core.runtime import runtime_binary

TIMEOUT_S = 300


@dataclass(frozen=True)
class Tool:
    """Where a target's `show_bin` lies, what platform.machine() says where it runs unaided, and what else runs it."""

    abi: str
    machine: str
    emulator: str


TOOLS: dict[str, Tool] = {
    "arm64": Tool("arm64-v8a", "aarch64", "qemu-aarch64"),
    "armv7": Tool("armeabi-v7a", "armv7l", "qemu-arm"),
    "x86_64": Tool("x86_64", "x86_64", "qemu-x86_64"),
}
"""Target of a flat file → its tool. There is no build for 32-bit x86."""

CPUS: dict[str, str] = {
    "scalar": "any",
    "neon": "Cortex-A53, A72, A73",
    "fp16": "Cortex-A55, A75, A76 and newer, for what --enable-fp16 wrote",
    "dotprod": "Cortex-A55, A75, A76 to A78, X1",
    "i8mm": "Cortex-A510, A710, X2 and newer",
    "avx2": "Haswell, Zen and newer",
    "avxvnni": "Alder Lake and newer",
    "avx512vnni": "Cascade Lake, Ice Lake, Zen 4 and newer",
    "amx": "Sapphire Rapids and newer",
}
"""CPU level (as in PTQ_CPU) → CPUs that have it."""


@dataclass(frozen=True)
class Choice:
    """The kernel of an operator; ``others`` are (kernel for the same operation, why it was not chosen)."""

    kernel: str
    others: tuple[tuple[str, str], ...]


def levels(target: str) -> list[str]:
    """The CPU levels that ``target`` has kernels for, the lowest first. Raises DeviceError, naming what is missing."""
    return _ask(target, "--levels").split()


def choices(target: str, level: str | None, flat_file: Path) -> list[Choice]:
    """A choice per operator of ``flat_file`` on ``level``; None: on this machine."""
    arguments = ["--choices", *([] if level is None else [f"--cpu={level}"]), str(flat_file)]
    found: list[tuple[str, list[tuple[str, str]]]] = []
    for line in _ask(target, *arguments).splitlines():
        if line.startswith("  "):
            kernel, _, reason = line.strip().partition(": ")
            found[-1][1].append((kernel, reason))
        else:
            found.append((line.split()[-1], []))
    return [Choice(kernel, tuple(others)) for kernel, others in found]


def kernel_list(target: str) -> Iterator[tuple[str, str]]:
    """(kernel, what it needs of the CPU) of every kernel of ``target``, each operation's best first."""
    for line in _ask(target, "--kernels", "--cpu=scalar").splitlines():
        kernel, _, reason = line.partition(": ")
        yield kernel, reason.removeprefix("needs ") if reason.startswith("needs") else "-"


def _ask(target: str, *arguments: str) -> str:
    command = [*_command(target), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DeviceError(
            f"cannot run {command[0]}: {error}",
            rule="the runtime's show_bin tells which kernels are chosen",
            fix="build the runtime again, or install ptq again",
        ) from error
    if done.returncode != 0:
        raise PtqError(
            f"{' '.join(command)} failed: {done.stderr.strip() or done.returncode}",
            rule="show_bin reads every file that `ptq opt` writes",
            fix="build the runtime again; if it still fails, report it as a bug of ptq",
        )
    return done.stdout


def _command(target: str) -> list[str]:
    """The command line of the tool for ``target`` on this machine."""
    tool = TOOLS[target]
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine().lower(), platform.machine())
    if machine == tool.machine:
        return [str(runtime_binary("host", "show_bin"))]
    binary = runtime_binary(tool.abi, "show_bin")
    emulator = shutil.which(tool.emulator) or shutil.which(f"{tool.emulator}-static")
    if emulator is None:
        raise DeviceError(
            f"no {tool.emulator} to ask the {target} runtime on this {machine} machine",
            rule="kernels of another kind of CPU are told by that CPU's runtime, through qemu-user",
            fix="install the apt package qemu-user-static, or name only targets of this machine",
        )
    return [emulator, str(binary)]
