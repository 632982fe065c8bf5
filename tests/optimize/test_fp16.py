"""`--enable-fp16`: which operators become f16, where conversions stand, what the files compute, and what stays float32."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ptq_core.errors import PtqError
from ptq_core.flatfile.interpreter import interpret, run
from ptq_core.flatfile.operators import kinds
from ptq_core.flatfile.operators.attributes import Clamp
from ptq_core.flatfile.operators.binary import ADD, MUL
from ptq_core.flatfile.operators.clamp import CLAMP
from ptq_core.flatfile.operators.convert import CONVERT
from ptq_core.flatfile.program import Program
from ptq_core.flatfile.reader import read_program
from ptq_core.flatfile.tensors import DType, Tensor
from ptq_core.optimize import passes, pipeline
from ptq_core.optimize.passes import Pass, run_passes
from tests.agreement import assert_runtime_agrees
from tests.models import mobile_block, save
from tests.optimize import pass_programs as programs
from tests.optimize.pass_programs import Net
from tests.optimize.small_networks import NETWORKS, SHAPE, Layers, model
from tests.optimize.verify.faults import FAULTS, plant
from tests.quantize.harness import samples

needs_runtime = pytest.mark.needs("runtime")


ROWS: list[tuple[Callable[[Net], Program], list[str]]] = [
    (programs.clamp_after_conv, ["convert", "conv2d", "convert"]),
    (programs.clamp_of_shared, ["convert", "conv2d", "clamp", "convert", "convert"]),
    (programs.residual, ["convert", "conv2d", "conv2d_add", "convert"]),
    (programs.head, ["reshape"]),
    (
        programs.two_heads,
        ["reshape", "concat"],
    ),
    (programs.int8_add, ["quantize", "quantize", "add"]),
]


@pytest.mark.parametrize(("make", "expected"), ROWS, ids=lambda v: getattr(v, "__name__", None))
def test_operators(make: Callable[[Net], Program], expected: list[str]) -> None:
    """Conversions only where f16 and f32 meet; what is only moved, or int8, stays."""
    before, program = make(Net()), make(Net())
    run_passes(before)
    run_passes(program, enable_fp16=True)
    assert [op.kind.name for op in program.ops] == expected
    assert all(program.tensors[i].dtype != DType.F16 for i in (*program.inputs, *program.outputs))
    x = np.random.default_rng(9).uniform(-3, 3, (1, 5, 5, 4)).astype(np.float32)
    for got, wanted in zip(run(program, [x]), run(before, [x]), strict=True):
        np.testing.assert_allclose(got.astype(float), wanted.astype(float), rtol=2e-3, atol=2e-2)


def test_a_constant_that_would_be_infinite_keeps_its_operator_in_float() -> None:
    net = Net()
    large = net.program.add(Tensor("large", DType.F32, (4,), None, np.full(4, 7e4, np.float32)))
    y = net.same(CLAMP, net.conv(net.x), Clamp(lo=0))
    program = net.done(y, net.op(ADD, [net.x, large], (1, 5, 5, 4), Clamp()))
    run_passes(program, enable_fp16=True)
    types = {op.kind.name: program.tensors[op.outputs[0]].dtype for op in program.ops}
    assert types["conv2d"] == DType.F16
    assert types["add"] == DType.F32


def test_values_beyond_the_range_are_infinite() -> None:
    net = Net()
    factor = net.program.add(Tensor("factor", DType.F32, (1,), None, np.full(1, 6e4, np.float32)))
    program = net.done(net.op(MUL, [net.x, factor], (1, 5, 5, 4), Clamp()))
    run_passes(program, enable_fp16=True)
    (y,) = run(program, [np.full((1, 5, 5, 4), 2, np.float32)])
    assert np.isposinf(y).all()


def test_the_file_halves_and_says_so(tmp_path: Path) -> None:
    source = save(mobile_block(), tmp_path / "model")
    pipeline.optimize(source, tmp_path / "fp32.nb")
    report = pipeline.optimize(source, tmp_path / "fp16.nb", enable_fp16=True)
    sizes = [
        sum(
            t.size_bytes
            for t in read_program((tmp_path / f"{name}.nb").read_bytes()).tensors
            if t.is_constant
        )
        for name in ("fp16", "fp32")
    ]
    assert sizes[0] == sizes[1] / 2
    program = read_program((tmp_path / "fp16.nb").read_bytes())
    halves = [op for op in program.ops if program.tensors[op.outputs[0]].dtype == DType.F16]
    assert report.fp16_op_count == len(halves) > 3
    assert {op.kind for op in halves} <= {*kinds(lambda kind: kind.has_f16), CONVERT}
    assert program.meta["precision"] == "fp16"


@needs_runtime
@pytest.mark.parametrize("network", NETWORKS, ids=lambda n: n.__name__)
def test_small_networks(tmp_path: Path, network: Callable[[Layers], str]) -> None:
    """The runtime keeps to the bound of half precision, and the file computes what onnxruntime does in float32."""
    out = tmp_path / "half.nb"
    source = save(model(network), tmp_path)
    report = pipeline.optimize(source, out, targets=("host",), enable_fp16=True, verify=True)
    assert report.fp16_op_count > 3
    assert report.verified is not None
    assert not report.verified.reason
    program = read_program(out.read_bytes())
    for x in samples((1, *SHAPE), 2, seed=5):
        assert_runtime_agrees(program, out.read_bytes(), [x])


@needs_runtime
def test_a_wrong_pass_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = save(mobile_block(), tmp_path)
    pipeline.optimize(source, tmp_path / "right.nb", enable_fp16=True, verify=True)
    no_bound = next(fault for fault in FAULTS if fault.name == "clamp_missing")
    monkeypatch.setattr(passes, "PASSES", (*passes.PASSES, Pass(lambda p: plant(no_bound, p))))
    with pytest.raises(PtqError, match="of the program computes"):
        pipeline.optimize(source, tmp_path / "wrong.nb", enable_fp16=True, verify=True)


def test_every_value_is_a_half() -> None:
    program = programs.clamp_after_conv(Net())
    run_passes(program, enable_fp16=True)
    values = interpret(program, [np.random.default_rng(3).uniform(-1, 1, (1, 5, 5, 4)).astype(np.float32)])
    types = {t.dtype: v.dtype for t, v in zip(program.tensors, values, strict=True) if v is not None}
    assert types == {DType.F32: np.float32, DType.F16: np.float16}
