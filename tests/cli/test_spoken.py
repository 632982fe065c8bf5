"""--quiet and --log-json, of every command: nothing for people, and every line of standard error for machines."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from ptq_cli.main import COMMANDS, load_command, run
from ptq_core.progress import meter
from tests.attack.nest import Nest
from tests.attack.world import COMMANDS as WORDS
from tests.attack.world import environment, make_world
from tests.models import mobile_block, save
from tests.test_schemas import schema

ASKED_FOR = ("opt operators", "opt kernels", "show", "show int8", "show flat", "show cache")
"""Commands that print what was asked for: --quiet does not hold for it."""

REFUSED: dict[str, Sequence[str]] = {
    "a file": ["show", "nothing.onnx"],
    "a flag": ["show", "--no-such-flag"],
    "a value": ["eval", "--threads", "x"],
    "a parameter": ["bench", "--max-seconds", "3", "--fp32", "m.nb"],
    "a saved failure": ["bench", "--from-json", "failed.json"],
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("spoken") / "in"
    with Nest() as nest:
        make_world(folder, nest)
    record = json.loads((folder / "b.json").read_text())
    record["devices"][0]["error"] = "it ended\nerror: none of it is true"
    (folder / "failed.json").write_text(json.dumps(record))
    return folder


@pytest.fixture
def folder(world: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(world)
    for name, value in environment(world).items():
        monkeypatch.setenv(name, value)
    return world


def events(text: str) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in text.splitlines()]
    for event in found:
        jsonschema.validate(event, schema("log"))
    return found


@pytest.mark.needs("runtime")
@pytest.mark.parametrize("name", [name for name in WORDS if name != "bench phone"])
def test_every_command(name: str, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    words, _ = WORDS[name]
    assert run([*words, "--log-json"]) == 0
    out, err = capfd.readouterr()
    assert out
    said = events(err)
    assert said[0]["event"] == "begin"
    assert said[0]["command"] == words[0]
    assert said[-1] == {"event": "end", "seconds": said[-1]["seconds"], "exit_code": 0}
    if name in ("eval", "bench"):
        assert any(event["event"] == "progress" and event["done"] == event["total"] for event in said)
    assert run([*words, "--quiet"]) == 0
    out, err = capfd.readouterr()
    assert bool(out) == (name in ASKED_FOR)
    assert all(line.startswith(("warning: ", "  ")) for line in err.splitlines())
    assert run([*words, "--quiet", "--log-json=true"]) == 0
    _, err = capfd.readouterr()
    assert {event["event"] for event in events(err)} <= {"begin", "warning", "end"}


@pytest.mark.needs("runtime")
def test_calibration_tells_how_far_it_is(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    words, _ = WORDS["quantize"]
    assert run([*words, "--log-json", "--is-use-cache-file=false"]) == 0
    done = [event for event in events(capfd.readouterr().err) if event["event"] == "progress"]
    assert {(event["what"], event["unit"], event["total"]) for event in done} == {("calibrate", "picture", 4)}
    assert done[-1]["done"] == 4


@pytest.mark.parametrize("quiet", [False, True])
def test_a_set_tells_how_far_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], quiet: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("one", "two"):
        save(mobile_block(), tmp_path / "models" / name)
    words = ["opt", "--model-set-dir", "models", "--optimize-out", "out", "--no-verify", "--log-json"]
    assert run([*words, f"--quiet={quiet}"]) == 0
    progress = [event for event in events(capfd.readouterr().err) if event["event"] == "progress"]
    steps = [] if quiet else [("one", 0, 2), ("two", 1, 2), ("two", 2, 2)]
    assert [(event["what"], event["done"], event["total"]) for event in progress] == steps


@pytest.mark.parametrize(
    ("words", "is_json"),
    [
        (["--log-json"], True),
        (["--log-json=yes"], True),
        (["--log_json", "ON"], True),
        (["--log-json", "false"], False),
        (["--log-json=0"], False),
        (["--log-json", "--log-json=no"], False),
        ([], False),
    ],
)
def test_a_refused_flag_is_told_as_asked(
    words: list[str], is_json: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(["opt", *words, "--no-such-flag"]) == 2
    assert capfd.readouterr().err.startswith("{") == is_json


@pytest.mark.needs("runtime")
@pytest.mark.parametrize("what", REFUSED)
def test_errors(what: str, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    code = run([*REFUSED[what], "--quiet"])
    _, err = capfd.readouterr()
    assert "error: " in err.lower()
    assert run([*REFUSED[what], "--log_json"]) == code
    _, err = capfd.readouterr()
    said = events(err)
    (error,) = [event for event in said if event["event"] == "error"]
    assert error["problem"]
    assert said[-1]["exit_code"] == code
    assert run(list(REFUSED[what])) == code  # the next command speaks as usual
    _, err = capfd.readouterr()
    assert "error: " in err.lower()


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_both_flags(name: str) -> None:
    flags = {flag for parameter in load_command(name).params for flag in parameter.opts}
    assert {"--quiet", "--log-json"} <= flags


def test_a_bar_is_seen_on_terminals_only(capfd: pytest.CaptureFixture[str]) -> None:
    with meter("work", "piece", 2) as progress:
        progress.at(1)
        progress.at(2, what="other work")
    assert capfd.readouterr() == ("", "")
