"""Names that a terminal would obey, or that fake a line of ours: what every command prints of them."""

from __future__ import annotations

import json
import logging
import os
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from ptq_cli import main
from ptq_cli.bench_progress import DeviceMeters
from ptq_core.bench.protocol import OpTime
from ptq_core.errors import DeviceError, InputError
from ptq_core.graph.session import open_session, run_session
from ptq_core.printable import printable
from tests.agreement import RUNTIME_IS_BUILT
from tests.bench.reports import FP32, PHONE, case, device, model, report
from tests.bench.reports import save as save_report

HOSTILE = {
    "colour": "\x1b[31mred",
    "title": "\x1b]0;title\x07",
    "clear": "\x1b[2J\x1b[H",
    "control introducer": "\x9b2J",
    "overwrite": "real\rverified: all",
    "line": "a\nverified: all good",
    "backwards": "\u202egood :deifirev",
    "unseen": "a\u200b\x7f\u2028b",
}
ALL = "|".join(HOSTILE.values())


def network(op_type: str = "Softmax") -> onnx.ModelProto:
    """Convolutions with every hostile name, then ``op_type``; the input and the output have them all."""
    x, nodes, weights = f"x{ALL}", [], []
    for index, name in enumerate(HOSTILE.values()):
        weight = np.random.default_rng(index).standard_normal((3, 3, 1, 1)).astype(np.float32)
        weights.append(numpy_helper.from_array(weight, f"w{name}"))
        nodes.append(helper.make_node("Conv", [x, f"w{name}"], [f"c{name}"], name=f"n{name}"))
        x = f"c{name}"
    nodes.append(helper.make_node(op_type, [x], [f"y{ALL}"], name=f"last{ALL}"))
    values = [
        helper.make_tensor_value_info(f"{end}{ALL}", TensorProto.FLOAT, [1, 3, 8, 8]) for end in ("x", "y")
    ]
    graph = helper.make_graph(nodes, ALL, values[:1], values[1:], weights)
    return helper.make_model(
        graph, producer_name=ALL, opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    )


