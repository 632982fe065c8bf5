#!/usr/bin/env python3
"""Runs a command whose output matters only if it fails: quietly.py LOG WHAT COMMAND...

Everything goes to the end of LOG. On a terminal one line shows WHAT, the seconds, and what the command says just now; elsewhere
WHAT is printed at the start, and the seconds at the end. A command that fails has its last lines printed, and its exit code.
Needs only the standard library.
"""

from __future__ import annotations

import os
import selectors
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

LINES_SHOWN = 40
"""Of a command that failed; the log has all."""


def quietly(
    log: Path, what: str, command: Sequence[str], environment: Mapping[str, str] | None = None
) -> int:
    """Run ``command``; returns its exit code, negative for a signal. OSError if it cannot be started."""
    log.parent.mkdir(parents=True, exist_ok=True)
    begin = time.monotonic()
    terminal = sys.stdout.isatty()
    print(f"{what} ...", end="" if terminal else " ", flush=True)
    with log.open("ab") as file:
        start = file.tell()
        with subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        ) as process:
            assert process.stdout is not None
            try:
                _follow(process.stdout.fileno(), file.fileno(), what if terminal else None, begin)
            except BaseException:
                process.terminate()
                raise
    seconds = f"{time.monotonic() - begin:.0f} s"
    if process.returncode == 0:
        print(f"\r\033[K{what}: {seconds}" if terminal else seconds, flush=True)
    else:
        print(f"\r\033[K{what}: failed" if terminal else "failed", flush=True)
        lines = log.read_bytes()[start:].decode("utf-8", "replace").splitlines()
        print("\n".join(lines[-LINES_SHOWN:]), file=sys.stderr)
        print(f"all of it: {log}", file=sys.stderr)
    return process.returncode


def _follow(source: int, log: int, what: str | None, begin: float) -> None:
    """Copy ``source`` to ``log`` to its end; under the name ``what`` its last line goes to the terminal, too."""
    said = ""
    with selectors.DefaultSelector() as selector:
        selector.register(source, selectors.EVENT_READ)
        while True:
            if selector.select(timeout=0.5):
                data = os.read(source, 1 << 16)
                if not data:
                    return
                os.write(log, data)
                lines = data.decode("utf-8", "replace").split("\n")
                said = next((line.strip() for line in reversed(lines) if line.strip()), said)
            if what is not None:
                width = shutil.get_terminal_size().columns - 1
                print(
                    f"\r\033[K{f'{what} ... {time.monotonic() - begin:.0f} s  {said}'[:width]}",
                    end="",
                    flush=True,
                )


def main(arguments: Sequence[str]) -> int:
    """Exit code: the command's; 2 for too few arguments, 127 where there is no such command."""
    if len(arguments) < 3:
        print("usage: quietly.py LOG WHAT COMMAND...", file=sys.stderr)
        return 2
    try:
        code = quietly(Path(arguments[0]), arguments[1], arguments[2:])
    except KeyboardInterrupt:
        print()
        return 130
    except OSError as error:
        print(f"\n{arguments[2]}: {error.strerror}", file=sys.stderr)
        return 127
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
