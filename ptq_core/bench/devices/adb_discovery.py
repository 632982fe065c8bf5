"""Which phones there are, and what to do about those that cannot be used."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from ptq_core.bench.devices.adb_client import Adb
from ptq_core.errors import DeviceError

READY = "device"

STATES = {
    "unauthorized": (
        "the phone must allow this computer to debug it",
        "unlock it and confirm `Allow USB debugging?`; if nothing is asked, revoke the authorizations in its developer"
        " options, plug it in again and confirm",
    ),
    "authorizing": ("the phone must allow this computer to debug it", "unlock it, confirm, and run again"),
    "offline": (
        "the phone must answer adb",
        "plug it in again and wake it; then `adb reconnect offline`, or `adb kill-server`, or restart the phone;"
        " over the network `adb connect` it again",
    ),
    "connecting": (
        "the phone must answer adb",
        "wait a moment and run again; if it stays so, plug it in again",
    ),
    "no permissions": (
        "this user must be able to open the USB device",
        "Linux: install the udev rules (Debian, Ubuntu: apt install android-sdk-platform-tools-common), be in the group"
        " plugdev, plug the phone in again, `adb kill-server`",
    ),
    "recovery": ("the phone must have started Android", "adb reboot"),
    "sideload": ("the phone must have started Android", "adb reboot"),
    "bootloader": ("the phone must have started Android", "fastboot reboot"),
    "rescue": ("the phone must have started Android", "restart the phone"),
    "host": ("the phone must run adb as a device", "plug in a phone with USB debugging switched on"),
}
"""State in `adb devices` → rule, next step."""


@dataclass(frozen=True)
class Found:
    """A line of `adb devices -l`: `description` holds product, model and the like as adb writes them."""

    serial: str
    state: str
    description: str

    @property
    def ready(self) -> bool:
        """Whether commands can be run on it."""
        return self.state == READY

    def refusal(self) -> DeviceError:
        """Why it cannot be used."""
        rule, fix = STATES.get(self.state, ("adb must call it `device`", "see `adb devices -l`"))
        return DeviceError(f"phone {self.serial} is {self._state_in_words()}", rule=rule, fix=fix)

    def _state_in_words(self) -> str:
        return "there, but adb has no permission for it" if self.state == "no permissions" else self.state


def parse_devices(text: str) -> tuple[Found, ...]:
    """The output of `adb devices -l`; lines of adb itself (`* daemon started`) are skipped."""
    pattern = re.compile(r"(?!\*)(\S+)\s+(no permissions|\w+)\b(.*)")
    lines = text.partition("List of devices attached")[2].splitlines()
    return tuple(Found(m[1], m[2], m[3].strip()) for line in lines if (m := pattern.fullmatch(line.strip())))


def list_devices(adb: Adb) -> tuple[Found, ...]:
    """All that adb sees, by serial: its own order changes. Raises DeviceError if adb fails."""
    adb.start_server()
    finished = adb.call("devices", "-l")
    if finished.exit_code != 0:
        raise adb.trouble(finished)
    return tuple(sorted(parse_devices(finished.stdout), key=lambda phone: phone.serial))


def find_serial(serial: str, found: tuple[Found, ...]) -> str:
    """``serial`` if it is ready. Raises DeviceError otherwise."""
    for phone in found:
        if phone.serial == serial:
            if phone.ready:
                return serial
            raise phone.refusal()
    raise DeviceError(
        f"no phone {serial} is connected",
        rule=f"adb sees {describe(found) if found else 'no phone'}",
        fix="check the cable, that USB debugging is on, and the serial in `adb devices`; over the network `adb connect` it first",
    )


def choose_automatically(found: tuple[Found, ...]) -> str | None:
    """The phone that ANDROID_SERIAL names, else the only one that is ready; None if there is no phone at all.

    Raises DeviceError for several ready phones, or if none of those that are there can be used.
    """
    if wanted := os.environ.get("ANDROID_SERIAL"):
        return find_serial(wanted, found)
    ready = [phone.serial for phone in found if phone.ready]
    if len(ready) > 1:
        raise DeviceError(
            f"{len(ready)} phones are connected: {describe(found)}",
            rule="without `device=` only one can be chosen",
            fix=f"name one (`device={ready[0]}`), several with commas, or `device=all`",
        )
    if found and not ready:
        raise found[0].refusal()
    return ready[0] if ready else None


def all_serials(found: tuple[Found, ...]) -> tuple[str, ...]:
    """Every phone, also those that cannot be used: they are refused one by one. Raises DeviceError if there is none."""
    if not found:
        raise DeviceError(
            "no phone is connected",
            rule="`device=all` measures every phone that adb sees",
            fix="plug one in and switch on USB debugging in its developer options; `device=local` measures this machine",
        )
    return tuple(phone.serial for phone in found)


def describe(found: tuple[Found, ...]) -> str:
    """Serials with what adb knows of them."""
    return ", ".join(
        f"{phone.serial} ({phone.state}{'' if not (model := _model(phone)) else f', {model}'})"
        for phone in found
    )


def _model(phone: Found) -> str:
    match = re.search(r"\bmodel:(\S+)", phone.description)
    return match[1].replace("_", " ") if match else ""
