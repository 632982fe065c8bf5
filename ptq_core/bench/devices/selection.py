"""The value of `--device` → the devices, each opened by the thread that measures on it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial

from ptq_core.bench.devices.adb_client import Adb, find_adb
from ptq_core.bench.devices.adb_discovery import (
    Found,
    all_serials,
    choose_automatically,
    find_serial,
    list_devices,
)
from ptq_core.bench.devices.device import Device
from ptq_core.bench.devices.local import LOCAL, LocalDevice
from ptq_core.bench.devices.phone import Phone
from ptq_core.bench.devices.qemu import QEMU, QemuDevice
from ptq_core.errors import DeviceError, InputError

Opener = Callable[[], AbstractContextManager[Device]]
"""Opens a device. Raises DeviceError if it cannot be used, InputError if there is no such device."""


@dataclass(frozen=True)
class Selection:
    """Name → how to open it. `note` is what the user should know about the choice."""

    devices: dict[str, Opener]
    note: str | None = None


def select_devices(wanted: str, *, adb: str | None = None, keep: bool = False) -> Selection:
    """``wanted`` is `auto`, `local`, `all` (phones), `qemu:CPU`, a serial, or several of them with commas between.

    ``adb`` is the path of the program, None to look for it; ``keep`` leaves pushed files on the phones. Raises InputError for
    no name at all, DeviceError if phones are asked for and adb does not work.
    """
    names = [name.strip() for name in re.split(r",(?![^,=]*=)", wanted)]  # not in qemu:max,sve=off
    if not all(names) or len(set(names)) < len(names):
        raise InputError(
            f"--device {wanted!r}",
            rule="--device takes auto, local, all, a serial, qemu:CPU, or several different ones with commas between",
            fix="`adb devices` lists the serials",
        )
    if names == ["auto"]:
        return _automatic(adb, keep)
    devices: dict[str, Opener] = {}
    phones: tuple[Adb, tuple[Found, ...]] | None = None
    for name in names:
        if name == LOCAL:
            devices[name] = LocalDevice
        elif name.startswith(QEMU):
            devices[name] = partial(QemuDevice, name.removeprefix(QEMU))
        else:
            program, found = phones = phones or _look(adb)
            for serial in all_serials(found) if name == "all" else [name]:
                devices[serial] = partial(_open_phone, program, serial, found, keep)
    return Selection(devices)


def runs_here(name: str) -> bool:
    """Whether the device of this name uses this machine's cores."""
    return name == LOCAL or name.startswith(QEMU)


def _automatic(adb: str | None, keep: bool) -> Selection:
    """The only phone, or this machine."""
    try:
        program = find_adb(adb)
    except DeviceError:
        if adb is not None or os.environ.get("ADB"):
            raise
        return Selection(
            {LOCAL: LocalDevice}, "there is no adb on this machine: measuring here, not on a phone"
        )
    found = list_devices(program)
    serial = choose_automatically(found)
    if serial is None:
        return Selection({LOCAL: LocalDevice}, "adb sees no phone: measuring on this machine")
    return Selection({serial: partial(_open_phone, program, serial, found, keep)})


def _look(adb: str | None) -> tuple[Adb, tuple[Found, ...]]:
    program = find_adb(adb)
    return program, list_devices(program)


def _open_phone(program: Adb, serial: str, found: tuple[Found, ...], keep: bool) -> Phone:
    return Phone(program.of(find_serial(serial, found)), keep=keep)
