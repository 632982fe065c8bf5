"""The tool's table of kernel lists has every list of the runtime."""

from __future__ import annotations

import re

from tests.needs import ROOT


def test_every_list_is_shown() -> None:
    contracts = (ROOT / "runtime" / "src" / "kernels").glob("*/contract.h")
    lists = {
        name
        for contract in contracts
        for line in re.findall(r"extern const ([^;]*);", contract.read_text(encoding="utf-8"))
        for name in re.findall(r"(k\w+Kernels)\b", line)  # arrays, or a pointer where a build has none
    }
    table = (ROOT / "runtime" / "tools" / "kernel_lists.cc").read_text(encoding="utf-8")
    assert len(lists) > 20
    assert lists == set(re.findall(r"RowOf<(\w+)>", table))
