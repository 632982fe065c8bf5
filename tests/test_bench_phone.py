"""scripts/bench_phone.sh and `make bench-phone`: which files are taken, what is written where, what is said otherwise."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.needs import ROOT

FAKE_PTQ = '#!/bin/sh\nfor word in "$@"; do echo "$word"; done\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with models, and beside it a `ptq` that prints its arguments."""
    models = tmp_path / "my models"
    models.mkdir()
    for name in ("fp32.nb", "int8.onnx", "int8.nb", "eval_int8.json"):
        (models / name).touch()
    program = tmp_path / "bin" / "ptq"
    program.parent.mkdir()
    program.write_text(FAKE_PTQ)
    program.chmod(0o755)
    return models


def start(command: list[str], folder: Path, *, path: str | None = None) -> subprocess.CompletedProcess[str]:
    path = path or f"{folder.parent / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        command, cwd=ROOT, env={**os.environ, "PATH": path}, capture_output=True, text=True, timeout=60
    )


def script(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return start(["scripts/bench_phone.sh", *arguments], folder)


def test_models_outputs_accuracy_and_flags_reach_ptq_bench(folder: Path) -> None:
    done = script(folder, str(folder), "--device", "all", "--threads", "1,2")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "bench",
        *("--fp32", f"{folder}/fp32.nb", "--int8", f"{folder}/int8.nb"),
        *("--result-filename", f"{folder}/res.txt", "--json", f"{folder}/bench.json"),
        *("--html", f"{folder}/bench.html", "--int8-accuracy", f"{folder}/eval_int8.json"),
        *("--device", "all", "--threads", "1,2"),
    ]


def test_onnx_is_taken_where_there_is_no_flat_file(folder: Path, tmp_path: Path) -> None:
    (folder / "int8.nb").unlink()
    out = tmp_path / "new" / "out"
    done = script(folder, str(folder), "--out", str(out))
    assert f"{folder}/int8.onnx" in done.stdout.splitlines()
    assert f"{out}/bench.html" in done.stdout.splitlines()
    assert out.is_dir()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "MODEL_DIR is missing"),
        (["--device", "all"], "MODEL_DIR is missing"),
        (["{folder}/none"], "no folder"),
        (["{folder}/.."], "no fp32.nb and no fp32.onnx in"),
        (["{folder}", "--out"], "--out needs a value"),
    ],
)
def test_mistakes(folder: Path, arguments: list[str], said: str) -> None:
    done = script(folder, *(argument.format(folder=folder) for argument in arguments))
    assert done.returncode == 2
    assert done.stdout == ""
    assert said in done.stderr


def test_without_ptq_it_says_how_to_get_it(folder: Path, tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("env", "bash", "mkdir"):
        (tools / name).symlink_to(shutil.which(name) or "")
    done = start(["scripts/bench_phone.sh", str(folder)], folder, path=str(tools))
    assert done.returncode == 3
    assert "run make setup" in done.stderr


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    """What `make bench-phone` would run, with what is built already taken as new."""
    old = ["--old-file=.venv/bin/.setup"]
    return subprocess.run(
        ["make", "--dry-run", *old, "bench-phone", *arguments],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if name != "MAKEFLAGS"},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        (["MODEL_DIR=a b"], 'scripts/bench_phone.sh "a b"  --device "auto"'),
        (
            ["MODEL_DIR=m", "OUT=o", "DEVICE=all", "FLAGS=--threads 1,2"],
            'scripts/bench_phone.sh "m" --out "o" --device "all" --threads 1,2',
        ),
    ],
)
def test_make_bench_phone(arguments: list[str], command: str) -> None:
    done = make(*arguments)
    assert done.returncode == 0, done.stderr
    assert command in [line.strip() for line in done.stdout.splitlines()]


def test_make_bench_phone_needs_a_folder() -> None:
    done = subprocess.run(
        ["make", "--old-file=.venv/bin/.setup", "bench-phone"],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MODEL_DIR")},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert "missing: MODEL_DIR=" in done.stdout
