"""Compressed weights (format 1.2): the runtime computes what it computes with the float32 weights that they stand for."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ptq_core.errors import InputError
from ptq_core.flatfile.compressed import compressed_ops, expand_weights, lowest_minor
from ptq_core.flatfile.error_bound import error_bounds
from ptq_core.flatfile.interpreter import interpret, run
from ptq_core.flatfile.operators.attributes import Clamp
from ptq_core.flatfile.operators.fully_connected import FULLY_CONNECTED
from ptq_core.flatfile.program import Op, Program
from ptq_core.flatfile.reader import read_program
from ptq_core.flatfile.tensors import DType, QuantParams, Tensor
from ptq_core.flatfile.writer import write_program
from ptq_core.optimize.memory_plan import plan_memory
from ptq_core.runtime import Program as RuntimeProgram
from ptq_core.runtime import cpu_features
from tests.flatfile.programs import compressed_program, every_kind, tiny_program

X = np.random.default_rng(0).standard_normal((1, 8, 8, 32)).astype(np.float32)


def without_unread(program: Program) -> Program:
    """``program`` as `opt` would write it with float32 weights."""
    read = {index for op in program.ops for index in (*op.reads, *op.outputs)}
    tensors = [
        tensor if index in read else Tensor(tensor.name, DType.F32, (1,), None, np.zeros(1, np.float32))
        for index, tensor in enumerate(program.tensors)
    ]
    return dataclasses.replace(program, tensors=tensors)


def test_expansion() -> None:
    program = compressed_program()
    assert len(list(compressed_ops(program))) == 6
    assert (lowest_minor(program), lowest_minor(tiny_program()), lowest_minor(every_kind())) == (2, 1, 5)
    expanded = expand_weights(program)
    assert not list(compressed_ops(expanded))
    assert expand_weights(expanded) is expanded
    w, real = program.tensors[program.ops[1].inputs[1] or 0], expanded.tensors[expanded.ops[1].inputs[1] or 0]
    assert w.data is not None
    assert w.qparams is not None
    assert real.data is not None
    np.testing.assert_array_equal(real.data[3], w.data[3].astype(np.float32) * w.qparams.scales[3])
    (y,) = run(program, [X])
    np.testing.assert_array_equal(y, run(expanded, [X])[0])
    assert len(interpret(program, [X])) == len(program.tensors)


@pytest.mark.parametrize("level", cpu_features().split())
def test_the_runtime_computes_with_the_float_weights(level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bit for bit the same as from a file with float32 weights, and within the bound of the reference."""
    monkeypatch.setenv("PTQ_CPU", level)
    program = compressed_program()
    expanded = without_unread(expand_weights(program))
    with RuntimeProgram(write_program(program)) as small, RuntimeProgram(write_program(expanded)) as whole:
        (y,), (wanted,) = small.run(X), whole.run(X)
        assert [op.kernel for op in small.ops] == [op.kernel for op in whole.ops]
        if level != "scalar":
            assert any(op.kernel.startswith("winograd") for op in small.ops)
    np.testing.assert_array_equal(y, wanted)
    (bound,) = error_bounds(program, [X])
    assert (np.abs(y - run(program, [X])[0]) <= bound).all()


def weight(program: Program, step: int) -> int:
    index = program.ops[step].inputs[1]
    assert index is not None
    return index


def change(program: Program, index: int, **fields: Any) -> None:
    program.tensors[index] = dataclasses.replace(program.tensors[index], **fields)


def axis_of_the_inputs(program: Program) -> None:
    change(program, weight(program, 0), qparams=QuantParams(np.ones(32, np.float32), 0, 3))


def zero_point(program: Program) -> None:
    change(program, weight(program, 2), qparams=QuantParams(np.ones(1, np.float32), 1))


def zero_point_of_i16(program: Program) -> None:
    change(program, weight(program, 3), qparams=QuantParams(np.ones(1, np.float32), 1))


def i16_without_scale(program: Program) -> None:
    change(program, weight(program, 0), qparams=None)


def i16_in_the_arena(program: Program) -> None:
    change(program, weight(program, 0), data=None, offset=0)
    program.arena_size += 4096


def i16_bias(program: Program) -> None:
    one = QuantParams(np.ones(1, np.float32))
    change(program, 1, dtype=DType.I16, data=np.zeros(32, np.int16), qparams=one)


def i32_weights(program: Program) -> None:
    change(program, weight(program, 1), dtype=DType.I32, data=np.zeros((32, 3, 3, 32), np.int32))


def i16_weights_of_an_i8_convolution(program: Program) -> None:
    tiny = tiny_program()
    for field in dataclasses.fields(Program):
        setattr(program, field.name, getattr(tiny, field.name))
    w = program.tensors[2]
    assert w.data is not None
    change(program, 2, dtype=DType.I16, data=w.data.astype(np.int16))


REFUSED: dict[Callable[[Program], None], str] = {
    axis_of_the_inputs: "axis",
    zero_point: "zero",
    zero_point_of_i16: "zero",
    i16_without_scale: "qparams|quantization parameters",
    i16_in_the_arena: "i16",
    i16_bias: "b",
    i32_weights: "i32",
    i16_weights_of_an_i8_convolution: "i16",
}


@pytest.mark.parametrize("broken", REFUSED, ids=lambda broken: broken.__name__)
def test_both_readers_refuse(broken: Callable[[Program], None], tmp_path: Path) -> None:
    program = compressed_program()
    broken(program)
    data = write_program(program)
    words = REFUSED[broken]
    with pytest.raises(InputError, match=words):
        read_program(data)
    with pytest.raises(InputError, match=words):
        RuntimeProgram(data)


def test_memory_to_load_is_that_of_the_float_weights() -> None:
    """A file that is nothing but i8 weights loads, though its float weights take four times its size, and more to pack."""
    outputs, inputs = 2048, 2048
    program = Program(targets=("x86_64",))
    one = QuantParams(np.ones(1, np.float32))
    x = program.add(Tensor("x", DType.F32, (1, inputs)))
    w = program.add(Tensor("w", DType.I8, (outputs, inputs), one, np.ones((outputs, inputs), np.int8)))
    y = program.add(Tensor("y", DType.F32, (1, outputs)))
    program.ops = [Op(FULLY_CONNECTED, "fc", (x, w), (y,), Clamp())]
    program.inputs, program.outputs = [x], [y]
    plan_memory(program)
    with RuntimeProgram(write_program(program)) as loaded:
        (result,) = loaded.run(np.ones((1, inputs), np.float32))
    np.testing.assert_array_equal(result, np.full((1, outputs), inputs, np.float32))
