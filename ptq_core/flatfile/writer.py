"""Program → bytes of a flat file. Deterministic: the same program gives the same bytes."""

from __future__ import annotations

import io
import json
import struct
import zlib
from typing import BinaryIO

import numpy as np

from ptq_core.flatfile import layout
from ptq_core.flatfile.compressed import lowest_minor
from ptq_core.flatfile.program import Op, Program
from ptq_core.flatfile.tensors import Array, Tensor
from ptq_core.version import VERSION

PRODUCER = f"ptq {VERSION}"


def write_program(program: Program) -> bytes:
    """Serialize ``program``, whose arena tensors must have offsets (see optimize/memory_plan.py); see `write_file`."""
    stream = io.BytesIO()
    write_file(program, stream)
    return stream.getvalue()


def write_file(program: Program, stream: BinaryIO) -> int:
    """Write ``program`` to the empty, seekable ``stream``, one constant at a time; returns the size of the file in bytes.

    Equal strings, quantization parameters, scales and constants are stored once. Raises ValueError on a program that
    the format cannot hold (a bug of the caller).
    """
    return _Writer(program).write(stream)


def meta_text(program: Program) -> str:
    """The section META: JSON with sorted keys and no spaces."""
    return json.dumps(dict(program.meta), sort_keys=True, ensure_ascii=False, separators=(",", ":"))


