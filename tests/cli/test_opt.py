"""`ptq opt`: Paddle-Lite's flags, one by one."""

from __future__ import annotations

import dataclasses
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from ptq_cli import main
from ptq_cli.flags import SPOKEN
from ptq_cli.opt_flags import GROUPS, READ_BY_LISTING, REFUSED, Flags
from ptq_core.errors import InputError
from ptq_core.flatfile import layout
from ptq_core.flatfile.reader import load_program
from ptq_core.graph.session import open_session
from ptq_core.optimize.lowering.operators import OPERATORS
from ptq_core.optimize.supported import DIALECTS
from ptq_core.options.shapes import parse_shapes
from ptq_core.runtime import Program
from tests.models import Builder, mobile_block, save


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with good/model.onnx, sound.onnx, and bad/model.onnx that cannot run; its parent is the current folder."""
    folder = tmp_path / "models"
    save(mobile_block(), folder / "good")
    save(mobile_block(), folder / "bad")
    model = mobile_block()
    model.graph.node.append(helper.make_node("Unique", [model.graph.output[0].name], ["v"], name="once"))
    model.graph.node.append(helper.make_node("NonZero", [model.graph.output[0].name], ["z"], name="nz"))
    model.graph.output.append(helper.make_tensor_value_info("v", TensorProto.FLOAT, ["K"]))
    model.graph.output.append(helper.make_tensor_value_info("z", TensorProto.INT64, [2, "M"]))
    save(model, folder / "bad")
    onnx.save(mobile_block(), folder / "sound.onnx")
    monkeypatch.chdir(tmp_path)
    return folder


def opt(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main.run(["opt", *arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_without_arguments_it_prints_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = opt(capsys)
    assert (code, err) == (0, "")
    assert out == opt(capsys, "--help")[1]
    assert "The model:" in out
    assert out.count("\n  --") == sum(len(part.options) for part in (*GROUPS, SPOKEN) if part.heading)


def test_a_set_of_models(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One that fails is named with all its operators; the others are there."""
    code, out, err = opt(capsys, "--model_set_dir", "models", "--optimize_out", "out")
    assert code == 2
    assert "2 of 3 models optimized" in out
    assert "error: bad: 2 nodes cannot run" in err
    assert "Unique" in err
    assert "NonZero" in err
    assert sorted(path.name for path in Path("out").iterdir()) == ["good.nb", "sound.nb"]
    (models / "bad" / "model.onnx").unlink()
    assert opt(capsys, "--model-set-dir", "models", "--optimize-out", "out")[0] == 0


