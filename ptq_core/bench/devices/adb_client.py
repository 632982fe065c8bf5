"""The `adb` program as a shell: found, one call at a time, bounded in time, and its words turned into errors."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import signal
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ptq_core.bench.devices.process import MOST_OUTPUT_BYTES, Finished, FloodError, run_process
from ptq_core.bench.devices.shell import SHORT_S, SilenceError, Trouble, explain, push_seconds, too_large
from ptq_core.errors import DeviceError

SDK_FOLDERS = ("ANDROID_HOME", "ANDROID_SDK_ROOT")

INSTALL = (
    "install adb (Debian, Ubuntu: apt install adb; macOS: brew install android-platform-tools; else"
    " developer.android.com/tools/releases/platform-tools), or name it with `adb=` or ADB"
)

SERVER_ELSEWHERE = ("ANDROID_ADB_SERVER_ADDRESS", "ADB_SERVER_SOCKET")
"""Variables by which adb itself finds a server that it cannot start."""

TROUBLE = (
    Trouble(
        r"cannot connect to daemon|failed to check server version|cannot start server on remote host|cannot resolve host",
        "adb's server cannot be reached: {said}",
        "phones are reached through a server of adb, here or on another machine",
        "start one there (`adb -a nodaemon server start`), check `adb_host=`, `adb_port=` and ADB_SERVER_SOCKET,"
        " and what lies between",
    ),
    Trouble(
        r"No space left|not enough space",
        "{name}: no space left in /data/local/tmp",
        "the phone must have room for the program and the models",
        "delete files there (adb shell ls /data/local/tmp), or measure one model at a time",
    ),
    Trouble(
        r"Read-only file system|Permission denied|remote couldn't create",
        "{name}: /data/local/tmp cannot be written: {said}",
        "adb's user must be able to write there",
        "restart the phone; on a work profile or a locked-down phone ask who manages it",
    ),
    Trouble(
        r"unauthorized",
        "{name} no longer accepts this computer",
        "USB debugging must stay allowed",
        "unlock the phone, confirm the question about USB debugging, and run again",
    ),
    Trouble(
        r"device.* not found|no devices|offline|closed|protocol fault|connect|reset|EOF|failed to (read|get)|Broken pipe"
        r"|couldn't (read|write)|was cut off",
        "the connection to {name} broke: {said}",
        "the phone must stay connected until the end",
        "check cable, USB port and battery (adb devices shows the phone as `device`), and run again",
    ),
)
"""What adb says when it fails; the first that fits."""


@dataclass(frozen=True)
class Adb:
    """``program``; with ``serial`` it is the `Shell` of that phone.

    ``host`` and ``port`` are those of adb's server; adb itself heeds ANDROID_ADB_SERVER_PORT and its kin without them.
    """

    program: str
    serial: str = ""
    host: str | None = None
    port: int | None = None
    scratch: str = "/data/local/tmp"
    """The folder that adb's user may write to and execute from, on every Android."""

    @property
    def name(self) -> str:
        """The serial; adb itself, where no phone is spoken to."""
        return self.serial or "adb"

    def of(self, serial: str) -> Adb:
        """The same program for one phone."""
        return replace(self, serial=serial)

    def call(
        self, *arguments: str, timeout_s: float = SHORT_S, most_file_bytes: int | None = None
    ) -> Finished:
        """Run adb; its exit code is the caller's to judge.

        Raises SilenceError if it does not end in time, DeviceError if it cannot start or prints without end.
        """
        flags = (("-H", self.host), ("-P", self.port), ("-s", self.serial))
        target = [word for flag, value in flags if value for word in (flag, str(value))]
        words = [self.program, *target, *arguments]
        try:
            return run_process(words, timeout_s=timeout_s, most_file_bytes=most_file_bytes)
        except FloodError:
            raise too_large(self.name, f"the answer to `adb {arguments[0]}`", MOST_OUTPUT_BYTES) from None
        except TimeoutError:
            raise SilenceError(
                f"{self.name} did not answer within {timeout_s:g} s to `adb {arguments[0]}`",
                rule="every step over adb must end in time",
                fix="check that the phone is awake and the cable good; `adb kill-server` helps if adb itself hangs",
            ) from None
        except OSError as error:
            raise DeviceError(
                f"cannot start {self.program}: {error.strerror or error}",
                rule="adb must be a program that runs on this machine",
                fix=INSTALL,
            ) from error

    def start_server(self) -> None:
        """Start adb's server if there is none and it is to run on this machine. Raises DeviceError."""
        if self.host or any(os.environ.get(name) for name in SERVER_ELSEWHERE):
            return
        finished = self.call("start-server")
        if finished.exit_code != 0:
            raise self.trouble(finished)

    def run(self, command: str, *, timeout_s: float = SHORT_S) -> Finished:
        """Run ``command`` in the phone's shell.

        The exit code comes from a line that is echoed after the command: phones before Android 7 pass none on, and newer ones
        cannot tell the command's from adb's own. There is a single stream on the old phones, it is both stdout and stderr.
        Raises DeviceError if the line does not come.
        """
        mark = f"ptq-{secrets.token_hex(8)}"
        finished = self.call("shell", f"{command}\necho {mark}:$?", timeout_s=timeout_s)
        output = re.sub(r"\r+\n", "\n", finished.stdout)
        found = re.search(rf"{mark}:(\d+)\s*\Z", output)
        if found is None:
            raise self.trouble(finished)
        code = int(found[1])
        return Finished(-(code - 128) if 128 < code < 160 else code, output[: found.start()], finished.stderr)

    def push(self, file: Path, path: str) -> None:
        """Copy ``file`` to ``path``. Raises DeviceError."""
        finished = self.call("push", str(file), path, timeout_s=push_seconds(file))
        if finished.exit_code != 0:
            raise self.trouble(finished)

    def pull(self, path: str, most_bytes: int) -> bytes | None:
        """The content of ``path``; None if there is no such file. Raises DeviceError, also for one that is larger."""
        with tempfile.TemporaryDirectory(prefix="ptq-pull-") as folder:
            copy = Path(folder) / "file"
            finished = self.call("pull", path, str(copy), timeout_s=4 * SHORT_S, most_file_bytes=most_bytes)
            if finished.exit_code == -signal.SIGXFSZ or re.search(r"File too large", finished.stderr):
                raise too_large(self.name, path, most_bytes)
            if finished.exit_code != 0:
                if re.search(r"No such file|does not exist", finished.stdout + finished.stderr):
                    return None
                raise self.trouble(finished)
            return copy.read_bytes()

    def trouble(self, finished: Finished) -> DeviceError:
        """What adb said, as an error with a next step."""
        lines = (finished.stderr + "\n" + finished.stdout).strip().splitlines()
        said = next(
            (line for line in lines if re.search(r"error|failed|adb:", line)), lines[-1] if lines else ""
        )
        said = said.strip().removeprefix("adb: ").removeprefix("error: ")[:200]
        said = said or ("its shell was cut off" if finished.exit_code == 0 else "adb said nothing")
        return explain(self.name, said, lines, TROUBLE) or DeviceError(
            f"{self.name}: {said}",
            rule="adb must do what it is told",
            fix="run the same adb command by hand",
        )


def find_adb(given: str | None = None, host: str | None = None, port: int | None = None) -> Adb:
    """``given``, or the environment's ADB, or `adb` on the PATH or in an SDK. Raises DeviceError that says how to get it."""
    wanted = given or os.environ.get("ADB")
    candidates: Sequence[str] = [wanted] if wanted else ["adb", *_in_sdk()]
    for candidate in candidates:
        if program := shutil.which(candidate):
            return Adb(program, host=host, port=port)
    where = f"{wanted} is no program" if wanted else "there is no adb on this machine"
    raise DeviceError(where, rule="phones are reached through the program adb", fix=INSTALL)


def _in_sdk() -> list[str]:
    folders = [os.environ.get(name) for name in SDK_FOLDERS]
    return [str(Path(folder) / "platform-tools" / "adb") for folder in folders if folder]
