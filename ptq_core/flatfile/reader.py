"""Bytes of a flat file → Program. Believes nothing: every count, offset, shape and enum is checked before it is used."""

from __future__ import annotations

import json
import math
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ptq_core.errors import InputError
from ptq_core.flatfile import layout
from ptq_core.flatfile.attributes import Attributes
from ptq_core.flatfile.lifetimes import overlaps
from ptq_core.flatfile.program import Array, DType, Op, OpKind, Program, QuantParams, Tensor
from ptq_core.flatfile.rules import MAX_ELEMENTS, broken_rules, qparams_problem


def read_program(data: bytes) -> Program:
    """The program in ``data``; constants are read-only views of it.

    Raises InputError that names the field and its value for anything that docs/flat_format.md does not allow.
    """
    return _Reader(bytes(data)).program()


def load_program(path: Path) -> Program:
    """The program in the file ``path``; raises InputError as `read_program`, and for a file that cannot be read."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"cannot read {path}: {error.strerror or error}",
            rule="the flat file must exist and be readable",
            fix="check the path",
        ) from None
    return read_program(data)


def _bad(problem: str, rule: str) -> InputError:
    return InputError(
        f"not a usable flat file: {problem}",
        rule=rule,
        fix="write the file again with `ptq opt`, or copy it again if it was transferred",
    )


@dataclass(frozen=True)
class _Section:
    data: bytes
    count: int
    entry_size: int


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._sections: dict[bytes, _Section] = {}
        self._weights = memoryview(b"")
        self._targets = 0
        self._producer = ""
        self._version = (layout.VERSION_MAJOR, layout.VERSION_MINOR)

    def program(self) -> Program:
        count = self._header()
        self._section_table(count)
        arena_size = self._plan()
        qparams = self._qparams()
        tensors = [self._tensor(i, qparams, arena_size) for i in range(self._sections[b"TENS"].count)]
        indices = self._indices(b"INDX")
        program = Program(
            tensors=tensors,
            ops=[self._op(i, tensors, indices) for i in range(self._sections[b"OPRS"].count)],
            inputs=self._tensor_list(b"INPT", len(tensors)),
            outputs=self._tensor_list(b"OUTP", len(tensors)),
            arena_size=arena_size,
            targets=tuple(name for name, bit in layout.TARGETS.items() if self._targets & bit),
            producer=self._producer,
            version=self._version,
            meta=self._meta(),
        )
        for problem in broken_rules(program):
            raise _bad(problem, "operators follow docs/flat_format.md")
        for a, b in overlaps(program):
            raise _bad(
                f"tensors {tensors[a].name} and {tensors[b].name} share memory while both are alive",
                "the memory plan keeps live tensors apart",
            )
        return program

    # Header and sections

    def _header(self) -> int:
        """Check the header; returns section_count."""
        data = self._data
        if data[:8] != layout.MAGIC[: len(data[:8])] or len(data) < 8:
            raise _bad(f"magic is {data[:8]!r}", f"a flat file begins with {layout.MAGIC!r}")
        if len(data) < layout.HEADER.size:
            raise _bad(
                f"it has {len(data)} bytes",
                f"the header alone has {layout.HEADER.size}; the file is truncated",
            )
        (_, major, minor, header_size, file_size, crc, count, targets, reserved, producer) = (
            layout.HEADER.unpack_from(data)
        )
        if major != layout.VERSION_MAJOR:
            writer = producer.split(b"\0")[0].decode("utf-8", "replace") or "an unknown tool"
            raise _bad(
                f"version_major is {major} (minor {minor}), written by {writer}",
                f"this reader knows version_major {layout.VERSION_MAJOR}",
            )
        if header_size != layout.HEADER.size:
            raise _bad(f"header_size is {header_size}", f"it is {layout.HEADER.size}")
        if file_size != len(data):
            raise _bad(
                f"file_size is {file_size}, the file has {len(data)} bytes",
                "file_size is the size of the file; a shorter file is truncated",
            )
        actual = zlib.crc32(memoryview(data)[layout.CRC_BEGIN :])
        if crc != actual:
            raise _bad(
                f"crc32 is {crc:#010x}, the content gives {actual:#010x}", "the checksum matches the content"
            )
        if not 1 <= count <= layout.MAX_SECTIONS:
            raise _bad(f"section_count is {count}", f"1 … {layout.MAX_SECTIONS}")
        if targets == 0 or targets >= 2 * max(layout.TARGETS.values()):
            raise _bad(f"targets is {targets:#x}", "at least one bit, and only known bits, are set")
        if reserved:
            raise _bad(f"header reserved is {reserved}", "reserved fields are 0")
        self._targets = targets
        self._producer = _producer(producer)
        self._version = (major, minor)
        return int(count)

    def _section_table(self, count: int) -> None:
        table_end = layout.HEADER.size + count * layout.SECTION.size
        if table_end > len(self._data):
            raise _bad(f"section_count is {count}", "the section table lies inside the file")
        ranges = [(0, table_end, "header and section table")]
        seen: set[bytes] = set()
        for i in range(count):
            kind, flags, offset, size, entries, entry_size = layout.SECTION.unpack_from(
                self._data, layout.HEADER.size + i * layout.SECTION.size
            )
            label = kind.decode("ascii", "replace")
            if kind in seen:
                raise _bad(f"section {label} occurs twice", "no kind twice")
            seen.add(kind)
            if flags & ~layout.SECTION_REQUIRED:
                raise _bad(f"flags of section {label} are {flags:#x}", "only bit 0 is defined")
            if offset % layout.ALIGNMENT or offset < table_end or offset + size > len(self._data):
                raise _bad(
                    f"section {label} lies at {offset} with {size} bytes in a file of {len(self._data)}",
                    "a multiple of 64, after the section table, inside the file",
                )
            ranges.append((offset, offset + size, label))
            if kind not in layout.SECTIONS:
                if flags & layout.SECTION_REQUIRED:
                    raise _bad(f"unknown required section {label}", "a reader knows every required section")
                continue
            self._sections[kind] = self._section(kind, label, offset, size, entries, entry_size)
        for kind in layout.SECTIONS.keys() - layout.OPTIONAL_SECTIONS - seen:
            raise _bad(f"section {kind.decode()} is missing", "all sections but META are present")
        self._check_gaps(sorted(ranges))

    def _section(
        self, kind: bytes, label: str, offset: int, size: int, entries: int, entry_size: int
    ) -> _Section:
        known = layout.SECTIONS[kind]
        if known == 1:
            expected = (0, len(self._data)) if kind in (b"WGTS",) else (size, size)
            if entry_size != 1 or not expected[0] <= entries <= expected[1]:
                raise _bad(
                    f"section {label} has count {entries}, entry_size {entry_size}, size {size}",
                    "entry_size is 1 and count the number of bytes (0 for WGTS)",
                )
        elif entry_size < known or entry_size % 4 or entries * entry_size != size:
            raise _bad(
                f"section {label} has count {entries}, entry_size {entry_size}, size {size}",
                f"size is count · entry_size, entry_size at least {known}",
            )
        if kind == b"WGTS" and entries:
            raise _bad(f"section WGTS has count {entries}", "its count is 0")
        if kind == b"WGTS":  # no copy of what is most of the file
            self._weights = memoryview(self._data)[offset : offset + size]
            return _Section(b"", entries, entry_size)
        return _Section(self._data[offset : offset + size], entries, entry_size)

    def _check_gaps(self, ranges: list[tuple[int, int, str]]) -> None:
        end, before = 0, ""
        for begin, stop, label in [*ranges, (len(self._data), len(self._data), "the end of the file")]:
            if begin < end and stop > begin:
                raise _bad(f"sections {before} and {label} overlap", "sections do not overlap")
            if any(self._data[end:begin]):
                raise _bad(
                    f"bytes {end} … {begin} before {label} are not zero", "gaps between sections are zero"
                )
            end, before = max(end, stop), label

    # Entries

    def _entry(self, kind: bytes, index: int, record: struct.Struct) -> tuple[Any, ...]:
        section = self._sections[kind]
        return record.unpack_from(section.data, index * section.entry_size)

    def _plan(self) -> int:
        count = self._sections[b"PLAN"].count
        if count != 1:
            raise _bad(f"PLAN has {count} entries", "exactly one")
        size, alignment, reserved = self._entry(b"PLAN", 0, layout.PLAN)
        if alignment != layout.ALIGNMENT or reserved:
            raise _bad(f"PLAN alignment is {alignment}, reserved {reserved}", f"{layout.ALIGNMENT} and 0")
        return int(size)

    def _qparams(self) -> list[QuantParams]:
        scal = self._sections[b"SCAL"]
        scales: Array = np.array(
            [layout.SCALE.unpack_from(scal.data, i * scal.entry_size)[0] for i in range(scal.count)],
            np.float32,
        )
        if not (np.isfinite(scales).all() and (scales > 0).all()):
            raise _bad("SCAL holds a scale that is not a positive finite number", "scales are finite and > 0")
        found = []
        for i in range(self._sections[b"QPRM"].count):
            begin, count, zero_point, axis = self._entry(b"QPRM", i, layout.QPRM)
            if count < 1 or begin + count > len(scales):
                raise _bad(
                    f"QPRM {i}: scales {begin} … {begin + count} of {len(scales)}", "1 or more scales in SCAL"
                )
            if not -128 <= zero_point <= 127:
                raise _bad(f"QPRM {i}: zero_point is {zero_point}", "−128 … 127")
            found.append(QuantParams(scales[begin : begin + count], zero_point, axis))
        return found

    def _tensor(self, i: int, qparams: list[QuantParams], arena_size: int) -> Tensor:
        fields = self._entry(b"TENS", i, layout.TENS)
        name_at, code, rank, storage, reserved_a, q_index, reserved_b, offset, size = fields[:9]
        name = self._string(name_at, f"TENS {i}: name")
        where = f"tensor {name}"
        if code not in DType.__members__.values():
            raise _bad(f"{where}: dtype is {code}", "1 f32, 2 i8, 3 i32")
        dtype = DType(code)
        if rank > layout.MAX_RANK:
            raise _bad(f"{where}: rank is {rank}", f"0 … {layout.MAX_RANK}")
        if reserved_a or reserved_b:
            raise _bad(f"{where}: a reserved field is not 0", "reserved fields are 0")
        dims = tuple(fields[9 : 9 + rank])
        if any(d < 1 for d in dims) or any(fields[9 + rank :]) or math.prod(dims) > MAX_ELEMENTS:
            raise _bad(
                f"{where}: dims are {list(fields[9:])} with rank {rank}",
                "≥ 1 up to rank, 0 after, < 2^31 elements",
            )
        if size != math.prod(dims) * dtype.itemsize:
            raise _bad(
                f"{where}: size is {size}",
                f"product of dims · element size, {math.prod(dims) * dtype.itemsize}",
            )
        params = None
        if q_index != layout.ABSENT:
            if q_index >= len(qparams):
                raise _bad(f"{where}: qparams is {q_index} of {len(qparams)}", "an index in QPRM")
            params = qparams[q_index]
        problem = qparams_problem(dims, dtype, params)
        if problem is not None:
            raise _bad(f"{where}: {problem}", "quantization parameters fit the tensor")
        if offset % layout.ALIGNMENT:
            raise _bad(f"{where}: offset is {offset}", f"a multiple of {layout.ALIGNMENT}")
        if storage == layout.STORAGE_ARENA:
            if offset + size > arena_size:
                raise _bad(
                    f"{where}: offset {offset}, size {size} in an arena of {arena_size}", "inside the arena"
                )
            return Tensor(name, dtype, dims, params, None, offset)
        if storage != layout.STORAGE_CONSTANT:
            raise _bad(f"{where}: storage is {storage}", "1 arena, 2 constant")
        weights = self._weights
        if offset + size > len(weights):
            raise _bad(
                f"{where}: offset {offset}, size {size} in WGTS of {len(weights)} bytes", "inside WGTS"
            )
        data = np.frombuffer(weights, dtype.numpy, math.prod(dims), offset).reshape(dims)
        return Tensor(name, dtype, dims, params, data)

    def _op(self, i: int, tensors: list[Tensor], indices: list[int]) -> Op:
        fields = self._entry(b"OPRS", i, layout.OPRS)
        code, flags, name_at, begin, input_count, output_count, attr_begin, attr_size, *reserved = fields
        name = self._string(name_at, f"OPRS {i}: name")
        where = f"operator {name}"
        if code not in OpKind.__members__.values():
            raise _bad(f"{where}: kind is {code}", f"1 … {max(OpKind)}")
        if flags or any(reserved):
            raise _bad(f"{where}: flags or a reserved field is not 0", "they are 0")
        if begin + input_count + output_count > len(indices):
            raise _bad(f"{where}: indices {begin} … of {len(indices)}", "its tensor indices lie in INDX")
        chosen = indices[begin : begin + input_count + output_count]
        inputs, outputs = chosen[:input_count], chosen[input_count:]
        for index in chosen:
            if index >= len(tensors) and (index != layout.ABSENT or index in outputs):
                raise _bad(
                    f"{where}: tensor index {index} of {len(tensors)}",
                    "an index in TENS (inputs may be absent)",
                )
        kind = OpKind(code)
        rank = len(tensors[inputs[0]].dims) if inputs and inputs[0] != layout.ABSENT else 0
        return Op(
            kind,
            name,
            tuple(None if index == layout.ABSENT else index for index in inputs),
            tuple(outputs),
            self._attributes(where, kind, rank, attr_begin, attr_size),
        )

    def _attributes(self, where: str, kind: OpKind, rank: int, begin: int, size: int) -> Attributes:
        row = layout.OPS[kind]
        data = self._sections[b"ATTR"].data
        record = struct.Struct("<" + "".join(code for _, code in row.fields))
        if begin % 4 or size != record.size or begin + size > len(data):
            raise _bad(
                f"{where}: attributes at {begin} with {size} bytes, ATTR has {len(data)}",
                f"{kind.label} has {record.size} bytes at a multiple of 4",
            )
        flat = list(record.unpack_from(data, begin)) if record.size else []
        values: dict[str, Any] = {}
        for name, code in row.fields:
            if code not in layout.ARRAY_CODES:
                values[name] = flat.pop(0)
                continue
            entries, flat = flat[: layout.MAX_RANK], flat[layout.MAX_RANK :]
            if any(entries[rank:]):
                raise _bad(f"{where}: {name} is {entries} for {rank} dimensions", "0 behind the rank")
            values[name] = tuple(entries[:rank])
        return row.attributes(**values)

    def _indices(self, kind: bytes) -> list[int]:
        return [self._entry(kind, i, layout.INDEX)[0] for i in range(self._sections[kind].count)]

    def _tensor_list(self, kind: bytes, tensor_count: int) -> list[int]:
        indices = self._indices(kind)
        for index in indices:
            if index >= tensor_count:
                raise _bad(
                    f"{kind.decode()} holds tensor index {index} of {tensor_count}", "an index in TENS"
                )
        return indices

    def _string(self, offset: int, where: str) -> str:
        strings = self._sections[b"STRS"].data
        if not strings or strings[-1] != 0:
            raise _bad("STRS does not end with NUL", "its last byte is NUL")
        if offset >= len(strings):
            raise _bad(f"{where} is {offset} of {len(strings)}", "an offset in STRS")
        try:
            return strings[offset : strings.index(0, offset)].decode()
        except UnicodeDecodeError:
            raise _bad(f"{where} is not UTF-8", "strings are UTF-8") from None

    def _meta(self) -> dict[str, object]:
        section = self._sections.get(b"META")
        if section is None:
            return {}
        try:
            meta = json.loads(section.data.decode())
        except (UnicodeDecodeError, ValueError, RecursionError):
            meta = None
        if not isinstance(meta, dict):
            raise _bad("META is no JSON object", "META is a UTF-8 JSON object")
        return meta


def _producer(field: bytes) -> str:
    text, _, padding = field.partition(b"\0")
    if field[-1] != 0 or any(padding):
        raise _bad(f"producer is {field!r}", "UTF-8, padded with NUL")
    try:
        return text.decode()
    except UnicodeDecodeError:
        raise _bad(f"producer is {field!r}", "UTF-8, padded with NUL") from None