def test_sets_that_are_none(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    onnx.save(mobile_block(), models / "good.onnx")
    assert "both called good" in opt(capsys, "--model-set-dir", "models", "--optimize-out", "o")[2]
    Path("empty").mkdir()
    assert "holds no model" in opt(capsys, "--model-set-dir", "empty", "--optimize-out", "o")[2]
    assert "no model set" in opt(capsys, "--model-set-dir", "nowhere", "--optimize-out", "o")[2]
    code, _, err = opt(
        capsys, "--model-set-dir", "models", "--model-dir", "models/good", "--optimize-out", "o"
    )
    assert code == 2
    assert "exactly one of them" in err
    assert not Path("o").exists()


def test_a_file_has_no_name_in_a_folder(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["opt", "--model-file", "models/sound.onnx", "--model-filename", "other.onnx"]
    assert main.run([*arguments, "--optimize-out", "out"]) == 2
    assert "--model-filename with --model-file" in capsys.readouterr().err
    assert not Path("out.nb").exists()


def test_protobuf_computes_the_same(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = opt(
        capsys, "--model-dir", "models/good", "--optimize-out", "s", "--optimize-out-type", "protobuf"
    )
    assert code == 0
    assert "nodes" in out
    onnx.checker.check_model("s.onnx", full_check=True)
    before, after = onnx.load("models/good/model.onnx"), onnx.load("s.onnx")
    assert len(after.graph.node) < len(before.graph.node)
    shape = [d.dim_value or 1 for d in before.graph.input[0].type.tensor_type.shape.dim]
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    feeds = {before.graph.input[0].name: x}
    expected = open_session(Path("models/good/model.onnx")).run(None, feeds)
    for a, b in zip(expected, open_session(Path("s.onnx")).run(None, feeds), strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-4, atol=1e-5 * np.abs(a).max())


def test_protobuf_does_not_replace_its_source(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (models / "sound.onnx").read_bytes()
    code, _, err = opt(
        capsys,
        *("--model-file", "models/sound.onnx", "--optimize-out", "models/sound"),
        *("--optimize-out-type", "protobuf"),
    )
    assert code == 2
    assert "would overwrite" in err
    assert (models / "sound.onnx").read_bytes() == before


@pytest.mark.parametrize("written", ["arm,x86", "arm x86", "x86, arm ,arm64"])
def test_targets(models: Path, capsys: pytest.CaptureFixture[str], written: str) -> None:
    assert (
        opt(capsys, "--model-dir", "models/good", "--optimize-out", "t", "--valid-targets", written)[0] == 0
    )
    assert load_program(Path("t.nb")).targets == tuple(layout.TARGETS)


@pytest.mark.parametrize("flag", REFUSED)
@pytest.mark.parametrize("spelling", ["{}", "{}=true", "{}=0.5"])
def test_refused_flags(models: Path, capsys: pytest.CaptureFixture[str], flag: str, spelling: str) -> None:
    given = spelling.format(flag.replace("-", "_").replace("__", "--", 1))
    code, _, err = opt(capsys, "--model-dir", "models/good", "--optimize-out", "r", given)
    assert code == 2
    assert REFUSED[flag].reason in err
    assert not Path("r.nb").exists()
    assert opt(capsys, "--model-dir", "models/good", "--optimize-out", "r", f"{flag}=false")[0] == 0
    assert flag not in opt(capsys, "--help")[1]


@pytest.mark.needs("runtime")
def test_half_precision(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("--model-dir", str(models / "good"), "--enable-fp16=true", "--optimize-out", "half")
    code, out, _ = opt(capsys, *arguments)
    assert code == 0
    assert re.search(r"operators, 0 in int8, \d+ in fp16; arena", out)
    assert "of a float's bound" in out
    assert main.run(["show", "half.nb"]) == 0
    assert '"precision":"fp16"' in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--quant-model"], "--enable-fp16 with --quant-model"),
        (["--optimize-out-type", "protobuf"], "--enable-fp16 with --optimize-out-type protobuf"),
    ],
)
def test_half_precision_excludes(
    models: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    code, _, err = opt(
        capsys, "--model-dir", str(models / "good"), "--enable-fp16", "--optimize-out", "half", *arguments
    )
    assert code == 2
    assert words in err
    assert not list(models.parent.glob("half*"))


def test_external_data_lies_beside_the_model(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    external = onnx.load(models / "sound.onnx")
    Path("apart").mkdir()
    onnx.save(external, "apart/m.onnx", save_as_external_data=True, location="w.bin", size_threshold=0)
    one = ["--model-file", "apart/m.onnx", "--optimize-out", "e"]
    assert opt(capsys, *one, "--param-file", "apart/w.bin")[0] == 0
    assert "is not beside" in opt(capsys, *one, "--param-file", "models/w.bin")[2]
    named = ["--model-dir", "apart", "--model-filename", "m.onnx", "--optimize-out", "e"]
    assert opt(capsys, *named, "--param-filename", "w.bin")[0] == 0
    assert "keeps its weights in w.bin" in opt(capsys, *named, "--param-filename", "v.bin")[2]


@pytest.mark.parametrize(
    ("texts", "shapes"),
    [
        ([], None),
        (["1,3,8,8"], ((1, 3, 8, 8),)),
        (["[1,3,8,8]:1,5"], ((1, 3, 8, 8), (1, 5))),
        (["a:1,3", "b:0:2,4"], {"a": (1, 3), "b:0": (2, 4)}),
    ],
)
def test_input_shapes(texts: list[str], shapes: object) -> None:
    assert parse_shapes(texts) == shapes


@pytest.mark.parametrize(
    "texts", [[""], ["1,0"], ["a:"], [":1,2"], ["1,2", "a:1"], ["1;2"], ["1,²"], ["1," + "9" * 5000]]
)
def test_wrong_input_shapes(texts: list[str]) -> None:
    with pytest.raises(InputError):
        parse_shapes(texts)


def test_shapes_of_two_inputs(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    b = Builder()
    model = b.model(b.node("Add", "sum", [b.conv("conv", "input", 3, 4), "other"]), shape=("N", 3, "H", "W"))
    model.graph.input.append(helper.make_tensor_value_info("other", TensorProto.FLOAT, ["N", 4, "H", "W"]))
    model.graph.output[0].CopyFrom(
        helper.make_tensor_value_info("sum/out", TensorProto.FLOAT, ["N", 4, "H", "W"])
    )
    save(model, models / "two")
    arguments = ["--model-dir", "models/two", "--optimize-out", "two"]
    for given in (
        ["--input-shape", "1,3,8,12:1,4,8,12"],
        ["--input-shape", "other:1,4,8,12", "--input-shape", "input:1,3,8,12"],
    ):
        assert opt(capsys, *arguments, *given)[0] == 0
    program = load_program(Path("two.nb"))
    assert {program.tensors[i].name: program.tensors[i].dims for i in program.inputs} == {
        "input": (1, 3, 8, 12),
        "other": (1, 4, 8, 12),
    }
    for given, words in (
        (["--input-shape", "1,3,8,12"], "1 input_shape for 2 inputs (input, other)"),
        (["--input-shape", "ohter:1,4,8,12"], "did you mean `other`"),
        (["--input-shape", "other:1,5,8,12"], "does not fit input `other`"),
    ):
        code, _, err = opt(capsys, *arguments, *given)
        assert code == 2
        assert words in err


def test_lists_of_operators(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    header, *lines = opt(capsys, "--print-all-ops")[1].splitlines()
    assert header.split()[:5] == ["operator", *layout.TARGETS]
    assert [line.split()[0] for line in lines] == [*OPERATORS, *DIALECTS]
    header, rule, *lines = opt(capsys, "--print_all_ops_in_md_format")[1].splitlines()
    assert {header.count("|"), rule.count("|"), *(line.count("|") for line in lines)} == {9}
    assert "unknown target gpu" in opt(capsys, "--print-supported-ops", "--valid-targets", "gpu")[2]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["--print-supported-ops", "--optimize-out", "x"], "--optimize-out with --print-supported-ops"),
        (
            ["--print-model-ops", "--model-dir", "models/good", "--explain"],
            "--explain with --print-model-ops",
        ),
        (["--print-all-ops", "--print-model-ops"], "--print-model-ops with --print-all-ops"),
        (["--print-model-ops", "--optimized-nb-model-path", "x.nb"], "--optimized-nb-model-path with"),
        (["--display-kernels", "--no-verify"], "--no-verify with --display-kernels"),
    ],
)
def test_lists_refuse_what_they_do_not_read(
    models: Path, capsys: pytest.CaptureFixture[str], given: list[str], words: str
) -> None:
    code, out, err = opt(capsys, *given)
    assert (code, out) == (2, "")
    assert words in err
    assert opt(capsys, "--print-supported-ops", "--explain=false", "--valid-targets", "arm")[0] == 0


def test_every_list_has_its_row() -> None:
    fields = {field.name for field in dataclasses.fields(Flags)}
    assert fields >= {name for row in READ_BY_LISTING.items() for name in (row[0], *row[1])}
    assert {name for name in fields if name.startswith("print_")} < set(READ_BY_LISTING)


def test_the_operators_of_a_model(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = opt(capsys, "--model-dir", "models/good", "--print_model_ops")
    assert (code, err) == (0, "")
    assert "all of them run" in out
    assert any(line.split()[:2] == ["Conv", "3"] for line in out.splitlines()), out
    code, out, err = opt(capsys, "--model-dir", "models/bad", "--print-model-ops")
    assert code == 2
    assert any(line.split()[:3] == ["Unique", "1", "no"] for line in out.splitlines()), out
    assert "2 nodes cannot run" in err
    assert "all of them run" not in out


@pytest.mark.needs("dot")
def test_drawing(models: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert opt(capsys, "--model-dir", "models/good", "--optimize-out", "d")[0] == 0
    draw = ["--optimized-nb-model-path", "d.nb", "--visualization-file-output-path", "drawn"]
    code, out, err = opt(capsys, *draw)
    assert (code, err) == (0, ""), "the SVG needs the apt package graphviz"
    assert "d.svg" in out
    text = Path("drawn/d.dot").read_text(encoding="utf-8")
    ops = load_program(Path("d.nb")).ops
    assert text.count("fillcolor") == len(ops) + 2
    assert Path("drawn/d.svg").read_text(encoding="utf-8").count('class="node"') == len(ops) + 2
    Path("drawn/d.svg").unlink()
    monkeypatch.setattr(shutil, "which", lambda _: None)
    code, _, err = opt(capsys, *draw)
    assert code == 0
    assert "apt package graphviz" in err
    assert not Path("drawn/d.svg").exists()


@pytest.mark.needs("dot")
def test_names_with_quotes_are_drawn(tmp_path: Path) -> None:
    from ptq_core.flatfile.drawing import program_dot
    from tests.flatfile.programs import tiny_program

    text = program_dot(tiny_program(), 'a "b" \\ c')
    subprocess.run(["dot", "-Tcanon"], input=text, text=True, check=True, capture_output=True)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--model-dir", "models/good"], "no --optimize-out"),
        (["--optimized-nb-model-path", "d.nb"], "belong together"),
        (
            ["--optimized-nb-model-path", "none.nb", "--visualization-file-output-path", "v"],
            "cannot read none.nb",
        ),
        (
            [
                *("--optimized-nb-model-path", "models/sound.onnx"),
                *("--visualization-file-output-path", "v"),
            ],
            "magic",
        ),
    ],
)
def test_mistakes(models: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str) -> None:
    before = sorted(models.parent.rglob("*"))
    code, _, err = opt(capsys, *arguments)
    assert code == 2
    assert words in err
    assert sorted(models.parent.rglob("*")) == before


@pytest.mark.parametrize(("quant_type", "ratio", "least_db"), [("QUANT_INT8", 3.5, 40), (None, 1.9, 90)])
def test_weight_only_compression(
    digits: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    quant_type: str | None,
    ratio: float,
    least_db: float,
) -> None:
    """The file shrinks by about 4 or 2, float operators stay float, and the outputs stay near."""
    one = ["--model-dir", str(digits / "model"), "--valid-targets", "host"]
    whole, small = tmp_path / "whole.nb", tmp_path / "small.nb"
    assert opt(capsys, *one, "--optimize-out", str(whole))[0] == 0
    given = ["--quant_model=true", *([] if quant_type is None else [f"--quant_type={quant_type}"])]
    code, out, err = opt(capsys, *one, "--optimize-out", str(small), *given)
    assert (code, err) == (0, "")
    assert "20 operators, 0 in int8" in out
    assert "verified: " in out
    assert "weights: 16 tensors" in out
    assert whole.stat().st_size > ratio * small.stat().st_size
    program = load_program(small)
    assert program.version == (1, 2)
    assert program.meta["weights"] == ("i16" if quant_type is None else "i8")
    x = np.random.default_rng(0).uniform(-1, 1, program.tensors[program.inputs[0]].dims).astype(np.float32)
    with Program(whole) as before, Program(small) as after:
        logits = [
            loaded.run_observed(x)[name][1]
            for loaded, name in ((before, "head/logits/out"), (after, "head/logits/out"))
        ]
    noise = ((logits[0] - logits[1]).astype(np.float64) ** 2).sum()
    db = 10 * np.log10((logits[0].astype(np.float64) ** 2).sum() / noise)
    assert least_db / 2 < db
    assert float(out.split("signal to noise ")[1].split()[0]) > least_db
    assert sorted(tmp_path.iterdir()) == [small, whole]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["--quant-type", "QUANT_INT8"], "without --quant-model"),
        (["--quant-model", "--quant-type", "QUANT_INT4"], "QUANT_INT8 and QUANT_INT16"),
        (["--quant-model", "--optimize-out-type", "protobuf"], "weight_only"),
        (["--explain", "--optimize-out-type", "protobuf"], "rewrite flat files"),
        (["--prefer-int8-kernel=false", "--optimize-out-type", "protobuf"], "--prefer-int8-kernel with"),
        (["--valid-targets", "gpu", "--optimize-out-type", "protobuf"], "unknown target gpu"),
    ],
)
def test_flags_that_do_not_go_together(
    models: Path, capsys: pytest.CaptureFixture[str], given: list[str], words: str
) -> None:
    code, _, err = opt(capsys, "--model-dir", "models/good", "--optimize-out", "c", *given)
    assert code == 2
    assert words in err
    assert not list(Path().glob("c*"))


def test_an_int8_model_has_little_to_compress(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Weights that int8 operators read are not touched; without float weights the file stays as it is."""
    b = Builder()
    save(b.model(b.node("Relu", "relu", ["input"])), models / "relu")
    given = ["--model-dir", "models/relu", "--optimize-out", "relu"]
    code, out, _ = opt(capsys, *given, "--quant-model")
    assert code == 0
    assert "found no float weights" in out
    assert load_program(Path("relu.nb")).version == (1, 1)
