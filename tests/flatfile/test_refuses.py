"""Truncated, foreign and damaged files are refused with an InputError that names the field."""

from __future__ import annotations

import dataclasses
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ptq_core import runtime
from ptq_core.errors import InputError
from ptq_core.flatfile import layout
from ptq_core.flatfile.operators.arg_max import ARG_MAX
from ptq_core.flatfile.operators.attributes import Clamp
from ptq_core.flatfile.operators.conv2d import Conv2d
from ptq_core.flatfile.operators.description import OperatorKind
from ptq_core.flatfile.operators.dilate import DILATE
from ptq_core.flatfile.operators.gather import GATHER
from ptq_core.flatfile.operators.reduce import REDUCE
from ptq_core.flatfile.operators.resize import RESIZE
from ptq_core.flatfile.operators.slice import SLICE
from ptq_core.flatfile.operators.unary import UNARY
from ptq_core.flatfile.program import Program
from ptq_core.flatfile.reader import load_program, read_program
from ptq_core.flatfile.tensors import DType, Tensor
from ptq_core.flatfile.writer import write_program
from tests.flatfile.both_readers import sealed
from tests.flatfile.programs import Y, every_kind, tiny_program

TINY = write_program(tiny_program())


def patched(offset: int, code: str, value: object, data: bytes = TINY) -> bytes:
    changed = bytearray(data)
    struct.pack_into(f"<{code}", changed, offset, value)
    return sealed(changed)


def entry_of(kind: bytes, data: bytes | bytearray = TINY) -> int:
    """File offset of the section table's entry for ``kind``."""
    count = struct.unpack_from("<I", data, 28)[0]
    places = [layout.HEADER.size + i * layout.SECTION.size for i in range(count)]
    return next(place for place in places if data[place : place + 4] == kind)


def start_of(kind: bytes, data: bytes | bytearray = TINY) -> int:
    """File offset of section ``kind``."""
    return int(struct.unpack_from("<Q", data, entry_of(kind, data) + 8)[0])


def test_every_truncation() -> None:
    for length in range(len(TINY)):
        with pytest.raises(InputError):
            read_program(TINY[:length])


def test_every_single_byte_flip() -> None:
    version_minor = (10, 11)  # a newer minor version loads, and the checksum begins behind it
    for position in set(range(len(TINY))).difference(version_minor):
        changed = bytearray(TINY)
        changed[position] ^= 0x55
        with pytest.raises(InputError):
            read_program(bytes(changed))


def test_every_resealed_byte_flip_is_refused_or_valid() -> None:
    """With a correct checksum, a flipped byte is refused or gives a program that the format allows; nothing else is raised."""
    for position in range(layout.CRC_BEGIN, len(TINY)):
        for mask in (0x01, 0x80, 0xFF):
            changed = bytearray(TINY)
            changed[position] ^= mask
            try:
                program = read_program(sealed(changed))
            except InputError:
                continue
            assert all(
                (t.offset or 0) + t.size_bytes <= program.arena_size
                for t in program.tensors
                if t.data is None
            )


HEADER_FIELDS = {
    "magic": (0, "B", 0x51, "magic"),
    "version_major": (8, "H", 2, "version: 2.*written by 'ptq golden'"),
    "header_size": (12, "I", 128, "header_size"),
    "section_count_zero": (28, "I", 0, "section_count"),
    "section_count_many": (28, "I", 65, "section_count"),
    "targets_none": (32, "I", 0, "targets"),
    "targets_unknown": (32, "I", 16, "targets"),
    "reserved": (36, "I", 1, "reserved"),
    "producer_unterminated": (63, "B", 65, "producer"),
}


@pytest.mark.parametrize("name", HEADER_FIELDS)
def test_header_field(name: str) -> None:
    offset, code, value, named = HEADER_FIELDS[name]
    with pytest.raises(InputError, match=named):
        read_program(patched(offset, code, value))


