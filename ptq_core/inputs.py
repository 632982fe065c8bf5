"""The one way to open a file that the user names: a regular file, never waited for, read whole only up to a bound."""

from __future__ import annotations

import errno
import os
import stat
import zipfile
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from ptq_core.errors import DeviceError, InputError

MOST_CONFIG_BYTES = 1 << 20
"""Of a configuration: ours have less than a thousandth of it."""

MOST_LIST_BYTES = 256 << 20
"""Of a list of pictures: a million lines have about 50 MB."""

MOST_RECORD_BYTES = 64 << 20
"""Of a JSON record: a report has a few hundred KB."""

MOST_CACHE_BYTES = 2 << 30
"""Of the unpacked statistics of a calibration: 128 KiB for each of 16,384 tensors."""


_LACKING = frozenset({errno.ENOMEM, errno.EMFILE, errno.ENFILE})


def is_lack(error: BaseException) -> bool:
    """Whether ``error`` says that the system lacks memory or open files: no fault of what was to be read."""
    if isinstance(error, OSError):
        return error.errno in _LACKING
    return isinstance(error, MemoryError | DeviceError)


def lack(error: OSError) -> DeviceError:
    """What to raise for an ``error`` that `is_lack`."""
    return DeviceError(
        f"{error.filename}: {error.strerror}",
        rule="the system must have memory and open files to spare",
        fix="raise the limit (ulimit -n, ulimit -v), or end other programs",
    )


def open_input(path: Path) -> BinaryIO:
    """The regular file ``path``, open for reading.

    Raises OSError as `open` does, also for a folder, InputError at once for a pipe, a device or a socket, and DeviceError where
    the system lacks what it takes to open a file.
    """
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        descriptor = os.open(path, flags)  # without waiting for a pipe's other end
    except OSError as error:
        if is_lack(error):
            raise lack(error) from error
        raise
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(mode):
            raise InputError(
                f"{path} is not a regular file",
                rule="inputs are files on a disk, not pipes, devices or sockets",
                fix="save it to a file and give the path of that",
            )
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_input(path: Path, limit: int) -> bytes:
    """All of the regular file ``path``; raises as `open_input`, and InputError if it has more than ``limit`` bytes."""
    with open_input(path) as stream:
        data = stream.read(limit + 1)
    if len(data) > limit:
        raise _too_large(path, path.stat().st_size, limit)
    return data


def read_input_text(path: Path, limit: int) -> str:
    """As `read_input`, decoded from UTF-8 with or without its mark; raises UnicodeDecodeError for what is none."""
    return read_input(path, limit).decode("utf-8-sig")


def load_arrays(
    path: Path, limit: int, content: bytes | None = None
) -> NDArray[np.generic] | dict[str, NDArray[np.generic]]:
    """The array of the `.npy` file ``path``, or those of a `.npz` by name; nothing is unpickled.

    ``content`` is what ``path`` holds, if the caller has read it.
    Raises as `open_input` and NumPy do, and InputError if the file or what it unpacks to has more than ``limit`` bytes.
    """
    with open_input(path) if content is None else BytesIO(content) as stream:
        packed = zipfile.is_zipfile(stream)
        size = stream.seek(0, os.SEEK_END)
        stream.seek(0)
        if packed:
            with zipfile.ZipFile(stream) as archive:
                size = max(size, sum(entry.file_size for entry in archive.infolist()))
            stream.seek(0)
        if size > limit:
            raise _too_large(path, size, limit)
        loaded = np.load(stream, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return loaded
        with loaded:
            return {name: loaded[name] for name in loaded.files}


def _too_large(path: Path, size: int, limit: int) -> InputError:
    return InputError(
        f"{path} is too large: {size} bytes",
        rule=f"such a file has at most {limit} bytes, unpacked",
        fix="check that this is the file that you mean",
    )
