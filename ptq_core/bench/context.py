"""What the machine was like during a measurement: without it a latency cannot be compared with another."""

from __future__ import annotations

import os
import platform
import re
from dataclasses import dataclass
from pathlib import Path

from ptq_core.version import VERSION


@dataclass(frozen=True)
class MachineContext:
    """The machine before the measurement; None where it does not say.

    `cores` counts those that this process may use. `load_average` is the run queue's mean length over the last minute.
    """

    cpu_model: str | None
    cores: int
    governors: tuple[str, ...]
    load_average: float | None
    kernel: str
    machine: str
    python_version: str
    ptq_version: str


def read_context(root: Path = Path("/")) -> MachineContext:
    """Read /proc and /sys below ``root``; a file that is missing or odd leaves its field empty."""
    return MachineContext(
        cpu_model=_cpu_model(_read(root / "proc/cpuinfo")),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        governors=_governors(root / "sys/devices/system/cpu"),
        load_average=_load_average(_read(root / "proc/loadavg")),
        kernel=platform.release(),
        machine=platform.machine(),
        python_version=platform.python_version(),
        ptq_version=VERSION,
    )


def _cpu_model(cpuinfo: str) -> str | None:
    """The name that x86 prints ("model name") or Arm ("Hardware", "Model"), else Arm's part numbers."""
    for name in ("model name", "Hardware", "Model"):
        match = re.search(rf"^{name}\s*:\s*(\S.*)$", cpuinfo, re.MULTILINE)
        if match:
            return match[1].strip()
    parts = sorted(set(re.findall(r"^CPU part\s*:\s*(\S+)", cpuinfo, re.MULTILINE)))
    return f"CPU part {', '.join(parts)}" if parts else None


def _governors(folder: Path) -> tuple[str, ...]:
    """The distinct frequency governors of all cores; virtual machines have none."""
    found = {_read(file).strip() for file in folder.glob("cpu[0-9]*/cpufreq/scaling_governor")}
    return tuple(sorted(found - {""}))


def _load_average(loadavg: str) -> float | None:
    try:
        return float(loadavg.split()[0])
    except (IndexError, ValueError):
        return None


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