def test_size_and_checksum() -> None:
    with pytest.raises(InputError, match=r"file_size: \d+, the file has"):
        read_program(TINY + b"\0")
    changed = bytearray(TINY)
    changed[-1] ^= 1
    with pytest.raises(InputError, match="crc32"):
        read_program(bytes(changed))


def test_newer_minor_version() -> None:
    assert read_program(patched(10, "H", 7)).meta == {"model": "tiny", "precision": "int8"}


def test_unknown_sections() -> None:
    meta = entry_of(b"META")
    assert read_program(patched(meta, "4s", b"XTRA")).meta == {}
    data = bytearray(patched(meta, "4s", b"XTRA"))
    struct.pack_into("<I", data, meta + 4, layout.SECTION_REQUIRED)
    with pytest.raises(
        InputError, match=r"section 11 kind: required section 'XTRA' is unknown .*written by 'ptq golden'"
    ):
        read_program(sealed(data))


SECTION_FIELDS: dict[str, tuple[bytes, int, str, object, str]] = {
    "kind_twice": (b"META", 0, "4s", b"STRS", "section 11 kind"),
    "kind_missing": (b"PLAN", 0, "4s", b"PLAM", "required section 'PLAM'"),
    "flags": (b"TENS", 4, "I", 3, "flags"),
    "offset_odd": (b"TENS", 8, "Q", 65, "section 3 'TENS' offset: 65"),
    "offset_far": (b"TENS", 8, "Q", 1 << 60, "section 3 'TENS' offset"),
    "size_far": (b"TENS", 16, "Q", 1 << 60, "section 3 'TENS' size"),
    "count": (b"TENS", 24, "I", 1, "section 3 'TENS' size: 384 bytes for 1"),
    "entry_size": (b"TENS", 28, "I", 32, "section 3 'TENS' size: .* entries of 32"),
    "overlap": (b"INPT", 8, "Q", start_of(b"OUTP"), "gap between sections|offset"),
}


@pytest.mark.parametrize("name", SECTION_FIELDS)
def test_section_field(name: str) -> None:
    kind, offset, code, value, named = SECTION_FIELDS[name]
    with pytest.raises(InputError, match=named):
        read_program(patched(entry_of(kind) + offset, code, value))


# (section, offset in it, code, value, what the message names)
ENTRY_FIELDS: dict[str, tuple[bytes, int, str, object, str]] = {
    "scale_negative": (b"SCAL", 0, "f", -1.0, "SCAL entry 0"),
    "scale_nan": (b"SCAL", 0, "f", float("nan"), "SCAL entry 0"),
    "scale_begin": (b"QPRM", 0, "I", 99, "'input/q' QPRM entry 0"),
    "scale_count": (b"QPRM", 4, "I", 0, "'input/q' QPRM entry 0"),
    "zero_point": (b"QPRM", 8, "i", 128, "zero_point"),
    "axis": (b"QPRM", 12, "i", 0, "axis"),
    "tensor_name": (b"TENS", 0, "I", 99999, "name"),
    "dtype": (b"TENS", 4, "B", 9, "'input' dtype: 9"),
    "rank": (b"TENS", 5, "B", 9, "'input' rank: 9"),
    "storage": (b"TENS", 6, "B", 3, "'input' storage: 3"),
    "tensor_reserved": (b"TENS", 7, "B", 1, "reserved"),
    "qparams_on_f32": (b"TENS", 8, "I", 0, "f32 tensor"),
    "qparams_index": (b"TENS", 64 + 8, "I", 77, "'input/q' qparams: 77"),
    "tensor_offset_odd": (b"TENS", 16, "Q", 1, "'input' offset: 1 "),
    "tensor_offset_far": (b"TENS", 16, "Q", 1 << 40, "arena"),
    "tensor_size": (b"TENS", 24, "Q", 1, "'input' size: 1"),
    "dims_zero": (b"TENS", 32, "I", 0, "dims"),
    "dims_huge": (b"TENS", 32, "I", 0xFFFFFFFF, "dims"),
    "dims_behind_rank": (b"TENS", 60, "I", 1, "dims"),
    "op_kind": (b"OPRS", 0, "H", 99, "'input/quantize' kind: 99 .*written by"),
    "op_flags": (b"OPRS", 2, "H", 1, "flags"),
    "index_begin": (b"OPRS", 8, "I", 0xFFFFFFFF, "index_begin"),
    "input_count": (b"OPRS", 12, "H", 0xFFFF, "input_count"),
    "attr_begin": (b"OPRS", 16, "I", 2, "attr_begin"),
    "attr_size": (b"OPRS", 20, "I", 4, "attr_size"),
    "index": (b"INDX", 0, "I", 50, "input 0: tensor 50"),
    "absent_input": (b"INDX", 0, "I", 0xFFFFFFFF, "input 0: tensor 4294967295"),
    "input": (b"INPT", 0, "I", 50, "INPT"),
    "input_is_constant": (b"INPT", 0, "I", 2, "INPT: tensor 2"),
    "output": (b"OUTP", 0, "I", 50, "OUTP"),
    "arena_size": (b"PLAN", 0, "Q", 64, "inside the 64 bytes of the arena"),
    "alignment": (b"PLAN", 8, "I", 32, "alignment"),
    "stride": (b"ATTR", 0, "I", 0, "stride_h: 0"),
    "strings_end": (b"STRS", len(b"input\0"), "B", 0xFF, "UTF-8"),
    "meta": (b"META", 0, "B", 0x5B, "META"),
}


