"""Vision transformers go the whole way: float within the bound, attention on int8 as the configuration asks, nothing refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ptq_core.flatfile.error_bound import error_bounds
from ptq_core.flatfile.interpreter import run
from ptq_core.flatfile.operators.matmul import MATMUL
from ptq_core.flatfile.operators.transpose import TRANSPOSE
from ptq_core.graph.session import open_session
from ptq_core.numerics.metrics import sqnr_db
from ptq_core.optimize.pipeline import optimize, runs_on_int8
from tests.agreement import (
    RUNTIME_IS_BUILT,
    assert_runtime_agrees,
    exceeds,
    flat_file,
)
from tests.models import save
from tests.optimize.small_networks import SHAPE, Layers, model
from tests.optimize.transformers import TRANSFORMERS
from tests.quantize.harness import quantized, samples

Network = Callable[[Layers], str]
PRODUCTS = {"deit": 4, "mobilevit": 2, "svtr": 4}

each_network = pytest.mark.parametrize("network", TRANSFORMERS, ids=lambda n: n.__name__)


@each_network
def test_float(tmp_path: Path, network: Network) -> None:
    proto, out = model(network), tmp_path / "float.nb"
    program = flat_file(save(proto, tmp_path), out)
    products = [op for op in program.ops if op.kind == MATMUL]
    assert len(products) == PRODUCTS[network.__name__]
    for x in samples((1, *SHAPE), 2, seed=5):
        (wanted,) = open_session(proto.SerializeToString()).run(None, {"input": x})
        (got,), (bound,) = run(program, [x]), error_bounds(program, [x])
        assert exceeds(got, wanted, 2 * bound) <= 0
        assert sqnr_db(wanted, got) >= 100
        if RUNTIME_IS_BUILT:
            assert_runtime_agrees(program, out.read_bytes(), [x])


@each_network
def test_keys_are_read_as_they_lie(tmp_path: Path, network: Network) -> None:
    program = flat_file(save(model(network), tmp_path), tmp_path / "float.nb")
    turned = {op.outputs[0]: op for op in program.ops if op.kind == TRANSPOSE}
    for op in program.ops:
        if op.kind == MATMUL and op.inputs[1] in turned:
            perm = getattr(turned[op.inputs[1]].attributes, "perm")  # noqa: B009 - of the attribute union
            assert perm[-1] == len(perm) - 1


@pytest.mark.parametrize("full", [False, True], ids=["selected", "full"])
@pytest.mark.parametrize("symmetric", [True, False], ids=["symmetric", "asymmetric"])
@each_network
def test_attention_on_int8(tmp_path: Path, network: Network, symmetric: bool, full: bool) -> None:
    result = quantized(
        model(network),
        tmp_path,
        quantizable_op_type=("conv2d", "depthwise_conv2d", "mul", "matmul"),
        activation_symmetric=symmetric,
        is_full_quantize=full,
    )
    out = tmp_path / "int8.nb"
    program = flat_file(result.path, out)
    products = [op for op in program.ops if op.kind == MATMUL]
    assert len(products) == PRODUCTS[network.__name__]
    assert all(runs_on_int8(program, op) for op in products)
    session = open_session(result.model.SerializeToString(), int8="kept")
    for x in samples((1, *SHAPE), 2, seed=5):
        # Float operators lie between the int8 ones: a sum in another order may move an integer by a step. Between asymmetric
        # integers onnxruntime has a Softmax of its own (docs/numerics.md).
        agreement = sqnr_db(session.run(None, {"input": x})[0], run(program, [x])[0])
        assert agreement >= (30 if full else 100)


@each_network
def test_what_is_quantized_by_default_is_verified(tmp_path: Path, network: Network) -> None:
    result = quantized(model(network), tmp_path)
    report = optimize(result.path, tmp_path / "int8.nb", targets=("host",), verify=RUNTIME_IS_BUILT)
    assert report is not None
    program = flat_file(result.path, tmp_path / "again.nb")
    assert not any(runs_on_int8(program, op) for op in program.ops if op.kind == MATMUL)


def test_a_mask_of_minus_infinity_is_no_number_too_large(tmp_path: Path) -> None:
    """The local mixing of svtr: what is masked gets weight 0 exactly."""
    (network,) = [n for n in TRANSFORMERS if n.__name__ == "svtr"]
    program = flat_file(save(model(network), tmp_path), tmp_path / "float.nb")
    (x,) = samples((1, *SHAPE), 1, seed=5)
    (bound,) = error_bounds(program, [x])
    assert np.isfinite(bound).all()
