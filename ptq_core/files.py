"""Files that are never half-written: work in a temporary neighbour, rename when complete."""

from __future__ import annotations

import fcntl
import glob
import os
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ptq_core.errors import DeviceError, InputError

STDOUT = Path("-")
"""What stands for standard output where a text may be written to it instead of a file."""


@contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Yield a temporary path in a folder beside ``target``; on success it replaces ``target``, on any error it is removed.

    The parent folder is made if need be. Raises InputError if it cannot be, DeviceError if the disk refuses the write.
    """
    make_folder(target.parent)
    with _workspace(target) as folder:
        yield folder / target.name
        (folder / target.name).replace(target)


@contextmanager
def atomic_folder(target: Path) -> Iterator[Path]:
    """Yield a temporary folder beside ``target``; on success its files replace those of the same name in ``target``.

    Files are moved in sorted order, each by an atomic rename; other files in ``target`` stay. On any error nothing changes.
    """
    make_folder(target)
    with _workspace(target) as folder:
        yield folder
        for file in sorted(folder.iterdir()):
            file.replace(target / file.name)


_MARK = "ptq-tmp-"
"""In names of temporary folders, so that nobody else's folder is taken for one."""

_RANDOM = "?" * 8
"""What `tempfile` puts behind a prefix."""

_SURELY_LOCKED = 60.0
"""Seconds after which a workspace that is in use is locked."""


@contextmanager
def _workspace(target: Path) -> Iterator[Path]:
    """A temporary folder beside ``target``. It is locked, so that the next one finds those of processes that were killed."""
    _remove_abandoned(target)
    try:
        folder = Path(tempfile.mkdtemp(prefix=f".{target.name}.{_MARK}", dir=target.parent))
    except OSError as error:
        raise _disk_error(target, error) from error
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # on a file system without locks nobody cleans up
            _lock(descriptor)
        yield folder
    except OSError as error:
        raise _disk_error(target, error) from error
    finally:
        os.close(
            descriptor
        )  # first: to look into the folder takes a descriptor too, and there may be no other
        _remove(folder)


def _remove(folder: Path) -> None:
    """Remove a workspace, which holds files only."""
    with suppress(OSError):
        for name in os.listdir(folder):  # noqa: PTH208  # shutil.rmtree takes three descriptors
            (folder / name).unlink()
        folder.rmdir()


def _remove_abandoned(target: Path) -> None:
    for folder in target.parent.glob(f".{glob.escape(target.name)}.{_MARK}{_RANDOM}"):
        with suppress(OSError):  # in use, or gone meanwhile
            if time.time() - folder.stat().st_mtime > _SURELY_LOCKED:
                descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
                try:
                    _lock(descriptor)
                    _remove(folder)
                finally:
                    os.close(descriptor)


def _lock(descriptor: int) -> None:
    """Until it is closed, also by the end of the process; raises BlockingIOError if another process has the lock."""
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def check_output(path: Path) -> None:
    """Fail before the measurement, not after it, where an output cannot be written."""
    if path == STDOUT:
        return
    make_folder(path.parent)
    if path.is_dir():
        raise InputError(f"{path} is a folder", rule="the output is a file", fix="name a file in it")
    if path.exists():
        return
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}."):
            pass
    except OSError as error:
        raise InputError(
            f"cannot write {path}: {error.strerror or error}",
            rule="outputs need a folder that can be written to",
            fix="choose another path or correct its permissions",
        ) from error


def check_outputs(paths: Iterable[Path | None]) -> None:
    """``check_output`` of all that are given. Raises InputError too where two are one file: the first would be lost."""
    seen: set[Path] = set()
    for path in paths:
        if path is None or path == STDOUT:
            continue
        check_output(path)
        if path.resolve() in seen:
            raise InputError(
                f"{path} is given for two outputs",
                rule="every output is a file of its own",
                fix="give each another name",
            )
        seen.add(path.resolve())


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
