"""What the user sees when a phone misbehaves, and that no finished result is lost."""

from __future__ import annotations

import json
import signal
import threading
from pathlib import Path

import pytest

from ptq_cli.main import run
from ptq_core.bench.devices.adb_client import Adb
from ptq_core.bench.pipeline import bench
from ptq_core.errors import DeviceError
from ptq_core.runtime import RUNTIME_DIR_VARIABLE, runtime_folder
from tests.standin.fixtures import Plug
from tests.standin.server import AdbServer

Models = tuple[Path, Path]


@pytest.mark.parametrize(
    ("fault", "said", "fix"),
    [
        ("dies_while_pushing", "the connection to {serial} broke", "check cable"),
        ("no_space", "{serial}: no space left in /data/local/tmp", "delete files there"),
        ("damages_files", "benchmark_bin arrived damaged on {serial}", "another cable"),
        ("hangs", "benchmark_bin did not finish within 3 s", "raise `timeout_s=`"),
        ("answers_garbage", "Segmentation fault' is not JSON", "make runtime"),
        ("answers_nothing", "{serial} did not answer within 2 s to `adb shell`", "awake"),
        ("unauthorized", "phone {serial} is unauthorized", "confirm `Allow USB debugging?`"),
    ],
)
def test_a_fault_before_the_first_result(
    plug: Plug, digits_models: Models, monkeypatch: pytest.MonkeyPatch, fault: str, said: str, fix: str
) -> None:
    if fault == "answers_nothing":
        monkeypatch.setattr(Adb.run, "__kwdefaults__", {"timeout_s": 2.0})
    phone = plug("x86_64", f"--fault={fault}")
    with pytest.raises(DeviceError) as caught:
        bench(fp32=digits_models[0], device=phone.serial, warmup=1, repeats=3, timeout_s=3)
    assert said.format(serial=phone.serial) in caught.value.problem
    assert fix in caught.value.fix
    assert caught.value.exit_code == 3


def test_a_cable_that_comes_off_between_cases_loses_one_case(
    plug: Plug, digits_models: Models, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    dying, healthy = plug("x86_64", "--fault=dies_between_cases"), plug()
    flags = [f"--int8={digits_models[1]}", "--threads=1,2", "--warmup=1", "--repeats=3"]
    devices = f"--device={dying.serial},{healthy.serial}"
    assert run(["bench", *flags, devices, f"--json={tmp_path / 'b.json'}"]) == 3
    printed = capfd.readouterr()
    assert printed.out.count("INT8 int8.nb") == 3
    assert f"error: {dying.serial}: the connection to {dying.serial} broke" in printed.err
    assert "next: check cable" in printed.err
    saved = json.loads((tmp_path / "b.json").read_text(encoding="utf-8"))["devices"]
    assert [[case["threads"] for case in device["cases"]] for device in saved] == [[1], [1, 2]]
    assert saved[0]["error"].startswith("the connection to")
    assert saved[1]["error"] is None


def test_a_phone_that_throttles_is_told_of(plug: Plug, digits_models: Models) -> None:
    plug("x86_64", "--fault=throttles")
    (device,) = bench(int8=digits_models[1], device="auto", warmup=1, repeats=3).devices
    (case,) = device.cases
    before, after = case.before.clock_mhz[-1], case.after.clock_mhz[-1]
    assert before is not None
    assert after == before / 2
    assert case.after.temperatures_c == {"cpu": 83.0}
    assert "throttled" in {warning.code for warning in device.warnings}


def test_a_phone_that_nothing_is_built_for(plug: Plug, digits_models: Models) -> None:
    plug("x86")
    with pytest.raises(DeviceError, match="runs programs for x86") as caught:
        bench(int8=digits_models[1], device="auto")
    assert "arm64-v8a" in caught.value.rule


def test_a_program_that_is_not_built(
    plug: Plug, digits_models: Models, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    phone = plug()
    (tmp_path / "runtime").mkdir()
    (tmp_path / "runtime" / "host").symlink_to(runtime_folder("host"))
    monkeypatch.setenv(RUNTIME_DIR_VARIABLE, str(tmp_path / "runtime"))
    with pytest.raises(DeviceError, match="no benchmark_bin for x86_64") as caught:
        bench(int8=digits_models[1], device=phone.serial)
    assert "make runtime-all" in caught.value.fix


def test_a_phone_that_is_gone(plug: Plug, adb_server: AdbServer, digits_models: Models) -> None:
    phone = plug()
    phone.unplug()
    with pytest.raises(DeviceError, match=f"phone {phone.serial} is offline"):
        bench(int8=digits_models[1], device=phone.serial)
    adb_server.adb("disconnect", phone.serial)
    with pytest.raises(DeviceError, match=f"no phone {phone.serial} is connected"):
        bench(int8=digits_models[1], device=phone.serial)
    with pytest.raises(DeviceError, match="no phone is connected"):
        bench(int8=digits_models[1], device="all")


def test_the_automatic_choice(
    plug: Plug, digits_models: Models, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    flags = ["bench", f"--int8={digits_models[1]}", "--warmup=0", "--repeats=1"]
    assert run(flags) == 0
    printed = capfd.readouterr()
    assert printed.err == "adb sees no phone: measuring on this machine\n"
    assert printed.out.startswith("local: ")
    first = plug("x86_64", "--model=First")
    assert run(flags) == 0
    assert capfd.readouterr().out.startswith(f"{first.serial}: First")
    second = plug("x86_64", "--model=Second")
    assert run(flags) == 3
    said = capfd.readouterr().err
    listed = sorted((f"{first.serial} (device, First)", f"{second.serial} (device, Second)"))
    assert f"2 phones are connected: {', '.join(listed)}" in said
    assert "--device all" in said
    monkeypatch.setenv("ANDROID_SERIAL", second.serial)
    assert run(flags) == 0
    assert capfd.readouterr().out.startswith(f"{second.serial}: Second")


def test_an_interrupt_ends_everything_on_the_phone(
    plug: Plug, adb_server: AdbServer, digits_models: Models
) -> None:
    phone = plug("x86_64", "--fault=hangs")
    main = threading.main_thread().ident
    assert main is not None

    def interrupt(*_progress: object) -> None:
        threading.Timer(1, signal.pthread_kill, (main, signal.SIGINT)).start()

    # a shell that starts the tests in the background lets them ignore it
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            bench(int8=digits_models[1], device=phone.serial, progress=interrupt)
    finally:
        signal.signal(signal.SIGINT, before)
    assert adb_server.adb("-s", phone.serial, "shell", "ls", "/data/local/tmp") == ""
