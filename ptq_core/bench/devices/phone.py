"""Android behind a shell: what it tells of itself, and which runtime it runs."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ptq_core.bench.context import Facts
from ptq_core.bench.devices.remote import ABIS, RemoteDevice
from ptq_core.errors import DeviceError


class Phone(RemoteDevice):
    """An Android phone, tablet or emulator."""

    def _find_abi(self) -> str:
        self._properties = parse_properties(self._shell.run("getprop").stdout)
        return choose_abi(self._shell.name, self._properties)

    def _facts(self, files: dict[str, str]) -> Facts:
        return Facts(
            files=files,
            properties=self._properties,
            kernel=self._ask("uname -r"),
            battery=self._ask("dumpsys battery"),
            power=self._ask("dumpsys power"),
            airplane_mode=self._ask("settings get global airplane_mode_on"),
        )


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
