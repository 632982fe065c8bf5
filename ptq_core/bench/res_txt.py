"""`res.txt`: one appended line per run in the form that users of the ancestor's scripts parse."""

from __future__ import annotations

from pathlib import Path

from ptq_core.bench.statistics import Latency
from ptq_core.errors import DeviceError
from ptq_core.files import make_folder
from ptq_core.printable import printable

NAME_WIDTH = 30


def line(name: str, latency: Latency) -> str:
    """`<name padded to 30>min = X  max = X  average = X`, milliseconds with five decimals, no newline.

    A longer name is kept whole; what is not seen of it is written as escapes.
    """
    return (
        f"{printable(name):<{NAME_WIDTH}}"
        f"min = {latency.min_ms:.5f}  max = {latency.max_ms:.5f}  average = {latency.mean_ms:.5f}"
    )


def append(path: Path, lines: list[str]) -> None:
    """Append ``lines`` to ``path``, all or none of them. Raises DeviceError if the disk refuses."""
    make_folder(path.parent)
    data = "".join(f"{text}\n" for text in lines).encode()
    try:
        with path.open("ab", buffering=0) as file:
            before = file.tell()
            if file.write(data) != len(data):
                file.truncate(before)
                raise OSError("the disk is full")
    except OSError as error:
        raise DeviceError(
            f"cannot append to {path}: {error.strerror or error}",
            rule="the result file must be writable",
            fix="choose another `result_path=`, or free space",
        ) from error
