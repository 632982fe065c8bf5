"""The whole way by script, as a user starts it: quantize, opt, eval, bench, one table."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.needs import ROOT

SCRIPT = ROOT / "scripts" / "run_post_training_quantization.sh"


def run(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    return subprocess.run(
        ["bash", str(SCRIPT), *arguments],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.needs("runtime")
def test_the_whole_way(digits: Path, tmp_path: Path) -> None:
    stale = tmp_path / "out" / "eval_fp32.json"
    stale.parent.mkdir()
    stale.write_text('{"top1": 1.0, "count": 999}')
    labels = tmp_path / "labels.txt"
    lines = (digits / "test_labels.txt").read_text().splitlines()[:40]
    labels.write_text("\n".join(lines) + "\n")
    done = run(
        "--config", str(digits / "quantize.yaml"),
        "--model-dir", str(digits / "model"),
        "--image-dir", str(digits / "calibration_images"),
        "--eval-dir", str(digits / "test_images"),
        "--labels", str(labels),
        "--set", "batch_nums=2",
        "--targets", "host", "--bench", "--device", "local", "--out", str(tmp_path / "out"),
        "--", "--threads", "1,2", "--repeats", "12",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    table = done.stdout.split("== result")[1]
    for words in (
        "size of the .nb",
        "x smaller",
        "top-1",
        "points on 40 pictures",
        "median latency, local, 1 thread",
        "median latency, local, 2 threads",
        "speed-up",
    ):
        assert words in table
    page = (tmp_path / "out" / "bench.html").read_text(encoding="utf-8")
    assert "12 repeats" in page
    assert "points · 40 pictures" in page
    for name in (
        "res.txt",
        "bench.json",
        "bench.html",
        "int8.nb",
        "int8_model/model.onnx",
        "int8_model/quantization.json",
    ):
        assert (tmp_path / "out" / name).is_file()
        assert str(tmp_path / "out" / name) in table


@pytest.mark.needs("runtime")
def test_the_table_shows_only_what_this_run_measured(digits: Path, tmp_path: Path) -> None:
    for name in ("eval_fp32.json", "eval_int8.json", "bench.json"):
        (tmp_path / name).write_text('{"top1": 1.0, "count": 999, "cases": []}')
    done = run(
        "--model-dir", str(digits / "model"), "--image-dir", str(digits / "calibration_images"),
        "--config", str(digits / "quantize.yaml"), "--set", "batch_nums=1", "--targets", "host", "--out", str(tmp_path),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "top-1" not in done.stdout.split("== result")[1]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "--model-dir is missing"),
        (["--model-dir"], "--model-dir needs a value"),
        (["--model-dir", "x", "--image-dir", "y", "--eval-dir", "z"], "go together"),
        (["--frobnicate"], "unknown argument --frobnicate"),
        (["--model-dir", "x", "--image-dir", "y", "--", "--profile"], "they need --bench"),
    ],
)
def test_mistakes(arguments: list[str], words: str) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert words in done.stderr


def test_a_failing_step_stops_the_script(tmp_path: Path) -> None:
    done = run(
        "--model-dir", str(tmp_path / "none"), "--image-dir", str(tmp_path), "--out", str(tmp_path / "out")
    )
    assert done.returncode == 2
    assert "no model folder" in done.stderr
    assert "== opt" not in done.stdout


@pytest.mark.parametrize("name", ["run_post_training_quantization.sh", "bench_phone.sh"])
def test_a_shell_that_is_no_bash_hands_over(name: str) -> None:
    done = subprocess.run(["sh", ROOT / "scripts" / name, "--help"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"usage: {name} ")
