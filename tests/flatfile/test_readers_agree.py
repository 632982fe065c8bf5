"""The two readers accept the same files, show the same of them, and of a bad one name the same field."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ptq_core.flatfile.operators.attributes import Clamp
from ptq_core.flatfile.operators.binary import MAXIMUM
from ptq_core.flatfile.operators.conv2d import CONV2D, Conv2d
from ptq_core.flatfile.operators.description import OperatorKind
from ptq_core.flatfile.operators.fully_connected import FULLY_CONNECTED
from ptq_core.flatfile.program import Op, Program
from ptq_core.flatfile.tensors import DType, Tensor
from ptq_core.flatfile.writer import write_program
from tests.flatfile.both_readers import OUT_OF_MEMORY, Answer, CppReader, compare, find_flat_reader, sealed
from tests.flatfile.generated import kinds_and_types, one_op_program
from tests.flatfile.programs import compressed_program, every_kind, tiny_program
from tests.flatfile.update_golden import GOLDEN

TINY = write_program(tiny_program())
EVERY_KIND = write_program(every_kind())
COMPRESSED = write_program(compressed_program())
MASKS = (1, 2, 4, 8, 16, 32, 64, 128, 255)
# Numbers that fields know, or that break them.
WORDS: tuple[int, ...] = (
    0,
    1,
    2,
    3,
    4,
    7,
    8,
    63,
    64,
    127,
    128,
    255,
    256,
    65535,
    65536,
    2**31 - 1,
    2**31,
    2**32 - 128,
    2**32 - 1,
)
WORDS += (0x7F800000, 0xFF800000, 0x7FC00000, 0x3F800000, 0x00000001, 0x7F7FFFFF, 0x40101, 0x40102, 0x10203)


@pytest.fixture(scope="module")
def cpp() -> Iterator[CppReader]:
    with CppReader(find_flat_reader()) as reader:
        yield reader


def generated(kind: OperatorKind[Any], dtype: DType, seed: int) -> bytes:
    return write_program(one_op_program(kind, dtype, np.random.default_rng([seed, kind.code, dtype])))


def check(cpp: CppReader, cases: Iterator[tuple[str, bytes]]) -> int:
    """Ask both about every case; returns how many were accepted."""
    accepted = 0
    for name, data in cases:
        good, problem = compare(cpp, data)
        assert problem is None, f"{name}: {problem}"
        accepted += good
    return accepted


@pytest.mark.parametrize("path", sorted(GOLDEN.parent.rglob("*.nb")), ids=lambda path: path.name)
def test_kept_files(cpp: CppReader, path: Path) -> None:
    data = path.read_bytes()
    assert check(cpp, iter([(str(path), data)])) == 1


@pytest.mark.parametrize(("kind", "dtype"), list(kinds_and_types()))
def test_generated_programs(cpp: CppReader, kind: OperatorKind[Any], dtype: DType) -> None:
    assert check(cpp, ((f"seed {seed}", generated(kind, dtype, seed)) for seed in range(10))) == 10


def test_every_truncation(cpp: CppReader) -> None:
    assert check(cpp, ((f"{size} bytes", TINY[:size]) for size in range(len(TINY)))) == 0
    check(cpp, ((f"{size} bytes, sealed", sealed(TINY[:size])) for size in range(len(TINY))))


def flips(data: bytes, masks: Callable[[int], tuple[int, ...]]) -> Iterator[tuple[str, bytes]]:
    for position in range(len(data)):
        for mask in masks(position):
            changed = bytearray(data)
            changed[position] ^= mask
            yield f"byte {position} ^ {mask:#x}", bytes(changed)


def test_every_flip(cpp: CppReader) -> None:
    """Every byte with each of its bits flipped, and all; a newer minor version, bytes 10 and 11, is no fault."""
    assert check(cpp, flips(TINY, lambda at: MASKS if at < 128 else (1, 255))) == 2 * len(MASKS)
    resealed = ((name, sealed(data)) for name, data in flips(TINY, lambda _: MASKS))
    assert check(cpp, resealed) > 100  # weights and names may take other values


def test_flips_in_every_operator(cpp: CppReader) -> None:
    resealed = ((name, sealed(data)) for name, data in flips(EVERY_KIND, lambda at: (MASKS[at % 9],)))
    assert check(cpp, resealed) > 100


def test_flips_of_compressed_weights(cpp: CppReader) -> None:
    """Not in the weights themselves, of which any value is good."""
    end = COMPRESSED.index(np.ascontiguousarray(compressed_program().tensors[2].data).tobytes())
    resealed = (
        (name, sealed(data + COMPRESSED[end:]))
        for name, data in flips(COMPRESSED[:end], lambda at: (MASKS[at % 9],))
    )
    assert check(cpp, resealed) > 100


def broken(data: bytes, random: np.random.Generator) -> bytes:
    """``data`` with one to three fields set to other numbers, or copied from elsewhere in the file."""
    changed = bytearray(data)
    begin = struct.unpack_from("<I", data, 28)[0] * 32 + 64
    for _ in range(int(random.integers(1, 4))):
        width = int(random.choice([1, 2, 4, 8]))
        at = int(random.integers(begin if random.integers(4) else 0, len(data) - 8)) // width * width
        if random.integers(2):
            value = WORDS[int(random.integers(len(WORDS)))] & (2 ** (8 * width) - 1)
            changed[at : at + width] = value.to_bytes(width, "little")
        else:
            other = int(random.integers(begin, len(data) - 8)) // width * width
            changed[at : at + width] = data[other : other + width]
    return sealed(changed)


@pytest.mark.parametrize(("kind", "dtype"), list(kinds_and_types()))
def test_broken_programs(cpp: CppReader, kind: OperatorKind[Any], dtype: DType) -> None:
    random = np.random.default_rng([7, kind.code, dtype])
    cases = (
        (f"seed {seed}, case {case}", broken(generated(kind, dtype, seed), random))
        for seed in range(10)
        for case in range(20)
    )
    check(cpp, cases)


def chain(count: int, width: int, kind: OperatorKind[Any] = FULLY_CONNECTED, matrices: int = 1) -> bytes:
    """``count`` operators that read by turns ``matrices`` weights of ``width`` × ``width``."""
    ones = (1, 1) if kind == CONV2D else ()
    place = [(1 + i) * 4 * width for i in range(3)]
    program = Program(targets=("arm64",), producer="ptq test", arena_size=12 * width)
    last = program.add(Tensor("x", DType.F32, (1, *ones, width), None, None, 0))
    weights = [
        program.add(Tensor("w", DType.F32, values.shape, None, values))
        for values in (np.full((width, *ones, width), i, np.float32) for i in range(matrices))
    ]
    program.inputs = [last]
    attributes = Conv2d() if kind == CONV2D else Clamp()
    for i in range(count):
        y = program.add(Tensor("y", DType.F32, (1, *ones, width), None, None, place[i % 2]))
        program.ops.append(Op(kind, "fc", (last, weights[i % matrices]), (y,), attributes))
        last = y
    program.outputs = [last]
    return write_program(program)


def with_count(kind: bytes, count: int) -> bytes:
    """TINY with another number of entries in a section, which are zeros at the file's end."""
    data = bytearray(TINY)
    entry = next(at for at in range(64, 64 + 64 * 32, 32) if data[at : at + 4] == kind)
    size = struct.unpack_from("<I", data, entry + 28)[0]
    data += bytes(-len(data) % 64)
    struct.pack_into("<QQI", data, entry + 8, len(data), count * size, count)
    old = struct.unpack_from("<QQ", TINY, entry + 8)
    data[old[0] : old[0] + old[1]] = bytes(old[1])
    return sealed(data + bytes(count * size))


