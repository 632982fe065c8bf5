"""Whole small networks: float within the bound, int8 with onnxruntime's integers, and the C++ runtime as the reference."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ptq_core.flatfile.error_bound import error_bounds
from ptq_core.flatfile.interpreter import interpret, run
from ptq_core.flatfile.program import Program
from ptq_core.flatfile.tensors import DType
from ptq_core.graph.session import open_session
from ptq_core.optimize.pipeline import runs_on_int8
from ptq_core.runtime import Program as RuntimeProgram
from tests.agreement import (
    RUNTIME_IS_BUILT,
    assert_runtime_agrees,
    compare,
    exceeds,
    flat_file,
    onnxruntime_integers,
    reference_integers,
)
from tests.models import save
from tests.optimize.small_networks import NETWORKS, SHAPE, Layers, model
from tests.quantize.harness import quantized, samples

Network = Callable[[Layers], str]

BETWEEN = {
    "mobilenet_v3": {"conv2d", "conv2d_add", "unary", "mul", "average_pool2d"},
    "shufflenet_v2": {"conv2d", "max_pool2d", "slice", "concat", "gather", "average_pool2d"},
    "efficientnet_lite": {"conv2d", "conv2d_add", "average_pool2d"},
    "efficientnet": {"conv2d", "conv2d_add", "unary", "mul", "average_pool2d"},
    "squeezenet": {"conv2d", "max_pool2d", "concat", "average_pool2d"},
    "yolox": {"conv2d", "unary", "max_pool2d", "resize", "concat", "reshape"},
    "ultraface": {"conv2d", "concat", "reshape", "slice", "mul", "add", "sub", "div", "unary", "softmax"},
    "fast_scnn": {"conv2d", "conv2d_add", "average_pool2d", "resize", "concat"},
    "decoder": {"conv2d", "dilate", "unary", "mul", "maximum", "reshape", "transpose"},
}
"""The operators behind the first convolution, but for a classifier's end: no layout transpose is left between them."""

END = {"reshape", "fully_connected", "softmax", "transpose"}
IN_FLOAT = {
    "mobilenet_v3": {"unary"},  # its Div keeps one hard-swish in float
    "yolox": {"unary", "concat"},
    "ultraface": BETWEEN["ultraface"] - {"conv2d"},
    "fast_scnn": {"resize"},
    "squeezenet": {"average_pool2d"},
    "decoder": {"dequantize", "mul", "maximum", "unary"},
}
"""What a fully quantized network computes in float: what no integer operator reads, and decoder's slopes per channel."""


def last_operators(program: Program) -> list[str]:
    """The kinds behind the first convolution."""
    kinds = [op.kind.name for op in program.ops]
    return kinds[kinds.index("conv2d") :]


@pytest.mark.parametrize("network", NETWORKS, ids=lambda n: n.__name__)
def test_float(tmp_path: Path, network: Network) -> None:
    proto, out = model(network), tmp_path / "float.nb"
    program = flat_file(save(proto, tmp_path), out)
    kinds = last_operators(program)
    assert set(kinds[:-4]) <= BETWEEN[network.__name__]
    assert set(kinds[-4:]) <= BETWEEN[network.__name__] | END
    for x in samples((1, *SHAPE), 2, seed=5):
        (wanted,) = open_session(proto.SerializeToString()).run(None, {"input": x})
        (got,), (bound,) = run(program, [x]), error_bounds(program, [x])
        assert exceeds(got, wanted, 2 * bound) <= 0
        assert np.median(bound) < 0.001 * np.abs(wanted).max(), "a bound that allows anything proves nothing"
        if RUNTIME_IS_BUILT:
            assert_runtime_agrees(program, out.read_bytes(), [x])


@pytest.mark.parametrize("symmetric", [True, False], ids=["symmetric", "asymmetric"])
@pytest.mark.parametrize("full", [True, False], ids=["full", "selected"])
@pytest.mark.parametrize("network", NETWORKS, ids=lambda n: n.__name__)
def test_int8(tmp_path: Path, network: Network, full: bool, symmetric: bool) -> None:
    keys = {"algo": "abs_max", "is_full_quantize": full, "activation_symmetric": symmetric}
    result = quantized(model(network), tmp_path, **keys)
    out = tmp_path / "int8.nb"
    program = flat_file(result.path, out)
    in_float = {op.kind.name for op in program.ops if not runs_on_int8(program, op)}
    allowed = (
        END | {"quantize"} | (IN_FLOAT.get(network.__name__, set()) if full else BETWEEN[network.__name__])
    )
    assert in_float <= allowed | (set() if full else {"dequantize", "add"})
    for x in samples((1, *SHAPE), 2, seed=5):
        found = compare(onnxruntime_integers(result.path, x), reference_integers(program, x))
        assert found.tensors >= 2
        assert found.different == {}
        if RUNTIME_IS_BUILT:
            assert_same_integers(program, out.read_bytes(), x)


def assert_same_integers(program: Program, data: bytes, x: np.ndarray) -> None:
    """Every int8 tensor of the C++ runtime is the reference's, as long as no float operator came before it."""
    with RuntimeProgram(data) as opened:
        seen = opened.run_observed(x)
    exact = set(program.inputs) | {i for i, t in enumerate(program.tensors) if t.is_constant}
    for op in program.ops:
        floats = [i for i in (*op.reads, *op.outputs) if program.tensors[i].dtype is DType.F32]
        converts = (
            op.kind.name in ("quantize", "dequantize") or program.tensors[op.reads[0]].dtype is DType.I8
        )
        if exact.issuperset(op.reads) and (converts or not floats):
            exact.update(op.outputs)
    wanted = interpret(program, [x])
    checked = 0
    for index in exact - set(program.inputs):
        tensor = program.tensors[index]
        if tensor.name in seen and not tensor.is_constant:
            np.testing.assert_array_equal(seen[tensor.name][1], wanted[index], err_msg=tensor.name)
            checked += 1
    assert checked >= 2
