"""Bytes of a flat file → Program. Believes nothing: every count, offset, shape and enum is checked before it is used.

The checks come in the order of the C++ reader (runtime/src/format, then each operator's Prepare), so that of a file with
several faults both name the same.
"""

from __future__ import annotations

import json
import math
import mmap
import struct
from pathlib import Path
from typing import Any

import numpy as np

from ptq_core.errors import InputError
from ptq_core.flatfile import layout
from ptq_core.flatfile.operators import BY_CODE
from ptq_core.flatfile.operators.checks import Entries, Operator
from ptq_core.flatfile.operators.description import OperatorKind
from ptq_core.flatfile.operators.rules import check_operator
from ptq_core.flatfile.plan_check import check_plan
from ptq_core.flatfile.program import Op, Program
from ptq_core.flatfile.refusal import FlatFileError, shown
from ptq_core.flatfile.sections import Header, Section, read_header, read_sections
from ptq_core.flatfile.tensors import QUANTIZED, Array, DType, QuantParams, Tensor
from ptq_core.flatfile.work import MAX_WORK, ConstantCopies, memory_limit, operator_work
from ptq_core.inputs import open_input


def read_program(data: bytes | mmap.mmap) -> Program:
    """The program in ``data``, which may be a file mapped for reading; constants are read-only views of it.

    Raises FlatFileError, an InputError that names the field and its value, for anything that docs/flat_format.md does not
    allow.
    """
    return _Reader(memoryview(data)).program()


def map_program(path: Path) -> Program:
    """As `read_program` of the file ``path``, which is mapped: constants take memory only while they are used."""
    with open_input(path) as stream:
        data = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    program = read_program(data)
    data.madvise(mmap.MADV_DONTNEED)  # the checksum went through all of it
    return program


def load_program(path: Path) -> Program:
    """The program in the file ``path``; raises InputError as `read_program`, and for what is no readable regular file."""
    try:
        with open_input(path) as stream:
            data = stream.read()
    except OSError as error:
        raise InputError(
            f"cannot read {path}: {error.strerror or error}",
            rule="the flat file must exist and be readable",
            fix="check the path",
        ) from None
    return read_program(data)


