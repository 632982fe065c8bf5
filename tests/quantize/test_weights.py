"""Where the output channels of weights lie."""

from __future__ import annotations

import onnx_ir as ir
import pytest

from ptq_core.quantize.weights import channel_axis


@pytest.mark.parametrize(("transposed", "axis"), [(0, 1), (1, 0), (2, 0), (-2, 0)])
def test_any_number_but_0_transposes_a_gemm(transposed: int, axis: int) -> None:
    values = [ir.Value(name=name) for name in "xw"]
    assert channel_axis(ir.node("Gemm", values, {"transB": transposed})) == axis
