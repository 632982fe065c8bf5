"""What can go wrong with a phone, each at the moment at which it does."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

FAULTS = (
    "none",
    "dies_while_pushing",  # the cable comes off in the middle of a file
    "no_space",  # /data is full
    "damages_files",  # a bit turns on the way
    "hangs",  # the first measurement never ends
    "answers_garbage",  # the file with the results is not what was written
    "dies_between_cases",  # the cable comes off after the first case
    "throttles",  # the clock falls during the first measurement
    "unauthorized",  # the user has not allowed this computer
    "answers_nothing",  # it says hello and never again anything
)


def is_measurement(command: str) -> bool:
    """Whether ``command`` runs the models in turns, in distinction from one alone for its memory and outputs."""
    return "--warmup=" in command and "--dump_output=" not in command


class Faults:
    """``name`` is one of FAULTS. ``slow_down`` changes what the device tells of its clocks."""

    def __init__(self, name: str, slow_down: Callable[[], None]) -> None:
        if name not in FAULTS:
            raise ValueError(name)
        self.name = name
        self._slow_down = slow_down
        self._measurements = 0

    def while_pushing(self, received: int) -> str:
        """A file is arriving; returns why it cannot be kept, or nothing."""
        if self.name == "dies_while_pushing" and received > 0:
            _unplug()
        return "couldn't create file: No space left on device" if self.name == "no_space" else ""

    def arriving(self, data: bytes) -> bytes:
        """What is kept of a pushed file."""
        return data[:-1] + bytes([data[-1] ^ 1]) if self.name == "damages_files" else data

    def leaving(self, name: str, data: bytes) -> bytes:
        """What is sent of a pulled file."""
        is_answer = Path(name).name.startswith("answer")
        return b"\0Segmentation fault\n" if self.name == "answers_garbage" and is_answer else data

    async def before_command(self, command: str) -> None:
        """A command is about to run."""
        if self.name == "answers_nothing":
            await asyncio.Event().wait()
        if self.name == "hangs" and is_measurement(command):
            await asyncio.Event().wait()
        if self.name == "dies_between_cases" and self._measurements > 0 and "--warmup=" in command:
            _unplug()

    def after_command(self, command: str) -> None:
        """A command has ended."""
        if is_measurement(command):
            self._measurements += 1
            if self.name == "throttles":
                self._slow_down()


def _unplug() -> None:
    """From one moment to the next there is no device."""
    os._exit(0)
