"""`ptq bench` as a command: the table, flags with `-` or `_`, exit codes."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from ptq_cli.bench import bench
from ptq_cli.main import run
from tests.bench.conftest import Fake
from tests.bench.reports import case, device, report, save
from tests.needs import ROOT

Models = tuple[Path, Path]
TABLE = """\
model             threads     size  peak memory  median ms  min ms  p90 ms  p99 ms  std ms
FP32 net_fp32.nb        1  4.00 KB     12.30 MB      4.100   4.000   4.180   4.198   0.100
INT8 net_int8.nb        1  1.00 KB     12.30 MB      2.100   2.000   2.180   2.198   0.100

1 thread: INT8 2.100 ms, FP32 4.100 ms, speed-up 1.95x ± 0.09 (95% interval 1.86 to 2.00)
size: INT8 1.00 KB, FP32 4.00 KB, 4.00x smaller
peak memory of the process with both models: 12.30 MB
"""


def test_the_table(
    fake_benchmark_bin: Fake, models: Models, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    result = tmp_path / "res.txt"
    flags = ["--repeats", "3", "--result_filename", str(result), "--json", str(tmp_path / "b.json")]
    assert run(["bench", "--device=local", "--fp32", str(models[0]), f"--int8={models[1]}", *flags]) == 0
    out, err = capfd.readouterr()
    assert TABLE in out
    assert (
        "warning: 3 samples per model: percentiles and intervals repeat single samples; --repeats of" in out
    )
    assert f"res.txt: {result}\n" in out
    assert err == ""


def test_one_model_and_one_repeat(
    fake_benchmark_bin: Fake, models: Models, capfd: pytest.CaptureFixture[str]
) -> None:
    fake_benchmark_bin(samples_ms=[[5.0]])
    assert (
        run(["bench", "--device=local", "--int8", str(models[1]), "--repeats", "1", "--threads", "1,2"]) == 0
    )
    out = capfd.readouterr().out
    assert "speed-up" not in out
    assert out.count("INT8 net_int8.nb") == 2
    assert "5.000       -" in out


def test_the_profile_is_side_by_side(
    fake_benchmark_bin: Fake, models: Models, capfd: pytest.CaptureFixture[str]
) -> None:
    assert (
        run(
            [
                "bench",
                "--device=local",
                "--fp32",
                str(models[0]),
                "--int8",
                str(models[1]),
                "--repeats=3",
                "--profile",
            ]
        )
        == 0
    )
    out = capfd.readouterr().out
    assert "operator  kind    FP32 us  INT8 us         FP32 kernel         INT8 kernel\n" in out
    assert "\nconv      conv2d     12.5     12.5  conv2d_f32__scalar  conv2d_f32__scalar\n" in out


@pytest.mark.parametrize(
    ("mode", "flags", "code", "said"),
    [
        ("", ["--threads", "1;2"], 2, "--threads '1;2'"),
        ("", ["--device", "local,local"], 2, "--device 'local,local'"),
        ("", ["--device", "R58M123", "--adb", "no/such/adb"], 3, "no/such/adb is no program"),
        ("", ["--until-ci", "0"], 2, "--until-ci 0\n  rule: --until-ci takes a number above 0"),
        ("", ["--cool-down", "-1"], 2, "--cool-down -1\n"),
        ("", ["--timeout", "60", "--until-ci", "1"], 2, "--timeout 60 with --max-seconds 60\n"),
        ("", ["--power-mode", "fast"], 2, "--power-mode 'fast'\n  rule: --power-mode takes auto,"),
        ("", ["--fp32-accuracy", "none.json"], 2, "none.json"),
        ("", ["--int8", "gone.nb"], 2, "--int8 gone.nb: no such file"),
        ("hang", ["--timeout", "0.3"], 3, "next: raise --timeout, or lower --repeats and --warmup"),
        ("", ["--repeats", "many"], 2, "'many' is not a valid integer"),
        ("", ["--repeat", "3"], 2, "--repeat"),
        ("refuse", [], 2, "header.crc32 does not match"),
        ("garbage", [], 3, "is not JSON"),
        ("die", [], 3, "killed by signal 9"),
    ],
)
def test_exit_codes(
    fake_benchmark_bin: Fake,
    models: Models,
    capfd: pytest.CaptureFixture[str],
    mode: str,
    flags: list[str],
    code: int,
    said: str,
) -> None:
    fake_benchmark_bin(mode)
    assert run(["bench", "--device=local", "--fp32", str(models[0]), *flags]) == code
    out, err = capfd.readouterr()
    assert out == ""
    assert said in err
    assert "Traceback" not in err


def test_the_json_speaks_of_flags(fake_benchmark_bin: Fake, models: Models, tmp_path: Path) -> None:
    """Whoever reads the file measured with the command."""
    path = tmp_path / "b.json"
    assert run(["bench", "--device=local", "--fp32", str(models[0]), "--repeats=3", f"--json={path}"]) == 0
    (device,) = json.loads(path.read_text(encoding="utf-8"))["devices"]
    (warning,) = [each for each in device["warnings"] if each["code"] == "too_few_samples"]
    assert warning["fix"] == "--repeats of at least 10"


@pytest.mark.parametrize(
    ("flag", "holds"),
    [
        ("--json", '"tool": "ptq bench"'),
        ("--csv", "net_fp32.nb,"),
        ("--markdown", "| FP32 net\\_fp32.nb |"),
        ("--html", "</html>"),
    ],
)
def test_a_dash_is_standard_output(
    fake_benchmark_bin: Fake,
    models: Models,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    flag: str,
    holds: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    files = set(tmp_path.iterdir())
    given = ["bench", "--device=local", "--fp32", str(models[0]), "--repeats=3", "--threads=1,2", flag, "-"]
    assert run(given) == 0
    out, err = capfd.readouterr()
    assert holds in out
    assert "peak memory of the process" in err
    assert "peak memory of the process" not in out
    if flag == "--json":  # one document, though there are two cases
        assert len(json.loads(out)["devices"][0]["cases"]) == 2
    assert set(tmp_path.iterdir()) == files


def test_warnings_stand_behind_the_results_of_all_devices(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    few = case((4.0, 4.1, 4.2), (2.0, 2.1, 2.2))
    saved = save(tmp_path / "b.json", report(device("R58M", few), device("R59M", few)))
    assert run(["bench", "--from-json", str(saved)]) == 0
    lines = capfd.readouterr().out.splitlines()
    warnings = [index for index, line in enumerate(lines) if line.startswith("warning: ")]
    assert [lines[index].split(":")[1] for index in warnings] == [" R58M", " R59M"]
    assert min(warnings) > max(index for index, line in enumerate(lines) if "speed-up" in line)


def texts(file: Path) -> Iterator[str]:
    """All strings of a source file but docstrings."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = node.values
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "x" for part in parts)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
            yield node.value


def test_the_core_knows_parameters_and_no_flags() -> None:
    """Every `name=` in its messages is a flag of the command; what begins with -- is said to programs, or a whole command."""
    named = set()
    for file in (ROOT / "ptq_core" / "bench").rglob("*.py"):
        for text in texts(file):
            named |= set(re.findall(r"`(\w+)=", text))
            if file.name not in ("session.py", "adb_client.py", "page.html"):
                assert re.findall(r"(?<!`)--[a-z][\w-]*", re.sub(r"`ptq [^`]*`", "", text)) == [], file
    flags = {parameter.name for parameter in bench.params}
    assert {"threads", "timeout_s", "power_mode", "confidence_percent"} <= named
    assert named <= flags | {"x"}  # `x=`: a name that is filled in
