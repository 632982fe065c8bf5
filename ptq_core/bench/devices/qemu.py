"""An Arm core emulated by qemu-user on this machine: right outputs and instruction sets, meaningless times."""

from __future__ import annotations

import shutil
from dataclasses import replace
from functools import partial

from ptq_core.bench.context import DeviceContext
from ptq_core.bench.devices.device import Device
from ptq_core.bench.devices.local import LocalDevice
from ptq_core.bench.devices.process import run_process
from ptq_core.errors import DeviceError, InputError

EMULATORS = (("arm64-v8a", "qemu-aarch64-static"), ("armeabi-v7a", "qemu-arm-static"))
"""ABI → its emulator. A CPU that both know runs the first."""


class QemuDevice(LocalDevice):
    """``cpu`` is a name that `qemu-aarch64-static -cpu help` or `qemu-arm-static -cpu help` lists, maybe with `,feature=off`.

    Raises DeviceError if the emulator is not installed, InputError for a CPU that it does not have.
    """

    def __init__(self, cpu: str) -> None:
        known: list[str] = []
        for abi, emulator in EMULATORS:
            program = shutil.which(emulator)
            if program is None:
                raise DeviceError(
                    f"`device=qemu:{cpu}`: {emulator} is not installed",
                    rule="emulated cores need qemu-user",
                    fix="install the package qemu-user-static (Debian, Ubuntu: apt install qemu-user-static)",
                )
            cpus = run_process([program, "-cpu", "help"], timeout_s=30).stdout.split()
            known += cpus
            if cpu.split(",")[0] in cpus:
                self.abi, self._cpu = abi, cpu
                self._prefix = (program, "-cpu", cpu)
                return
        raise InputError(
            f"`device=qemu:{cpu}`",
            rule="the CPU is one that qemu-user emulates",
            fix=f"choose one of {', '.join(sorted({name for name in known if '-' in name}))}",
        )

    def context(self) -> DeviceContext:
        """This machine's, but for the CPU."""
        return replace(
            super().context(), cpu_model=f"{self._cpu}, emulated by qemu", abi=self.abi, clusters=()
        )


def emulated(cpu: str) -> Device:
    """A core that qemu-user emulates, e.g. `cortex-a53`."""
    return Device(f"qemu:{cpu}", partial(QemuDevice, cpu), is_emulated=True, runs_here=True)
