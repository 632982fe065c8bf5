"""`bench` against a stand-in for benchmark_bin: what is measured, written, and said when it misbehaves."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from ptq_core.bench.pipeline import bench
from ptq_core.bench.report import StopRule
from ptq_core.errors import DeviceError, InputError, PtqError
from tests.bench.conftest import Fake

Models = tuple[Path, Path]


def test_both_models_are_measured_side_by_side(fake_benchmark_bin: Fake, models: Models) -> None:
    report = bench(fp32=models[0], int8=models[1], warmup=1, repeats=3)
    (case,) = report.devices[0].cases
    fp32, int8 = case.model("fp32"), case.model("int8")
    assert fp32 is not None
    assert int8 is not None
    assert (fp32.name, fp32.file_bytes, fp32.latency.median_ms) == ("net_fp32.nb", 4000, 4.1)
    assert (int8.name, int8.file_bytes, int8.latency.median_ms) == ("net_int8.nb", 1000, 2.1)
    assert case.speed_up is not None
    assert case.speed_up.ratio == pytest.approx(4.1 / 2.1)
    assert case.peak_rss_bytes == 12_300_000
    assert int8.output_crc32 == "deadbeef"


def test_one_model_has_no_speed_up(fake_benchmark_bin: Fake, models: Models) -> None:
    (case,) = bench(int8=models[1], repeats=3).devices[0].cases
    assert case.speed_up is None
    assert case.model("fp32") is None


def test_models_of_the_same_name_are_told_apart(
    fake_benchmark_bin: Fake, models: Models, tmp_path: Path
) -> None:
    paths = [tmp_path / folder / "model.nb" for folder in ("fp32", "int8")]
    for path, source in zip(paths, models, strict=True):
        path.parent.mkdir()
        source.rename(path)
    (case,) = bench(fp32=paths[0], int8=paths[1], repeats=3).devices[0].cases
    assert [model.name for model in case.models] == ["fp32/model.nb", "int8/model.nb"]


def test_json_and_res_txt_are_written(fake_benchmark_bin: Fake, models: Models, tmp_path: Path) -> None:
    json_path, result_path = tmp_path / "out" / "bench.json", tmp_path / "res.txt"
    report = bench(
        fp32=models[0],
        int8=models[1],
        threads=(1, 2),
        repeats=3,
        profile=True,
        json_path=json_path,
        result_path=result_path,
    )
    document = json.loads(json_path.read_text(encoding="utf-8"))
    assert set(document) == {
        *("schema", "tool", "started", "seconds", "settings", "devices", "paths"),
    }
    assert (document["schema"], document["tool"], document["settings"]["repeats"]) == (2, "ptq bench", 3)
    (device,) = document["devices"]
    assert report.devices[0].context is not None
    assert device["context"]["cores"] == report.devices[0].context.cores
    assert [case["threads"] for case in device["cases"]] == [1, 2]
    model = device["cases"][1]["models"][0]
    assert model["samples_ms"] == [4.0, 4.2, 4.1]
    assert model["latency"]["median_ms"] == 4.1
    assert model["ops"] == [
        {"name": "conv", "kind": "conv2d", "kernel": "conv2d_f32__scalar", "mean_us": 12.5, "after": []}
    ]
    assert set(device["cases"][0]["speed_up"]) == {"ratio", "low", "high", "confidence"}
    lines = result_path.read_text(encoding="utf-8").splitlines()
    assert lines == 2 * [
        "net_fp32.nb                   min = 4.00000  max = 4.20000  average = 4.10000",
        "net_int8.nb                   min = 2.00000  max = 2.20000  average = 2.10000",
    ]


@pytest.mark.parametrize(
    ("mode", "error", "said"),
    [
        ("die", DeviceError, "was killed by signal 9: it printed no reason"),
        ("fail", DeviceError, "ended with exit code 3: out of memory"),
        ("refuse", InputError, "benchmark_bin refuses net_fp32.nb: header.crc32 does not match"),
        ("silent", DeviceError, "its answer is empty"),
        ("garbage", DeviceError, "'Segmentation fault?' is not JSON"),
        ("truncated", DeviceError, "is not JSON"),
    ],
)
def test_a_failing_binary_is_one_clear_error(
    fake_benchmark_bin: Fake,
    models: Models,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    mode: str,
    error: type[PtqError],
    said: str,
) -> None:
    fake_benchmark_bin(mode)
    outputs = tmp_path / "bench.json", tmp_path / "res.txt"
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error) as caught:
        bench(fp32=Path(models[0].name), repeats=3, json_path=outputs[0], result_path=outputs[1])
    assert said in caught.value.problem
    assert mode != "refuse" or caught.value.fix == "write the file again"
    assert not any(path.exists() for path in outputs)


def test_a_hanging_binary_is_killed(fake_benchmark_bin: Fake, models: Models) -> None:
    fake_benchmark_bin("hang")
    start = time.monotonic()
    with pytest.raises(DeviceError, match=r"did not finish within 0\.3 s"):
        bench(fp32=models[0], timeout_s=0.3)
    assert time.monotonic() - start < 10


def test_samples_that_are_missing_are_noticed(fake_benchmark_bin: Fake, models: Models) -> None:
    fake_benchmark_bin(samples_ms=[[1.0, 2.0]])
    with pytest.raises(DeviceError, match="is 2 where 3 was asked for"):
        bench(fp32=models[0], repeats=3)


def test_a_later_failure_loses_no_finished_case(
    fake_benchmark_bin: Fake, models: Models, tmp_path: Path
) -> None:
    fake_benchmark_bin("die_with_2_threads")
    json_path, result_path = tmp_path / "bench.json", tmp_path / "res.txt"
    (device,) = bench(
        fp32=models[0], threads=(1, 2), repeats=3, json_path=json_path, result_path=result_path
    ).devices
    assert device.error is not None
    assert "was killed by signal 6" in device.error
    (saved,) = json.loads(json_path.read_text(encoding="utf-8"))["devices"]
    assert [case["threads"] for case in saved["cases"]] == [1]
    assert saved["error"] == device.error
    assert len(result_path.read_text(encoding="utf-8").splitlines()) == 1


def test_a_report_that_cannot_be_saved_is_still_shown(
    fake_benchmark_bin: Fake, models: Models, tmp_path: Path
) -> None:
    """The folder of --json goes while the models run; a file stands in its place."""
    folder = tmp_path / "gone"

    def replace_folder(*_: object) -> None:
        if folder.is_dir():
            folder.rmdir()
            folder.write_text("in the way")

    (device,) = bench(
        fp32=models[0], repeats=3, json_path=folder / "bench.json", progress=replace_folder
    ).devices
    assert len(device.cases) == 1
    assert "cannot make the folder" in (device.error or "")


def test_a_binary_without_execute_permission_is_explained(fake_benchmark_bin: Fake, models: Models) -> None:
    Path(os.environ["PTQ_RUNTIME_DIR"], "host", "benchmark_bin").write_bytes(b"\x7fELF of another machine")
    with pytest.raises(DeviceError, match="cannot start"):
        bench(fp32=models[0])


def test_a_runtime_that_is_not_built_says_how(
    models: Models, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PTQ_RUNTIME_DIR", str(tmp_path / "nowhere"))
    with pytest.raises(DeviceError) as caught:
        bench(fp32=models[0])
    assert "make runtime" in caught.value.fix


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"fp32": None}, "neither `fp32=` nor `int8=`"),
        ({"fp32": Path("model.pb")}, "`fp32=model.pb`"),
        ({"int8": Path("gone.nb")}, "`int8=gone.nb`: no such file"),
        ({"device": "local,local"}, "`device='local,local'`"),
        ({"power_mode": "fast"}, "`power_mode='fast'`"),
        ({"cool_down_s": -1}, "`cool_down_s=-1`"),
        ({"stop": StopRule(0, 60)}, "`confidence_percent=0`"),
        ({"stop": StopRule(1, 600)}, "`timeout_s=600` with `max_seconds=600`"),
        ({"threads": (0,)}, "`threads=0`"),
        ({"threads": (65,)}, "`threads=65`"),
        ({"threads": (1, 1)}, "`threads=1,1`"),
        ({"warmup": -1}, "`warmup=-1`"),
        ({"repeats": 0}, "`repeats=0`"),
        ({"timeout_s": 0}, "`timeout_s=0`"),
        ({"json_path": Path("/")}, "/ is a folder"),
        ({"json_path": Path("/proc/bench.json")}, "cannot write /proc/bench.json"),
    ],
)
def test_wrong_arguments_are_named(
    fake_benchmark_bin: Fake, models: Models, arguments: dict[str, Any], said: str
) -> None:
    with pytest.raises(InputError) as caught:
        bench(**{"fp32": models[0], **arguments})
    assert said in caught.value.problem
