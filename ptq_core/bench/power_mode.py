"""The power mode: which CPUs the threads are kept on."""

from __future__ import annotations

from collections.abc import Sequence

from ptq_core.bench.context import Cluster, parse_cpu_list
from ptq_core.errors import DeviceError, InputError

PADDLE_LITE = {"0": "big", "1": "little", "2": "all", "3": "none"}
"""The numbers that Paddle-Lite's benchmark_bin takes."""

MODES = ("auto", "big", "little", "all", "none")


def parse_power_mode(text: str) -> str:
    """``text`` as one of MODES or a list of CPUs. Raises InputError."""
    mode = PADDLE_LITE.get(text, text)
    if mode in MODES:
        return mode
    try:
        if parse_cpu_list(mode):
            return mode
    except ValueError:
        pass
    raise InputError(
        f"`power_mode={text!r}`",
        rule="`power_mode=` takes auto, big, little, all, none or CPUs such as 4-7 or 4,6; a single 0, 1, 2 or 3 is"
        " Paddle-Lite's big, little, all, none",
        fix="for CPU 0 alone write 0-0",
    )


def cpus_of(mode: str, clusters: Sequence[Cluster]) -> tuple[int, ...]:
    """The CPUs of ``mode`` (parsed, not `auto`), the fastest first; none for `none`.

    `big` is every cluster but the slowest, so that prime cores count with the big ones; where all cores are of one kind, they
    are both big and little. Raises DeviceError if the device does not have them or tells no clusters.
    """
    if mode == "none":
        return ()
    known = [cpu for cluster in reversed(clusters) for cpu in cluster.cpus]
    if mode in MODES:
        if not clusters:
            raise DeviceError(
                f"`power_mode={mode}`: the device does not tell its CPUs",
                rule="big and little are found from /sys/devices/system/cpu",
                fix="use `power_mode=none`, or a list of CPUs",
            )
        chosen = {"big": list(clusters[1:]) or clusters, "little": clusters[:1], "all": clusters}[mode]
        return tuple(cpu for cluster in reversed(chosen) for cpu in cluster.cpus)
    wanted = parse_cpu_list(mode)
    missing = [cpu for cpu in wanted if known and cpu not in known]
    if missing:
        raise DeviceError(
            f"`power_mode={mode}`: the device has no CPU {missing[0]}",
            rule=f"its CPUs are {', '.join(map(str, sorted(known)))}",
            fix="name others, or use big, little or all",
        )
    return wanted
