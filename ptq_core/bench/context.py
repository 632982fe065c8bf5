"""What the machine was like during a measurement: without it a latency cannot be compared with another.

A device hands over `Facts`, texts as it found them; here they become records. Nothing is required: what a device does not
say, or says in an unknown way, is None or left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ptq_core.version import VERSION

CPU = "/sys/devices/system/cpu"

CONTEXT_FILES = (
    "/proc/cpuinfo",
    "/proc/loadavg",
    f"{CPU}/present",
    f"{CPU}/cpu[0-9]*/cpufreq/cpuinfo_max_freq",
    f"{CPU}/cpu[0-9]*/cpufreq/scaling_governor",
    f"{CPU}/cpu[0-9]*/cpu_capacity",
    "/sys/class/power_supply/*/capacity",
    "/sys/class/power_supply/*/status",
    "/sys/class/power_supply/*/temp",
)
"""The files (shell patterns) that `device_context` reads."""

STATE_FILES = (
    f"{CPU}/cpu[0-9]*/cpufreq/scaling_cur_freq",
    "/sys/class/thermal/thermal_zone*/type",
    "/sys/class/thermal/thermal_zone*/temp",
)
"""The files that `machine_state` reads."""

MOST_CPUS = 8192
"""What Linux can be built for; a number above it is nonsense, and must not become a list of that length."""

PLAUSIBLE_C = (-40.0, 150.0)
"""Zones outside report a sensor that is switched off."""


@dataclass(frozen=True)
class Facts:
    """`files`: path → content. `properties`: Android's `getprop`. The others are outputs of programs, empty if there are none."""

    files: Mapping[str, str] = field(default_factory=dict)
    properties: Mapping[str, str] = field(default_factory=dict)
    kernel: str = ""
    battery: str = ""
    power: str = ""
    airplane_mode: str = ""


@dataclass(frozen=True)
class Cluster:
    """Cores of one kind. `capacity` is the kernel's measure, 1024 for the fastest core of the machine."""

    cpus: tuple[int, ...]
    max_mhz: float | None
    capacity: int | None
    governor: str | None


@dataclass(frozen=True)
class Battery:
    """`charging` is also true on external power with a full battery."""

    level_percent: int | None
    charging: bool | None
    temperature_c: float | None


@dataclass(frozen=True)
class DeviceContext:
    """The device before the measurement; None where it does not say.

    `cores` counts those that may be used, `clusters` run from the slowest to the fastest. `load_average` is the run queue's
    mean length over the last minute.
    """

    cpu_model: str | None
    soc: str | None
    model: str | None
    manufacturer: str | None
    android_version: str | None
    sdk: int | None
    abi: str
    cores: int
    clusters: tuple[Cluster, ...]
    load_average: float | None
    kernel: str | None
    battery: Battery | None
    airplane_mode: bool | None
    screen_on: bool | None
    ptq_version: str


@dataclass(frozen=True)
class MachineState:
    """`clock_mhz`: the fastest core's clock now, per cluster. `temperatures_c`: thermal zone → its hottest sensor."""

    clock_mhz: tuple[float | None, ...]
    temperatures_c: dict[str, float]


def device_context(facts: Facts, *, abi: str, cores: int | None = None) -> DeviceContext:
    """The record of ``facts``; ``cores`` where the caller knows better than the number of CPUs."""
    clusters = _clusters(facts.files)
    say = facts.properties.get
    return DeviceContext(
        cpu_model=_cpu_model(facts.files.get("/proc/cpuinfo", "")),
        soc=say("ro.soc.model") or say("ro.board.platform") or say("ro.hardware") or None,
        model=say("ro.product.model") or None,
        manufacturer=say("ro.product.manufacturer") or None,
        android_version=say("ro.build.version.release") or None,
        sdk=_integer(say("ro.build.version.sdk")),
        abi=abi,
        cores=cores or sum(len(cluster.cpus) for cluster in clusters) or 1,
        clusters=clusters,
        load_average=_number(facts.files.get("/proc/loadavg", "").partition(" ")[0]),
        kernel=facts.kernel.strip() or None,
        battery=_dumped_battery(facts.battery) or _sysfs_battery(facts.files),
        airplane_mode={"1": True, "0": False}.get(facts.airplane_mode.strip()),
        screen_on=_screen_on(facts.power),
        ptq_version=VERSION,
    )


