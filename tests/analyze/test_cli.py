"""`ptq analyze` as users see it: what it prints, its flags, its refusals."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

from ptq_cli import main
from tests.models import Builder, mobile_block, save


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with fp32/model.onnx and pictures/, made the current one."""
    save(mobile_block(), tmp_path / "fp32")
    (tmp_path / "pictures").mkdir()
    random = np.random.default_rng(0)
    for index in range(4):
        pixels = random.integers(0, 256, (16, 16, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / "pictures" / f"{index}.png")
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
