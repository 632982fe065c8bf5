"""The shell services: `shell:`, `shell,v2,...:` and `exec:`."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import struct
from collections.abc import Sequence

from tests.standin.faults import Faults
from tests.standin.protocol import Stream

STDIN, STDOUT, STDERR, EXIT, CLOSE_STDIN = range(5)
"""Kinds of packets in the second version of the protocol."""

PACKET = struct.Struct("<BI")


class Shell:
    """Runs commands with ``prefix`` + `-c COMMAND`. An old phone's output has the line ends of a terminal."""

    def __init__(self, prefix: Sequence[str], faults: Faults, *, old: bool) -> None:
        self._prefix, self._faults, self._old = prefix, faults, old

    async def serve(self, stream: Stream, wanted: str) -> None:
        """Run one command to its end."""
        head, _, command = wanted.partition(":")
        second_version = "v2" in head.split(",")
        await self._faults.before_command(command)
        process = await asyncio.create_subprocess_exec(
            *self._prefix,
            *(("-c", command) if command else ()),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE if second_version else asyncio.subprocess.STDOUT,
            start_new_session=True,
        )

        async def forward(source: asyncio.StreamReader, kind: int) -> None:
            while data := await source.read(1 << 16):
                if second_version:
                    data = PACKET.pack(kind, len(data)) + data
                elif self._old:
                    data = data.replace(b"\n", b"\r\n")
                await stream.write(data)

        listening = asyncio.ensure_future(self._listen(stream, process, second_version))
        try:
            assert process.stdout is not None
            forwards = [forward(process.stdout, STDOUT)]
            if process.stderr is not None:
                forwards.append(forward(process.stderr, STDERR))
            await asyncio.gather(*forwards)
            code = await process.wait()
            self._faults.after_command(command)
            if second_version:
                await stream.write(PACKET.pack(EXIT, 1) + bytes([code if code >= 0 else 128 - code]))
        finally:
            listening.cancel()
            _end(process)

    async def _listen(
        self, stream: Stream, process: asyncio.subprocess.Process, second_version: bool
    ) -> None:
        """Pass the host's input on; when it hangs up, so does the command."""
        assert process.stdin is not None
        with contextlib.suppress(EOFError, ConnectionError):
            while True:
                if second_version:
                    kind, length = PACKET.unpack(await stream.read(PACKET.size))
                    data = await stream.read(length)
                    if kind == CLOSE_STDIN:
                        process.stdin.close()
                    if kind != STDIN:
                        continue
                else:
                    data = await stream.read_some()
                process.stdin.write(data)
                await process.stdin.drain()
        if stream.closed:
            _end(process)


def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGHUP)
