"""Whatever bytes it is given, the Python reader refuses them by name or gives a program that runs inside its arena."""

from __future__ import annotations

import tracemalloc
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ptq_core.flatfile.dump import dump_program
from ptq_core.flatfile.interpreter import run
from ptq_core.flatfile.layout import HEADER
from ptq_core.flatfile.operators.call import OutOfRangeError
from ptq_core.flatfile.program import Program
from ptq_core.flatfile.reader import read_program
from ptq_core.flatfile.refusal import FlatFileError
from ptq_core.flatfile.work import memory_limit, operator_work
from ptq_core.flatfile.writer import write_program
from tests.flatfile.both_readers import sealed
from tests.flatfile.generated import kinds_and_types, one_op_program
from tests.flatfile.programs import every_kind, tiny_program

MOST_WORK = 2**18
"""More than that is read but not run: the interpreter is slow."""

# The same cases every time: what a longer search finds becomes a row of a test of its own.
SETTINGS = settings(max_examples=400, deadline=None, derandomize=True, database=None)


@cache
def seeds() -> tuple[bytes, ...]:
    programs = [one_op_program(k, d, np.random.default_rng([1, k.code, d])) for k, d in kinds_and_types()]
    return tuple(write_program(p) for p in [tiny_program(), every_kind(), *programs])


numbers = st.one_of(
    st.integers(0, 2**32 - 1), st.sampled_from([0, 1, 2, 8, 63, 64, 127, 128, 65535, 65536, 2**31 - 1, 2**31])
)
changes = st.lists(st.tuples(st.integers(0, 2**16), st.sampled_from([1, 2, 4, 8]), numbers), max_size=4)


@st.composite
def flat_files(draw: st.DrawFn) -> bytes:
    """A valid file with fields changed, maybe cut or longer, its checksum mostly right."""
    data = bytearray(draw(st.sampled_from(seeds())))
    for at, width, value in draw(changes):
        place = at % (len(data) - 8) // width * width
        data[place : place + width] = (value % 2 ** (8 * width)).to_bytes(width, "little")
    if draw(st.integers(0, 9)) == 0:
        del data[draw(st.integers(0, len(data))) :]
    if draw(st.integers(0, 9)) == 0:
        data += draw(st.binary(max_size=100))
    return bytes(data) if draw(st.integers(0, 9)) == 0 else sealed(data)


def check(data: bytes) -> bool:
    """True if ``data`` was accepted; anything but a FlatFileError, or a program that does not run, is a failure."""
    refused: FlatFileError | None = None
    try:
        program = read_program(data)
    except FlatFileError as error:
        refused = error
    if refused is not None:
        assert refused.field
        assert refused.exit_code == 2
        return False
    for tensor in program.tensors:
        if not tensor.is_constant:
            assert tensor.offset is not None
            assert tensor.offset % 64 == 0
            assert 0 <= tensor.offset <= program.arena_size - tensor.size_bytes
    assert dump_program(program).startswith("flat file 1.")
    if sum(operator_work(program, op) for op in program.ops) <= MOST_WORK:
        _run(program)
    return True


def _run(program: Program) -> None:
    random = np.random.default_rng(0)
    inputs = []
    for index in program.inputs:
        tensor = program.tensors[index]
        inputs.append(random.integers(-128, 128, tensor.dims).astype(tensor.dtype.numpy))
    try:
        with np.errstate(all="ignore"):
            outputs = run(program, inputs)
    except OutOfRangeError:
        return
    for index, values in zip(program.outputs, outputs, strict=True):
        tensor = program.tensors[index]
        assert (values.shape, values.dtype) == (tensor.dims, tensor.dtype.numpy)


@SETTINGS
@given(flat_files())
def test_changed_files(data: bytes) -> None:
    check(data)


@SETTINGS
@given(st.binary(max_size=2000))
def test_any_bytes(data: bytes) -> None:
    assert not check(data)
    assert not check(seeds()[0][: HEADER.size] + data)
    assert not check(sealed(seeds()[0][: HEADER.size] + data))


@settings(SETTINGS, max_examples=60)
@given(flat_files())
def test_memory_follows_from_the_size(data: bytes) -> None:
    """Reading takes at most what the format allows a loader."""
    tracemalloc.start()
    try:
        read_program(data)
    except FlatFileError:
        pass
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak <= memory_limit(len(data), 0)


@pytest.mark.parametrize("index", range(3))
def test_the_seeds_are_accepted(index: int) -> None:
    assert check(seeds()[index])
