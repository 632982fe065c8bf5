"""Another transport is one class: a stand-in that reaches a "board" through `sh` is measured like any device."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ptq_core.bench.context import Facts
from ptq_core.bench.devices import selection
from ptq_core.bench.devices.device import Device
from ptq_core.bench.devices.process import Finished, run_process
from ptq_core.bench.devices.remote import RemoteDevice
from ptq_core.bench.devices.shell import SHORT_S, SilenceError, Trouble, explain
from ptq_core.bench.pipeline import bench
from ptq_core.errors import DeviceError
from tests.bench.conftest import Fake

BROKEN = Trouble("no such host", "the way to {name} is broken: {said}", "it must be there", "plug it in")


class LocalShell:
    """`sh` of this machine as if it were another's. With ``damage`` what is pushed loses its last byte."""

    name = "board"

    def __init__(self, scratch: Path, *, damage: bool = False) -> None:
        self.scratch, self.damage = str(scratch), damage

    def run(self, command: str, *, timeout_s: float = SHORT_S) -> Finished:
        try:
            return run_process(["sh", "-c", command], timeout_s=timeout_s)
        except TimeoutError:
            raise SilenceError("board is silent", rule="it must answer", fix="wake it") from None

    def push(self, file: Path, path: str) -> None:
        if self.damage:
            Path(path).write_bytes(file.read_bytes()[:-1])
        else:
            shutil.copy(file, path)

    def pull(self, path: str, most_bytes: int) -> bytes | None:
        return Path(path).read_bytes() if Path(path).exists() else None

    def trouble(self, finished: Finished) -> DeviceError:
        said = finished.stderr.strip()
        return explain(self.name, said, [], [BROKEN]) or DeviceError(said, rule="it must work", fix="look")


class Board(RemoteDevice):
    def _find_abi(self) -> str:
        return "host"

    def _facts(self, files: dict[str, str]) -> Facts:
        return Facts(files=files, kernel=self._ask("uname -r"), power=self._ask("no_such_program"))


@pytest.fixture
def board(tmp_path: Path) -> Iterator[RemoteDevice]:
    (tmp_path / "there").mkdir()
    with Board(LocalShell(tmp_path / "there")) as opened:
        yield opened


def test_a_device_over_another_transport_is_measured(
    fake_benchmark_bin: Fake, models: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def make(_phones: selection.Phones, place: str) -> tuple[Device, ...]:
        return (Device(f"board:{place}", lambda: Board(LocalShell(Path(place))), default_power_mode="all"),)

    monkeypatch.setattr(selection, "KINDS", ((r"board:(.*)", make), *selection.KINDS))
    there = tmp_path / "there"
    there.mkdir()
    (device,) = bench(fp32=models[0], int8=models[1], device=f"board:{there}", repeats=3).devices
    assert (device.device, device.error) == (f"board:{there}", None)
    (case,) = device.cases
    assert case.speed_up is not None
    assert case.power_mode == "all"
    assert device.context is not None
    assert device.context.kernel
    assert list(there.iterdir()) == []  # cleaned up


def test_files_arrive_whole_and_once(
    board: RemoteDevice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "a b.bin"
    file.write_bytes(b"content")
    path = board.push(file)
    assert board.pull(path, 100) == b"content"
    monkeypatch.delattr(LocalShell, "push")
    assert board.push(file) == path
    assert board.pull("/no/such/file", 100) is None


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "file").write_bytes(b"content")
    with (
        Board(LocalShell(tmp_path / "there", damage=True)) as board,
        pytest.raises(DeviceError, match="file arrived damaged on board"),
    ):
        board.push(tmp_path / "file")


def test_what_does_not_end_is_killed(board: RemoteDevice) -> None:
    started = time.monotonic()
    with pytest.raises(DeviceError, match=r"did not finish within 0\.3 s"):
        board.run(["sleep", "7654322"], timeout_s=0.3)
    assert time.monotonic() - started < 10


def test_a_folder_that_cannot_be_made_is_the_transports_to_explain(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DeviceError, match="Not a directory"), Board(LocalShell(tmp_path / "file")):
        pass


def test_words_of_a_transport_become_errors() -> None:
    error = explain("board", "ssh: No such host", [], [BROKEN])
    assert error is not None
    assert (error.problem, error.fix) == ("the way to board is broken: ssh: No such host", "plug it in")
    assert explain("board", "something else", [], [BROKEN]) is None
