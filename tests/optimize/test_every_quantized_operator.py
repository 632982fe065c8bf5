"""Every operator that `ptq quantize` takes: the flat file computes it on int8, with onnxruntime's integers, or names why not."""

from __future__ import annotations

from pathlib import Path

import pytest

from ptq_core.optimize.pipeline import runs_on_int8
from tests.agreement import (
    RUNTIME_IS_BUILT,
    assert_runtime_agrees,
    compare,
    flat_file,
    onnxruntime_integers,
    reference_integers,
)
from tests.quantize.harness import quantized, samples
from tests.quantize.test_every_operator import HELPERS, ROWS, SHAPE, Build, build_model

COMPARISONS = ("equal", "not_equal", "greater_than", "greater_equal", "less_than", "less_equal")

FLOAT = {
    **{key: {"dequantize", "compare", "cast"} for key in COMPARISONS},
    "argmax": {"cast"},
    "softmax": {"dequantize", "softmax", "quantize"},
    "prelu": {"dequantize", "mul", "maximum", "quantize"},
    "relu": {"unary", "quantize"},  # the rows of these two hold a float operator on purpose
    "relu6": {"unary", "quantize"},
}
"""What runs in float beside the layout transposes and the quantize of the input; nothing for all other names."""

EDGES = {"quantize", "transpose", "reshape"}


@pytest.mark.parametrize("symmetric", [True, False], ids=["symmetric", "asymmetric"])
@pytest.mark.parametrize(("name", "op_type", "build"), ROWS, ids=[f"{i}-{r[0]}" for i, r in enumerate(ROWS)])
def test_on_int8(tmp_path: Path, name: str, op_type: str, build: Build, symmetric: bool) -> None:
    result = quantized(
        build_model(op_type, build),
        tmp_path,
        algo="abs_max",
        quantizable_op_type=("conv2d", name, *HELPERS.get(name, ())),
        activation_symmetric=symmetric,
    )
    out = tmp_path / "int8.nb"
    program = flat_file(result.path, out)
    in_float = {op.kind.name for op in program.ops if not runs_on_int8(program, op)}
    assert in_float <= EDGES | FLOAT.get(name, set())
    for x in samples((1, *SHAPE), 4, seed=5):
        found = compare(onnxruntime_integers(result.path, 1.5 * x), reference_integers(program, 1.5 * x))
        assert found.tensors >= 2
        if (
            name == "softmax" and not symmetric
        ):  # onnxruntime has an integer softmax of its own (docs/numerics.md)
            found.different.pop("op/out/quantize/out", None)
        assert found.different == {}
        if RUNTIME_IS_BUILT and name != "softmax":
            assert_runtime_agrees(program, out.read_bytes(), [1.5 * x])
