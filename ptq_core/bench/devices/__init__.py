"""Devices that a program can be measured on, behind one protocol; the table of those that exist."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from ptq_core.bench.context import Cluster, DeviceContext, MachineState
from ptq_core.bench.devices.finished import Finished
from ptq_core.bench.devices.local import LocalDevice
from ptq_core.errors import InputError


class Device(Protocol):
    """Where `benchmark_bin` runs. Paths on the device are strings: they need not exist on this machine."""

    name: str
    abi: str
    """The folder of the runtime's binaries: `host`, `arm64-v8a`, …"""
    folder: str
    """A scratch folder on the device, there while the device is open."""

    def context(self) -> DeviceContext:
        """The device's state before a measurement."""

    def state(self, clusters: Sequence[Cluster]) -> MachineState:
        """Clocks and temperatures now."""

    def push(self, file: Path) -> str:
        """Make ``file`` available on the device; returns its path there."""

    def run(self, arguments: Sequence[str], *, timeout_s: float) -> Finished:
        """Run a program to its end. Raises DeviceError if it cannot start or does not end within ``timeout_s``."""

    def pull(self, path: str) -> str | None:
        """The text of a file on the device; None if there is none."""


DEVICES: dict[str, Callable[[], AbstractContextManager[Device]]] = {"local": LocalDevice}
"""Value of `--device` → how to open it."""


def open_device(name: str) -> AbstractContextManager[Device]:
    """A context manager that opens the device ``name``. Raises InputError if there is no such device."""
    if name not in DEVICES:
        raise InputError(
            f"--device {name}",
            rule=f"devices of this version: {', '.join(DEVICES)} (this machine); phones over adb come later",
            fix="use --device local, or copy benchmark_bin and the models to the phone by hand",
        )
    return DEVICES[name]()
