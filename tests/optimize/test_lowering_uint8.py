"""uint8 of other quantizers: the integers and zero points 128 less are the same numbers, to the last bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from onnx import TensorProto

from ptq_core.errors import InputError
from ptq_core.flatfile.operators.conv2d import CONV2D
from ptq_core.flatfile.program import Program
from ptq_core.graph.io import load_model
from ptq_core.optimize.pipeline import lower_to_program, optimize, runs_on_int8
from tests.optimize.graphs import Graph, Qdq, build, build_proto
from tests.optimize.test_lowering_qdq import CASES, S_IN, S_OUT, Z_OUT, qinput
from tests.optimize.unsigned import unsigned


@pytest.mark.parametrize("name", CASES)
def test_is_the_program_of_int8(name: str) -> None:
    signed = lower_to_program(build(*CASES[name]))
    shifted = lower_to_program(ir.from_proto(unsigned(build_proto(*CASES[name]))))
    assert constants(shifted) == constants(signed)
    assert [(op.kind.name, op.attributes) for op in shifted.ops] == [
        (op.kind.name, op.attributes) for op in signed.ops
    ]
    assert [(t.dtype, t.dims, t.qparams) for t in shifted.tensors] == [
        (t.dtype, t.dims, t.qparams) for t in signed.tensors
    ]


def constants(program: Program) -> list[bytes]:
    return [np.ascontiguousarray(t.data).tobytes() for t in program.tensors if t.data is not None]


def test_is_verified_against_the_model_as_written(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(unsigned(build_proto(*CASES["mobile"])).SerializeToString())
    report = optimize(path, tmp_path / "m.nb", verify=True)
    assert report.verified is not None
    assert not report.verified.reason
    assert report.verified.steps_at_ties == 0
    assert report.verified.pieces >= 4


def test_a_wrong_shift_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The verification reads the model's own uint8: 127 instead of 128 is not the same number."""
    from ptq_core.errors import PtqError
    from ptq_core.optimize.lowering import quantization

    path = tmp_path / "m.onnx"
    path.write_bytes(unsigned(build_proto(*CASES["conv"])).SerializeToString())
    monkeypatch.setitem(quantization.SHIFTS, "uint8", 127)
    with pytest.raises(PtqError, match="computes"):
        optimize(path, tmp_path / "m.nb", verify=True)


def weighted(low: int, high: int, zero: int | list[int]) -> Graph:
    """A convolution of uint8 weights from ``low`` to ``high``; one scale, or one per channel for a list of zero points."""

    def graph(b: Qdq) -> str:
        values = b.random.integers(low, high + 1, (4, 8, 3, 3)).astype(np.uint8)
        values.flat[:2] = low, high
        per_channel = isinstance(zero, list)
        scale = np.full(4, 0.01, np.float32) if per_channel else np.float32(0.01)
        inputs = [
            b.constant("w", values),
            b.constant("ws", scale),
            b.constant("wz", np.array(zero, np.uint8)),
        ]
        attributes = {"axis": 0} if per_channel else {}
        w = b.node("DequantizeLinear", "wd", inputs, **attributes)
        y = b.node("Conv", "conv", [qinput(b), w], pads=[1, 1, 1, 1])
        return b.quantize("out", y, S_OUT, Z_OUT)

    return graph


@pytest.mark.parametrize(
    ("low", "high", "zero", "int8"),
    [
        (1, 255, 128, True),
        (0, 255, 128, True),  # −128 is no weight of an int8 kernel, but −127 and −1 are
        (0, 120, 3, True),  # a zero point that leaves distances of 7 bits
        (0, 255, 3, True),
        (0, 255, 0, False),  # more than two weights of an int8 kernel
        (10, 120, [3, 100, 7, 9], True),
        (0, 255, [3, 100, 7, 9], True),
    ],
)
def test_weights_are_distances_from_their_zero_point(
    tmp_path: Path, low: int, high: int, zero: int | list[int], int8: bool
) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(build_proto(weighted(low, high, zero)).SerializeToString())
    report = optimize(path, tmp_path / "m.nb", verify=True)
    assert report.verified is not None
    assert not report.verified.reason
    program = lower_to_program(load_model(path))
    (conv,) = (op for op in program.ops if op.kind == CONV2D)
    assert runs_on_int8(program, conv) == int8


def read_as_numbers(b: Qdq) -> str:
    x = b.node(
        "QuantizeLinear", "q", ["input", b.constant("s", np.float32(0.1)), b.constant("z", np.uint8(3))]
    )
    return b.node("Cast", "cast", [x], to=TensorProto.FLOAT)


def test_uint8_that_is_read_as_numbers_is_refused() -> None:
    with pytest.raises(InputError, match=r"Cast \(1\), an input is quantized and not dequantized"):
        lower_to_program(build(read_as_numbers))


def dead_channel(bias: int, s_w: float) -> Graph:
    """A convolution whose second channel has ``bias``, as onnxruntime's quantizer writes it for a channel that is dead."""

    def graph(b: Qdq) -> str:
        values = b.random.integers(-100, 100, (3, 8, 3, 3)).astype(np.int8)
        scales = np.array([0.01, s_w, 0.01], np.float32)
        w = b.node("DequantizeLinear", "wd", [b.constant("w", values), b.constant("ws", scales)], axis=0)
        c = [
            b.constant("b", np.array([0, bias, 5], np.int32)),
            b.constant("bs", np.float32(S_IN) * scales),
        ]
        y = b.node("Conv", "conv", [qinput(b), w, b.node("DequantizeLinear", "bd", c, axis=0)], pads=[1] * 4)
        return b.quantize("out", y, S_OUT, Z_OUT)

    return graph


@pytest.mark.parametrize(
    ("bias", "s_w", "int8"),
    [
        (2147268882, 0.01, True),  # all its sums lie beyond 127
        (-2147268882, 0.01, True),
        (2147268882, 1e-9, False),  # 0.06 / 0.11: its integers depend on x
        (2**30, 1e-9, True),
    ],
)
def test_a_bias_next_to_the_largest_int32(tmp_path: Path, bias: int, s_w: float, int8: bool) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(build_proto(dead_channel(bias, s_w)).SerializeToString())
    report = optimize(path, tmp_path / "m.nb", verify=True)
    assert report.verified is not None
    assert not report.verified.reason
    assert (report.int8_op_count > 2) == int8
