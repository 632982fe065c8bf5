"""Where the output channels of weights lie, and weights that have none."""

from __future__ import annotations

import onnx_ir as ir
import pytest

from ptq_core.quantize.objections import objection
from ptq_core.quantize.weights import channel_axis


@pytest.mark.parametrize(("transposed", "axis"), [(0, 1), (1, 0), (2, 0), (-2, 0)])
def test_any_number_but_0_transposes_a_gemm(transposed: int, axis: int) -> None:
    values = [ir.Value(name=name) for name in "xw"]
    assert channel_axis(ir.node("Gemm", values, {"transB": transposed})) == axis


def test_a_gemm_of_a_vector_stays_in_float() -> None:
    values = [ir.Value(name=name, type=ir.TensorType(ir.DataType.FLOAT)) for name in "xw"]
    values[1].const_value = ir.tensor([1.0, 2.0], dtype=ir.DataType.FLOAT)
    assert objection(ir.node("Gemm", values)) == "its matrix has 1 dimensions; only 2 can be quantized"
