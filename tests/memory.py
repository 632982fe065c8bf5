"""Peak memory of this process, for tests that start a process and measure it."""

from __future__ import annotations

import re
from pathlib import Path


def peak_megabytes() -> float:
    """Peak resident memory in MB (1000 kB). Not ru_maxrss: that also counts what the parent held before exec."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found.group(1)) / 1000
