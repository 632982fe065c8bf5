"""`res.txt`, byte for byte."""

from __future__ import annotations

from pathlib import Path

import pytest

from ptq_core.bench import res_txt
from ptq_core.bench.statistics import summarize
from ptq_core.errors import DeviceError
from tests.needs import not_here

LATENCY = summarize([1.0, 2.0, 4.5])


def test_lines_are_appended_byte_for_byte(tmp_path: Path) -> None:
    path = tmp_path / "new" / "res.txt"
    res_txt.append(path, [res_txt.line("mobilenetv1_int8.nb", LATENCY)])
    res_txt.append(path, [res_txt.line("x" * 30, LATENCY), res_txt.line("y" * 33, LATENCY)])
    assert path.read_bytes() == (
        b"mobilenetv1_int8.nb           min = 1.00000  max = 4.50000  average = 2.50000\n"
        b"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxmin = 1.00000  max = 4.50000  average = 2.50000\n"
        b"yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyymin = 1.00000  max = 4.50000  average = 2.50000\n"
    )


def test_a_name_is_one_line() -> None:
    name = r"a\nb\x1b[2J.nb".ljust(30)
    assert res_txt.line("a\nb\x1b[2J.nb", LATENCY).startswith(f"{name}min = 1.00000")


def test_a_full_disk_is_a_device_error() -> None:
    full = Path("/dev/full")
    if not full.exists():
        not_here("no /dev/full on this system")
    with pytest.raises(DeviceError, match="cannot append to /dev/full"):
        res_txt.append(full, ["line"])
