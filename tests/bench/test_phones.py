"""`ptq bench` on phones that are not there: the real adb program, the real benchmark_bin of each ABI, a stand-in between."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from ptq_cli.main import run
from ptq_core.bench.devices.adb_client import Adb
from ptq_core.bench.devices.phone import Phone
from ptq_core.bench.pipeline import bench
from ptq_core.bench.report import DeviceReport, StopRule
from ptq_core.errors import DeviceError
from tests.standin.fixtures import Plug
from tests.standin.server import AdbServer
from tests.standin.tree import cpu_halves

pytestmark = pytest.mark.needs("qemu", "phones")

Models = tuple[Path, Path]


def measure(models: Models, **settings: Any) -> DeviceReport:
    """The only device's report of two quick cases."""
    quick: dict[str, Any] = {"device": "auto", "threads": (1, 2), "warmup": 1, "repeats": 3, **settings}
    (device,) = bench(fp32=models[0], int8=models[1], **quick).devices
    assert device.error is None
    assert len(device.cases) == len(quick["threads"])
    return device


def outputs(device: DeviceReport) -> set[tuple[str, str | None]]:
    return {(model.precision, model.outputs) for case in device.cases for model in case.models}


def test_two_phones_at_once(
    plug: Plug,
    adb_server: AdbServer,
    digits_models: Models,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    arm = plug("arm64-v8a", "--cpu=cortex-a76", "--model=Arm Phone")
    x86 = plug("x86_64", "--model=Intel Phone")
    flags = [
        f"--fp32={digits_models[0]}",
        f"--int8={digits_models[1]}",
        "--threads=1,2",
        "--warmup=1",
        "--repeats=3",
    ]
    files = [f"--json={tmp_path / 'b.json'}", f"--result-filename={tmp_path / 'res.txt'}"]
    assert run(["bench", "--device=all", *flags, *files]) == 0
    printed = capfd.readouterr()
    assert f"{arm.serial}: Arm Phone" in printed.out
    assert f"{x86.serial}: Intel Phone" in printed.out
    assert printed.out.count("INT8 outputs: identical to this machine's") == 2
    assert printed.err == ""
    assert len((tmp_path / "res.txt").read_text(encoding="utf-8").splitlines()) == 8
    little, big = cpu_halves()
    saved = json.loads((tmp_path / "b.json").read_text(encoding="utf-8"))["devices"]
    devices = {device["device"]: device for device in saved}
    assert set(devices) == {arm.serial, x86.serial}
    for phone, abi, feature in ((arm, "arm64-v8a", "dotprod"), (x86, "x86_64", "scalar")):
        device = devices[phone.serial]
        assert device["error"] is None
        context = device["context"]
        assert (context["abi"], context["android_version"], context["sdk"]) == (abi, "14", 34)
        assert context["soc"] == f"SoC of {context['model']}"
        assert context["battery"] == {"level_percent": 87, "charging": True, "temperature_c": 31.2}
        assert (context["airplane_mode"], context["screen_on"]) == (True, False)
        assert [case["threads"] for case in device["cases"]] == [1, 2]
        for case in device["cases"]:
            assert (case["power_mode"], case["cpus"], case["abi"]) == ("big", big, abi)
            assert feature in case["cpu_features"].split()
            assert case["after"]["temperatures_c"] == {"cpu": 41.0}
            fp32, int8 = case["models"]
            assert int8["outputs"] == "identical"
            assert fp32["outputs"] in ("identical", "close")
            assert 0 < int8["peak_rss_bytes"] <= case["peak_rss_bytes"]
        assert adb_server.adb("-s", device["device"], "shell", "ls", "/data/local/tmp") == ""
    if little != big:
        assert [cluster["cpus"] for cluster in devices[arm.serial]["context"]["clusters"]] == [little, big]


@pytest.mark.parametrize(
    ("abi", "cpu", "features"),
    [("arm64-v8a", "cortex-a53", "scalar neon"), ("armeabi-v7a", "cortex-a7", "scalar neon")],
)
def test_cores_without_dot_product(
    plug: Plug, digits_models: Models, abi: str, cpu: str, features: str
) -> None:
    plug(abi, f"--cpu={cpu}")
    device = measure(digits_models, threads=(1,), power_mode="little")
    assert device.cases[0].cpu_features == features
    assert ("int8", "identical") in outputs(device)
    assert list(device.cases[0].cpus) == cpu_halves()[0]


def test_a_phone_before_android_7(plug: Plug, digits_models: Models) -> None:
    plug("x86_64", "--old")
    device = measure(digits_models)
    assert device.context is not None
    assert (device.context.android_version, device.context.soc) == ("5.1", "standin")
    assert ("int8", "identical") in outputs(device)


def test_onnx_models_are_optimized_for_the_phone(plug: Plug, digits: Path) -> None:
    phone = plug()
    (device,) = bench(
        fp32=digits / "model" / "model.onnx", device=phone.serial, warmup=0, stop=StopRule(50, 5), repeats=10
    ).devices
    (case,) = device.cases
    assert case.stopped in ("confidence", "max_seconds")
    assert len(case.models[0].samples_ms) >= 10
    assert case.models[0].outputs in ("identical", "close")


def test_what_is_there_is_not_pushed_again(
    plug: Plug, digits_models: Models, monkeypatch: pytest.MonkeyPatch, adb_server: AdbServer
) -> None:
    phone = plug()
    pushed: list[str] = []
    push = Adb.push

    def counted(adb: Adb, file: Path, path: str) -> None:
        pushed.append(file.name)
        push(adb, file, path)

    monkeypatch.setattr(Adb, "push", counted)
    measure(digits_models, keep=True)
    first, pushed[:] = list(pushed), []
    assert len(first) == len(set(first)) == 4  # program, two models, one picture for both
    measure(digits_models, keep=True)
    assert pushed == []
    adb_server.adb("-s", phone.serial, "shell", "for f in /data/local/tmp/ptq-*/*.nb; do echo >$f; done")
    measure(digits_models)
    assert sorted(pushed) == sorted(path.name for path in digits_models)
    assert adb_server.adb("-s", phone.serial, "shell", "ls", "/data/local/tmp") == ""


def test_a_server_that_flags_name(
    plug: Plug, adb_server: AdbServer, digits_models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    serial = plug().serial
    port = adb_server.environment["ANDROID_ADB_SERVER_PORT"]
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", "1")  # nobody is there
    device = measure(digits_models, device=serial, adb_host="127.0.0.1", adb_port=int(port))
    assert device.device == serial


def test_a_phone_without_any_checksum_program(
    plug: Plug, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    phone = plug()
    monkeypatch.setattr("ptq_core.bench.devices.remote.CHECKSUM_PROGRAMS", {})
    file = tmp_path / "a b"
    file.write_bytes(b"read back")
    with Phone(Adb("adb", phone.serial)) as device:
        assert device.pull(device.push(file), 100) == b"read back"


def test_arguments_streams_and_exit_codes_reach_the_phone(plug: Plug) -> None:
    phone = plug()
    for old in (False, True):
        serial = plug("x86_64", "--old").serial if old else phone.serial
        with Phone(Adb("adb", serial)) as device:
            odd = 'a\'b "c" $HOME `x` \\ *'
            said = device.run(["sh", "-c", 'echo "$1"; echo oops >&2; exit 7', "sh", odd], timeout_s=10)
            assert said.exit_code == 7
            assert said.stdout.splitlines()[0] == odd
            assert "oops" in (said.stdout if old else said.stderr)
            assert device.run(["sh", "-c", "kill -11 $$"], timeout_s=10).exit_code == -11
            assert device.pull("/data/local/tmp/nothing", 100) is None


def test_what_does_not_end_is_killed_on_the_phone(plug: Plug) -> None:
    phone = plug()
    with Phone(Adb("adb", phone.serial)) as device:
        with pytest.raises(DeviceError, match=r"did not finish within 0\.5 s"):
            device.run(["sleep", "7654321"], timeout_s=0.5)
        for _ in range(200):  # the shell around it has to notice
            processes = device.run(["ps", "-A", "-o", "ARGS"], timeout_s=10).stdout
            if "sleep 7654321" not in processes:
                break
            time.sleep(0.05)
    assert "ps -A" in processes
    assert "sleep 7654321" not in processes
