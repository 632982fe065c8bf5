"""The first tries of every attack are clean; a fault of any kind is seen; the runtime's memory stays flat for seconds."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import onnx
import pytest

from benchmarks.performance_doc import replace_table
from ptq_cli import main
from tests.attack import __main__ as program
from tests.attack import world
from tests.attack.attacks import ATTACKS, READ
from tests.attack.campaign import Campaign, Tally
from tests.attack.judge import all_files, judge
from tests.attack.nest import End, Nest, Order
from tests.attack.soak import Soak
from tests.models import mobile_block

TRIES = 4
"""Of each attack: about a minute in all."""

FINE = End(code=0, seconds=0.1, peak_bytes=1, hung=False, left=False)
SAID = "error: no\n"


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Campaign]:
    folder = tmp_path_factory.mktemp("attack")
    with Campaign(folder / "run", program.SEED, folder / "failed") as made:
        yield made


@pytest.mark.needs("runtime")
@pytest.mark.parametrize("name", ATTACKS)
def test_first_tries(campaign: Campaign, name: str) -> None:
    tally = Tally()
    for number in range(TRIES):
        campaign.attempt(name, number, tally)
    assert tally.failures == []
    assert tally.tries == TRIES


def test_every_command_is_attacked() -> None:
    assert {words[0] for words, _ in world.COMMANDS.values()} == set(main.COMMANDS)
    assert set(world.COMMANDS) == set(READ)


@pytest.mark.parametrize(
    ("end", "out", "err", "files", "wrong"),
    [
        (FINE, "fine\n", "", {}, []),
        (replace(FINE, code=2), "", SAID, {}, []),
        (replace(FINE, code=2), "", '{"event": "error", "problem": "no"}\n', {}, []),
        (replace(FINE, code=1), "", SAID, {}, ["ended with 1"]),
        (replace(FINE, code=-11), "", "", {}, ["ended with -11"]),
        (replace(FINE, code=-9, hung=True), "", "", {}, ["hung for 0 s"]),
        (replace(FINE, left=True), "", "", {}, ["left a process behind"]),
        (replace(FINE, code=3), "", "oh\n", {}, ["said nothing of an error"]),
        (FINE, "a\x1b[2J\n", "", {}, [r"stdout has 'a\x1b[2J'"]),
        (FINE, "", "a\rb\n", {}, [r"stderr has 'a\rb'"]),
        (replace(FINE, code=2), "", SAID + "Traceback (most recent", {}, ["said 'Traceback'"]),
        (replace(FINE, code=2), "", SAID + "x" * 200_000, {}, ["printed 200010 bytes"]),
        (FINE, "", "", {"m.nb": b"PTQ"}, ["m.nb is half-written"]),
        (FINE, "", "", {"m.onnx": b"\x08"}, ["m.onnx is half-written"]),
        (FINE, "", "", {"e.json": b"{"}, ["e.json is half-written"]),
        (FINE, "", "", {".m.ptq-tmp-01234567": b""}, ["left .m.ptq-tmp-01234567"]),
    ],
)
def test_a_fault_is_seen(
    tmp_path: Path, end: End, out: str, err: str, files: dict[str, bytes], wrong: Sequence[str]
) -> None:
    (tmp_path / "in" / "out").mkdir(parents=True)
    (tmp_path / "stdout").write_text(out, newline="")
    (tmp_path / "stderr").write_text(err, newline="")
    for name, data in files.items():
        (tmp_path / "in" / "out" / name).write_bytes(data)
    got = judge(end, tmp_path / "in", codes={0, 2, 3}, makes=(), before={})
    assert [words[: len(start)] for words, start in zip(got, wrong, strict=True)] == list(wrong)


def test_a_missing_output_is_seen(tmp_path: Path) -> None:
    (tmp_path / "in" / "out").mkdir(parents=True)
    for name in ("stdout", "stderr"):
        (tmp_path / name).touch()
    got = judge(FINE, tmp_path / "in", codes={0}, makes=("out/m.nb",), before={})
    assert got == ["did not make out/m.nb"]


def test_the_nest_sees_how_a_command_ends(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    onnx.save(mobile_block(), str(folder / "m.onnx"))
    with Nest() as nest:
        assert nest.run(Order(["show", "m.onnx"], str(folder))).code == 0
        assert b"Conv" in (tmp_path / "stdout").read_bytes()
        assert nest.run(Order(["show", "nothing"], str(folder))).code == 2
        assert (tmp_path / "stderr").read_bytes().startswith(b"error: ")
        assert nest.run(Order(["show", "m.onnx"], str(folder), stdout="full")).code == 3
        assert nest.run(Order(["show", "m.onnx"], str(folder), stdout="broken")).code == 141
        stopped = nest.run(Order(["show", "m.onnx"], str(folder), stop=int(signal.SIGKILL)))
        assert stopped.code == -signal.SIGKILL
        assert nest.run(Order(["show", "m.onnx"], str(folder), most_s=0.001)).hung
        assert nest.run(Order(["show", "m.onnx"], str(folder), limits={"RLIMIT_AS": 0})).code in (0, 3)
        assert nest.run(Order(["show", "m.onnx"], str(folder), limits={"RLIMIT_NOFILE": 3})).code == 3


@pytest.mark.needs("runtime")
def test_a_soak_of_seconds(digits_flat: bytes) -> None:
    record = Soak(digits_flat).run(1.0, 200)
    assert record.wrong == []
    assert record.contexts >= 200
    assert record.forks >= 4


@pytest.mark.needs("runtime")
def test_a_leak_is_seen(digits_flat: bytes) -> None:
    soak, kept = Soak(digits_flat), []

    def leak() -> None:
        kept.append(bytearray(2_000_000))
        Soak._measure(soak)

    soak._measure = leak  # type: ignore[method-assign]
    assert any("memory grew" in words for words in soak.run(0.5, 100).wrong)


@pytest.fixture(scope="module")
def digits_flat(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    from ptq_core.optimize.pipeline import optimize

    folder = tmp_path_factory.mktemp("soak")
    onnx.save(mobile_block(), str(folder / "m.onnx"))
    optimize(folder / "m.onnx", folder / "m.nb", targets=("host",), verify=False)
    return (folder / "m.nb").read_bytes()


def test_the_tables_have_a_place() -> None:
    page = program.PAGE.read_text(encoding="utf-8")
    tallies = {name: Tally(Counter({0: 3, 2: 4, -9: 1})) for name in ATTACKS}
    tallies["yaml"].failures.append((3, "quantize: ended with 1"))
    table = program.attack_table(tallies, 1, 7)
    assert "- yaml 3: `quantize: ended with 1`" in replace_table(page, "attack", table)
    assert f"| all {' ' * 0}" in table
    assert replace_table(page, "soak", "x")
    assert max(map(len, table.splitlines())) <= 120, "lines of pages have at most 120 characters"


@pytest.mark.needs("runtime")
@pytest.mark.parametrize("name", ATTACKS)
def test_a_try_is_the_same_again(campaign: Campaign, name: str) -> None:
    (first, folder) = campaign.prepared(name, 3)
    files = all_files(folder)
    (again, _) = campaign.prepared(name, 3)
    assert first == again
    assert all_files(folder) == files
