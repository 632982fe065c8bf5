"""Programs survive writing and reading; the golden files hold the format still."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from ptq_core.flatfile.dump import dump_program
from ptq_core.flatfile.interpreter import run
from ptq_core.flatfile.operators import MODULES
from ptq_core.flatfile.program import Program
from ptq_core.flatfile.reader import read_program
from ptq_core.flatfile.writer import write_program
from tests.flatfile.programs import compressed_program, every_kind, tiny_program
from tests.flatfile.update_golden import GOLDEN, PROGRAMS


@pytest.mark.parametrize("make", [tiny_program, every_kind, compressed_program])
def test_round_trip(make: Callable[[], Program]) -> None:
    program = make()
    data = write_program(program)
    again = read_program(data)
    assert again.ops == program.ops
    for read, written in zip(again.tensors, program.tensors, strict=True):
        assert (read.name, read.dtype, read.dims, read.offset) == (
            written.name,
            written.dtype,
            written.dims,
            written.offset,
        )
        assert read.qparams == written.qparams
        if written.data is not None:
            np.testing.assert_array_equal(read.data, written.data)
        assert read.is_constant == written.is_constant
    fields = ("inputs", "outputs", "arena_size", "targets", "producer", "meta")
    assert [getattr(again, f) for f in fields] == [getattr(program, f) for f in fields]
    assert write_program(again) == data == write_program(make())


@pytest.mark.parametrize("name", PROGRAMS)
def test_golden(name: str) -> None:
    """If this fails on purpose, run `python -m tests.flatfile.update_golden` and review the diff."""
    program = PROGRAMS[name]()
    assert write_program(program) == (GOLDEN / f"{name}.nb").read_bytes()
    assert dump_program(program) == (GOLDEN / f"{name}.txt").read_text(encoding="utf-8")


def test_every_kind_is_tested() -> None:
    assert {op.kind for op in every_kind().ops} == set(MODULES)


def test_equal_constants_are_stored_once() -> None:
    program = tiny_program()
    size = len(write_program(program))
    copy = program.tensors[2]
    program.tensors.append(copy)
    assert len(write_program(program)) - size <= 64 + 64  # an entry and alignment, no weights


def test_tiny_program_by_hand() -> None:
    x = np.full((1, 2, 2, 4), 2.0, np.float32)  # q = 2 / 0.5 + 3 = 7, x − z = 4
    (y,) = run(tiny_program(), [x])
    sums = np.array([-18, -2, 14]) * 4 + np.array([1, -2, 3])  # weights −6…−3, −2…1, 2…5
    q = np.clip(np.rint(sums * np.array([1.0, 0.5, 0.25])) - 2, -2, 100)
    np.testing.assert_array_equal(y[0, 0, 0], ((q + 2) * 0.25).astype(np.float32))