@pytest.mark.parametrize("name", ENTRY_FIELDS)
def test_entry_field(name: str) -> None:
    kind, offset, code, value, named = ENTRY_FIELDS[name]
    with pytest.raises(InputError, match=named):
        read_program(patched(start_of(kind) + offset, code, value))


def replace_op(index: int, **fields: Any) -> Callable[[Program], None]:
    def change(program: Program) -> None:
        program.ops[index] = dataclasses.replace(program.ops[index], **fields)

    return change


def replace_tensor(index: int, **fields: Any) -> Callable[[Program], None]:
    def change(program: Program) -> None:
        program.tensors[index] = dataclasses.replace(program.tensors[index], **fields)

    return change


def attributes(kind: OperatorKind[Any], **fields: Any) -> Callable[[Program], None]:
    """Change attribute fields of the first operator of ``kind``."""

    def change(program: Program) -> None:
        index, op = next((i, op) for i, op in enumerate(program.ops) if op.kind == kind)
        changed = dataclasses.replace(op.attributes, **fields)
        program.ops[index] = dataclasses.replace(op, attributes=changed)

    return change


def constant(name: str, **fields: Any) -> Callable[[Program], None]:
    """Change fields of the constant ``name``."""

    def change(program: Program) -> None:
        index = next(i for i, tensor in enumerate(program.tensors) if tensor.name == name)
        program.tensors[index] = dataclasses.replace(program.tensors[index], **fields)

    return change


def swap_ops(program: Program) -> None:
    program.ops[0], program.ops[1] = program.ops[1], program.ops[0]


def share_memory(program: Program) -> None:
    program.tensors[1] = dataclasses.replace(program.tensors[1], offset=program.tensors[0].offset)


