"""What all devices have in common."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from ptq_core.bench.context import Cluster, DeviceContext, MachineState
from ptq_core.bench.devices.process import Finished


class Device(Protocol):
    """Where `benchmark_bin` runs. Paths on the device are strings: they need not exist on this machine.

    Every method may raise DeviceError.
    """

    name: str
    abi: str
    """The folder of the runtime's binaries: `host`, `arm64-v8a`, …"""
    folder: str
    """A scratch folder on the device, there while the device is open."""
    default_power_mode: str
    """The power mode where none is asked for."""

    def context(self) -> DeviceContext:
        """The device before a measurement."""

    def state(self, clusters: Sequence[Cluster]) -> MachineState:
        """Clocks and temperatures now."""

    def push(self, file: Path) -> str:
        """Make ``file`` available on the device; returns its path there."""

    def run(self, arguments: Sequence[str], *, timeout_s: float) -> Finished:
        """Run a program to its end. Raises DeviceError if it cannot start or does not end within ``timeout_s``."""

    def pull(self, path: str) -> bytes | None:
        """The content of a file on the device; None if there is none."""