def machine_state(files: Mapping[str, str], clusters: Iterable[Cluster]) -> MachineState:
    """Clocks and temperatures from ``files`` of STATE_FILES."""
    clock = {cpu: _integer(text) for cpu, text in _per_cpu(files, "cpufreq/scaling_cur_freq").items()}
    zones: dict[str, float] = {}
    for path, text in sorted(files.items()):
        if not path.endswith("/temp") or "thermal_zone" not in path:
            continue
        value = _number(text)
        if value is None:
            continue
        celsius = value / 1000 if abs(value) >= 1000 else value  # millidegrees, on some phones degrees
        name = files.get(path.removesuffix("temp") + "type", "").strip() or path.split("/")[-2]
        if PLAUSIBLE_C[0] <= celsius <= PLAUSIBLE_C[1] and celsius != 0:
            zones[name] = max(celsius, zones.get(name, celsius))
    per_cluster = [[khz for cpu in cluster.cpus if (khz := clock.get(cpu))] for cluster in clusters]
    return MachineState(tuple(max(khz) / 1000 if khz else None for khz in per_cluster), zones)


def parse_cpu_list(text: str) -> tuple[int, ...]:
    """The kernel's form of a set of CPUs: `0-3,6`. Raises ValueError, also for more than any machine has."""
    cpus: list[int] = []
    for part in text.split(","):
        first, _, last = part.strip().partition("-")
        if max(int(first), int(last or first)) >= MOST_CPUS:
            raise ValueError(f"CPU {part}")
        cpus += range(int(first), int(last or first) + 1)
    return tuple(cpus)


def _clusters(files: Mapping[str, str]) -> tuple[Cluster, ...]:
    """Cores with the same highest clock and capacity; one cluster where the kernel tells neither."""
    max_khz = _per_cpu(files, "cpufreq/cpuinfo_max_freq")
    capacity = _per_cpu(files, "cpu_capacity")
    governor = _per_cpu(files, "cpufreq/scaling_governor")
    try:
        cpus = set(parse_cpu_list(files.get(f"{CPU}/present", "")))
    except ValueError:
        cpus = set()
    kinds: dict[tuple[int | None, int | None], list[int]] = {}
    for cpu in sorted(cpus | set(max_khz) | set(capacity)):
        kinds.setdefault((_integer(capacity.get(cpu)), _integer(max_khz.get(cpu))), []).append(cpu)
    ordered = sorted(kinds.items(), key=lambda kind: (kind[0][0] or 0, kind[0][1] or 0))
    return tuple(
        Cluster(
            tuple(members), khz / 1000 if khz else None, size, governor.get(members[0], "").strip() or None
        )
        for (size, khz), members in ordered
    )


def _per_cpu(files: Mapping[str, str], name: str) -> dict[int, str]:
    pattern = re.compile(rf"{CPU}/cpu(\d+)/{re.escape(name)}")
    return {int(match[1]): text for path, text in files.items() if (match := pattern.fullmatch(path))}


def _cpu_model(cpuinfo: str) -> str | None:
    """The name that x86 prints ("model name") or Arm ("Hardware", "Model"), else Arm's part numbers."""
    for name in ("model name", "Hardware", "Model"):
        match = re.search(rf"^{name}\s*:\s*(\S.*)$", cpuinfo, re.MULTILINE)
        if match:
            return match[1].strip()
    parts = sorted(set(re.findall(r"^CPU part\s*:\s*(\S+)", cpuinfo, re.MULTILINE)))
    return f"CPU part {', '.join(parts)}" if parts else None


def _dumped_battery(dump: str) -> Battery | None:
    """`dumpsys battery`: level, temperature in tenths of a degree, and what powers the device."""
    fields = dict(re.findall(r"^\s*([A-Za-z ]+): *(\S+)\s*$", dump, re.MULTILINE))
    level, temperature = _integer(fields.get("level")), _number(fields.get("temperature"))
    powered = [fields[name] == "true" for name in fields if name.endswith(" powered")]
    if level is None and temperature is None and not powered:
        return None
    return Battery(
        level, any(powered) if powered else None, None if temperature is None else temperature / 10
    )


def _sysfs_battery(files: Mapping[str, str]) -> Battery | None:
    """The first power supply that has a level."""
    for path, text in sorted(files.items()):
        if path.startswith("/sys/class/power_supply/") and path.endswith("/capacity"):
            folder = path.removesuffix("capacity")
            status = files.get(f"{folder}status", "").strip()
            temperature = _number(files.get(f"{folder}temp"))
            charging = {"Charging": True, "Full": True, "Not charging": True, "Discharging": False}.get(
                status
            )
            return Battery(_integer(text), charging, None if temperature is None else temperature / 10)
    return None


def _screen_on(power: str) -> bool | None:
    """`dumpsys power`: the wakefulness of newer Androids, the display's state of older ones."""
    match = re.search(r"mWakefulness=(\w+)|Display Power: state=(\w+)", power)
    return None if match is None else (match[1] or match[2]).lower() in ("awake", "on")


def _integer(text: str | None) -> int | None:
    number = _number(text)
    return None if number is None else int(number)


def _number(text: str | None) -> float | None:
    """A finite number; None for anything else."""
    found = re.fullmatch(r"\s*(-?\d{1,15}(?:\.\d+)?)\s*", text or "")
    return float(found[1]) if found else None
