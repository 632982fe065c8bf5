"""What a program pays before its first inference: the time to load a model, packing included, and the memory it then holds.

Measured by processes of their own of the shipped benchmark_bin; the fastest load and the least peak of several count.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ptq_core.runtime import runtime_folder

PROCESSES = 10


@dataclass(frozen=True)
class StartUp:
    """A row: the model and what is asked of it. ``None``: no target."""

    model: str
    precision: str
    most_load_ms: float
    most_peak_mb: float | None


START_UPS = (
    StartUp("mobilenet_v1", "int8", 15, 12),
    StartUp("mobilenet_v1", "fp32", 15, None),
)


def measure_once(flat_file: Path, core: int) -> tuple[float, float]:
    """Milliseconds of loading and packing, and peak resident MB of the whole process: the program's own pages are in it."""
    command = [str(runtime_folder("host") / "benchmark_bin"), "--warmup=1", "--repeats=3", "--result_filename=",
               f"--cpu_affinity={core}", "--json=-", str(flat_file)]  # fmt: skip
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    report = json.loads(done.stdout)
    return report["models"][0]["load_ms"], report["peak_rss_bytes"] / 1e6


def measure(start_up: StartUp, models: Path, core: int) -> tuple[float, float]:
    """The fastest load in milliseconds and the least peak in MB, of PROCESSES processes."""
    flat_file = models / start_up.model / f"{start_up.precision}.nb"
    loads, peaks = zip(*(measure_once(flat_file, core) for _ in range(PROCESSES)), strict=True)
    return min(loads), min(peaks)


def cells_of(start_up: StartUp, load_ms: float, peak_mb: float) -> list[str]:
    """The row of the table: what was measured, the bounds, PASS or MISS."""
    bounded: Sequence[tuple[float, float | None]] = (
        (load_ms, start_up.most_load_ms),
        (peak_mb, start_up.most_peak_mb),
    )
    good = all(value <= bound for value, bound in bounded if bound is not None)
    most_peak = "" if start_up.most_peak_mb is None else f"{start_up.most_peak_mb:g}"
    return [f"{start_up.model} {start_up.precision}", f"{load_ms:.1f}", f"{start_up.most_load_ms:g}", f"{peak_mb:.1f}",
            most_peak, "PASS" if good else "MISS"]  # fmt: skip
