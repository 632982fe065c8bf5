"""Outputs in folders that take no file are refused in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from ptq_core.errors import DeviceError
from ptq_core.files import atomic_folder, write_text


def test_a_folder_that_takes_no_file() -> None:
    with pytest.raises(DeviceError, match=r"cannot write /proc/report\.json"):
        write_text(Path("/proc/report.json"), "")


def test_a_folder_that_takes_no_folder() -> None:
    with pytest.raises(DeviceError, match="cannot write /proc/self"), atomic_folder(Path("/proc/self")):
        pytest.fail("nothing can be made beside it")