class _Reader:
    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._header: Header = read_header(data)
        self._sections: dict[bytes, Section] = read_sections(data, self._header)
        self._strings = bytes(self._sections[b"STRS"].data)
        self._name_bytes = self._bools = 0

    def program(self) -> Program:
        arena_size = self._plan()
        scales = self._scales()
        tensors = [self._tensor(i, scales, arena_size) for i in range(self._count(b"TENS", "tensors"))]
        needed = sum(layout.align(t.size_bytes) for t in tensors if not t.is_constant)
        if arena_size > needed:
            raise FlatFileError(
                "PLAN arena_size", f"{arena_size}", f"at most all arena tensors together, {needed}"
            )
        indices = self._indices(b"INDX")
        inputs, outputs = (self._tensor_list(kind, len(tensors)) for kind in (b"INPT", b"OUTP"))
        operators = self._operators(tensors, indices)
        program = Program(
            tensors=tensors,
            ops=[op for op, _ in operators],
            inputs=inputs,
            outputs=outputs,
            arena_size=arena_size,
            targets=tuple(name for name, bit in layout.TARGETS.items() if self._header.targets & bit),
            producer=self._header.producer,
            version=self._header.version,
        )
        check_plan(program)
        self._check_operators(program, [entries for _, entries in operators])
        program.meta = self._meta()
        return program

    def _check_operators(self, program: Program, arrays: list[Entries]) -> None:
        """Each operator's own rules, and the limits of all together; ``arrays`` are their attribute arrays, whole."""
        work = 0
        copies = ConstantCopies(program, len(self._data))
        for step, (op, entries) in enumerate(zip(program.ops, arrays, strict=True)):
            where = f"operator {step} {shown(op.name)} ({op.kind.name})"
            copies.add(op)
            if copies.bytes > copies.limit:
                raise FlatFileError(
                    f"{where} memory",
                    f"{copies.bytes} bytes so far for the constants that operators keep packed copies of",
                    f"at most {copies.limit}: 4 · (file + arena) + 16 MiB, as small files must not ask for much",
                )
            inputs = [None if index is None else program.tensors[index] for index in op.inputs]
            output = program.tensors[op.outputs[0]]
            check_operator(op.kind, Operator(where, op.attributes, entries, inputs, output))
            work += operator_work(program, op)
            if work > MAX_WORK:
                raise FlatFileError(
                    f"{where} work", f"{work} steps so far", f"a program has at most {MAX_WORK}"
                )

    # Entries

    def _entry(self, kind: bytes, index: int, record: struct.Struct) -> tuple[Any, ...]:
        section = self._sections[kind]
        return record.unpack_from(section.data, index * section.entry_size)

    def _count(self, kind: bytes, what: str) -> int:
        count = self._sections[kind].count
        if count > layout.MAX_ENTRIES:
            raise FlatFileError(f"{kind.decode()} count", f"{count} {what}", f"at most {layout.MAX_ENTRIES}")
        return count

    def _plan(self) -> int:
        size, alignment, reserved = self._entry(b"PLAN", 0, layout.PLAN)
        if alignment != layout.ALIGNMENT:
            raise FlatFileError("PLAN alignment", f"{alignment}", f"{layout.ALIGNMENT}")
        if reserved:
            raise FlatFileError("PLAN reserved", f"{reserved}", "reserved fields are 0")
        return int(size)

    def _scales(self) -> Array:
        section = self._sections[b"SCAL"]
        words = self._words(section).view("<f4")
        bad = ~(np.isfinite(words) & (words > 0))
        if bad.any():
            index = int(bad.argmax())
            raise FlatFileError(f"SCAL entry {index}", f"{words[index]}", "scales are finite and > 0")
        return words

    def _words(self, section: Section) -> Array:
        """The first 4 bytes of each entry."""
        rows = np.frombuffer(section.data, np.uint8, section.count * section.entry_size)
        return np.ascontiguousarray(rows.reshape(section.count, section.entry_size)[:, :4]).view("<u4")[:, 0]

    def _tensor(self, i: int, scales: Array, arena_size: int) -> Tensor:
        fields = self._entry(b"TENS", i, layout.TENS)
        name_at, code, rank, storage, reserved_a, q_index, reserved_b, offset, size = fields[:9]
        name = self._string(name_at, f"tensor {i} name")
        where = f"tensor {i} {shown(name)}"
        if code not in DType.__members__.values():
            raise FlatFileError(
                f"{where} dtype", f"{code}", ", ".join(f"{known.value} {known.label}" for known in DType)
            )
        dtype = DType(code)
        if storage not in (layout.STORAGE_ARENA, layout.STORAGE_CONSTANT):
            raise FlatFileError(f"{where} storage", f"{storage}", "1 arena, 2 constant")
        if dtype == DType.I16 and storage != layout.STORAGE_CONSTANT:
            raise FlatFileError(
                f"{where} storage", f"{storage} with dtype i16", "an i16 tensor is a constant"
            )
        if rank > layout.MAX_RANK:
            raise FlatFileError(f"{where} rank", f"{rank}", f"0 … {layout.MAX_RANK}")
        if reserved_a or reserved_b:
            raise FlatFileError(f"{where} reserved", "not 0", "reserved fields are 0")
        dims = self._dims(where, fields[9:], rank)
        elements = math.prod(dims)
        if size != elements * dtype.itemsize:
            raise FlatFileError(
                f"{where} size",
                f"{size}",
                f"{elements} elements of {dtype.label} are {elements * dtype.itemsize}",
            )
        constant = storage == layout.STORAGE_CONSTANT
        weights = self._sections[b"WGTS"].data
        limit = len(weights) if constant else arena_size
        if offset % layout.ALIGNMENT or offset > limit or size > limit - offset:
            raise FlatFileError(
                f"{where} offset",
                f"{offset} (+ {size} bytes)",
                f"a multiple of {layout.ALIGNMENT} inside the {limit} bytes of the {'section WGTS' if constant else 'arena'}",
            )
        qparams = self._qparams(where, dtype, dims, q_index, scales)
        if not constant:
            return Tensor(name, dtype, dims, qparams, None, offset)
        data = np.frombuffer(weights, dtype.numpy, elements, offset).reshape(dims)
        if dtype == DType.BOOL:
            self._bools += size
            most = layout.MOST_BOOLS * len(weights) + layout.BOOLS_FLOOR
            if self._bools > most:  # tensors may share bytes, and each is looked at
                raise FlatFileError(
                    f"{where} values", f"bools of {self._bools} bytes so far", f"at most {most}"
                )
            if (data.view(np.uint8) > 1).any():
                raise FlatFileError(
                    f"{where} values", f"a byte of {data.view(np.uint8).max()}", "a bool is 0 or 1"
                )
        return Tensor(name, dtype, dims, qparams, data)

    def _dims(self, where: str, entries: tuple[int, ...], rank: int) -> tuple[int, ...]:
        elements = 1
        for d, dim in enumerate(entries):
            if dim != 0 if d >= rank else not 1 <= dim <= layout.MAX_ELEMENTS:
                raise FlatFileError(
                    f"{where} dims[{d}]", f"{dim} with rank {rank}", "1 … 2^31 − 1, 0 beyond the rank"
                )
            elements *= max(dim, 1)
            if elements > layout.MAX_ELEMENTS:
                raise FlatFileError(
                    f"{where} dims", f"{elements} elements or more", f"at most {layout.MAX_ELEMENTS}"
                )
        return tuple(entries[:rank])

    def _qparams(
        self, where: str, dtype: DType, dims: tuple[int, ...], index: int, scales: Array
    ) -> QuantParams | None:
        if index == layout.ABSENT:
            if dtype in QUANTIZED:
                raise FlatFileError(
                    f"{where} qparams", "none", f"an {dtype.label} tensor has quantization parameters"
                )
            return None
        if dtype not in (*QUANTIZED, DType.I32):
            raise FlatFileError(
                f"{where} qparams", f"{index}", f"an {dtype.label} tensor has no quantization parameters"
            )
        count = self._sections[b"QPRM"].count
        if index >= count:
            raise FlatFileError(f"{where} qparams", f"{index}", f"QPRM has {count} entries")
        where = f"{where} QPRM entry {index}"
        begin, scale_count, zero_point, axis = self._entry(b"QPRM", index, layout.QPRM)
        if scale_count < 1 or begin + scale_count > len(scales):
            raise FlatFileError(
                where, f"scales {begin} … {begin + scale_count}", f"1 or more of the {len(scales)} in SCAL"
            )
        if not -128 <= zero_point <= 127 or (zero_point and (scale_count > 1 or dtype != DType.I8)):
            raise FlatFileError(
                where, f"zero_point {zero_point}", "−128 … 127, and 0 with several scales or beside i8"
            )
        counted = 0 <= axis < len(dims) and dims[axis] == scale_count
        if axis != -1 if scale_count == 1 else not counted:
            raise FlatFileError(
                where, f"axis {axis} for {scale_count} scales of dims {list(dims)}", "one scale has axis −1"
            )
        return QuantParams(scales[begin : begin + scale_count], zero_point, axis)

    def _operators(self, tensors: list[Tensor], indices: list[int]) -> list[tuple[Op, Entries]]:
        operators = []
        operands = 0
        for i in range(self._count(b"OPRS", "operators")):
            op, entries = self._operator(i, tensors, indices)
            operators.append((op, entries))
            operands += len(op.inputs) + len(op.outputs)
            if operands > len(indices):
                raise FlatFileError(
                    f"operator {i} {shown(op.name)} index_begin",
                    f"{operands} operands so far",
                    f"no more than INDX's {len(indices)} entries",
                )
        return operators

    def _operator(self, i: int, tensors: list[Tensor], indices: list[int]) -> tuple[Op, Entries]:
        fields = self._entry(b"OPRS", i, layout.OPRS)
        code, flags, name_at, begin, input_count, output_count, attr_begin, attr_size, *reserved = fields
        name = self._string(name_at, f"operator {i} name")
        where = f"operator {i} {shown(name)}"
        kind = BY_CODE.get(code)
        if kind is None:
            raise FlatFileError(f"{where} kind", f"{code} ({self._header.writer})", f"1 … {max(BY_CODE)}")
        if flags:
            raise FlatFileError(f"{where} flags", f"{flags}", "0")
        if any(reserved):
            raise FlatFileError(f"{where} reserved", "not 0", "reserved fields are 0")
        if not kind.min_inputs <= input_count <= kind.max_inputs:
            raise FlatFileError(
                f"{where} input_count", f"{input_count}", f"{kind.min_inputs} … {kind.max_inputs}"
            )
        if output_count != 1:
            raise FlatFileError(f"{where} output_count", f"{output_count}", "1")
        if begin + input_count + 1 > len(indices):
            raise FlatFileError(
                f"{where} index_begin", f"{begin} + {input_count + 1} indices", f"INDX has {len(indices)}"
            )
        attributes, entries = self._attributes(where, kind, attr_begin, attr_size)
        chosen = indices[begin : begin + input_count + 1]
        for j, index in enumerate(chosen):
            optional = j < input_count and kind.operand(j).optional
            if index >= len(tensors) and not (optional and index == layout.ABSENT):
                operand = f"input {j}" if j < input_count else "output 0"
                raise FlatFileError(
                    f"{where} {operand}", f"tensor {index}", f"there are {len(tensors)} tensors"
                )
        inputs = tuple(None if index == layout.ABSENT else index for index in chosen[:-1])
        # Arrays are as long as the first input's rank; what lies beyond is looked at by the rules.
        rank = len(tensors[chosen[0]].dims)
        values: dict[str, Any] = {
            name: value[:rank] if isinstance(value, tuple) else value for name, value in attributes.items()
        }
        return Op(kind, name, inputs, (chosen[-1],), kind.attributes(**values)), entries

    def _attributes(
        self, where: str, kind: OperatorKind[Any], begin: int, size: int
    ) -> tuple[dict[str, Any], Entries]:
        """The fields' values, and of those that are arrays all entries."""
        data = self._sections[b"ATTR"].data
        codes = (f"{layout.MAX_RANK if f.code.array else 1}{f.code.letter}" for f in kind.fields)
        record = struct.Struct("<" + "".join(codes))
        if size != record.size:
            raise FlatFileError(f"{where} attr_size", f"{size}", f"{record.size}")
        if begin % 4 or begin + size > len(data):
            raise FlatFileError(
                f"{where} attr_begin",
                f"{begin} (+ {size} bytes)",
                f"a multiple of 4 inside ATTR's {len(data)} bytes",
            )
        flat = list(record.unpack_from(data, begin)) if record.size else []
        values: dict[str, Any] = {}
        for field in kind.fields:
            if field.code.array:
                values[field.name], flat = tuple(flat[: layout.MAX_RANK]), flat[layout.MAX_RANK :]
            else:
                values[field.name] = flat.pop(0)
        return values, {name: value for name, value in values.items() if isinstance(value, tuple)}

    def _indices(self, kind: bytes) -> list[int]:
        indices: list[int] = self._words(self._sections[kind]).tolist()
        return indices

    def _tensor_list(self, kind: bytes, tensor_count: int) -> list[int]:
        indices = self._indices(kind)
        for i, index in enumerate(indices):
            if index >= tensor_count:
                raise FlatFileError(
                    f"{kind.decode()} entry {i}", f"tensor {index}", f"there are {tensor_count} tensors"
                )
        return indices

    def _string(self, offset: int, field: str) -> str:
        if offset >= len(self._strings):
            raise FlatFileError(field, f"offset {offset}", f"STRS has {len(self._strings)} bytes")
        end = self._strings.index(0, offset)
        # Many names may be the ends of one long string: a small file that fills the memory.
        self._name_bytes += end - offset
        if self._name_bytes > memory_limit(len(self._data), 0):
            raise FlatFileError(field, f"{self._name_bytes} bytes of names", "names fit the limit of memory")
        return self._strings[offset:end].decode("utf-8", "replace")

    def _meta(self) -> dict[str, object]:
        section = self._sections.get(b"META")
        if section is None:
            return {}
        try:
            meta = json.loads(bytes(section.data).decode())
        except (UnicodeDecodeError, ValueError, RecursionError):
            meta = None
        if not isinstance(meta, dict):
            raise FlatFileError("section 'META'", "no JSON object", "META is a UTF-8 JSON object")
        return meta
