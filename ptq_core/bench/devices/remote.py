"""A device behind a shell: files pushed under their checksums, programs that are killed when they do not end.

Nothing here knows what carries the shell, nor which system answers it: a subclass tells the ABI and the facts.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import re
import secrets
from abc import ABC, abstractmethod
from collections.abc import Sequence
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
from ptq_core.bench.devices.checksums import CHECKSUM_PROGRAMS, answers
from ptq_core.bench.devices.device import too_slow
from ptq_core.bench.devices.process import Finished
from ptq_core.bench.devices.shell import Shell, SilenceError, TooLargeError, quote
from ptq_core.errors import DeviceError

ABIS = ("arm64-v8a", "armeabi-v7a", "x86_64")
"""What the runtime is built for."""

OPTIONAL_S = 10.0
"""How long to wait for what the report can do without."""


class RemoteDevice(ABC):
    """The machine behind ``shell``. A context manager; on leaving it what was pushed is deleted unless ``keep``.

    Files lie under their checksum in a folder of this user and machine, so that ``keep`` saves the next run from pushing them
    again, and two computers that share a device do not delete each other's.
    """

    def __init__(self, shell: Shell, *, keep: bool = False) -> None:
        self._shell, self._keep = shell, keep
        owner = f"{os.environ.get('USER', '')}@{platform.node()}"
        self._root = f"{shell.scratch}/ptq-{hashlib.sha256(owner.encode()).hexdigest()[:12]}"
        self.folder = f"{self._root}/run-{secrets.token_hex(4)}"

    @abstractmethod
    def _find_abi(self) -> str:
        """One of ABIS; asked first of all. Raises DeviceError if the machine runs none of them."""

    @abstractmethod
    def _facts(self, files: dict[str, str]) -> Facts:
        """What the system tells of itself beside ``files``, the readable ones of CONTEXT_FILES."""

    def __enter__(self) -> RemoteDevice:
        self.abi = self._find_abi()
        made = self._shell.run(quote("mkdir", "-p", self.folder))
        if made.exit_code != 0:
            raise self._shell.trouble(made)
        known = " ".join(CHECKSUM_PROGRAMS)
        found = self._shell.run(f"for p in {known}; do command -v $p >/dev/null 2>&1 && echo $p; done")
        self._checksum = next(iter(found.stdout.split()), None)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(DeviceError):  # a device that is gone cannot be cleaned
            self._shell.run(quote("rm", "-rf", self.folder if self._keep else self._root))

    def context(self) -> DeviceContext:
        """The device now; what it does not answer in time is left out."""
        return device_context(self._facts(self._read_files(CONTEXT_FILES)), abi=self.abi)

    def state(self, clusters: Sequence[Cluster]) -> MachineState:
        """Clocks and temperatures now."""
        return machine_state(self._read_files(STATE_FILES), clusters)

    def push(self, file: Path) -> str:
        """Copy ``file`` unless it is there already. Raises DeviceError if it does not arrive whole."""
        data = file.read_bytes()
        path = f"{self._root}/{hashlib.sha256(data).hexdigest()[:24]}{file.suffix}"
        if not self._holds(path, data):
            self._shell.push(file, path)
            if not self._holds(path, data):
                raise DeviceError(
                    f"{file.name} arrived damaged on {self._shell.name}",
                    rule="the checksum there must be that of the file here",
                    fix="free space there, try another cable or port, and run again",
                )
        return path

    def run(self, arguments: Sequence[str], *, timeout_s: float) -> Finished:
        """Run ``arguments``; on a time-out or an interrupt the program there is killed."""
        pid = f"{self.folder}/pid"
        start = quote("sh", "-c", f'echo $$ >{pid}; exec "$@"', "sh", *arguments)
        level = os.environ.get("PTQ_CPU")
        prefix = f"PTQ_CPU={quote(level)} " if level else ""
        try:
            return self._shell.run(f"cd {self.folder} && {prefix}{start}", timeout_s=timeout_s)
        except BaseException as error:
            with contextlib.suppress(DeviceError):
                self._shell.run(f"kill -9 $(cat {pid})", timeout_s=OPTIONAL_S)
            if isinstance(error, SilenceError):
                raise too_slow("benchmark_bin", timeout_s) from None
            raise

    def pull(self, path: str, most_bytes: int) -> bytes | None:
        """The content of ``path``, or None."""
        return self._shell.pull(path, most_bytes)

    def _holds(self, path: str, data: bytes) -> bool:
        """Whether the file at ``path`` is ``data``; made executable on the way."""
        if self._checksum is None:
            try:
                held = self._shell.pull(path, len(data)) == data
            except TooLargeError:
                held = False
            return held and self._shell.run(quote("chmod", "755", path)).exit_code == 0
        asked = self._shell.run(f"chmod 755 {quote(path)} && {self._checksum} {quote(path)}")
        return asked.exit_code == 0 and answers(self._checksum, asked.stdout, data)

    def _read_files(self, patterns: Sequence[str]) -> dict[str, str]:
        """Path → content of the files that match and can be read."""
        mark = secrets.token_hex(8)
        loop = (
            f'for f in {" ".join(patterns)}; do [ -r "$f" ] && echo "{mark} $f" && cat "$f" 2>/dev/null; done'
        )
        parts = re.split(rf"^{mark} (.*)\n", self._ask(loop), flags=re.MULTILINE)
        return dict(zip(parts[1::2], parts[2::2], strict=True))

    def _ask(self, command: str) -> str:
        """What ``command`` prints; nothing if it does not exist or is slow."""
        try:
            return self._shell.run(f"{command} 2>/dev/null", timeout_s=OPTIONAL_S).stdout
        except SilenceError:
            return ""
