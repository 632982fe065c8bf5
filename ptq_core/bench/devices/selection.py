"""The names of devices → the devices, each opened by the thread that measures on it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial

from ptq_core.bench.devices.adb_client import Adb, find_adb
from ptq_core.bench.devices.adb_discovery import (
    Found,
    all_serials,
    choose_automatically,
    find_serial,
    list_devices,
)
from ptq_core.bench.devices.device import Device
from ptq_core.bench.devices.local import THIS_MACHINE
from ptq_core.bench.devices.phone import Phone
from ptq_core.bench.devices.qemu import emulated
from ptq_core.errors import DeviceError, InputError


@dataclass(frozen=True)
class Selection:
    """The chosen devices, all of different names. `note` is what the user should know about the choice."""

    devices: tuple[Device, ...]
    note: str | None = None


class Phones:
    """The phones behind ``adb``, a program's path or None to look for it; ``keep`` leaves pushed files on them.

    adb is asked once, and only when a phone is wanted. ``host`` and ``port`` are those of its server, None for its own.
    """

    def __init__(
        self, adb: str | None, *, keep: bool, host: str | None = None, port: int | None = None
    ) -> None:
        self._given, self._keep, self._host, self._port = adb, keep, host, port

    @cached_property
    def adb(self) -> Adb:
        """The program. Raises DeviceError."""
        return find_adb(self._given, self._host, self._port)

    @cached_property
    def found(self) -> tuple[Found, ...]:
        """What adb sees. Raises DeviceError."""
        return list_devices(self.adb)

    def of(self, serial: str) -> Device:
        """The phone ``serial``; whether it can be used shows when it is opened."""
        return Device(serial, partial(self._open, self.adb, serial, self.found), default_power_mode="big")

    def all(self) -> tuple[Device, ...]:
        """Every phone that adb sees. Raises DeviceError if there is none."""
        return tuple(self.of(serial) for serial in all_serials(self.found))

    def automatic(self) -> Selection:
        """The only phone, or this machine."""
        try:
            _ = self.adb
        except DeviceError:
            if self._given is not None or self._host is not None or os.environ.get("ADB"):
                raise
            return Selection(
                (THIS_MACHINE,), "there is no adb on this machine: measuring here, not on a phone"
            )
        serial = choose_automatically(self.found)
        if serial is None:
            return Selection((THIS_MACHINE,), "adb sees no phone: measuring on this machine")
        return Selection((self.of(serial),))

    def _open(self, adb: Adb, serial: str, found: tuple[Found, ...]) -> Phone:
        return Phone(adb.of(find_serial(serial, found)), keep=self._keep)


KINDS: tuple[tuple[str, Callable[[Phones, str], tuple[Device, ...]]], ...] = (
    (r"(local)", lambda _phones, _name: (THIS_MACHINE,)),
    (r"qemu:(.*)", lambda _phones, cpu: (emulated(cpu),)),
    (r"(all)", lambda phones, _name: phones.all()),
    (r"(.+)", lambda phones, serial: (phones.of(serial),)),
)
"""Pattern of a name → the devices that it means, given what the pattern caught; the first that fits."""


def select_devices(
    wanted: str,
    *,
    adb: str | None = None,
    adb_host: str | None = None,
    adb_port: int | None = None,
    keep: bool = False,
) -> Selection:
    """``wanted`` is `auto`, `local`, `all` (phones), `qemu:CPU`, a serial, or several of them with commas between.

    ``adb`` is the path of the program, None to look for it; ``adb_host`` and ``adb_port`` are where its server runs, None
    for adb's own choice; ``keep`` leaves pushed files on the phones. Raises InputError for no name at all, DeviceError if
    phones are asked for and adb does not work.
    """
    names = [name.strip() for name in re.split(r",(?![^,=]*=)", wanted)]  # not in qemu:max,sve=off
    if not all(names) or len(set(names)) < len(names):
        raise InputError(
            f"`device={wanted!r}`",
            rule="`device=` takes auto, local, all, a serial, qemu:CPU, or several different ones with commas between",
            fix="`adb devices` lists the serials",
        )
    phones = Phones(adb, keep=keep, host=adb_host, port=adb_port)
    if names == ["auto"]:
        return phones.automatic()
    chosen = {device.name: device for name in names for device in _named(name, phones)}
    return Selection(tuple(chosen.values()))


def _named(name: str, phones: Phones) -> tuple[Device, ...]:
    matches = ((re.fullmatch(pattern, name), make) for pattern, make in KINDS)
    return next(make(phones, match[1]) for match, make in matches if match)
