"""The `ptq` command: flags, help, messages and exit codes."""

from __future__ import annotations

import errno
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from ptq_cli import main
from ptq_core.config import QuantizeConfig
from ptq_core.optimize.lowering.operators import OPERATORS
from ptq_core.optimize.supported import DIALECTS
from ptq_core.options.preprocess import PreprocessOptions
from tests.agreement import RUNTIME_IS_BUILT
from tests.models import Builder, mobile_block, save
from tests.pictures import save_pictures


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with fp32/model.onnx and pictures/, made the current one."""
    save(mobile_block(), tmp_path / "fp32")
    save_pictures(tmp_path / "pictures", 3)
    monkeypatch.chdir(tmp_path)
    return tmp_path


QUANTIZE = ["quantize", "--model-dir", "fp32", "--image-dir", "pictures", "--save-model-path", "int8"]


def ptq(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main.run(list(arguments))
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_quantize_by_flags(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = ptq(capsys, *QUANTIZE, "--algo", "abs_max", "--mean", "127.5", "--std=127.5")
    assert code == 0
    assert "4 operators quantized, 5 in float" in out
    assert "warning: the quantized model is larger than the float one" in err  # its weights are few
    assert "warning: calibrated on 3 pictures only" in err
    assert len(err.splitlines()) == 2
    assert "onnxruntime: on an x86 CPU without VNNI" in out
    assert "calibrated on 3 pictures" in out
    onnx.checker.check_model(str(workspace / "int8" / "model.onnx"))
    assert json.loads((workspace / "int8" / "quantization.json").read_text())["algo"] == "abs_max"


def test_opt_explains_its_passes(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("opt", "--model-dir", "fp32", "--optimize-out", "x", "--explain", "--no-verify")
    code, out, err = ptq(capsys, *words)
    assert (code, err) == (0, "")
    assert "\nfuse_clamp: " in out
    assert "  conv2d `stem/conv` + " in out
    idle = next(line for line in out.splitlines() if line.startswith("nothing to change: "))
    assert "fuse_residual" in idle or "\nfuse_residual: " in out
    assert "fuse_clamp" not in idle
    assert "x the least possible" in out


def test_opt_says_what_it_verified(
    workspace: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["opt", "--model-dir", "fp32", "--optimize-out", "x"]
    if RUNTIME_IS_BUILT:
        out = ptq(capsys, *command)[1]
        assert re.search(
            r"\nverified: \d+ operators of this machine's runtime and \d+ values of the model in", out
        )
        assert "[-1, 1] and [0, 255], as nothing says what the model is fed" in out
    assert "\nnot verified: --no-verify\n" in ptq(capsys, *command, "--no-verify")[1]
    monkeypatch.setenv("PTQ_RUNTIME_DIR", str(workspace))
    code, out, err = ptq(capsys, *command)
    assert code == 0
    assert re.search(r"\nverified: \d+ values of the model in onnxruntime", out)
    assert err.startswith("warning: x.nb is not verified: no libptq.so for host")
    assert ptq(capsys, *command, "--quiet") == (0, "", err)


def test_warnings_go_to_stderr(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (workspace / "pictures" / "bad.png").write_bytes(b"no picture")
    code, out, err = ptq(capsys, *QUANTIZE, "--mean", "127.5", "--skip-bad-images", "--batch-nums", "4")
    assert code == 0
    assert "calibrated on 3 pictures" in out
    assert "warning: skipped" in err
    assert "bad.png" in err
    assert "only 4 of 40 pictures" in err


def test_quantize_by_configuration_and_set(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (workspace / "c.yaml").write_text(
        "model_dir: fp32\nimage_dir: pictures\nsave_model_path: int8\npreprocess: {mean: [127.5], std: [1]}\n"
    )
    code, _, _ = ptq(
        capsys, "quantize", "-c", "c.yaml", "--set", "preprocess.std=[60, 60, 60]", "--batch_nums", "1"
    )
    assert code == 0


@pytest.mark.parametrize(
    "spelling", [["--is-full-quantize"], ["--is_full_quantize=true"], ["--is-full-quantize=True"]]
)
def test_booleans(workspace: Path, capsys: pytest.CaptureFixture[str], spelling: list[str]) -> None:
    code, out, _ = ptq(capsys, *QUANTIZE, "--mean", "127.5", "--std", "127.5", *spelling)
    assert code == 0
    assert "5 operators quantized" in out


def test_every_key_has_a_flag(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = ptq(capsys, "quantize", "--help")
    keys = [*QuantizeConfig.__dataclass_fields__, *PreprocessOptions.__dataclass_fields__]
    missing = [key for key in keys if f"--{key.replace('_', '-')} " not in out and key != "preprocess"]
    assert missing == []


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["quantize"], 2, ["missing `model_dir`", "next:"]),
        (["quantize", "--modeldir", "x"], 2, ["No such option", "--model-dir"]),
        (["quantise"], 2, ["No such command"]),
        ([*QUANTIZE, "--batch-size", "ten"], 2, ["`batch_size` is 'ten'", "a whole number"]),
        ([*QUANTIZE, "--algo", "KLL"], 2, ["did you mean `KL`"]),
        ([*QUANTIZE, "--skip-quant", "stemm"], 2, ["`stemm` matches no node", "did you mean `stem`"]),
        ([*QUANTIZE, "--set", "algo"], 2, ["--set takes KEY=VALUE"]),
        ([*QUANTIZE, "--set", "algo={"], 2, ["`{` is not a YAML value"]),
        ([*QUANTIZE, "--weight-bits", "{"], 2, ["`{` is not a YAML value"]),
        ([*QUANTIZE, "--std", ".inf"], 2, ["`preprocess.std`", "finite"]),
        ([*QUANTIZE, "--set", "preprocess.meen=1"], 2, ["did you mean `preprocess.mean`"]),
        ([*QUANTIZE, "--image-dir", "nowhere"], 2, ["nowhere"]),
        ([*QUANTIZE, "--model-dir", "nowhere"], 2, ["no model folder nowhere"]),
        ([*QUANTIZE, "--resize", "8,8"], 2, ["8"]),
        ([*QUANTIZE, "--save-model-path", "fp32/model.onnx/x"], 2, ["cannot make the folder"]),
        (["opt", "--optimize-out", "x"], 2, ["--model-dir or --model-file"]),
        (["opt", "--model-dir", "fp32", "--optimize-out", "x", "--input-shape", "1,b"], 2, ["1,3,224,224"]),
        (
            ["opt", "--model-dir", "fp32", "--optimize-out", "x", "--optimize-out-type", "z"],
            2,
            ["naive_buffer"],
        ),
        (["opt", "--model-dir", "fp32", "--optimize-out", "x", "--valid-targets", "gpu"], 2, ["gpu"]),
        (["opt", "--model-file", "none.onnx", "--optimize-out", "x"], 2, ["none.onnx"]),
    ],
)
def test_mistakes(
    workspace: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, words: list[str]
) -> None:
    before = sorted(workspace.rglob("*"))
    actual, _, err = ptq(capsys, *arguments)
    assert actual == code
    for word in words:
        assert word in err
    assert "Traceback" not in err
    assert sorted(workspace.rglob("*")) == before


def test_opt_with_an_input_shape(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    b = Builder()
    save(b.model(b.conv("conv", "input", 3, 4), shape=("N", 3, "H", "W")), workspace / "open")
    arguments = ["opt", "--model-dir", "open", "--optimize-out", "open", "--valid-targets", "host"]
    code, _, err = ptq(capsys, *arguments)
    assert code == 2
    assert "input_shape" in err
    assert ptq(capsys, *arguments, "--input-shape", "1,3,8,12")[0] == 0
    assert (workspace / "open.nb").is_file()


def test_quantize_remembers_shapes_of_several_inputs(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A picture, a state whose batch is its second dimension, a number: a sample has the last two as they are."""
    b = Builder()
    mean = b.node("GlobalAveragePool", "mean", [b.conv("conv", "input", 3, 4)])
    first = b.node("Gather", "first", ["state", b.constant("zero", np.int64(0))], axis=0)
    total = b.node("Add", "sum", [b.node("Flatten", "flat", [mean]), first])
    model = b.model(b.node("Mul", "scaled", [total, "gain"]), shape=("N", 3, "H", "W"))
    extra: dict[str, list[int | str]] = {"state": [2, "N", 4], "gain": []}
    for name, shape in extra.items():
        model.graph.input.append(helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape))
    model.graph.output[0].CopyFrom(
        helper.make_tensor_value_info("scaled/out", onnx.TensorProto.FLOAT, ["N", 4])
    )
    save(model, workspace / "several")
    random = np.random.default_rng(0)
    (workspace / "arrays").mkdir()
    for i in range(4):
        arrays = {"input": (3, 8, 12), "state": (2, 1, 4), "gain": ()}
        drawn = {name: random.standard_normal(shape).astype(np.float32) for name, shape in arrays.items()}
        np.savez(workspace / "arrays" / f"{i}.npz", **drawn)  # type: ignore[arg-type]
    arguments = ["quantize", "--model-dir", "several", "--image-dir", "arrays", "--save-model-path", "int8"]
    code, _, err = ptq(capsys, *arguments)
    assert code == 2
    assert "set input_shape, e.g. input:1,3,224,224\n" in err, "the state's open dimension is the batch"
    code, _, err = ptq(capsys, *arguments, "--input-shape", "inptu:1,3,8,12")
    assert code == 2
    assert "did you mean `input`" in err
    assert ptq(capsys, *arguments, "--input-shape", "input:1,3,8,12")[0] == 0
    loaded = onnx.load(workspace / "int8" / "model.onnx")
    shapes = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in loaded.graph.input}
    assert shapes == {"input": [1, 3, 8, 12], "state": [2, 1, 4], "gain": []}
    both = ["--input-shape", "input:1,3,8,12", "--input-shape", "state:2,1,4"]
    assert ptq(capsys, *arguments, *both)[0] == 0
    assert ptq(capsys, "opt", "--model-dir", "int8", "--optimize-out", "s", "--valid-targets", "host")[0] == 0


