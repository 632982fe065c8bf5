"""The Python and the C++ reader of flat files, asked the same."""

from __future__ import annotations

import json
import struct
import subprocess
import zlib
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from ptq_core.flatfile import layout
from ptq_core.flatfile.dump import dump_program
from ptq_core.flatfile.reader import read_program
from ptq_core.flatfile.refusal import FlatFileError
from tests.needs import FLAT_READER, need

OUT_OF_MEMORY = 5


def sealed(data: bytes | bytearray) -> bytes:
    """``data`` with its size and checksum corrected, so that the checks behind them are reached."""
    changed = bytearray(data)
    if len(changed) >= layout.HEADER.size:
        struct.pack_into("<Q", changed, 16, len(changed))
        struct.pack_into("<I", changed, 24, zlib.crc32(memoryview(changed)[layout.CRC_BEGIN :]))
    return bytes(changed)


@dataclass(frozen=True)
class Answer:
    """``text`` is the dump, or why the file was refused; ``field`` where (Python) or the whole message (C++)."""

    accepted: bool
    text: str
    field: str = ""
    status: int = 0


class CppReader:
    """`flat_reader`, one process for many files."""

    def __init__(self, path: Path) -> None:
        self._process = subprocess.Popen([path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __enter__(self) -> CppReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        assert self._process.wait(60) == 0

    def ask(self, data: bytes) -> Answer:
        """What the C++ reader says of ``data``."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(struct.pack("<Q", len(data)) + data)
        stdin.flush()
        status, length = struct.unpack("<IQ", stdout.read(12))
        text = stdout.read(length).decode("utf-8", "ignore")
        return Answer(status == 0, text, text, status)


def ask_python(data: bytes) -> Answer:
    """What the Python reader says of ``data``; nothing but a FlatFileError may come of it."""
    try:
        return Answer(True, dump_program(read_program(data)))
    except FlatFileError as error:
        return Answer(False, str(error), error.field)


def compare(cpp: CppReader, data: bytes) -> tuple[bool, str | None]:
    """(whether Python accepts ``data``, how the two readers' answers differ).

    None if they say the same of it, or differ as docs/flat_format.md allows ("Two readers").
    """
    python, other = ask_python(data), cpp.ask(data)
    return python.accepted, _difference(python, other)


def _difference(python: Answer, other: Answer) -> str | None:
    if python.accepted and other.accepted:
        same = python.text == _with_sorted_meta(other.text)
        return None if same else f"dumps differ:\n{python.text}\n{other.text}"
    if python.field == "section 'META'" and other.accepted:
        return None  # the runtime does not look at it
    if other.status == OUT_OF_MEMORY:
        return None  # what fits a machine is up to the machine
    if python.accepted or other.accepted or not other.field.startswith(python.field + ":"):
        return f"Python: {python.accepted} {python.text}\nC++: {other.accepted} {other.text}"
    return None


def _with_sorted_meta(dump: str) -> str:
    """The runtime's dump shows META as it lies in the file, Python's what it says."""
    lines = dump.splitlines(keepends=True)
    for i, line in enumerate(lines):
        if line.startswith("meta "):
            meta = json.loads(line.removeprefix("meta "))
            lines[i] = f"meta {json.dumps(meta, sort_keys=True, ensure_ascii=False, separators=(',', ':'))}\n"
    return "".join(lines)


def find_flat_reader() -> Path:
    """The program, built by `make test` (or `runtime/build_runtime.py --test`); without it the test is skipped."""
    need("flat_reader")
    return FLAT_READER
