"""What a row promises holds for programs of its kind: the passes rely on it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ptq_core.flatfile.interpreter import run
from ptq_core.flatfile.operators import MODULES, kinds
from ptq_core.flatfile.operators.attributes import Clamp, Filled
from ptq_core.flatfile.operators.description import OperatorKind
from ptq_core.flatfile.program import Op, Program
from ptq_core.flatfile.tensors import Array, DType
from tests.flatfile.generated import one_op_program

Kind = OperatorKind[Any]
SEEDS = range(20)


def with_trait(trait: Callable[[Kind], bool]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("kind", [k for k in kinds(trait) if DType.F32 in k.types], ids=repr)


def unclamped(op: Op) -> bool:
    return not (isinstance(op.attributes, Clamp) and op.attributes.bounds)


def programs(kind: Kind) -> list[tuple[Program, Op, list[Array]]]:
    """Float programs of one unclamped operator, with inputs."""
    found = []
    for seed in SEEDS:
        random = np.random.default_rng([seed, kind.code])
        program = one_op_program(kind, DType.F32, random)
        inputs = [
            random.permutation(t.elements).reshape(t.dims).astype(t.dtype.numpy)
            for t in map(program.tensors.__getitem__, program.inputs)
        ]
        if unclamped(program.ops[0]):
            found.append((program, program.ops[0], inputs))
    assert found
    return found


def on_floats(inputs: list[Array], function: Callable[[Array], Array]) -> list[Array]:
    return [function(x) if x.dtype.kind == "f" else x for x in inputs]


def fillers(op: Op) -> set[float]:
    return {op.attributes.value} if isinstance(op.attributes, Filled) else set()


@with_trait(lambda kind: kind.moves)
def test_what_moves_selects(kind: Kind) -> None:
    assert all(kind.selects(op.attributes) for _, op, _ in programs(kind))


@pytest.mark.parametrize("kind", [k for k in MODULES if DType.F32 in k.types], ids=repr)
def test_what_selects_gives_values_of_its_inputs(kind: Kind) -> None:
    """Of the input or a filler, and any monotone function goes before it as well as after it."""
    for program, op, inputs in programs(kind):
        if kind.selects(op.attributes):
            (y,) = run(program, inputs)
            assert set(y.reshape(-1)) <= {float(v) for x in inputs for v in x.reshape(-1)} | fillers(op)
            (stepped,) = run(program, on_floats(inputs, lambda x: np.floor(x / 3)))
            inside = y != next(iter(fillers(op)), np.nan)
            assert (stepped == np.floor(y / 3))[inside].all()


@with_trait(lambda kind: kind.permutes)
def test_what_permutes_gives_every_element_once(kind: Kind) -> None:
    for program, _, inputs in programs(kind):
        (y,) = run(program, inputs)
        assert sorted(y.reshape(-1)) == sorted(inputs[0].reshape(-1))


@with_trait(lambda kind: kind.elementwise)
def test_what_is_elementwise_looks_at_one_place(kind: Kind) -> None:
    for program, op, inputs in programs(kind):
        if any(program.tensors[i].dims != program.tensors[op.outputs[0]].dims for i in op.reads):
            continue  # broadcasts
        (y,) = run(program, inputs)
        changed = inputs[0].copy()
        changed.reshape(-1)[0] += 1.5
        (other,) = run(program, [changed, *inputs[1:]])
        assert (y.reshape(-1)[1:] == other.reshape(-1)[1:]).all()


@with_trait(lambda kind: kind.reads_order)
def test_what_reads_order_sees_nothing_else(kind: Kind) -> None:
    for program, _, inputs in programs(kind):
        (y,), (stretched,) = run(program, inputs), run(program, on_floats(inputs, lambda x: x**3 + x))
        assert (y == stretched).all()


@pytest.mark.parametrize("kind", MODULES, ids=repr)
def test_an_identity_changes_nothing(kind: Kind) -> None:
    for program, op, inputs in programs(kind) if DType.F32 in kind.types else ():
        x, y = (program.tensors[i] for i in (op.reads[0], op.outputs[0]))
        if len(op.inputs) == 1 and x.dims == y.dims and kind.identity(op.attributes, x.dims):
            np.testing.assert_array_equal(run(program, inputs)[0], inputs[0])


def test_weights_are_the_second_input() -> None:
    assert {kind.inputs[1].name for kind in kinds(lambda kind: kind.weighted)} == {"w"}
    assert all(kind.weighted for kind in kinds(lambda kind: kind.affine))


def test_an_operator_is_in_one_file() -> None:
    assert len(set(MODULES)) == len({kind.code for kind in MODULES}) == len({kind.name for kind in MODULES})
    assert [kind.code for kind in MODULES] == list(range(1, len(MODULES) + 1))