def test_a_small_file_cannot_ask_for_much(cpp: CppReader) -> None:
    """Weights that many operators share, endless tables: refused, soon and without the memory that they ask for.

    One matrix of many fully_connected takes its memory once; those that are forgotten in between, and convolutions, do not.
    """
    assert check(cpp, iter([("few", chain(20, 128)), ("a few more", chain(100, 128))])) == 2
    assert check(cpp, iter([("one matrix", chain(600, 128))])) == 1
    many = [chain(600, 128, CONV2D), chain(900, 128, matrices=70)]
    assert check(cpp, (("many", data) for data in many)) == 0
    assert [cpp.ask(data).status for data in many] == [OUT_OF_MEMORY, OUT_OF_MEMORY]
    assert [compare(cpp, data) for data in many] == [(False, None), (False, None)]
    counts = ((str(kind), with_count(kind, 65537)) for kind in (b"TENS", b"OPRS"))
    assert check(cpp, counts) == 0


def bools(count: int, size: int) -> bytes:
    """``count`` constants of the same ``size`` bools, one of which is read."""
    program = Program(targets=("arm64",), producer="ptq test", arena_size=2 * size)
    x, y = (
        program.add(Tensor(name, DType.BOOL, (size,), None, None, at)) for name, at in (("x", 0), ("y", size))
    )
    values = np.ones(size, np.bool_)
    masks = [program.add(Tensor("mask", DType.BOOL, (size,), None, values)) for _ in range(count)]
    program.ops = [Op(MAXIMUM, "max", (x, masks[0]), (y,), Clamp())]
    program.inputs, program.outputs = [x], [y]
    return write_program(program)


def test_bools_that_many_tensors_share_take_no_time(cpp: CppReader) -> None:
    size = 1 << 16  # of the file; the floor is 16 times as much
    assert check(cpp, iter([("few", bools(20, size))])) == 1
    data = bools(21, size)
    assert len(data) < 2 * size
    assert compare(cpp, data) == (False, None)
    assert "bools of" in cpp.ask(data).field


def test_a_disagreement_is_seen(cpp: CppReader) -> None:
    class Deaf(CppReader):
        def __init__(self) -> None:
            pass

        def ask(self, data: bytes) -> Answer:
            return cpp.ask(TINY)

    assert compare(Deaf(), EVERY_KIND)[1] is not None
    assert compare(Deaf(), TINY[:100])[1] is not None
    assert compare(Deaf(), TINY)[1] is None
