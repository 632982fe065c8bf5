"""Memory plans: no live tensors share a byte, small ones reach the lower bound, and the check itself notices overlaps."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from ptq_core.flatfile.lifetimes import lower_bound, overlaps
from ptq_core.flatfile.operators.attributes import Clamp, NoAttributes
from ptq_core.flatfile.operators.binary import ADD
from ptq_core.flatfile.operators.clamp import CLAMP
from ptq_core.flatfile.operators.concat import CONCAT, Concat
from ptq_core.flatfile.operators.reshape import RESHAPE
from ptq_core.flatfile.program import Op, Program
from ptq_core.flatfile.tensors import DType, Tensor
from ptq_core.optimize.memory_plan import plan_memory


def chain(*sizes: int) -> Program:
    """An input and clamps, each writing a tensor of so many floats (dims do not matter to the plan)."""
    program = Program()
    for i, size in enumerate(sizes):
        program.add(Tensor(f"t{i}", DType.F32, (size,)))
    program.ops = [Op(CLAMP, f"op{i}", (i,), (i + 1,), Clamp()) for i in range(len(sizes) - 1)]
    program.inputs, program.outputs = [0], [len(sizes) - 1]
    return program


def random_program(seed: int, *, concats: bool) -> Program:
    """Operators that read up to two earlier tensors, some of them reshapes and, with ``concats``, concatenations."""
    random = np.random.default_rng(seed)
    program = Program()
    program.inputs = [program.add(Tensor("input", DType.F32, (64,)))]
    for i in range(40):
        known = len(program.tensors)
        if random.random() < 0.2:
            source = int(random.integers(known))
            out = program.add(Tensor(f"t{i}", DType.F32, program.tensors[source].dims))
            program.ops.append(Op(RESHAPE, f"op{i}", (source,), (out,), NoAttributes()))
            continue
        if concats and random.random() < 0.3:
            axis = int(random.integers(2))
            parts = []
            for j in range(2):  # each input is made a matrix first; it may also be read elsewhere
                source = int(random.integers(max(0, known - 6), known))
                count = math.prod(program.tensors[source].dims)
                parts.append(
                    program.add(Tensor(f"t{i}:{j}", DType.F32, (count, 1) if axis == 0 else (1, count)))
                )
                program.ops.append(Op(RESHAPE, f"op{i}:{j}", (source,), (parts[-1],), NoAttributes()))
            total = sum(math.prod(program.tensors[part].dims) for part in parts)
            if total > 8000:
                continue
            joined = program.add(Tensor(f"t{i}:y", DType.F32, (total, 1) if axis == 0 else (1, total)))
            program.ops.append(Op(CONCAT, f"op{i}:y", tuple(parts), (joined,), Concat(axis=axis)))
            out = program.add(Tensor(f"t{i}", DType.F32, (total,)))
            program.ops.append(Op(RESHAPE, f"op{i}", (joined,), (out,), NoAttributes()))
            continue
        reads = tuple(int(r) for r in random.integers(max(0, known - 6), known, 2))
        out = program.add(Tensor(f"t{i}", DType.F32, (int(random.integers(1, 2000)),)))
        program.ops.append(Op(ADD, f"op{i}", reads, (out,), Clamp()))
    program.outputs = [len(program.tensors) - 1, 17]
    return program


@pytest.mark.parametrize("concats", [False, True], ids=["", "concats"])
@pytest.mark.parametrize("seed", range(30))
def test_random_programs(seed: int, concats: bool) -> None:
    program = random_program(seed, concats=concats)
    plan_memory(program)
    assert not overlaps(program)
    assert all(t.offset is not None and t.offset % 64 == 0 for t in program.tensors)
    # Random lifetimes are harder than networks; those are held to the bound in test_real_models.py.
    assert program.arena_size <= 1.1 * lower_bound(program, 64)
    assert program.arena_size >= lower_bound(program, 64)


def test_a_chain_reaches_the_lower_bound() -> None:
    program = chain(16, 1000, 500, 2000, 100, 16)
    plan_memory(program)
    assert program.arena_size == lower_bound(program, 64)


def test_input_keeps_its_memory() -> None:
    program = chain(64, 64, 64, 64)
    plan_memory(program)
    others = {program.tensors[i].offset for i in (1, 2, 3)}
    assert program.tensors[0].offset not in others


def test_reshape_lies_on_its_input() -> None:
    program = chain(64, 64, 64)
    program.ops[1] = dataclasses.replace(program.ops[1], kind=RESHAPE)
    plan_memory(program)
    assert program.tensors[1].offset == program.tensors[2].offset
    assert not overlaps(program)


def detector(*rows: int, axis: int = 1, clamp: float = np.inf) -> Program:
    """Heads of so many rows [1, rows, 16] that are concatenated."""
    program = Program()
    program.inputs = [program.add(Tensor("input", DType.F32, (1, 16, 16)))]
    heads = []
    for i, count in enumerate(rows):
        heads.append(program.add(Tensor(f"head{i}", DType.F32, (1, count, 16))))
        program.ops.append(Op(CLAMP, f"op{i}", (0,), (heads[-1],), Clamp()))
    y = program.add(Tensor("y", DType.F32, (1, sum(rows), 16)))
    program.ops.append(Op(CONCAT, "concat", tuple(heads), (y,), Concat(axis=axis, hi=clamp)))
    program.outputs = [y]
    return program


def test_a_concat_joins_its_inputs_in_place() -> None:
    program = detector(4, 7, 2)
    plan_memory(program)
    begin = program.tensors[4].offset
    assert begin is not None
    assert [t.offset for t in program.tensors[1:4]] == [begin, begin + 4 * 64, begin + 11 * 64]
    assert program.arena_size == lower_bound(program, 64) == 16 * 64 + 13 * 64
    assert not overlaps(program)


def test_memory_of_a_joined_output_is_free_until_its_inputs_are_written() -> None:
    """input, head0 → big temporaries → head1, joined: they fit into the place of head1."""
    program = detector(4, 40)
    between = [program.add(Tensor(f"between{i}", DType.F32, (1, 20, 16))) for i in range(2)]
    program.ops[1] = dataclasses.replace(program.ops[1], inputs=(between[1],))
    program.ops[1:1] = [
        Op(CLAMP, "first", (0,), (between[0],), Clamp()),
        Op(CLAMP, "second", (between[0],), (between[1],), Clamp()),
    ]
    plan_memory(program)
    begin = program.tensors[3].offset
    assert begin is not None
    assert [t.offset for t in program.tensors[1:3]] == [begin, begin + 4 * 64]
    assert program.arena_size == lower_bound(program, 64) == (16 + 4 + 40 + 20) * 64
    assert not overlaps(program)


@pytest.mark.parametrize(
    "program",
    [detector(4, 7, clamp=1.0), detector(4, 7, axis=2)],
    ids=["a clamp changes values", "rows lie apart"],
)
def test_a_concat_that_does_more_than_join_copies(program: Program) -> None:
    plan_memory(program)
    assert program.arena_size >= 16 * 64 + 2 * 11 * 64
    offset = program.tensors[-1].offset
    program.tensors[1] = dataclasses.replace(program.tensors[1], offset=offset)
    assert overlaps(program)


def test_a_head_that_is_read_later_is_not_joined() -> None:
    program = detector(4, 7)
    again = program.add(Tensor("again", DType.F32, (1, 4, 16)))
    program.ops.append(Op(CLAMP, "later", (1,), (again,), Clamp()))
    plan_memory(program)
    y = program.tensors[3].offset
    assert y is not None
    assert program.tensors[1].offset != y
    assert program.tensors[2].offset == y + 4 * 64


@pytest.mark.parametrize("is_output", [True, False], ids=["output", "read later"])
def test_a_head_with_a_living_reshape_is_not_joined(is_output: bool) -> None:
    program = detector(4, 7)
    alias = program.add(Tensor("alias", DType.F32, (64,)))
    program.ops.insert(1, Op(RESHAPE, "reshape", (1,), (alias,), NoAttributes()))
    program.outputs.append(alias)
    if not is_output:
        program.outputs[-1] = program.add(Tensor("later", DType.F32, (64,)))
        program.ops.append(Op(CLAMP, "later", (alias,), (program.outputs[-1],), Clamp()))
    plan_memory(program)
    y = program.tensors[3].offset
    assert y is not None
    assert program.tensors[1].offset != y
    assert program.tensors[1].offset == program.tensors[alias].offset
    assert program.tensors[2].offset == y + 4 * 64


def test_overlaps_notices_what_a_plan_must_not_do() -> None:
    program = chain(64, 64, 64)
    plan_memory(program)
    for changed, offset in ((1, program.tensors[0].offset), (2, program.tensors[1].offset)):
        bad = chain(64, 64, 64)
        bad.tensors = list(program.tensors)
        bad.tensors[changed] = dataclasses.replace(bad.tensors[changed], offset=offset)
        assert overlaps(bad)


def test_overlaps_notices_a_reshape_that_lies_half_on_its_input() -> None:
    program = chain(64, 64, 64)
    program.ops[1] = dataclasses.replace(program.ops[1], kind=RESHAPE)
    plan_memory(program)
    offset = program.tensors[1].offset
    assert offset is not None
    program.tensors[2] = dataclasses.replace(program.tensors[2], offset=offset + 64)
    assert overlaps(program)
