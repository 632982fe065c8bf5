"""The two readers accept the same files, show the same of them, and of a bad one name the same field."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from ptq_core.flatfile.operators.attributes import Attributes, Clamp, NoAttributes
from ptq_core.flatfile.operators.binary import ADD, MAXIMUM
from ptq_core.flatfile.operators.conv2d import CONV2D, Conv2d
from ptq_core.flatfile.operators.conv2d_add import CONV2D_ADD, Conv2dAdd
from ptq_core.flatfile.operators.description import OperatorKind
from ptq_core.flatfile.operators.fully_connected import FULLY_CONNECTED
from ptq_core.flatfile.operators.gather_nd import GATHER_ND
from ptq_core.flatfile.operators.matmul import MATMUL, Matmul
from ptq_core.flatfile.program import Op, Program
from ptq_core.flatfile.tensors import DType, QuantParams, Tensor
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


class Reading(NamedTuple):
    """An operator that reads a constant of 2^20 numbers: the dims of its other operand, of the constant, and of y."""

    kind: OperatorKind[Any]
    x: tuple[int, ...]
    constant: tuple[int, ...]
    y: tuple[int, ...]
    place: int
    """Of the constant among the operands."""
    dtype: DType = DType.F32
    stored: DType = DType.F32
    attributes: Attributes = Clamp()


MILLION, SIDE = (2**20,), (2**10, 2**10)
ROW, COLUMN, PIXEL = (1, 2**10), (2**10, 1), (1, 1, 1, 2**10)
FILTERS = (2**10, 1, 1, 2**10)
F16, I8, I32 = DType.F16, DType.I8, DType.I32
READINGS = {
    # name: (one operator, so many are accepted, so many refused; None if nothing is copied)
    "gather_nd": (Reading(GATHER_ND, (1, 1), MILLION, (1,), 0, I32, attributes=NoAttributes()), 40, None),
    "add": (Reading(ADD, (1,), MILLION, MILLION, 1), 40, None),
    "matmul on the right": (Reading(MATMUL, ROW, SIDE, ROW, 1, attributes=Matmul()), 20, None),
    "matmul": (Reading(MATMUL, COLUMN, SIDE, COLUMN, 0, attributes=Matmul()), 4, 12),
    "conv2d": (Reading(CONV2D, PIXEL, FILTERS, PIXEL, 1, attributes=Conv2d()), 4, 12),
    "of half precision": (Reading(ADD, (1,), MILLION, MILLION, 1, F16, F16), 4, 20),
    "compressed": (Reading(FULLY_CONNECTED, ROW, SIDE, ROW, 1, stored=I8), 3, 8),
}


def reading(of: Reading, count: int) -> bytes:
    """``count`` operators that all read the same constant and x, and write y one after the other."""
    program = Program(targets=("arm64",), producer="ptq test")
    x = Tensor("x", of.dtype, of.x, None, None, 0)
    out = DType.F32 if of.dtype == I32 else of.dtype
    qparams = QuantParams(np.array([0.1], np.float32), 0) if of.stored == I8 else None
    data = np.zeros(of.constant, of.stored.numpy)
    indices = [program.add(x), program.add(Tensor("c", of.stored, of.constant, qparams, data))]
    program.inputs = [indices[0]]
    begin = -(-x.size_bytes // 64) * 64
    for _ in range(count):
        y = program.add(Tensor("y", out, of.y, None, None, begin))
        operands = indices if of.place else indices[::-1]
        program.ops.append(Op(of.kind, "op", tuple(operands), (y,), of.attributes))
    program.arena_size = begin + -(-program.tensors[y].size_bytes // 64) * 64
    program.outputs = [y]
    return write_program(program)


@pytest.mark.parametrize("name", READINGS)
def test_what_is_copied_is_counted_alike(cpp: CppReader, name: str) -> None:
    """A constant that operators read where it lies costs nothing, however many they are."""
    of, accepted, refused = READINGS[name]
    counts = {accepted: True} if refused is None else {accepted: True, refused: False}
    for count, wanted in counts.items():
        data = reading(of, count)
        assert cpp.ask(data).accepted == wanted
        assert compare(cpp, data) == (wanted, None)


def test_compressed_weights_are_nothing_else(cpp: CppReader) -> None:
    """As r they would be read as the floats that they stand for, which are four times as long."""
    program = Program(targets=("arm64",), producer="ptq test", arena_size=128)
    x, y = (
        program.add(Tensor(name, DType.F32, (4, 1, 1, 4), None, None, at))
        for name, at in (("x", 0), ("y", 64))
    )
    values = np.ones((4, 1, 1, 4), np.int8)
    w = program.add(Tensor("w", DType.I8, values.shape, QuantParams(np.ones(1, np.float32), 0), values))
    program.ops = [Op(CONV2D_ADD, "op", (x, w, w), (y,), Conv2dAdd())]
    program.inputs, program.outputs = [x], [y]
    data = write_program(program)
    assert compare(cpp, data) == (False, None)
    assert "r 'w' dtype" in cpp.ask(data).field


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
