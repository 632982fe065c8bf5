"""What a phone looks like from inside: its properties, its part of /sys, and the programs that tell about it.

`build` writes files into a folder; `enter` mounts them, with Android-like programs (mksh, toybox) of this machine, as a root
that commands are run in. It needs `unshare -rm`: the mounts and the registered emulators end with the process.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

SCRATCH = "data/local/tmp"
TOOLS = (
    "cat chmod cksum cp echo env kill ls md5sum mkdir mv nproc ps rm sha256sum sleep test touch uname which"
)
MODERN_TOOLS = {"md5sum", "sha256sum"}


@dataclass(frozen=True)
class Abi:
    """``magic`` are the first 20 bytes of its ELF files, ``part`` what /proc/cpuinfo says; no emulator: runs here as it is."""

    abilist: str
    emulator: str
    machine: int
    bits: int


ABIS = {
    "arm64-v8a": Abi("arm64-v8a,armeabi-v7a,armeabi", "/usr/bin/qemu-aarch64-static", 183, 2),
    "armeabi-v7a": Abi("armeabi-v7a,armeabi", "/usr/bin/qemu-arm-static", 40, 1),
    "x86_64": Abi("x86_64,x86", "", 62, 2),
    "x86": Abi("x86", "", 3, 1),
}

BATTERY = """Current Battery Service state:
  AC powered: false
  USB powered: true
  level: 87
  temperature: 312
"""


def cpu_halves() -> tuple[list[int], list[int]]:
    """This machine's CPUs as the little and the big cores of the phone; with a single one, it is both."""
    cpus = sorted(os.sched_getaffinity(0))
    half = len(cpus) // 2
    return cpus[:half] or cpus, cpus[half:]


def build(folder: Path, *, abi: str, model: str, old: bool) -> None:
    """Write the phone's own files below ``folder``."""
    properties = {
        "ro.product.model": model,
        "ro.product.manufacturer": "Stand-in",
        "ro.product.cpu.abi": abi,
        "ro.build.version.release": "5.1" if old else "14",
        "ro.build.version.sdk": "22" if old else "34",
        "ro.hardware": "standin",
    }
    if not old:
        properties |= {"ro.product.cpu.abilist": ABIS[abi].abilist, "ro.soc.model": f"SoC of {model}"}
    listed = "\n".join(f"[{name}]: [{value}]" for name, value in properties.items())
    write_files(
        folder,
        {
            "programs/getprop": f"echo '{listed}'",
            "programs/dumpsys": f"case $1 in battery) echo '{BATTERY}';; power) echo mWakefulness=Asleep;; esac",
            "programs/settings": "echo 1",
            "cpuinfo": "processor\t: 0\nHardware\t: Stand-in\n",
            "sys/class/thermal/thermal_zone0/type": "cpu\n",
            "sys/class/thermal/thermal_zone0/temp": "41000\n",
        },
    )
    little, big = cpu_halves()
    cpu_files: dict[str, str] = {
        "sys/devices/system/cpu/present": ",".join(map(str, sorted({*little, *big}))) + "\n"
    }
    for cpus, mhz, capacity in ((little, 1800, 400), (big, 2800, 1024)):
        for cpu in cpus:
            root = f"sys/devices/system/cpu/cpu{cpu}"
            cpu_files[f"{root}/cpu_capacity"] = f"{capacity}\n"
            for name, text in (
                ("cpuinfo_max_freq", f"{mhz}000"),
                ("scaling_cur_freq", f"{mhz}000"),
                ("scaling_governor", "schedutil"),
            ):
                cpu_files[f"{root}/cpufreq/{name}"] = f"{text}\n"
    write_files(folder, cpu_files)


def slow_down(folder: Path) -> None:
    """The hot phone halves its clocks."""
    for file in folder.glob("sys/devices/system/cpu/cpu*/cpufreq/scaling_cur_freq"):
        file.write_text(f"{int(file.read_text(encoding='utf-8')) // 2}\n", encoding="utf-8")
    write_files(folder, {"sys/class/thermal/thermal_zone0/temp": "83000\n"})


def enter(folder: Path, *, abi: str, old: bool) -> Path:
    """Mount ``folder``'s phone; returns its root, in which `/system/bin/sh` can be started."""
    root = folder / "root"
    root.mkdir()
    _mount("-t", "tmpfs", "none", root)
    for name in (SCRATCH, "system/bin", "proc", "sys", "dev", "usr"):
        (root / name).mkdir(parents=True)
    for name in ("usr", "proc", "dev"):
        _mount("--rbind", f"/{name}", root / name)
    _mount("--bind", folder / "sys", root / "sys")
    _mount("--bind", folder / "cpuinfo", root / "proc/cpuinfo")
    for name in ("lib", "lib64"):
        (root / name).symlink_to(f"usr/{name}")
    programs = root / "system/bin"
    (programs / "sh").symlink_to("/usr/bin/mksh")
    for name in TOOLS.split():
        if not (old and name in MODERN_TOOLS):
            (programs / name).symlink_to("/usr/bin/toybox")
    for file in (folder / "programs").iterdir():
        script = programs / file.name
        script.write_text(f"#!/system/bin/sh\n{file.read_text(encoding='utf-8')}\n", encoding="utf-8")
        script.chmod(0o755)
    if ABIS[abi].emulator:
        _mount("-t", "binfmt_misc", "none", Path("/proc/sys/fs/binfmt_misc"))
        for name in ABIS[abi].abilist.split(","):
            if name in ABIS:
                _register(name)
    return root


def _register(abi: str) -> None:
    """Run ELF files of ``abi`` by its emulator; F: which is opened now, as the phone's root does not have it."""
    row = ABIS[abi]
    head = bytes([0x7F, 0x45, 0x4C, 0x46, row.bits, 1, 1, *bytes(9), 2, 0, row.machine, 0])
    mask = bytes([0xFF] * 7 + [0] * 9 + [0xFE, 0xFF, 0xFF, 0xFF])
    escaped = ["".join(f"\\x{byte:02x}" for byte in data) for data in (head, mask)]
    line = f":{abi}:M::{escaped[0]}:{escaped[1]}:{row.emulator}:F"
    Path("/proc/sys/fs/binfmt_misc/register").write_text(line, encoding="ascii")


def _mount(*arguments: str | Path) -> None:
    subprocess.run(["mount", *map(str, arguments)], check=True)


def write_files(folder: Path, files: dict[str, str]) -> None:
    """Path below ``folder`` → text."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