def saved_report(path: Path, slower: float = 1.0) -> Path:
    ops = (OpTime(ALL, ALL, ALL, 2.0),)
    times = [slower * ms for ms in FP32]
    models = (model("fp32", times, name=ALL, ops=ops), model("int8", times, name=ALL, path=ALL, ops=ops))
    measured = replace(case(), models=models, power_mode="big", cpu_features=ALL)
    hostile = device(ALL, measured, context=replace(PHONE, model=ALL, manufacturer=ALL, cpu_model=ALL))
    return save_report(path, report(replace(hostile, error=f"it ended\n{ALL}"), profile=True))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with models, reports, lists and configurations that strangers wrote."""
    monkeypatch.chdir(tmp_path)
    onnx.save(network(), "m.onnx")
    onnx.save(network("Bernoulli"), "refused.onnx")
    onnx.save(network(f"Strange{ALL}"), "unknown.onnx")
    saved_report(Path("old.json"))
    saved_report(Path("new.json"), slower=2.0)
    Path("pictures").mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(Path("pictures", "a.png"))
    Path("pictures", f"bad{ALL.replace('/', '')}.png").write_bytes(b"no picture")
    Path("labels.txt").write_text("".join(f"{name} x\n" for name in HOSTILE.values()), encoding="utf-8")
    Path("key.yaml").write_text(json.dumps({ALL: 1}), encoding="utf-8")
    Path("good.yaml").write_text(json.dumps({"preprocess": {"mean": [0.0], "std": [1.0]}}), encoding="utf-8")
    Path("value.yaml").write_text(json.dumps({"algo": ALL}), encoding="utf-8")
    assert (
        main.run(
            ["opt", "--model-file", "m.onnx", "--optimize-out", "m", "--valid-targets", "host", "--no-verify"]
        )
        == 0
    )
    return tmp_path


OPT = ["opt", "--valid-targets", "host"]
QUANTIZE = ["quantize", "--model-dir", ".", "--image-dir", "pictures", "--save-model-path", "int8"]
COMMANDS: dict[str, tuple[int, Sequence[str]]] = {
    "show onnx": (0, ["show", "m.onnx"]),
    "show onnx as JSON": (0, ["show", "m.onnx", "--json"]),
    "show flat file": (0, ["show", "m.nb", "--kernels=false"]),
    "show flat file as JSON": (0, ["show", "m.nb", "--json", "--kernels=false"]),
    "opt --explain": (0, [*OPT, "--model-file", "m.onnx", "--optimize-out", "e", "--explain", "--no-verify"]),
    "opt refused": (2, [*OPT, "--model-file", "refused.onnx", "--optimize-out", "e"]),
    "opt unknown operator": (2, [*OPT, "--model-file", "unknown.onnx", "--optimize-out", "e"]),
    "opt a name of an input": (
        2, [*OPT, "--model-file", "m.onnx", "--optimize-out", "e", "--input-shape", f"{ALL.replace(':', '')}:1,2"],
    ),
    "quantize unknown operator": (2, [*QUANTIZE, "--model-filename", "unknown.onnx"]),
    "quantize key": (2, [*QUANTIZE, "-c", "key.yaml"]),
    "quantize value": (2, [*QUANTIZE, "-c", "value.yaml"]),
    "quantize": (0, [*QUANTIZE, "--model-filename", "m.onnx", "--algo", "abs_max", "--skip-bad-images=true"]),
    "eval a list": (2, ["eval", "--model", "m.onnx", "--labels", "labels.txt", "-c", "good.yaml"]),
    "bench a saved report": (3, ["bench", "--from-json", "old.json"]),
    "bench two reports": (4, ["bench", "--compare", "old.json", "new.json", "--fail-above", "1.1"]),
    "a flag": (2, ["show", f"--{ALL}"]),
    "an argument too many": (2, ["show", "m.onnx", ALL]),
    "a file": (2, ["show", ALL]),
    "a file with bytes that are no text": (2, ["show", os.fsdecode(b"\xff\x1b[2J")]),
    "a command": (2, [ALL]),
}  # fmt: skip


def check_printed(text: str) -> None:
    """Nothing that is not seen, and no line that a name began."""
    for line in text.split("\n"):
        assert line == printable(line)
        assert not line.startswith(("verified: all good", "good :deifirev"))


@pytest.mark.parametrize("what", COMMANDS)
def test_names_stay_on_their_line(what: str, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    capfd.readouterr()
    code, arguments = COMMANDS[what]
    got = main.run(list(arguments))
    out, err = capfd.readouterr()
    assert got == code, err
    check_printed(out)
    check_printed(err)
    if what.endswith("JSON"):
        assert ALL in out or any(ALL in str(value) for value in walk(json.loads(out)))
    else:
        assert "\\x1b[" in out + err or "\\x1b]" in out + err


def walk(value: object) -> list[object]:
    if isinstance(value, dict):
        return [each for key, item in value.items() for each in (key, *walk(item))]
    return [each for item in value for each in walk(item)] if isinstance(value, list) else [value]


@pytest.mark.skipif(not RUNTIME_IS_BUILT, reason="needs the runtime")
@pytest.mark.parametrize(
    "arguments",
    [
        ["show", "m.nb"],
        [*OPT, "--optimized-nb-model-path", "m.nb", "--display-kernels"],
        [*OPT, "--model-file", "m.onnx", "--optimize-out", "v", "--record-tailoring-info"],
    ],
)
def test_names_on_their_way_through_the_runtime(
    arguments: list[str], folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    capfd.readouterr()
    assert main.run(arguments) == 0
    out, err = capfd.readouterr()
    check_printed(out + err)


def test_a_drawing(folder: Path) -> None:
    drawing = ["--optimized-nb-model-path", "m.nb", "--visualization-file-output-path", "."]
    assert main.run(["opt", *drawing]) == 0
    text = Path("m.dot").read_text(encoding="utf-8")
    check_printed(text)
    assert r"\\x1b[31mred" in text
    assert r"a\\nverified: all good" in text


@pytest.mark.parametrize("option", ["--markdown", "--csv", "--html"])
def test_a_page(option: str, folder: Path) -> None:
    assert main.run(["bench", "--from-json", "old.json", option, "page"]) == 3
    text = Path("page").read_bytes().decode().replace("\r\n", "\n")
    check_printed(text)
    assert "x1b" in text


def test_the_report_of_quantize(folder: Path) -> None:
    _, arguments = COMMANDS["quantize"]
    assert main.run(list(arguments)) == 0
    text = Path("int8", "quantization.json").read_text(encoding="utf-8")
    check_printed(text)
    names = walk(json.loads(text))
    for name in HOSTILE.values():
        assert f"n{name}" in names  # JSON keeps them as they are


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize("kind", [lambda: DeviceError(ALL, rule=ALL, fix=ALL), lambda: RuntimeError(ALL)])
def test_errors(
    kind: Callable[[], Exception],
    debug: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise kind()

    monkeypatch.setattr("ptq_cli.show._reader_of", fail)
    assert main.run(["show", "m.onnx"], debug=debug) in (1, 3)
    out, err = capsys.readouterr()
    if debug:
        err = err[err.rindex("error: ") :]
    check_printed(out + err)
    assert r"a\nverified: all good" in err


@pytest.mark.parametrize("said_by", [logging.getLogger("onnx_ir.serde").warning, warnings.warn])
def test_what_libraries_log(
    said_by: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def reader(*_: object) -> Callable[..., object]:
        for index in range(1000):
            said_by(f"{ALL}{index // 100}")
        return lambda *_: ([], {})

    monkeypatch.setattr("ptq_cli.show._reader_of", reader)
    assert main.run(["show", "m.onnx"]) == 0
    _, err = capfd.readouterr()
    check_printed(err)
    assert err.count("note: ") == len(err.splitlines()) == 10  # each once


def test_onnxruntime_logs_no_names(capfd: pytest.CaptureFixture[str]) -> None:
    values = [
        helper.make_tensor_value_info(name, kind, shape)
        for name, kind, shape in (
            ("x", TensorProto.FLOAT, ["n"]),
            ("s", TensorProto.INT64, [2]),
            ("y", TensorProto.FLOAT, [None, None]),
        )
    ]
    node = helper.make_node("Reshape", ["x", "s"], ["y"], name=ALL)
    graph = helper.make_graph([node], "g", values[:2], values[2:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = open_session(model.SerializeToString())
    feeds = {"x": np.zeros(5, np.float32), "s": np.array([2, 3])}
    with pytest.raises(InputError):
        run_session(session, None, feeds, rule="", fix="")
    assert capfd.readouterr() == ("", "")


def test_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    said = []

    class Bar:
        n = 0

        def __init__(self, desc: str, **_: object) -> None:
            said.append(desc)

        def set_description_str(self, text: str, refresh: bool) -> None:
            said.append(text)

        def update(self, _: int) -> None: ...

        def refresh(self) -> None: ...

        def close(self) -> None: ...

    monkeypatch.setattr("ptq_core.progress.tqdm", Bar)
    with DeviceMeters() as progress:
        progress(ALL, 0, 1, ALL)
    assert len(said) == 2
    for text in said:
        check_printed(text)
        assert "\n" not in text
