"""`ptq bench` as a command: the table, flags with `-` or `_`, exit codes."""

from __future__ import annotations

from pathlib import Path

import pytest

from ptq_cli.main import run
from tests.bench.conftest import Fake

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
    assert (
        "operator  kind    FP32 us  INT8 us\nconv      conv2d     12.5     12.5\n" in capfd.readouterr().out
    )


@pytest.mark.parametrize(
    ("mode", "flags", "code", "said"),
    [
        ("", ["--threads", "1;2"], 2, "--threads '1;2'"),
        ("", ["--device", "local,local"], 2, "--device 'local,local'"),
        ("", ["--device", "R58M123", "--adb", "no/such/adb"], 3, "no/such/adb is no program"),
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
