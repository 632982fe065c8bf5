"""`ptq analyze` as users see it: what it prints, its flags, its refusals."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from ptq_cli import main
from ptq_core.bench.protocol import OpTime
from ptq_core.bench.report import to_json
from tests.bench.reports import rich_report
from tests.models import Builder, mobile_block, save
from tests.pictures import save_pictures


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with fp32/model.onnx and pictures/, made the current one."""
    save(mobile_block(), tmp_path / "fp32")
    save_pictures(tmp_path / "pictures", 4)
    monkeypatch.chdir(tmp_path)
    return tmp_path


ANALYZE = ["analyze", "--model-dir", "fp32", "--image-dir", "pictures", "--mean", "127.5", "--std", "60"]


def ptq(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main.run(list(arguments))
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_what_it_prints(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = ptq(capsys, *ANALYZE, "--top", "2", "--analysis-samples", "3")
    assert (code, err) == (0, "")
    assert re.match(r"4 operators in int8, 5 in float; calibrated on 4 pictures, compared on 3, in", out)
    assert len(re.findall(r"^  (?:stem|body|head)/\w+ ", out, re.MULTILINE)) == 2
    assert len(re.findall(r"^  at most", out, re.MULTILINE)) == 4
    assert sorted(path.name for path in workspace.iterdir()) == ["fp32", "pictures"]


def test_a_configuration_of_quantize_serves(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (workspace / "c.yaml").write_text(
        "model_dir: fp32\nimage_dir: pictures\nsave_model_path: int8\npreprocess: {mean: [127.5], std: [60]}\n"
    )
    code, out, _ = ptq(capsys, "analyze", "-c", "c.yaml", "--set", "algo=mse", "--is-full-quantize")
    assert code == 0
    assert out.startswith("5 operators in int8")
    assert not (workspace / "int8").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--skip-nodes", "*"], "no operator of the model would be quantized"),
        (["--skip-nodes", "nothing"], "fits no node"),
        (["--analysis-samples", "0"], "--analysis-samples"),
        (["--save-model-path", "int8"], "--save-model-path"),
        (["--image-dir", "fp32"], "fp32"),
        (["--algo", "weight_only", "--set", "image_dir=null"], "no pictures to analyze on"),
    ],
)
def test_wrong_input(
    workspace: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    code, out, err = ptq(capsys, *ANALYZE, *arguments)
    assert (code, out) == (2, "")
    assert said in err
    assert sorted(path.name for path in workspace.iterdir()) == ["fp32", "pictures"]


def test_a_model_that_is_quantized_already(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    b = Builder()
    scale, zero = b.constant("scale", np.float32(1)), b.constant("zero", np.int8(0))
    x = b.node("QuantizeLinear", "q", ["input", scale, zero])
    save(b.model(b.node("DequantizeLinear", "dq", [x, scale, zero])), workspace / "fp32")
    code, _, err = ptq(capsys, *ANALYZE)
    assert code == 2
    assert "quantized already" in err


def test_a_model_that_gives_nan(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Behind the last operator that is calibrated: it reaches the outputs of both models."""
    b = Builder()
    x = b.conv("second", b.conv("first", "input", 3, 4), 4, 4)
    save(b.model(b.node("Log", "log", [x])), workspace / "fp32")
    code, out, _ = ptq(capsys, *ANALYZE)
    assert code == 0
    assert re.search(r"all of them in int8: (lost|-?\d+\.\d dB)", out)
    assert onnx.load("fp32/model.onnx").graph.node[-1].op_type == "Log"


def test_files_for_other_readers(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outputs = ("--json", "a.json", "--csv", "a.csv", "--html", "sub/a.html")
    code, out, _ = ptq(capsys, *ANALYZE, *outputs)
    assert code == 0
    assert out.endswith("JSON  a.json\nCSV   a.csv\nHTML  sub/a.html\n")
    document = json.loads((workspace / "a.json").read_text())
    assert (document["schema"], document["tool"], document["samples"]) == (1, "ptq analyze", 4)
    assert document["operators"][0]["name"] == "stem/conv"
    assert len((workspace / "a.csv").read_text().splitlines()) == 5
    assert (workspace / "sub" / "a.html").read_text().startswith("<!doctype html>")


def test_json_on_standard_output(workspace: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert main.run([*ANALYZE, "--json", "-"]) == 0
    captured = capfdbinary.readouterr()
    assert json.loads(captured.out)["algo"] == "KL"
    assert b"operators in int8" in captured.err


def test_an_output_that_cannot_be_written_is_refused_at_once(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = ptq(capsys, *ANALYZE, "--html", "fp32")
    assert (code, out) == (2, "")
    assert "fp32 is a folder" in err
    assert ptq(capsys, *ANALYZE, "--html", "-", "--json", "-")[0] == 2
    code, out, err = ptq(capsys, *ANALYZE, "--html", "one", "--json", "one")
    assert (code, out) == (2, "")
    assert "one is given for two outputs" in err


def profiled(*ops: OpTime) -> str:
    """A saved report whose INT8 models have ``ops``."""
    report = rich_report()
    devices = tuple(
        replace(
            device,
            cases=tuple(
                replace(case, models=tuple(replace(model, ops=ops) for model in case.models))
                for case in device.cases
            ),
        )
        for device in report.devices
    )
    return to_json(replace(report, devices=devices))


def test_latency_from_a_profile(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ops = (
        OpTime("stem/conv", "conv2d", "kernel", 30.0),
        OpTime("body/relu6", "conv2d", "kernel", 60.0),  # fused: the name of the activation
        OpTime("other", "quantize", "kernel", 10.0),
    )
    (workspace / "bench.json").write_text(profiled(*ops))
    code, _, _ = ptq(capsys, *ANALYZE, "--profile", "bench.json", "--json", "a.json")
    assert code == 0
    rows = {each["name"]: each for each in json.loads((workspace / "a.json").read_text())["operators"]}
    assert rows["stem/conv"]["latency_share"] == pytest.approx(0.3)
    assert rows["body/depthwise"]["latency_share"] == pytest.approx(0.6)
    assert rows["body/project"]["latency_share"] is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (profiled(), "holds no times of operators"),
        (profiled(OpTime("another", "conv2d", "kernel", 1.0)), "profiles another model"),
        ("{}", "bench.json"),
    ],
    ids=["no profile", "another model", "no report"],
)
def test_a_profile_that_says_nothing(
    workspace: Path, capsys: pytest.CaptureFixture[str], text: str, said: str
) -> None:
    (workspace / "bench.json").write_text(text)
    code, out, err = ptq(capsys, *ANALYZE, "--profile", "bench.json")
    assert (code, out) == (2, "")
    assert said in err
    assert "--profile" in err or text == "{}"


def test_a_profile_that_is_not_there(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = ptq(capsys, *ANALYZE, "--profile", "nothing.json")
    assert code == 2
    assert "nothing.json" in err
