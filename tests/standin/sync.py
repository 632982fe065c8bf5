"""The file service, `sync:`: STAT, LIST, SEND and RECV, and what newer adbs ask instead (STA2, LST2, LIS2)."""

from __future__ import annotations

import errno
import os
import stat
import struct
from collections.abc import Callable
from pathlib import Path

from tests.standin.faults import Faults
from tests.standin.protocol import Stream

REQUEST = struct.Struct("<4sI")
STAT1 = struct.Struct("<3I")
STAT2 = struct.Struct("<IQQIIIIQqqq")
CHUNK = 1 << 16


class Sync:
    """Files below ``root``, which is the device's `/`."""

    def __init__(self, root: Path, faults: Faults) -> None:
        self._root, self._faults = root, faults

    async def serve(self, stream: Stream, _wanted: str) -> None:
        """Answer requests until QUIT."""
        while True:
            kind, length = REQUEST.unpack(await stream.read(REQUEST.size))
            if kind == b"QUIT":
                return
            name = (await stream.read(length)).decode()
            if kind == b"STAT":
                await stream.write(b"STAT" + self._stat1(name))
            elif kind in (b"STA2", b"LST2"):
                await stream.write(kind + self._stat2(name, os.stat if kind == b"STA2" else os.lstat))
            elif kind in (b"LIST", b"LIS2"):
                await stream.write(self._list(name, second_version=kind == b"LIS2"))
            elif kind == b"SEND":
                await self._take_file(stream, name)
            elif kind == b"RECV":
                await self._give_file(stream, name)
            else:
                await _fail(stream, f"unknown request {kind!r}")
                return

    def _path(self, name: str) -> Path:
        return Path(f"{self._root}{os.path.normpath('/' + name)}")

    def _stat1(self, name: str) -> bytes:
        try:
            found = self._path(name).lstat()
        except OSError:
            return STAT1.pack(0, 0, 0)
        return STAT1.pack(found.st_mode, found.st_size & 0xFFFFFFFF, int(found.st_mtime))

    def _stat2(self, name: str, read: Callable[[Path], os.stat_result]) -> bytes:
        try:
            found = read(self._path(name))
        except OSError as error:
            return STAT2.pack(error.errno or errno.EIO, *[0] * 10)
        times = (int(found.st_atime), int(found.st_mtime), int(found.st_ctime))
        owner = (found.st_mode, found.st_nlink, found.st_uid, found.st_gid)
        return STAT2.pack(0, found.st_dev, found.st_ino, *owner, found.st_size, *times)

    def _list(self, name: str, *, second_version: bool) -> bytes:
        answer = bytearray()
        folder = self._path(name)
        for entry in sorted(file.name for file in folder.iterdir()) if folder.is_dir() else []:
            full = f"{name}/{entry}"
            head = b"DNT2" + self._stat2(full, os.lstat) if second_version else b"DENT" + self._stat1(full)
            answer += head + struct.pack("<I", len(entry.encode())) + entry.encode()
        return bytes(answer) + b"DONE" + bytes(STAT2.size + 4 if second_version else STAT1.size + 4)

    async def _take_file(self, stream: Stream, wanted: str) -> None:
        name, _, mode = wanted.rpartition(",")
        path = self._path(name)
        problem, received, modified = "", bytearray(), 0
        while True:
            kind, length = REQUEST.unpack(await stream.read(REQUEST.size))
            if kind == b"DONE":
                modified = length
                break
            received += await stream.read(length)
            problem = problem or self._faults.while_pushing(len(received))
        if not problem:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.unlink(missing_ok=True)
                path.write_bytes(self._faults.arriving(bytes(received)))
                path.chmod(stat.S_IMODE(int(mode)) & 0o777)
                os.utime(path, (modified, modified))
            except OSError as error:
                problem = f"couldn't create file: {os.strerror(error.errno or errno.EIO)}"
        if problem:
            await _fail(stream, problem)
        else:
            await stream.write(b"OKAY" + bytes(4))

    async def _give_file(self, stream: Stream, name: str) -> None:
        try:
            data = self._path(name).read_bytes()
        except OSError as error:
            await _fail(stream, f"open failed: {os.strerror(error.errno or errno.EIO)}")
            return
        data = self._faults.leaving(name, data)
        for start in range(0, len(data), CHUNK):
            piece = data[start : start + CHUNK]
            await stream.write(b"DATA" + struct.pack("<I", len(piece)) + piece)
        await stream.write(b"DONE" + bytes(4))


async def _fail(stream: Stream, message: str) -> None:
    await stream.write(b"FAIL" + struct.pack("<I", len(message.encode())) + message.encode())
