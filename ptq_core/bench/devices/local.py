"""This machine as a device: nothing is copied, programs are child processes."""

from __future__ import annotations

import contextlib
import os
import platform
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType

from ptq_core.bench.context import (
    CONTEXT_FILES,
    STATE_FILES,
    Cluster,
    DeviceContext,
    Facts,
    MachineState,
    device_context,
    machine_state,
)
from ptq_core.bench.devices.device import Device, too_slow
from ptq_core.bench.devices.process import MOST_OUTPUT_BYTES, Finished, FloodError, run_process
from ptq_core.bench.devices.shell import too_large
from ptq_core.errors import DeviceError


class LocalDevice:
    """Runs the binaries that were built for the host. A context manager: `folder` exists inside it."""

    abi = "host"

    def __enter__(self) -> LocalDevice:
        self._scratch = tempfile.TemporaryDirectory(prefix="ptq-bench-")
        self.folder = self._scratch.name
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._scratch.cleanup()

    def context(self) -> DeviceContext:
        """This machine now."""
        facts = Facts(files=read_files(CONTEXT_FILES), kernel=platform.release())
        usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        return device_context(facts, abi=platform.machine(), cores=usable)

    def state(self, clusters: Sequence[Cluster]) -> MachineState:
        """Clocks and temperatures now."""
        return machine_state(read_files(STATE_FILES), clusters)

    def push(self, file: Path) -> str:
        """Its absolute path, so that no name looks like a flag."""
        return str(file.absolute())

    def run(self, arguments: Sequence[str], *, timeout_s: float) -> Finished:
        """Run ``arguments`` without a shell; on a time-out or an interrupt its whole process group is killed."""
        try:
            return run_process([*self._prefix, *arguments], timeout_s=timeout_s)
        except TimeoutError:
            raise too_slow(arguments[0], timeout_s) from None
        except FloodError:
            raise too_large("this machine", f"what {arguments[0]} prints", MOST_OUTPUT_BYTES) from None
        except OSError as error:
            raise DeviceError(
                f"cannot start {arguments[0]}: {error.strerror or error}",
                rule="the program must be an executable built for this machine",
                fix="run `make clean runtime`",
            ) from error

    def pull(self, path: str, most_bytes: int) -> bytes | None:
        """The content of ``path``, or None."""
        try:
            with Path(path).open("rb") as file:
                content = file.read(most_bytes + 1)
        except FileNotFoundError:
            return None
        if len(content) > most_bytes:
            raise too_large("this machine", path, most_bytes)
        return content

    _prefix: Sequence[str] = ()
    """Put before every command."""


THIS_MACHINE = Device("local", LocalDevice, is_local=True, runs_here=True)


def read_files(patterns: Iterable[str], root: Path = Path("/")) -> dict[str, str]:
    """Path → content of the files below ``root`` that match ``patterns`` and can be read."""
    found = {}
    for pattern in patterns:
        for file in root.glob(pattern.lstrip("/")):
            with contextlib.suppress(OSError):
                found[f"/{file.relative_to(root)}"] = file.read_text(encoding="utf-8", errors="replace")
    return found
