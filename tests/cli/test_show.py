"""`ptq show`: every kind of file as text and as JSON; of a flat file, byte for byte what the C++ tool prints."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from ptq_cli import main
from ptq_core.calibration.cache import CachedCalibration, save_cache
from ptq_core.calibration.statistics import TensorStatistics
from ptq_core.flatfile.dump import dump_program
from ptq_core.flatfile.reader import read_program
from ptq_core.flatfile.writer import write_program
from ptq_core.optimize.pipeline import optimize
from ptq_core.runtime import runtime_binary
from tests.flatfile.programs import tiny_program
from tests.flatfile.update_golden import GOLDEN, PROGRAMS
from tests.models import mobile_block, save
from tests.optimize import small_networks


def show(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = main.run(["show", *map(str, arguments)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def show_bin(*arguments: object) -> str:
    command = [str(runtime_binary("host", "show_bin")), *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True).stdout.decode()


@pytest.mark.parametrize("name", PROGRAMS)
def test_both_dumps_of_the_golden_files(name: str) -> None:
    path = GOLDEN / f"{name}.nb"
    assert show_bin("--dump", path) == path.with_suffix(".txt").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "network",
    [small_networks.mobilenet_v3, small_networks.shufflenet_v2, small_networks.yolox, small_networks.decoder],
)
def test_both_tools_show_the_same(
    network: Callable[[small_networks.Layers], str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    onnx.save(small_networks.model(network), tmp_path / "m.onnx")
    optimize(tmp_path / "m.onnx", tmp_path / "m.nb")
    code, out, err = show(capsys, tmp_path / "m.nb")
    assert (code, err) == (0, "")
    assert out == show_bin(tmp_path / "m.nb")
    assert "kernel 0 " in out


def test_odd_names_and_versions(tmp_path: Path) -> None:
    """A newer minor version, no META, every byte that a name may have."""
    program = tiny_program()
    program.meta = {"model": 'a "b" é\n', "size": 3}
    data = bytearray(write_program(program))
    data[10] = 9  # version_minor, before the checksum's range
    path = tmp_path / "m.nb"
    path.write_bytes(data)
    text = dump_program(read_program(bytes(data)))
    assert text.startswith("flat file 1.9 ")
    assert 'meta {"model":"a \\"b\\" é\\n","size":3}\n' in text
    assert show_bin("--dump", path) == text


def test_flat_file_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    record = json.loads(show(capsys, GOLDEN / "every_kind.nb", "--json")[1])
    assert record["file_bytes"] == (GOLDEN / "every_kind.nb").stat().st_size
    assert record["version"] == "1.5"
    resize = next(op for op in record["ops"] if op["kind"] == "resize")
    assert resize["attributes"]["mode"] == "linear"
    assert resize["attributes"]["lo"] == "-inf"
    assert all("__" in op["kernel"] for op in record["ops"])
    x = record["tensors"][record["inputs"][0]]
    assert (x["name"], x["dims"], x["first"], x["last"]) == ("x", [1, 4, 6, 6], -1, len(record["ops"]))
    assert record["arena_least_bytes"] <= record["arena_bytes"]
    assert sum(t["bytes"] for t in record["tensors"] if t.get("constant")) == record["constant_bytes"]


def test_without_a_runtime_the_kernels_are_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PTQ_RUNTIME_DIR", str(tmp_path))
    code, out, err = show(capsys, GOLDEN / "tiny.nb")
    assert code == 0
    assert out == (GOLDEN / "tiny.txt").read_text(encoding="utf-8")
    assert "note: kernels are not shown" in err
    assert "make runtime" in err
    assert show(capsys, GOLDEN / "tiny.nb", "--kernels=false") == (0, out, "")


def test_onnx(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = mobile_block()
    graph = model.graph
    graph.initializer.append(helper.make_tensor("s", TensorProto.FLOAT, [], [0.1]))
    graph.initializer.append(helper.make_tensor("z", TensorProto.INT8, [], [3]))
    graph.node.insert(0, helper.make_node("DequantizeLinear", ["q", "s", "z"], ["dq"], name="dq"))
    graph.node.insert(0, helper.make_node("QuantizeLinear", ["input", "s", "z"], ["q"], name="q"))
    graph.node[2].input[0] = "dq"
    path = save(model, tmp_path)
    code, out, err = show(capsys, path)
    assert (code, err) == (0, "")
    assert out.startswith("onnx opset 17, ir 8")
    assert "input float[N,3,16,16] input\n" in out
    assert "node 0 q = QuantizeLinear(input, s, z) scale=0.100000001 zero_point=3 q\n" in out
    assert "constant float[8,3,3,3] 864 bytes stem/conv/weight\n" in out
    record = json.loads(show(capsys, path, "--json")[1])
    assert [node["op_type"] for node in record["nodes"]] == [node.op_type for node in graph.node]
    assert record["nodes"][0]["scales"] == [float(np.float32(0.1))]
    assert record["file_bytes"] == path.stat().st_size


def test_calibration_cache(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seen = TensorStatistics("x", -1.0, 3.5, 20, 4, -10, 2, -1.5, 5.0, 5.5)
    cached = CachedCalibration({"x": seen, "y": TensorStatistics("y")}, 2, [(Path("bad.png"), "no picture")])
    path = save_cache(tmp_path, "k" * 64, cached)
    code, out, err = show(capsys, path)
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "calibration cache, complete: 2 samples, 1 skipped",
        "skipped bad.png: no picture",
        "tensor min=-1 max=3.5 abs_max=3.5 mean_abs_max=2.75 values=20 zeros=4 bin_width=0.0009765625 x",
        "tensor no values y",
    ]
    record = json.loads(show(capsys, path, "--json")[1])
    assert record["tensors"][0]["mean_abs_max"] == 2.75
    data = path.read_bytes()
    path.write_bytes(data[:-30])
    code, _, err = show(capsys, path)
    assert code == 2
    assert "damaged" in err


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("none.onnx", None, "No such file"),
        ("folder.nb", None, "cannot read"),
        ("short.nb", b"PTQ", "file size"),
        ("x.bin", b"\xff" * 40, "cannot read"),
        ("x.npz", b"PK\x03\x04", "no file of the calibration cache"),
    ],
)
def test_mistakes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, content: bytes | None, words: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    elif name.startswith("folder"):
        (tmp_path / name).mkdir()
    code, out, err = show(capsys, tmp_path / name)
    assert (code, out) == (2, "")
    assert words in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["none.nb"], b"cannot open none.nb"),
        ([], b"no FILE.nb given"),
        (["a", "b"], b"one file only"),
        (["--what"], b"no such flag"),
        (["--choices", "--cpu=z80", str(GOLDEN / "tiny.nb")], b"no such level"),
    ],
)
def test_mistakes_with_the_tool(arguments: list[str], words: bytes) -> None:
    done = subprocess.run([runtime_binary("host", "show_bin"), *arguments], capture_output=True, check=False)
    assert done.returncode == 2
    assert words in done.stderr
