"""An adb server of the tests' own, and stand-ins that are connected to it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.needs import ROOT


@dataclass
class StandIn:
    """A running phone. ``folder`` holds its files; ``folder/root`` is empty from outside its namespace."""

    serial: str
    process: subprocess.Popen[str]

    def unplug(self) -> None:
        """End it at once."""
        self.process.kill()
        self.process.wait()


class AdbServer:
    """A context manager: adb's server on a free port, with its keys and log in ``home``."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self.environment = {"ANDROID_ADB_SERVER_PORT": str(_free_port()), "HOME": str(home)}
        self._started: list[StandIn] = []

    def __enter__(self) -> AdbServer:
        self.adb("start-server")
        return self

    def __exit__(self, *_error: object) -> None:
        for phone in self._started:
            phone.unplug()
        self.adb("kill-server")

    def adb(self, *arguments: str) -> str:
        """Run adb on this server; returns what it prints."""
        finished = subprocess.run(
            ["adb", *arguments],
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        return finished.stdout + finished.stderr

    def start(self, folder: Path, abi: str = "x86_64", *flags: str) -> StandIn:
        """Start a phone in the empty ``folder`` and connect it."""
        process = subprocess.Popen(
            [
                "unshare",
                "-rm",
                sys.executable,
                "-m",
                "tests.standin.adbd",
                f"--folder={folder}",
                f"--abi={abi}",
                *flags,
            ],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        port = process.stdout.readline().strip()
        assert port, "the stand-in did not start"
        phone = StandIn(f"127.0.0.1:{port}", process)
        self._started.append(phone)
        self.adb("connect", phone.serial)
        return phone

    def remove(self, phone: StandIn) -> None:
        """Unplug ``phone`` and forget it."""
        phone.unplug()
        self.adb("disconnect", phone.serial)


def _free_port() -> int:
    """A port that is free now, away from 5555 to 5585, where adb looks for emulators."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
