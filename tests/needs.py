"""What some tests need beyond Python: one row each says how to tell that it is there, and how to get it.

A test says so with `@pytest.mark.needs("qemu", "phones")`, a fixture with `need("chromium")`. Where it is not there the test is
skipped and listed at the end of the run; `pytest --no-skips`, which CI says, fails for it.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pytest

from ptq_core.runtime import runtime_folder

ROOT = Path(__file__).resolve().parent.parent
FLAT_READER = ROOT / "build" / "runtime" / "host" / "test" / "flat_reader"
PHONE_ABIS = ("arm64-v8a", "armeabi-v7a", "x86_64")
NOT_HERE = "not on this machine: "
"""How the reason of a skip begins that nothing could be installed for."""


@dataclass(frozen=True)
class Need:
    """``get`` is what to do about it."""

    there: Callable[[], bool]
    get: str


def programs(*names: str, get: str) -> Need:
    """Programs on the PATH."""
    return Need(lambda: all(map(shutil.which, names)), get)


def real_data() -> Path:
    """The folder with the real models and photographs, whether it is there or not."""
    return Path(os.environ.get("PTQ_SHARED_DATA", ROOT.parent / "shared" / "data"))


@functools.cache
def _can_mount() -> bool:
    """Whether a phone's file system can be laid out in a namespace of its own."""
    mounts = 'mount -t tmpfs none "$1" && mount -t binfmt_misc none /proc/sys/fs/binfmt_misc'
    command = ["unshare", "-rm", "sh", "-c", mounts, "sh", str(ROOT / "tests")]
    return bool(shutil.which("unshare")) and subprocess.run(command, capture_output=True).returncode == 0


NEEDS = {
    "runtime": Need(lambda: (runtime_folder("host") / "libptq.so").is_file(), "make runtime"),
    "phones": Need(
        lambda: all((runtime_folder(abi) / "show_bin").is_file() for abi in PHONE_ABIS), "make runtime-all"
    ),
    "flat_reader": Need(FLAT_READER.is_file, "python runtime/build_runtime.py --test"),
    "qemu": programs(
        "qemu-aarch64-static", "qemu-arm-static", get="apt-get install qemu-user-static, then make test"
    ),
    "adb": programs("adb", "mksh", "toybox", get="apt-get install adb mksh toybox"),
    "namespaces": Need(_can_mount, "a kernel (Linux 6.7 or newer) that lets `unshare -rm` mount"),
    "chromium": programs("chromium", get="apt-get install chromium fonts-dejavu-core"),
    "dot": programs("dot", get="apt-get install graphviz"),
    "gcc": programs("gcc", "g++", get="apt-get install gcc g++ libc6-dev"),
    "nm": programs("nm", get="apt-get install binutils"),
    "real_data": Need(
        lambda: (real_data() / "models").is_dir(), "the real models and photographs: set PTQ_SHARED_DATA"
    ),
}


def reason(*names: str) -> str | None:
    """Why a test with these needs cannot run; None if it can."""
    missing = [name for name in names if not NEEDS[name].there()]
    if not missing:
        return None
    return f"{', '.join(missing)} ({'; '.join(NEEDS[name].get for name in missing)})"


def need(*names: str) -> None:
    """Skip the test that asks, unless all of ``names`` are there."""
    why = reason(*names)
    if why is not None and names == ("real_data",) and os.environ.get("PTQ_SHARED_DATA") == "none":
        not_here("left out by PTQ_SHARED_DATA=none")
    if why is not None:
        pytest.skip(why)


def not_here(why: str) -> NoReturn:
    """Skip a test that has no meaning on this kind of machine; no run forbids that."""
    pytest.skip(NOT_HERE + why)
