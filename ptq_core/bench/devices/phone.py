"""A phone on adb as a device."""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import re
import secrets
from collections.abc import Mapping, Sequence
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
from ptq_core.bench.devices.adb_client import Adb, SilenceError, quote
from ptq_core.bench.devices.checksums import CHECKSUM_PROGRAMS, answers
from ptq_core.bench.devices.local import too_slow
from ptq_core.bench.devices.process import Finished
from ptq_core.errors import DeviceError

SCRATCH = "/data/local/tmp"
"""The folder that adb's user may write to and execute from, on every Android."""

ABIS = ("arm64-v8a", "armeabi-v7a", "x86_64")
"""What the runtime is built for."""

OPTIONAL_S = 10.0
"""How long to wait for what the report can do without."""


class Phone:
    """The phone that ``adb`` speaks to. A context manager; on leaving it what was pushed is deleted unless ``keep``.

    Files lie under their checksum in a folder of this user and machine, so that ``keep`` saves the next run from pushing them
    again, and two computers that share a phone do not delete each other's.
    """

    default_power_mode = "big"

    def __init__(self, adb: Adb, *, keep: bool = False) -> None:
        self._adb, self._keep = adb, keep
        self.name = adb.serial
        owner = f"{os.environ.get('USER', '')}@{platform.node()}"
        self._root = f"{SCRATCH}/ptq-{hashlib.sha256(owner.encode()).hexdigest()[:12]}"
        self.folder = f"{self._root}/run-{secrets.token_hex(4)}"

    def __enter__(self) -> Phone:
        self._properties = parse_properties(self._adb.shell("getprop").stdout)
        self.abi = choose_abi(self.name, self._properties)
        made = self._adb.shell(quote("mkdir", "-p", self.folder))
        if made.exit_code != 0:
            raise self._adb.trouble(made)
        known = " ".join(CHECKSUM_PROGRAMS)
        found = self._adb.shell(f"for p in {known}; do command -v $p >/dev/null 2>&1 && echo $p; done")
        self._checksum = next(iter(found.stdout.split()), None)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(DeviceError):  # a phone that is gone cannot be cleaned
            self._adb.shell(quote("rm", "-rf", self.folder if self._keep else self._root))

    def context(self) -> DeviceContext:
        """The phone now; what it does not answer in time is left out."""
        facts = Facts(
            files=self._read_files(CONTEXT_FILES),
            properties=self._properties,
            kernel=self._ask("uname -r"),
            battery=self._ask("dumpsys battery"),
            power=self._ask("dumpsys power"),
            airplane_mode=self._ask("settings get global airplane_mode_on"),
        )
        return device_context(facts, abi=self.abi)

    def state(self, clusters: Sequence[Cluster]) -> MachineState:
        """Clocks and temperatures now."""
        return machine_state(self._read_files(STATE_FILES), clusters)

    def push(self, file: Path) -> str:
        """Copy ``file`` unless it is there already. Raises DeviceError if it does not arrive whole."""
        data = file.read_bytes()
        path = f"{self._root}/{hashlib.sha256(data).hexdigest()[:24]}{file.suffix}"
        if not self._holds(path, data):
            self._adb.push(file, path)
            if not self._holds(path, data):
                raise DeviceError(
                    f"{file.name} arrived damaged on {self.name}",
                    rule="the checksum there must be that of the file here",
                    fix="free space on the phone, try another cable or port, and run again",
                )
        return path

    def run(self, arguments: Sequence[str], *, timeout_s: float) -> Finished:
        """Run ``arguments``; on a time-out or an interrupt the program there is killed."""
        pid = f"{self.folder}/pid"
        start = quote("sh", "-c", f'echo $$ >{pid}; exec "$@"', "sh", *arguments)
        level = os.environ.get("PTQ_CPU")
        prefix = f"PTQ_CPU={quote(level)} " if level else ""
        try:
            return self._adb.shell(f"cd {self.folder} && {prefix}{start}", timeout_s=timeout_s)
        except BaseException as error:
            with contextlib.suppress(DeviceError):
                self._adb.shell(f"kill -9 $(cat {pid})", timeout_s=OPTIONAL_S)
            if isinstance(error, SilenceError):
                raise too_slow("benchmark_bin", timeout_s) from None
            raise

    def pull(self, path: str) -> bytes | None:
        """The content of ``path``, or None."""
        return self._adb.pull(path)

    def _holds(self, path: str, data: bytes) -> bool:
        """Whether the file at ``path`` is ``data``; made executable on the way."""
        if self._checksum is None:
            held = self._adb.pull(path) == data
            return held and self._adb.shell(quote("chmod", "755", path)).exit_code == 0
        asked = self._adb.shell(f"chmod 755 {quote(path)} && {self._checksum} {quote(path)}")
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
            return self._adb.shell(f"{command} 2>/dev/null", timeout_s=OPTIONAL_S).stdout
        except SilenceError:
            return ""


def parse_properties(text: str) -> dict[str, str]:
    """The output of `getprop`: lines of `[name]: [value]`."""
    return dict(re.findall(r"^\[(.+?)\]: \[(.*)\]\s*$", text, re.MULTILINE))


def choose_abi(name: str, properties: Mapping[str, str]) -> str:
    """The first ABI of the phone that there is a runtime for. Raises DeviceError if there is none."""
    said = properties.get("ro.product.cpu.abilist") or properties.get("ro.product.cpu.abi") or ""
    for abi in said.split(","):
        if abi in ABIS:
            return abi
    raise DeviceError(
        f"{name} runs programs for {said or 'an ABI that getprop does not tell'}",
        rule=f"the runtime is built for {', '.join(ABIS)}",
        fix="measure on another phone; for a 32-bit x86 emulator choose a 64-bit image",
    )
