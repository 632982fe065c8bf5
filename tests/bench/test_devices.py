"""What needs no phone: adb's words, the choice of devices, checksums, properties."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from ptq_core.bench.devices.adb_client import Adb, find_adb
from ptq_core.bench.devices.adb_discovery import STATES, Found, choose_automatically, parse_devices
from ptq_core.bench.devices.checksums import CHECKSUM_PROGRAMS, answers
from ptq_core.bench.devices.phone import choose_abi, parse_properties
from ptq_core.bench.devices.process import Finished, FloodError, run_process
from ptq_core.bench.devices.selection import select_devices
from ptq_core.bench.devices.shell import quote
from ptq_core.errors import DeviceError, InputError
from tests.needs import need, not_here

LISTED = """\
* daemon not running; starting now at tcp:5037
* daemon started successfully
List of devices attached
R58M123ABC             device usb:1-2 product:beyond1 model:SM_G973F device:beyond1 transport_id:3
192.168.1.5:5555       offline transport_id:4
emulator-5554          unauthorized transport_id:5
????????????           no permissions (user in plugdev group; are your udev rules wrong?); see [http://x] usb:1-4 transport_id:6

"""


def test_the_list_of_devices() -> None:
    found = parse_devices(LISTED)
    assert [(phone.serial, phone.state) for phone in found] == [
        ("R58M123ABC", "device"),
        ("192.168.1.5:5555", "offline"),
        ("emulator-5554", "unauthorized"),
        ("????????????", "no permissions"),
    ]
    assert [phone.ready for phone in found] == [True, False, False, False]
    assert choose_automatically(found) == "R58M123ABC"
    assert parse_devices("") == ()


@pytest.mark.parametrize("state", [*STATES, "dreaming"])
def test_every_state_has_a_next_step(state: str) -> None:
    refusal = Found("R58M", state, "").refusal()
    assert "R58M" in refusal.problem
    assert refusal.exit_code == 3
    assert refusal.fix


def test_a_phone_that_cannot_be_used_is_not_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANDROID_SERIAL", raising=False)
    assert choose_automatically(()) is None
    with pytest.raises(DeviceError, match="no permission") as caught:
        choose_automatically((Found("R58M", "no permissions", ""),))
    assert "udev" in caught.value.fix


@pytest.mark.parametrize(
    ("stderr", "said"),
    [
        ("adb: error: failed to copy 'a' to 'b': remote couldn't create file: No space left on device", "no space"),
        ("adb: error: failed to copy 'a' to 'b': remote couldn't create file: Permission denied", "cannot be written"),
        ("error: device 'R58M' not found", "connection to R58M broke"),
        ("adb: error: failed to copy 'a' to 'b': couldn't read from device", "connection to R58M broke"),
        ("error: device unauthorized.\nThis adb server's $ADB_VENDOR_KEYS is not set", "no longer accepts"),
        ("error: closed", "connection to R58M broke"),
        ("adb: something new", "R58M: something new"),
        ("", "R58M: adb said nothing"),
    ],
)  # fmt: skip
def test_what_adb_says_becomes_an_error(stderr: str, said: str) -> None:
    error = Adb("adb", "R58M").trouble(Finished(1, "", stderr))
    assert said in error.problem
    assert error.fix


def test_adb_is_found_where_the_user_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_sdk = tmp_path / "sdk" / "platform-tools" / "adb"
    in_sdk.parent.mkdir(parents=True)
    for path in (in_sdk, tmp_path / "mine"):
        path.write_text("#!/bin/sh\n", encoding="utf-8")
        path.chmod(0o755)
    for name in ("ADB", "ANDROID_HOME", "ANDROID_SDK_ROOT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    with pytest.raises(DeviceError, match="there is no adb") as caught:
        find_adb()
    assert "apt install adb" in caught.value.fix
    assert select_devices("auto").note == "there is no adb on this machine: measuring here, not on a phone"
    monkeypatch.setenv("ANDROID_HOME", str(tmp_path / "sdk"))
    assert find_adb().program == str(in_sdk)
    monkeypatch.setenv("ADB", str(tmp_path / "gone"))
    for wanted in ("auto", "R58M"):
        with pytest.raises(DeviceError, match="gone is no program"):
            select_devices(wanted)
    assert find_adb(str(tmp_path / "mine")).program == str(tmp_path / "mine")


def test_several_devices() -> None:
    local, max_core, a7 = select_devices("local, qemu:max,sve=off,qemu:cortex-a7").devices
    assert [device.name for device in (local, max_core, a7)] == [
        "local",
        "qemu:max,sve=off",
        "qemu:cortex-a7",
    ]
    assert (local.is_local, local.is_emulated, local.runs_here) == (True, False, True)
    assert (a7.is_local, a7.is_emulated, a7.runs_here) == (False, True, True)


def test_a_phone_is_a_device_before_it_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ptq_core.bench.devices.selection.find_adb", lambda *_given: Adb("adb"))
    monkeypatch.setattr("ptq_core.bench.devices.selection.list_devices", lambda _adb: parse_devices(LISTED))
    phones = select_devices("192.168.1.5:5555,all").devices  # a serial with a colon is a serial
    assert [phone.name for phone in phones] == [
        "192.168.1.5:5555",
        "R58M123ABC",
        "emulator-5554",
        "????????????",
    ]
    assert {(phone.is_local, phone.is_emulated, phone.runs_here) for phone in phones} == {(False,) * 3}
    assert {phone.default_power_mode for phone in phones} == {"big"}
    with pytest.raises(DeviceError, match="is offline"):
        phones[0].open()


@pytest.mark.parametrize("wanted", ["", "local,", "local,local"])
def test_a_wrong_list_of_devices(wanted: str) -> None:
    with pytest.raises(InputError, match="`device="):
        select_devices(wanted)


@pytest.mark.parametrize("cpu", ["cortex-a1000", ""])
def test_a_cpu_that_qemu_does_not_have(cpu: str) -> None:
    need("qemu")
    with pytest.raises(InputError, match="`device=qemu:") as caught:
        select_devices(f"qemu:{cpu}").devices[0].open()
    assert "cortex-a53" in caught.value.fix


@pytest.mark.parametrize("program", CHECKSUM_PROGRAMS)
@pytest.mark.parametrize("size", [0, 1, 255, 70_000])
def test_checksums_are_those_of_the_programs(program: str, size: int, tmp_path: Path) -> None:
    if shutil.which(program) is None:
        not_here(f"no {program}")
    data = os.urandom(size)
    file = tmp_path / "file"
    file.write_bytes(data)
    printed = subprocess.run([program, str(file)], capture_output=True, text=True, check=True).stdout
    assert answers(program, printed, data)
    assert not answers(program, printed, data + b"\0")
    assert not answers(program, "no such file", data)


def test_properties_and_abis() -> None:
    properties = parse_properties(
        "[ro.product.cpu.abilist]: [arm64-v8a,armeabi-v7a]\n[empty]: []\r\ngarbage\n"
    )
    assert properties == {"ro.product.cpu.abilist": "arm64-v8a,armeabi-v7a", "empty": ""}
    assert choose_abi("R58M", properties) == "arm64-v8a"
    assert choose_abi("R58M", {"ro.product.cpu.abi": "armeabi-v7a"}) == "armeabi-v7a"
    assert choose_abi("R58M", {"ro.product.cpu.abilist": "x86_64,arm64-v8a"}) == "x86_64"
    for abilist in ("x86", "riscv64", ""):
        with pytest.raises(DeviceError, match="R58M runs programs for"):
            choose_abi("R58M", {"ro.product.cpu.abilist": abilist})


def test_quoting_is_undone_by_a_shell() -> None:
    odd = ["a b", "", "it's", "$HOME", "`x`", "\\", "*", "ü\n"]
    finished = run_process(["sh", "-c", f"printf '%s|' {quote(*odd)}"], timeout_s=10)
    assert finished.stdout == "".join(f"{word}|" for word in odd)


ENDLESS = "while echo 0123456789abcdef0123456789abcdef; do :; done"


@pytest.mark.parametrize("stream", ["1", "2"])
def test_a_process_that_prints_without_end_is_killed(stream: str) -> None:
    with pytest.raises(FloodError):
        run_process(["sh", "-c", f"({ENDLESS}) >&{stream}"], timeout_s=60)


def test_a_process_that_writes_a_file_without_end_is_killed(tmp_path: Path) -> None:
    script = f"sleep 0.2; exec >{tmp_path / 'file'}; {ENDLESS}"
    finished = run_process(["sh", "-c", script], timeout_s=60, most_file_bytes=1 << 16)
    assert finished.exit_code == -signal.SIGXFSZ
    assert (tmp_path / "file").stat().st_size <= 1 << 16


LIES = {
    "devices": (
        "while echo R58M device; do :; done",
        "select",
        r"the answer to `adb devices` is larger than",
    ),
    "shell": ("while echo nothing; do :; done", "run", r"R58M: the answer to `adb shell` is larger than"),
    "pull": (
        'for last; do :; done; sleep 0.2; exec head -c 3000000 /dev/zero >"$last"',
        "pull",
        r"R58M: /x is larger than 1000",
    ),
}
"""What adb is asked → how it answers, who asks, what the user reads."""


@pytest.mark.parametrize("asked", LIES)
def test_an_adb_that_lies_takes_no_memory_and_no_disk(asked: str, tmp_path: Path) -> None:
    answer, who, said = LIES[asked]
    adb = tmp_path / "adb"
    adb.write_text(f'#!/bin/sh\ncase "$*" in *{asked}*) {answer} ;; esac\n')
    adb.chmod(0o755)
    with pytest.raises(DeviceError, match=said):
        ask(who, adb)


def ask(who: str, adb: Path) -> None:
    phone = Adb(str(adb), "R58M")
    if who == "select":
        select_devices("all", adb=str(adb))
    elif who == "run":
        phone.run("true")
    else:
        phone.pull("/x", 1000)


def test_a_server_that_cannot_be_reached_is_no_cable() -> None:
    need("adb")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        with pytest.raises(DeviceError, match=r"adb's server cannot be reached: .*127\.0\.0\.1") as caught:
            select_devices("all", adb_host="127.0.0.1", adb_port=port)
    assert "adb_port=" in caught.value.fix


def test_a_process_that_does_not_end_is_killed_with_its_children() -> None:
    with pytest.raises(TimeoutError):
        run_process(["sh", "-c", "sleep 60 & sleep 60"], timeout_s=0.2)
