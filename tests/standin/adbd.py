"""The stand-in's program: `unshare -rm python -m tests.standin.adbd --folder DIR --abi arm64-v8a ...`.

Prints the port that it listens on. ``--folder`` is an empty one that the phone is built in.
"""

from __future__ import annotations

import argparse
import asyncio
import os
from functools import partial
from pathlib import Path

from tests.standin import tree
from tests.standin.faults import FAULTS, Faults
from tests.standin.protocol import Connection, RefusedError, Service
from tests.standin.shell import Shell
from tests.standin.sync import Sync

FEATURES = "shell_v2,cmd,stat_v2,ls_v2,fixed_push_mkdir"


async def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--abi", choices=tree.ABIS, required=True)
    parser.add_argument("--cpu", default="", help="that qemu emulates")
    parser.add_argument("--model", default="Stand-in 1")
    parser.add_argument("--fault", choices=FAULTS, default="none")
    parser.add_argument("--old", action="store_true", help="Android 5: no shell protocol v2, fewer programs")
    flags = parser.parse_args()
    tree.build(flags.folder, abi=flags.abi, model=flags.model, old=flags.old)
    root = tree.enter(flags.folder, abi=flags.abi, old=flags.old)
    os.environ["PATH"] = "/system/bin"
    if flags.cpu:
        os.environ["QEMU_CPU"] = flags.cpu

    faults = Faults(flags.fault, partial(tree.slow_down, flags.folder))
    shell = Shell(("/usr/sbin/chroot", str(root), "/system/bin/sh"), faults, old=flags.old)
    sync = Sync(root, faults)

    def find_service(wanted: str) -> Service:
        if wanted.startswith("sync:"):
            return sync.serve
        if wanted.startswith(("shell", "exec:")):
            return shell.serve
        raise RefusedError

    name = flags.model.replace(" ", "_")
    words = f"device::ro.product.name=standin;ro.product.model={name};ro.product.device=standin;"
    if not flags.old:
        words += f"features={FEATURES}"
    banner = None if flags.fault == "unauthorized" else words

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await Connection(reader, writer, banner, find_service).run()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