RULES: dict[str, tuple[Callable[[], Program], Callable[[Program], None], str]] = {
    "order": (tiny_program, swap_ops, "input 0: tensor 1 'input/q'"),
    "memory": (tiny_program, share_memory, "output: tensor 1 .* still needed"),
    "output_dims": (
        tiny_program,
        replace_tensor(4, dims=(1, 2, 1, 3)),
        "output .* dims|height: the output has 2",
    ),
    "weight_groups": (tiny_program, replace_op(1, attributes=Conv2d(stride_h=2, groups=2)), "groups"),
    "bias_type": (tiny_program, replace_op(1, inputs=(1, 2, 2)), "b 'conv/weight' dtype"),
    "clamp_order": (tiny_program, replace_op(1, attributes=Conv2d(stride_h=2, q_min=5, q_max=4)), "q_min"),
    "add_clamp": (every_kind, replace_op(1, attributes=Clamp(lo=2.0, hi=1.0)), "lo ≤ hi"),
    "unary_function": (every_kind, attributes(UNARY, function=25), "function: 25"),
    "unary_beta": (every_kind, attributes(UNARY, beta=1.0), "beta: 1.0"),
    "unary_alpha": (every_kind, attributes(UNARY, alpha=float("inf")), "alpha: inf"),
    "resize_mode": (every_kind, attributes(RESIZE, mode=2), "mode: 2"),
    "resize_rounding": (every_kind, attributes(RESIZE, rounding=1), "rounding: 1"),
    "resize_scale": (every_kind, attributes(RESIZE, scale_w=0.0), "scale_w: 0.0"),
    "slice_step": (every_kind, attributes(SLICE, step=(1, 0, 1, 2)), r"step\[1\]: 0"),
    "slice_start": (
        every_kind,
        attributes(SLICE, start=(0, 5, 0, 1)),
        r"start\[1\], step\[1\]: reads 5 … -1",
    ),
    "gather_axis": (every_kind, attributes(GATHER, axis=4), "axis: 4"),
    "gather_index": (
        every_kind,
        constant("picks", data=np.array([0, 1, 2], np.int32)),
        r"indices 'picks' \[2\]: 2",
    ),
    "reduce_axes": (every_kind, attributes(REDUCE, axes=16), "axes: 0x10"),
    "dilate_step": (every_kind, attributes(DILATE, step=(1, 0, 1, 1)), r"step\[1\]: 0"),
    "arg_max_last": (every_kind, attributes(ARG_MAX, select_last=2), "select_last: 2"),
    "table_scale": (every_kind, constant("table", qparams=Y), "qparams: those of 'table'"),
    "broadcast": (every_kind, replace_op(1, inputs=(0, 1)), "inputs: dimension"),
}


@pytest.mark.parametrize("name", RULES)
def test_rule(name: str) -> None:
    make, change, named = RULES[name]
    program = make()
    change(program)
    with pytest.raises(InputError, match=named):
        read_program(write_program(program))


@pytest.fixture
def not_files(tmp_path: Path) -> list[Path]:
    """A folder, a pipe that nobody writes to, an endless device."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    return [tmp_path, pipe, Path("/dev/zero")]


def test_only_regular_files_are_read(not_files: list[Path], tmp_path: Path) -> None:
    for path in not_files:
        with pytest.raises(InputError, match=r"not a regular file|Is a directory"):
            load_program(path)
    with pytest.raises(InputError, match="No such file"):
        load_program(tmp_path / "absent.nb")
    empty = tmp_path / "empty.nb"
    empty.touch()
    with pytest.raises(InputError, match="file size: 0 bytes"):
        load_program(empty)


@pytest.mark.needs("runtime")
def test_the_runtime_reads_only_regular_files(not_files: list[Path]) -> None:
    for path in not_files:
        with pytest.raises(InputError, match="is not a regular file"):
            runtime.Program(path)


def test_names_that_fill_the_memory() -> None:
    """65,536 names that are the ends of one long string."""
    program = tiny_program()
    program.tensors[0] = dataclasses.replace(program.tensors[0], name="n" * 100_000)
    for i in range(2000):
        zero = np.zeros(1, np.float32)
        program.tensors.append(Tensor(f"{i}", DType.F32, (1,), None, zero))
    data = bytearray(write_program(program))
    for i in range(2000):
        struct.pack_into("<I", data, start_of(b"TENS", data) + (6 + i) * 64, i)
    with pytest.raises(InputError, match="bytes of names"):
        read_program(sealed(data))
