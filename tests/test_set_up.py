"""Setting up a machine: apt packages where one may install them, quiet commands, the list of tests that were not run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.needs import NEEDS, ROOT

QUIETLY = [sys.executable, str(ROOT / "runtime" / "quietly.py")]


def run(
    *command: object, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    words = [str(word) for word in command]
    return subprocess.run(words, capture_output=True, text=True, timeout=120, env=env, cwd=cwd)


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A folder to be the PATH: the tools of apt_packages.sh, no sudo, and an apt-get that brings a program per package."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("bash", "env", "dirname", "cat", "chmod", "mkdir"):
        (tools / name).symlink_to(shutil.which(name) or "")
    (tools / "python3").symlink_to(sys.executable)
    bring = (
        'for word; do [[ $word == [a-z]* ]] && echo "#!/bin/sh" >"$BIN/$word" && chmod +x "$BIN/$word"; done'
    )
    (tools / "apt-get").write_text(
        f'#!/bin/bash\n[[ " $* " != *" $REFUSES "* ]] || exit 100\nBIN={tools}\n{bring}\n'
    )
    (tools / "apt-get").chmod(0o755)
    return tools


def apt_packages(
    machine: Path, *arguments: str, table: str, refuses: str = "none"
) -> subprocess.CompletedProcess[str]:
    """Run the script, with this table, as this user."""
    for name in ("scripts/apt_packages.sh", "runtime/quietly.py"):
        copy = machine.parent / name
        copy.parent.mkdir()
        shutil.copy(ROOT / name, copy)
    folder = machine.parent / "scripts"
    (folder / "apt_packages.txt").write_text(table)
    environment = {"PATH": str(machine), "REFUSES": refuses, "SystemRoot": ""}
    return run(machine / "bash", folder / "apt_packages.sh", *arguments, cwd=machine.parent, env=environment)


TABLE = "# a comment\none  test  one\ntwo  test  two\nelsewhere  bench  elsewhere\npython3:json  test  python3-json\n"
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="not on this machine: only root may install")


def test_nothing_is_said_where_nothing_is_missing(machine: Path) -> None:
    done = apt_packages(machine, "test", table="bash test bash\npython3:json test json\n")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@AS_ROOT
def test_root_installs_what_is_missing(machine: Path) -> None:
    done = apt_packages(machine, "--require", "test", table=TABLE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "apt-get install one two ..." in done.stdout
    assert (machine / "two").exists()
    assert not (machine / "elsewhere").exists()


@AS_ROOT
def test_a_package_that_is_not_to_be_had_costs_no_other(machine: Path) -> None:
    done = apt_packages(machine, "test", table=TABLE, refuses="one")
    assert done.returncode == 0
    assert "missing apt packages: one (as root: apt-get install one)" in done.stdout
    assert (machine / "two").exists()


@pytest.mark.parametrize(("arguments", "code"), [(["test"], 0), (["--require", "test"], 3)])
def test_others_are_told(machine: Path, arguments: list[str], code: int) -> None:
    (machine / "apt-get").unlink()
    done = apt_packages(machine, *arguments, table=TABLE)
    assert done.returncode == code
    assert done.stdout == "missing apt packages: one two (as root: apt-get install one two)\n"


def test_every_program_that_tests_need_is_installed_for_them() -> None:
    """What tests/needs.py tells a person to install is what `make test` installs."""
    table = (ROOT / "scripts" / "apt_packages.txt").read_text(encoding="utf-8")
    rows = [line.split() for line in table.splitlines() if line and line[0] != "#"]
    installed = {package for row in rows if row[1] == "test" for package in row[2:]}
    said = {need.get for need in NEEDS.values() if "apt-get install" in need.get}
    told = {word for text in said for word in text.removeprefix("apt-get install ").split(",")[0].split()}
    assert told == installed


def test_a_quiet_command_that_works_says_one_line(tmp_path: Path) -> None:
    log = tmp_path / "a" / "log"
    done = run(*QUIETLY, log, "twice two", sys.executable, "-c", "print(2 * 2)")
    assert done.returncode == 0
    assert re.fullmatch(r"twice two \.\.\. \d+ s\n", done.stdout)
    assert log.read_text() == "4\n"


def test_a_quiet_command_that_fails_is_heard(tmp_path: Path) -> None:
    log = tmp_path / "log"
    program = "import sys; print('\\n'.join(map(str, range(100)))); sys.exit(7)"
    done = run(*QUIETLY, log, "counting", sys.executable, "-c", program)
    assert (done.returncode, done.stdout) == (7, "counting ... failed\n")
    assert done.stderr.splitlines() == [*map(str, range(60, 100)), f"all of it: {log}"]
    assert run(*QUIETLY, log, "none", tmp_path / "none").returncode == 127
    assert run(*QUIETLY, log, "none").returncode == 2
    assert run(*QUIETLY, log, "killed", "bash", "-c", "kill -9 $$").returncode == 137


def test_on_a_terminal_it_shows_what_is_said_just_now(tmp_path: Path) -> None:
    """`script` is a terminal to what it runs."""
    import pty

    seen = bytearray()

    def read(descriptor: int) -> bytes:
        data = os.read(descriptor, 1024)
        seen.extend(data)
        return data

    program = "import time; print('half way', flush=True); time.sleep(0.2)"
    pty.spawn([*QUIETLY, str(tmp_path / "log"), "walking", sys.executable, "-c", program], read)
    assert re.search(rb"walking \.\.\. 0 s  half way", seen)
    assert seen.rstrip().endswith(b"\x1b[Kwalking: 0 s")


PROBE = """
import pytest
from tests.needs import need, not_here

@pytest.mark.needs("qemu")
def test_marked(): pass

@pytest.fixture
def asks(): need("qemu", "adb")

def test_by_fixture(asks): pass

def test_meaningless(): not_here("only on the moon")

def test_runs(): pass
"""


@pytest.mark.parametrize(("flags", "code"), [([], 0), (["--no-skips"], 1)])
def test_what_is_not_run_is_listed(tmp_path: Path, flags: list[str], code: int) -> None:
    probe = tmp_path / "test_probe.py"
    probe.write_text(PROBE)
    (tmp_path / "bin").mkdir()
    command = [
        "-m",
        "pytest",
        "-p",
        "tests.conftest",
        "-p",
        "no:cacheprovider",
        "-c",
        ROOT / "setup.cfg",
        *flags,
        probe,
    ]
    done = run(sys.executable, *command, cwd=ROOT, env={**os.environ, "PATH": str(tmp_path / "bin")})
    assert done.returncode == code, done.stdout + done.stderr
    verb = "forbidden by --no-skips" if flags else "not run"
    qemu, adb = NEEDS["qemu"].get, NEEDS["adb"].get
    assert f"{verb}: 1 test needs qemu ({qemu})" in done.stdout
    assert f"{verb}: 1 test needs qemu, adb ({qemu}; {adb})" in done.stdout
    assert "moon" not in done.stdout
    assert "1 passed, 3 skipped" in done.stdout


def test_no_skips_is_content_where_only_what_is_meaningless_was_skipped(tmp_path: Path) -> None:
    probe = tmp_path / "test_probe.py"
    probe.write_text(PROBE)
    command = [
        "-m",
        "pytest",
        "-p",
        "tests.conftest",
        "-c",
        ROOT / "setup.cfg",
        "--no-skips",
        probe,
        "-k",
        "meaningless or runs",
    ]
    assert run(sys.executable, *command, cwd=ROOT).returncode == 0
