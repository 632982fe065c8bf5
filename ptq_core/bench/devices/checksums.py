"""Checksums as whatever program a phone has prints them, and the same from Python."""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Callable

CHECKSUM_PROGRAMS: dict[str, tuple[str, Callable[[bytes], str]]] = {
    "sha256sum": (r"\b[0-9a-f]{64}\b", lambda data: hashlib.sha256(data).hexdigest()),
    "md5sum": (r"\b[0-9a-f]{32}\b", lambda data: hashlib.md5(data, usedforsecurity=False).hexdigest()),
    "md5": (r"\b[0-9a-f]{32}\b", lambda data: hashlib.md5(data, usedforsecurity=False).hexdigest()),
    "cksum": (r"^\d+ \d+\b", lambda data: f"{posix_crc(data)} {len(data)}"),
}
"""Program → the pattern of its answer, the same from bytes. Best first; all phones since Android 6 have the first ones."""


def answers(program: str, printed: str, data: bytes) -> bool:
    """Whether ``program``, which ``printed`` this, saw ``data``."""
    pattern, compute = CHECKSUM_PROGRAMS[program]
    match = re.search(pattern, printed.strip())
    return match is not None and match[0] == compute(data)


def posix_crc(data: bytes) -> int:
    """The CRC of POSIX `cksum`: zlib's polynomial with the bits the other way round, from 0, with the length at the end."""
    length = len(data).to_bytes((len(data).bit_length() + 7) // 8, "little")
    crc = zlib.crc32((data + length).translate(_MIRRORED), 0xFFFFFFFF)
    return int(f"{crc:032b}"[::-1], 2)


_MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
