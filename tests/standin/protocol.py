"""The transport of ADB: messages of 24 bytes and a payload, and the streams that they carry.

Described in Android's packages/modules/adb/protocol.txt. One connection is one host; every OPEN is a service that runs as a
task of its own. There is no encryption and no checksum (version 0x01000001 of the protocol leaves it out).
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable, Callable

VERSION = 0x01000001
MAX_PAYLOAD = 1 << 20
HEADER = struct.Struct("<6I")


def _command(name: bytes) -> int:
    return int.from_bytes(name, "little")


CNXN, AUTH, OPEN, OKAY, WRTE, CLSE = (
    _command(name) for name in (b"CNXN", b"AUTH", b"OPEN", b"OKAY", b"WRTE", b"CLSE")
)
AUTH_TOKEN, AUTH_SIGNATURE = 1, 2


class Stream:
    """One opened service: bytes in both directions, one unacknowledged message at a time as the protocol demands."""

    def __init__(self, connection: Connection, local_id: int, remote_id: int) -> None:
        self._connection, self.local_id, self.remote_id = connection, local_id, remote_id
        self._received: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._rest = bytearray()
        self._acknowledged = asyncio.Event()
        self.closed = False

    async def write(self, data: bytes) -> None:
        """Send ``data``. Raises ConnectionResetError if the other end has closed."""
        for start in range(0, len(data), self._connection.max_payload):
            if self.closed:
                raise ConnectionResetError
            self._acknowledged.clear()
            piece = data[start : start + self._connection.max_payload]
            await self._connection.send(WRTE, self.local_id, self.remote_id, piece)
            await self._acknowledged.wait()

    async def read(self, count: int) -> bytes:
        """Exactly ``count`` bytes. Raises EOFError if the other end closes first."""
        while len(self._rest) < count:
            self._rest += await self.read_some()
        data = bytes(self._rest[:count])
        del self._rest[:count]
        return data

    async def read_some(self) -> bytes:
        """The next message's bytes. Raises EOFError at the end."""
        data = await self._received.get()
        if data is None:
            raise EOFError
        return data

    def on_data(self, data: bytes) -> None:
        """The other end sent ``data``."""
        self._received.put_nowait(data)

    def on_okay(self) -> None:
        """The other end took what was written."""
        self._acknowledged.set()

    def on_close(self) -> None:
        """The other end is gone."""
        self.closed = True
        self._received.put_nowait(None)
        self._acknowledged.set()


class RefusedError(Exception):
    """There is no such service."""


Service = Callable[[Stream, str], Awaitable[None]]
"""Serves one stream; gets what was asked for, such as `shell,v2:ls`. Raises RefusedError before it has read or written."""


class Connection:
    """What one adb server says and hears. ``banner`` is how the device introduces itself; without one, no key is ever good
    enough for it."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        banner: str | None,
        find_service: Callable[[str], Service],
    ) -> None:
        self._reader, self._writer = reader, writer
        self._banner, self._find_service = banner, find_service
        self.max_payload = 4096
        self._lock = asyncio.Lock()
        self._streams: dict[int, Stream] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._last_id = 0

    async def send(self, command: int, first: int, second: int, data: bytes = b"") -> None:
        """Send one message."""
        async with self._lock:
            self._writer.write(HEADER.pack(command, first, second, len(data), 0, command ^ 0xFFFFFFFF) + data)
            await self._writer.drain()

    async def run(self) -> None:
        """Answer until the other end closes."""
        try:
            while True:
                command, first, second, length, _, magic = HEADER.unpack(
                    await self._reader.readexactly(HEADER.size)
                )
                if magic != command ^ 0xFFFFFFFF or length > MAX_PAYLOAD:
                    return
                await self._on_message(command, first, second, await self._reader.readexactly(length))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            for stream in self._streams.values():
                stream.on_close()
            self._writer.close()

    async def _on_message(self, command: int, first: int, second: int, data: bytes) -> None:
        stream = self._streams.get(second)
        if self._banner is None:
            # A signature is answered by the next question; the key that is offered at last, by silence.
            if command == CNXN or first == AUTH_SIGNATURE:
                await self.send(AUTH, AUTH_TOKEN, 0, bytes(20))
        elif command == CNXN:
            self.max_payload = min(second, MAX_PAYLOAD)
            await self.send(CNXN, VERSION, MAX_PAYLOAD, self._banner.encode())
        elif command == OPEN:
            self._last_id += 1
            opened = self._streams[self._last_id] = Stream(self, self._last_id, first)
            task = asyncio.ensure_future(self._serve(opened, data.rstrip(b"\0").decode()))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        elif command == WRTE and stream is not None:
            stream.on_data(data)
            await self.send(OKAY, second, first)
        elif command == OKAY and stream is not None:
            stream.on_okay()
        elif command == CLSE and stream is not None:
            stream.on_close()

    async def _serve(self, stream: Stream, wanted: str) -> None:
        try:
            service = self._find_service(wanted)
            await self.send(OKAY, stream.local_id, stream.remote_id)
            await service(stream, wanted)
        except RefusedError:
            stream.local_id = 0
        except (EOFError, ConnectionError):
            pass
        finally:
            self._streams.pop(stream.local_id, None)
            if not stream.closed:
                await self.send(CLSE, stream.local_id, stream.remote_id)
