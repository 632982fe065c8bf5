"""The runtime of a phone's ABI, built when it is first wanted: a wheel carries the host's, and the sources of all.

`python -m ptq_core.runtime_build ABI...` builds ahead.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from ptq_core.carried import IS_CHECKOUT, ROOT, built_runtimes
from ptq_core.errors import DeviceError, InputError, PtqError
from ptq_core.runtime import RUNTIME_DIR_VARIABLE, runtime_binary

ABIS = ("arm64-v8a", "armeabi-v7a", "x86_64")
TIME_TAKEN = "1 to 3 minutes on two cores, once"
TOOLS = ("ziglang", "cmake", "ninja")
LINES_SHOWN = 8
"""Of a build that failed."""

Say = Callable[[str], None]


def ensure_runtime(abi: str, name: str, say: Say) -> Path:
    """The file ``name`` of the runtime for ``abi``; what is a phone's and not there yet is built.

    ``say`` hears of a build before and after. Two that want the same wait for each other, in different processes too.
    Raises DeviceError where it is not there and cannot be built.
    """
    try:
        return runtime_binary(abi, name)
    except DeviceError:
        if abi not in ABIS or os.environ.get(RUNTIME_DIR_VARIABLE):
            raise
    build(abi, say)
    return runtime_binary(abi, name)


def build(abi: str, say: Say) -> None:
    """Build the runtime for ``abi``, one of ABIS, to where `runtime_folder` looks for it. Raises DeviceError."""
    missing = [tool for tool in TOOLS if importlib.util.find_spec(tool) is None]
    if missing:
        raise DeviceError(
            f"there is no runtime for {abi} yet, and nothing to build it with: {', '.join(missing)}",
            rule="the runtime of a phone's ABI is built on this machine when it is first wanted",
            fix="pip install 'ptq[build]', or install a wheel of `make wheel`, which has the runtime of every ABI",
        )
    command = [sys.executable, str(ROOT / "runtime" / "build_runtime.py"), "--abi", abi]
    if not IS_CHECKOUT:
        folder = built_runtimes()
        command += ["--build-dir", str(folder / "build"), "--install-dir", str(folder)]
    say(f"building the runtime for {abi}: {TIME_TAKEN}")
    begin = time.monotonic()
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode != 0:
        raise DeviceError(
            f"the runtime for {abi} could not be built:",
            rule="the sources that ptq carries build with the tools of its `build` extra",
            fix=f"run `{' '.join(command)}` to see all, and report it as a bug of ptq",
            details=done.stdout.splitlines()[-LINES_SHOWN:],
        )
    say(f"built the runtime for {abi} in {time.monotonic() - begin:.0f} s")


def main(abis: Sequence[str]) -> int:
    """Build what is named and not there yet; returns the exit code."""
    try:
        for abi in abis:
            if abi not in ABIS:
                raise InputError(f"ABI `{abi}`", rule="a phone's ABI", fix=f"choose of {', '.join(ABIS)}")
            print(ensure_runtime(abi, "benchmark_bin", lambda note: print(note, file=sys.stderr, flush=True)))
    except PtqError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