class _Writer:
    def __init__(self, program: Program) -> None:
        self._program = program
        self._strings = bytearray()
        self._string_offsets: dict[str, int] = {}
        self._qparams: list[bytes] = []
        self._qparams_index: dict[bytes, int] = {}
        self._scales = bytearray()
        self._scale_begin: dict[bytes, int] = {}
        self._indices: list[int] = []
        self._attributes = bytearray()
        self._weights: list[tuple[int, Array]] = []  # offset in WGTS, values
        self._weights_size = 0
        self._alike: dict[tuple[int, int], list[tuple[int, Array]]] = {}  # size, CRC → which of them

    def write(self, stream: BinaryIO) -> int:
        header, parts = self._contents()
        crc = zlib.crc32(header[layout.CRC_BEGIN :])
        size = stream.write(header)
        for offset, part in parts:
            for data in (bytes(offset - size), part if isinstance(part, bytes) else _bytes_of(part)):
                crc = zlib.crc32(data, crc)
                size += stream.write(data)
        stream.seek(layout.CRC_BEGIN - 4)
        stream.write(struct.pack("<I", crc))
        return size

    def _contents(self) -> tuple[bytes, list[tuple[int, bytes | Array]]]:
        """Header and section table with a checksum of 0; what stands behind them, with its place in the file."""
        program = self._program
        tensors = b"".join(self._tensor(tensor) for tensor in program.tensors)
        ops = b"".join(self._op(op) for op in program.ops)
        if not self._strings:
            self._strings += b"\0"  # the section's last byte is NUL even when no string is used
        meta = meta_text(program).encode()
        contents: dict[bytes, bytes] = {
            b"STRS": bytes(self._strings),
            b"QPRM": b"".join(self._qparams),
            b"SCAL": bytes(self._scales),
            b"TENS": tensors,
            b"OPRS": ops,
            b"INDX": _u32_list(self._indices),
            b"ATTR": bytes(self._attributes),
            b"INPT": _u32_list(program.inputs),
            b"OUTP": _u32_list(program.outputs),
            b"PLAN": layout.PLAN.pack(program.arena_size, layout.ALIGNMENT, 0),
            b"WGTS": b"",
            b"META": meta,
        }
        targets = sum(layout.TARGETS[name] for name in set(program.targets))
        if not targets:
            raise ValueError("a program needs at least one target")
        end = layout.HEADER.size + len(contents) * layout.SECTION.size
        table, placed = bytearray(), list[tuple[int, bytes | Array]]()
        for kind, data in contents.items():
            offset = layout.align(end)
            if kind == b"WGTS":
                size, count = self._weights_size, 0
                placed += [(offset + at, values) for at, values in self._weights]
            else:
                size, count = len(data), len(data) // layout.SECTIONS[kind]
                placed.append((offset, data))
            flags = 0 if kind in layout.OPTIONAL_SECTIONS else layout.SECTION_REQUIRED
            table += layout.SECTION.pack(kind, flags, offset, size, count, layout.SECTIONS[kind])
            end = offset + size
        producer = (program.producer or PRODUCER).encode()[:23]
        header = layout.HEADER.pack(
            layout.MAGIC,
            layout.VERSION_MAJOR,
            lowest_minor(program),
            layout.HEADER.size,
            end,
            0,
            len(contents),
            targets,
            0,
            producer,
        )
        return header + table, placed

    def _string(self, text: str) -> int:
        if text not in self._string_offsets:
            self._string_offsets[text] = len(self._strings)
            self._strings += text.encode() + b"\0"
        return self._string_offsets[text]

    def _tensor(self, tensor: Tensor) -> bytes:
        if tensor.data is not None:
            storage, offset = layout.STORAGE_CONSTANT, self._constant(tensor)
        elif tensor.offset is not None:
            storage, offset = layout.STORAGE_ARENA, tensor.offset
        else:
            raise ValueError(f"tensor {tensor.name} has no place in the arena")
        rank = len(tensor.dims)
        return layout.TENS.pack(
            self._string(tensor.name),
            tensor.dtype,
            rank,
            storage,
            0,
            self._qparams_entry(tensor),
            0,
            offset,
            tensor.size_bytes,
            *tensor.dims,
            *[0] * (layout.MAX_RANK - rank),
        )

    def _qparams_entry(self, tensor: Tensor) -> int:
        qparams = tensor.qparams
        if qparams is None:
            return layout.ABSENT
        scales = np.asarray(qparams.scales, "<f4").tobytes()
        if scales not in self._scale_begin:
            self._scale_begin[scales] = len(self._scales) // layout.SCALE.size
            self._scales += scales
        entry = layout.QPRM.pack(
            self._scale_begin[scales], len(qparams.scales), qparams.zero_point, qparams.axis
        )
        if entry not in self._qparams_index:
            self._qparams_index[entry] = len(self._qparams)
            self._qparams.append(entry)
        return self._qparams_index[entry]

    def _constant(self, tensor: Tensor) -> int:
        """The offset of the values in WGTS; that of equal ones if there are any."""
        values = np.asarray(tensor.data, tensor.dtype.numpy)
        if values.nbytes != tensor.size_bytes:
            raise ValueError(f"tensor {tensor.name}: {values.nbytes} bytes of data for dims {tensor.dims}")
        data = _bytes_of(values)
        alike = self._alike.setdefault((data.nbytes, zlib.crc32(data)), [])
        for offset, other in alike:
            if data == _bytes_of(other):
                return offset
        offset = layout.align(self._weights_size)
        alike.append((offset, values))
        self._weights.append((offset, values))
        self._weights_size = offset + data.nbytes
        return offset

    def _op(self, op: Op) -> bytes:
        index_begin = len(self._indices)
        self._indices += [layout.ABSENT if index is None else index for index in op.inputs]
        self._indices += op.outputs
        attributes = pack_attributes(op)
        attr_begin = len(self._attributes)
        self._attributes += attributes
        return layout.OPRS.pack(
            op.kind.code,
            0,
            self._string(op.name),
            index_begin,
            len(op.inputs),
            len(op.outputs),
            attr_begin,
            len(attributes),
            0,
            0,
        )


def pack_attributes(op: Op) -> bytes:
    """The attributes of ``op`` in file order; a multiple of 4 bytes."""
    parts = []
    for field in op.kind.fields:
        value = getattr(op.attributes, field.name)
        values = (*value, *[0] * (layout.MAX_RANK - len(value))) if field.code.array else (value,)
        parts.append(struct.pack(f"<{len(values)}{field.code.letter}", *values))
    return b"".join(parts)


def _bytes_of(values: Array) -> memoryview:
    """The bytes of ``values`` in C order; a copy only if they lie otherwise."""
    return (
        np.ascontiguousarray(values).reshape(-1).view(np.uint8).data
    )  # also of no element, unlike memoryview.cast


def _u32_list(values: list[int]) -> bytes:
    return np.asarray(values, "<u4").tobytes()
