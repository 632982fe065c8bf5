"""The machine's state from what it says of itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from ptq_core.bench.context import (
    CPU,
    Battery,
    Cluster,
    Facts,
    MachineState,
    device_context,
    machine_state,
    parse_cpu_list,
)
from ptq_core.bench.devices.local import read_files

X86 = "processor\t: 0\nmodel name\t: Some CPU @ 2.0GHz\nmodel\t: 5\n"
ARM = "processor\t: 0\nCPU part\t: 0xd41\n\nprocessor\t: 4\nCPU part\t: 0xd05\n"
BATTERY = "Current Battery Service state:\n  AC powered: false\n  USB powered: true\n  level: 87\n  temperature: 314\n"


@pytest.mark.parametrize(
    ("cpuinfo", "expected"), [(X86, "Some CPU @ 2.0GHz"), (ARM, "CPU part 0xd05, 0xd41"), ("", None)]
)
def test_the_name_of_the_cpu(cpuinfo: str, expected: str | None) -> None:
    assert device_context(Facts(files={"/proc/cpuinfo": cpuinfo}), abi="x").cpu_model == expected


def test_clusters_are_cores_of_one_kind_the_slowest_first() -> None:
    files = {f"{CPU}/present": "0-3\n"}
    for cpu, khz, capacity in ((0, 2800000, 1024), (1, 1800000, 400), (2, 1800000, 400), (3, 2800000, 1024)):
        files[f"{CPU}/cpu{cpu}/cpufreq/cpuinfo_max_freq"] = f"{khz}\n"
        files[f"{CPU}/cpu{cpu}/cpu_capacity"] = f"{capacity}\n"
    files[f"{CPU}/cpu0/cpufreq/scaling_governor"] = "performance\n"
    context = device_context(Facts(files=files), abi="arm64-v8a")
    assert context.cores == 4
    assert context.clusters == (
        Cluster((1, 2), 1800.0, 400, None),
        Cluster((0, 3), 2800.0, 1024, "performance"),
    )


def test_a_phone_says_who_it_is() -> None:
    facts = Facts(
        files={"/proc/loadavg": "1.25 0.50 0.10 2/300 4242\n"},
        properties={"ro.board.platform": "kona", "ro.build.version.sdk": "30", "ro.product.model": "Phone"},
        battery=BATTERY,
        power="  mWakefulness=Asleep\n",
        airplane_mode="1\n",
    )
    context = device_context(facts, abi="arm64-v8a")
    assert (context.soc, context.sdk, context.model, context.load_average) == ("kona", 30, "Phone", 1.25)
    assert context.battery == Battery(87, charging=True, temperature_c=31.4)
    assert (context.screen_on, context.airplane_mode) == (False, True)


@pytest.mark.parametrize("text", ["", "Can't find service: battery", "level: full\n temperature: -\n\x00"])
def test_what_cannot_be_read_is_none(text: str) -> None:
    facts = Facts(
        files={"/proc/loadavg": text, f"{CPU}/present": text}, battery=text, power=text, airplane_mode=text
    )
    context = device_context(facts, abi="x86")
    assert (context.battery, context.screen_on, context.airplane_mode, context.load_average) == (None,) * 4
    assert (context.clusters, context.cores) == ((), 1)


def test_clocks_and_temperatures() -> None:
    thermal = "/sys/class/thermal/thermal_zone"
    files = {
        f"{CPU}/cpu0/cpufreq/scaling_cur_freq": "1500000\n",
        f"{CPU}/cpu1/cpufreq/scaling_cur_freq": "1800000\n",
        **{f"{thermal}{index}/temp": f"{value}\n" for index, value in enumerate((45000, 47000, 31, -274000))},
        **{f"{thermal}{index}/type": "cpu\n" for index in (0, 1)},
    }
    clusters = (Cluster((0, 1), None, None, None), Cluster((2,), None, None, None))
    assert machine_state(files, clusters) == MachineState(
        (1800.0, None), {"cpu": 47.0, "thermal_zone2": 31.0}
    )


def test_files_are_read_below_a_folder(tmp_path: Path) -> None:
    file = tmp_path / "sys/class/power_supply/BAT0/capacity"
    file.parent.mkdir(parents=True)
    file.write_text("50\n", encoding="utf-8")
    (file.parent / "status").write_text("Discharging\n", encoding="utf-8")
    files = read_files(("/sys/class/power_supply/*/*", "/proc/none"), tmp_path)
    assert device_context(Facts(files=files), abi="x").battery == Battery(
        50, charging=False, temperature_c=None
    )


def test_lists_of_cpus() -> None:
    assert parse_cpu_list("0-2,7\n") == (0, 1, 2, 7)
    with pytest.raises(ValueError, match="invalid literal"):
        parse_cpu_list("big")
