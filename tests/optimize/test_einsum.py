"""Einsum: sums, transposes and products of matrices give what NumPy gives; what they cannot is refused in words."""

from __future__ import annotations

import math

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper

from ptq_core.errors import InputError
from ptq_core.flatfile.interpreter import run
from ptq_core.flatfile.program import Program
from ptq_core.optimize.pipeline import lower_to_program

Shape = tuple[int, ...]

CASES: list[tuple[str, Shape, Shape]] = [
    ("ij,jk->ik", (3, 4), (4, 5)),
    ("ij,kj", (3, 4), (5, 4)),  # the output by default: ik
    ("bhid,bhjd->bhij", (2, 3, 4, 5), (2, 3, 6, 5)),  # scores of attention
    ("bhij,bhjd->bhid", (2, 3, 4, 6), (2, 3, 6, 5)),
    ("bihd,bjhd->bhij", (2, 4, 3, 5), (2, 6, 3, 5)),  # the same, heads not yet apart
    ("nchw,chwm->nm", (2, 3, 4, 5), (3, 4, 5, 6)),  # several summed dimensions
    ("nctkv,kvw->nctw", (2, 3, 4, 2, 5), (2, 5, 6)),  # a graph convolution
    ("bhwc,hkc->bhwk", (1, 4, 5, 6), (4, 7, 6)),  # relative positions
    ("i,j->ij", (3,), (4,)),
    ("i,i->", (5,), (5,)),
    ("i,i->i", (5,), (5,)),
    ("ij,k->k", (3, 4), (5,)),  # sums of one operand only
    ("...ij,...jk->...ik", (2, 1, 3, 4), (5, 4, 6)),
    ("...i,i...->...", (2, 3, 4), (4, 2, 3)),
    ("b n d , b m d -> b n m", (2, 3, 4), (2, 5, 4)),
    ("ijk,ikl->jil", (2, 3, 4), (2, 4, 5)),
]
ONE: list[tuple[str, Shape]] = [
    ("ij->ji", (3, 4)),
    ("ijk->k", (2, 3, 4)),
    ("...ij->...", (2, 3, 4)),
    ("ij", (3, 4)),
]


def lowered(
    equation: str, shapes: list[Shape], constant: np.ndarray[Shape, np.dtype[np.float32]] | None = None
) -> Program:
    """A program of one Einsum; ``constant`` is its last operand."""
    names = [f"x{i}" for i in range(len(shapes))]
    inputs = [
        helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in zip(names, shapes, strict=True)
    ]
    initializers = [] if constant is None else [numpy_helper.from_array(constant, "c")]
    node = helper.make_node(
        "Einsum", [*names, *(t.name for t in initializers)], ["y"], "op", equation=equation
    )
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph([node], "g", inputs, [out], initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    return lower_to_program(ir.from_proto(onnx.shape_inference.infer_shapes(model)))


def normal(shape: Shape, seed: int) -> np.ndarray[Shape, np.dtype[np.float32]]:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize(("equation", "a", "b"), CASES, ids=[case[0] for case in CASES])
def test_two_operands(equation: str, a: Shape, b: Shape) -> None:
    x, y = normal(a, 1), normal(b, 2)
    expected = np.einsum(equation.replace(" ", ""), x, y)
    for program, values in ((lowered(equation, [a, b]), [x, y]), (lowered(equation, [a], y), [x])):
        (got,) = run(program, values)
        assert got.shape == expected.shape
        np.testing.assert_allclose(got, expected, atol=1e-5 * math.prod(a))


@pytest.mark.parametrize(("equation", "shape"), ONE, ids=[case[0] for case in ONE])
def test_one_operand(equation: str, shape: Shape) -> None:
    x = normal(shape, 3)
    (got,) = run(lowered(equation, [shape]), [x])
    np.testing.assert_allclose(got, np.einsum(equation, x), atol=1e-5)


def test_three_operands() -> None:
    shapes: list[Shape] = [(2, 3), (3, 4), (4, 5)]
    values = [normal(shape, i) for i, shape in enumerate(shapes)]
    (got,) = run(lowered("ij,jk,kl->li", shapes), values)
    np.testing.assert_allclose(got, np.einsum("ij,jk,kl->li", *values), atol=1e-5)


def test_attention_needs_no_copy_of_the_keys() -> None:
    program = lowered("bhid,bhjd->bhij", [(2, 3, 4, 5), (2, 3, 6, 5)])
    assert [op.kind.name for op in program.ops] == ["matmul"]


def test_a_matrix_of_constants_is_fully_connected() -> None:
    program = lowered("bnd,df->bnf", [(2, 3, 4)], normal((4, 5), 1))
    assert [op.kind.name for op in program.ops] == ["reshape", "fully_connected", "reshape"]


@pytest.mark.parametrize(
    ("equation", "shapes", "said"),
    [
        ("ii->i", [(3, 3)], "names a dimension of an operand twice"),
        ("ij,jk->ik", [(3, 4)], "has 2 operands, it has 1"),
    ],
)
def test_refused(equation: str, shapes: list[Shape], said: str) -> None:
    with pytest.raises(InputError, match=said):
        lowered(equation, shapes)
