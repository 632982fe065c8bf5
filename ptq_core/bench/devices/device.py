"""A device as a value, and what it can do once it is open."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ptq_core.bench.context import Cluster, DeviceContext, MachineState
from ptq_core.bench.devices.process import Finished
from ptq_core.errors import DeviceError


class OpenDevice(Protocol):
    """Where `benchmark_bin` runs. Paths on the device are strings: they need not exist on this machine.

    Every method may raise DeviceError.
    """

    abi: str
    """The folder of the runtime's binaries: `host`, `arm64-v8a`, …"""
    folder: str
    """A scratch folder on the device, there while the device is open."""

    def context(self) -> DeviceContext:
        """The device before a measurement."""

    def state(self, clusters: Sequence[Cluster]) -> MachineState:
        """Clocks and temperatures now."""

    def push(self, file: Path) -> str:
        """Make ``file`` available on the device; returns its path there."""

    def run(self, arguments: Sequence[str], *, timeout_s: float) -> Finished:
        """Run a program to its end. Raises DeviceError if it cannot start or does not end within ``timeout_s``."""

    def pull(self, path: str, most_bytes: int) -> bytes | None:
        """The content of a file on the device; None if there is none. DeviceError if it is larger than ``most_bytes``."""


@dataclass(frozen=True)
class Device:
    """A device that was chosen: all that is known of it before it is opened.

    ``open`` raises DeviceError if the device cannot be used, InputError if there is no such device. It is called by the
    thread that measures.
    """

    name: str
    """What users and reports call it."""
    open: Callable[[], AbstractContextManager[OpenDevice]]
    is_local: bool = False
    """It is this machine: its outputs are the reference for all others."""
    is_emulated: bool = False
    """Its times mean nothing."""
    runs_here: bool = False
    """It uses this machine's cores: such devices are measured one after the other."""
    default_power_mode: str = "none"
    """The power mode where none is asked for."""


def too_slow(program: str, timeout_s: float) -> DeviceError:
    """The error for a program that did not end in time."""
    return DeviceError(
        f"{Path(program).name} did not finish within {timeout_s:g} s",
        rule="a measurement must end within `timeout_s=`",
        fix="raise `timeout_s=`, or lower `repeats=` and `warmup=`",
    )
