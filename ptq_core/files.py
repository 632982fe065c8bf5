"""Files that are never half-written: work on a temporary neighbour, rename when complete."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ptq_core.errors import DeviceError, InputError

STDOUT = Path("-")
"""What stands for standard output where a text may be written to it instead of a file."""


@contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``target``; on success it replaces ``target``, on any error it is removed.

    The parent folder is made if need be. Raises InputError if it cannot be, DeviceError if the disk refuses the write.
    """
    make_folder(target.parent)
    try:
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    except OSError as error:
        raise _disk_error(target, error) from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(target)
    except OSError as error:
        raise _disk_error(target, error) from error
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(target: Path) -> Iterator[Path]:
    """Yield a temporary folder beside ``target``; on success its files replace those of the same name in ``target``.

    Files are moved in sorted order, each by an atomic rename; other files in ``target`` stay. On any error nothing changes.
    """
    make_folder(target)
    try:
        temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    except OSError as error:
        raise _disk_error(target, error) from error
    try:
        yield temporary
        for file in sorted(temporary.iterdir()):
            file.replace(target / file.name)
    except OSError as error:
        raise _disk_error(target, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_text(target: Path, text: str) -> None:
    """Write ``text`` as UTF-8: atomically to a file, or to standard output. Raises as `atomic_path` does."""
    if target == STDOUT:
        _print(text)
        return
    with atomic_path(target) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _print(text: str) -> None:
    try:
        sys.stdout.flush()
        sys.stdout.buffer.write(text.encode("utf-8"))  # JSON is UTF-8 in every locale
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise DeviceError(
            f"cannot write to standard output: {error.strerror or error}",
            rule="what it leads to must take the output",
            fix="free space, or write to a file",
        ) from error


def make_folder(folder: Path) -> None:
    """Make ``folder`` and its parents; raises InputError if something else stands there or it is not allowed."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"cannot make the folder {folder}: {error.strerror}",
            rule="outputs need a folder that can be written to",
            fix="choose another path or correct its permissions",
        ) from error


def _disk_error(target: Path, error: OSError) -> DeviceError:
    return DeviceError(
        f"cannot write {target}: {error.strerror or error}",
        rule="the disk must take the output; nothing was left half-written",
        fix="free space or choose another path",
    )


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