@pytest.mark.parametrize("flags", [["--activation-bits", "16"], ["--weight-bits", "4", "--store-int4"]])
def test_opt_loads_other_bits(workspace: Path, capsys: pytest.CaptureFixture[str], flags: list[str]) -> None:
    assert ptq(capsys, *QUANTIZE, "--mean", "127.5", *flags)[0] == 0
    code, out, _ = ptq(capsys, "opt", "--model-dir", "int8", "--optimize-out", "x")
    assert code == 0
    assert ("0 in int8" in out) == ("16" in flags)


def test_weight_only_needs_no_pictures(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = ptq(
        capsys, "quantize", "--model-dir", "fp32", "--save-model-path", "int8", "--algo", "weight_only"
    )
    assert code == 0
    assert "weights only, without pictures" in out


def test_the_float_model_is_never_overwritten(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (workspace / "fp32" / "model.onnx").read_bytes()
    code, _, err = ptq(capsys, *QUANTIZE, "--save-model-path", "./fp32")
    assert code == 2
    assert "would overwrite" in err
    assert (workspace / "fp32" / "model.onnx").read_bytes() == before


def test_a_bug_is_called_one(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr(main.app, "main", broken)
    code, _, err = ptq(capsys, "quantize")
    assert code == 1
    assert "bug in ptq: ZeroDivisionError: oops" in err


def test_stopping_is_quiet(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(main.app, "main", stopped)
    assert ptq(capsys, "quantize")[0] == 130


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert "0.2.0" in ptq(capsys, "--version")[1]


@pytest.mark.parametrize("flag", ["--print-supported-ops", "--print_supported_ops=true"])
def test_supported_operators(capsys: pytest.CaptureFixture[str], flag: str) -> None:
    """Alone, without a model; one line per row of the table that a test holds to the lowering table."""
    code, out, err = ptq(capsys, "opt", flag)
    assert (code, err) == (0, "")
    header, *lines = out.splitlines()
    assert header.split() == ["operator", "float32", "int8", "limits"]
    assert [line.split()[0] for line in lines] == [*OPERATORS, *DIALECTS]
    assert "constant weights" in next(line for line in lines if line.startswith("Conv "))


@pytest.mark.parametrize(
    ("fault", "code", "words"),
    [
        (MemoryError(), 3, "memory ran out"),
        (RuntimeError("can't start new thread"), 3, "memory ran out"),
        (ImportError("x.so: failed to map segment from shared object"), 3, "memory ran out"),
        (OSError(errno.ENOSPC, "No space left on device"), 3, "No space left on device"),
        (
            OSError(errno.ENAMETOOLONG, "File name too long", "n" * 999),
            2,
            r"n{80}… \(919 more\): File name too long",
        ),
    ],
    ids=["memory", "threads", "libraries", "disk", "name"],
)
def test_what_the_system_refuses_is_no_bug(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    fault: Exception,
    code: int,
    words: str,
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise fault

    monkeypatch.setattr(main.app, "main", refuse)
    found, _, err = ptq(capsys, "show", "model.onnx")
    assert found == code
    assert re.search(rf"error: {words}", err)
    assert len(err) < 500


def test_a_name_that_is_too_long(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    long = "n" * 5000
    for arguments in (["show", long], [*QUANTIZE, "-c", long], [*QUANTIZE, "--image-list", long]):
        assert ptq(capsys, *arguments)[0] == 2
    assert not (workspace / "int8").exists()
