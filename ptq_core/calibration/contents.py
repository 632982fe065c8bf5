"""What the files of samples hold, as hashes: a cache's key is made of them, and what is decoded later must still have them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ptq_core.errors import InputError
from ptq_core.inputs import open_input

Fingerprint = tuple[int, str]
"""Size in bytes and SHA-256 in hex; -1 and why, of a file that cannot be read: decoding will report it, or skip it."""


@dataclass(frozen=True)
class Contents:
    """The fingerprint of each file when the calibration began."""

    fingerprints: dict[Path, Fingerprint]

    @classmethod
    def of(cls, paths: Iterable[Path]) -> Contents:
        """Reads every file of ``paths`` once."""
        return cls({path: _read(path)[1] for path in paths})

    def read(self, path: Path) -> bytes | None:
        """What ``path`` holds, to decode exactly that; None if it could not be read then either.

        Raises InputError if the file has changed.
        """
        content, found = _read(path)
        if found != self.fingerprints[path]:
            raise InputError(
                f"{path} was changed while the calibration ran",
                rule="with is_use_cache_file, statistics are kept under the content of their pictures",
                fix="let no one write to the pictures meanwhile, and run again",
            )
        return content


def _read(path: Path) -> tuple[bytes | None, Fingerprint]:
    try:
        with open_input(path) as stream:
            content = stream.read()
    except OSError as error:
        return None, (-1, str(error.strerror))
    return content, (len(content), hashlib.sha256(content).hexdigest())
