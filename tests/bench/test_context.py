"""The machine's state from files below a folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from ptq_core.bench.context import read_context

X86 = "processor\t: 0\nmodel name\t: Some CPU @ 2.0GHz\nmodel\t: 5\n"
ARM = "processor\t: 0\nCPU part\t: 0xd41\n\nprocessor\t: 4\nCPU part\t: 0xd05\n"


@pytest.mark.parametrize(
    ("cpuinfo", "expected"), [(X86, "Some CPU @ 2.0GHz"), (ARM, "CPU part 0xd05, 0xd41"), ("", None)]
)
def test_fields_come_from_proc_and_sys(tmp_path: Path, cpuinfo: str, expected: str | None) -> None:
    files = {
        "proc/cpuinfo": cpuinfo,
        "proc/loadavg": "1.25 0.50 0.10 2/300 4242\n",
        "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "schedutil\n",
        "sys/devices/system/cpu/cpu1/cpufreq/scaling_governor": "powersave\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    context = read_context(tmp_path)
    assert context.cpu_model == expected
    assert context.load_average == 1.25
    assert context.governors == ("powersave", "schedutil")


def test_a_machine_that_says_nothing_leaves_fields_empty(tmp_path: Path) -> None:
    context = read_context(tmp_path)
    assert (context.cpu_model, context.load_average, context.governors) == (None, None, ())
    assert context.cores >= 1
