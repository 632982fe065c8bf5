"""A function between DequantizeLinear and QuantizeLinear is a table: all 256 integers, many scales, onnxruntime's values."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from ptq_core.flatfile.interpreter import run
from ptq_core.flatfile.operators.dequantize import DEQUANTIZE
from ptq_core.flatfile.operators.lookup import LOOKUP
from ptq_core.flatfile.operators.quantize import QUANTIZE
from ptq_core.graph.io import to_bytes
from ptq_core.graph.session import open_session
from ptq_core.optimize.pipeline import lower_to_program
from tests.optimize.graphs import Qdq, build

Function = Callable[[Qdq, str], str]
UNIT, SIGNED_UNIT = (1 / 255, -128), (1 / 127, 0)


def node(op_type: str, **attributes: float) -> Function:
    return lambda b, x: b.node(op_type, "f", [x], **attributes)


def gated(gate: str, **attributes: float) -> Function:
    """x · gate(x), both in float."""
    return lambda b, x: b.node("Mul", "f", [x, b.node(gate, "gate", [x], **attributes)])


def gated_and_quantized(b: Qdq, x: str) -> str:
    """x · sigmoid(x) with the gate quantized in between."""
    return b.node("Mul", "f", [x, b.quantize("gate", b.node("Sigmoid", "sigmoid", [x]), *SIGNED_UNIT)])


def torch_hard_swish(b: Qdq, x: str) -> str:
    total = b.node("Add", "add", [x, b.constant("three", np.float32(3))])
    product = b.node("Mul", "mul", [x, b.clip("clip", total, 0, 6)])
    return b.node("Div", "f", [product, b.constant("six", np.float32(6))])


def prelu(b: Qdq, x: str) -> str:
    return b.node("PRelu", "f", [x, b.constant("slope", np.array([0.2], np.float32))])


# function, (scale, zero point) of the output where the function has a range of its own
FUNCTIONS: dict[str, tuple[Function, tuple[float, int] | None]] = {
    "sigmoid": (node("Sigmoid"), SIGNED_UNIT),
    "sigmoid_asymmetric": (node("Sigmoid"), UNIT),
    "tanh": (node("Tanh"), SIGNED_UNIT),
    "hard_sigmoid": (node("HardSigmoid"), UNIT),
    "hard_swish": (node("HardSwish"), None),
    "leaky_relu": (node("LeakyRelu", alpha=0.1), None),
    "prelu": (prelu, None),
    "elu": (node("Elu"), None),
    "exp": (node("Exp"), None),
    "softplus": (node("Softplus"), None),
    "erf": (node("Erf"), SIGNED_UNIT),
    "abs": (node("Abs"), None),
    "silu": (gated("Sigmoid"), None),
    "silu_quantized": (gated_and_quantized, None),
    "hard_swish_gated": (gated("HardSigmoid", alpha=1 / 6, beta=0.5), None),
    "torch_hard_swish": (torch_hard_swish, None),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_all_integers(name: str) -> None:
    function, out = FUNCTIONS[name]
    random = np.random.default_rng(sum(name.encode()))
    for trial in range(20):
        scale = float(np.float32(np.exp(random.uniform(np.log(0.005), np.log(0.1)))))
        zero = int(random.integers(-60, 60)) if trial % 2 else 0
        s_out, z_out = out or (float(np.float32(scale * np.exp(random.uniform(-0.7, 0.7)))), -zero)
        model = build(
            lambda b: b.quantize("out", function(b, b.quantize("in", "input", scale, zero)), s_out, z_out),  # noqa: B023
            (1, 256),
        )
        program = lower_to_program(model)
        kinds = [op.kind for op in program.ops]
        assert kinds == [QUANTIZE, LOOKUP, DEQUANTIZE]
        x = ((np.arange(-128, 128) - zero) * np.float32(scale)).astype(np.float32).reshape(1, 256)
        (wanted,) = open_session(to_bytes(model), int8="kept").run(None, {"input": x})
        np.testing.assert_array_equal(run(program, [x])[0], wanted)


def test_what_is_no_number_becomes_zero() -> None:
    """The square root of negative numbers; onnxruntime's QuantizeLinear of NaN depends on the CPU."""
    model = build(
        lambda b: b.quantize("out", b.node("Sqrt", "f", [b.quantize("in", "input", 0.1)]), 0.03, -5), (1, 256)
    )
    program = lower_to_program(model)
    x = (np.arange(-128, 128) * np.float32(0.1)).astype(np.float32).reshape(1, 256)
    (got,) = run(program, [x])
    assert (got[0, :128] == 0).all()
    (wanted,) = open_session(to_bytes(model), int8="kept").run(None, {"input": x})
    np.testing.assert_array_equal(got[0, 128:], wanted[0, 128:])
