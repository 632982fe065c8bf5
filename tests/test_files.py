"""Outputs in folders that take no file are refused in words."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ptq_core.errors import DeviceError
from ptq_core.files import atomic_folder, atomic_path, write_text

KILLED_WHILE_IT_WRITES = """
import os, signal, sys
from pathlib import Path
from ptq_core.files import atomic_path
with atomic_path(Path(sys.argv[1])) as temporary:
    temporary.write_text("half")
    if sys.argv[2] == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    print("writing", flush=True)
    sys.stdin.read()
"""


def writer(target: Path, what: str) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-c", KILLED_WHILE_IT_WRITES, str(target), what]
    return subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def age(folder: Path) -> None:
    """Make the temporary folders in ``folder`` two minutes old."""
    for path in folder.glob(".*"):
        os.utime(path, (time.time() - 120,) * 2)


def test_what_a_killed_run_left_is_removed_by_the_next(tmp_path: Path) -> None:
    target = tmp_path / "out.json"
    assert writer(target, "dies").wait() == -signal.SIGKILL
    assert len(list(tmp_path.iterdir())) == 1
    write_text(target, "{}")
    assert len(list(tmp_path.iterdir())) == 2  # it may have begun this second
    age(tmp_path)
    write_text(target, "{}")
    assert [path.name for path in tmp_path.iterdir()] == ["out.json"]


def test_what_another_run_writes_stays(tmp_path: Path) -> None:
    target = tmp_path / "out.json"
    with writer(target, "waits") as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"writing\n"
        age(tmp_path)
        write_text(target, "mine")
        other.communicate()
    assert other.returncode == 0
    assert target.read_text() == "half"  # the last one to finish
    assert [path.name for path in tmp_path.iterdir()] == ["out.json"]


def test_nobody_elses_folder_is_taken_for_one_that_a_run_left(tmp_path: Path) -> None:
    (tmp_path / ".out.json.20240101").mkdir()
    age(tmp_path)
    write_text(tmp_path / "out.json", "{}")
    assert (tmp_path / ".out.json.20240101").is_dir()


def test_a_file_has_the_permissions_of_any_other(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "a") as temporary:
        temporary.write_text("")
    (tmp_path / "b").write_text("")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode


def test_a_folder_that_takes_no_file() -> None:
    with pytest.raises(DeviceError, match=r"cannot write /proc/report\.json"):
        write_text(Path("/proc/report.json"), "")


def test_a_folder_that_takes_no_folder() -> None:
    with pytest.raises(DeviceError, match="cannot write /proc/self"), atomic_folder(Path("/proc/self")):
        pytest.fail("nothing can be made beside it")


def write_and_take_all(target: Path, taken: list[int]) -> None:
    with atomic_path(target) as temporary:
        temporary.write_text("half")
        while True:
            taken.append(os.open(temporary, os.O_RDONLY))


def test_nothing_is_left_where_no_file_can_be_opened_any_more(tmp_path: Path) -> None:
    taken: list[int] = []
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    open_now = len(list(Path("/proc/self/fd").iterdir()))
    resource.setrlimit(resource.RLIMIT_NOFILE, (open_now + 20, before[1]))
    try:
        with pytest.raises(DeviceError, match="Too many open files"):
            write_and_take_all(tmp_path / "a", taken)
    finally:
        for descriptor in taken:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert list(tmp_path.iterdir()) == []
