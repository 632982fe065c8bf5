"""Program → bytes of a flat file. Deterministic: the same program gives the same bytes."""

from __future__ import annotations

import json
import struct
import zlib

import numpy as np

from ptq_core.flatfile import layout
from ptq_core.flatfile.program import Op, Program, Tensor
from ptq_core.version import VERSION

PRODUCER = f"ptq {VERSION}"


def write_program(program: Program) -> bytes:
    """Serialize ``program``, whose arena tensors must have offsets (see optimize/memory_plan.py).

    Equal strings, quantization parameters, scales and constants are stored once. Raises ValueError on a program that
    the format cannot hold (a bug of the caller).
    """
    return _Writer(program).file()


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
        self._weights = bytearray()
        self._weight_offsets: dict[bytes, int] = {}

    def file(self) -> bytes:
        program = self._program
        tensors = b"".join(self._tensor(tensor) for tensor in program.tensors)
        ops = b"".join(self._op(op) for op in program.ops)
        if not self._strings:
            self._strings += b"\0"  # the section's last byte is NUL even when no string is used
        meta = json.dumps(
            dict(program.meta), sort_keys=True, ensure_ascii=False, separators=(",", ":")
        ).encode()
        contents = {
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
            b"WGTS": bytes(self._weights),
            b"META": meta,
        }
        table, body = _sections(contents)
        targets = sum(layout.TARGETS[name] for name in set(program.targets))
        if not targets:
            raise ValueError("a program needs at least one target")
        producer = (program.producer or PRODUCER).encode()[:23]
        size = layout.HEADER.size + len(table) + len(body)
        header = layout.HEADER.pack(
            layout.MAGIC,
            layout.VERSION_MAJOR,
            layout.VERSION_MINOR,
            layout.HEADER.size,
            size,
            0,
            len(contents),
            targets,
            0,
            producer,
        )
        data = bytearray(header + table + body)
        struct.pack_into("<I", data, layout.CRC_BEGIN - 4, zlib.crc32(memoryview(data)[layout.CRC_BEGIN :]))
        return bytes(data)

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
        data = np.ascontiguousarray(tensor.data, tensor.dtype.numpy).tobytes()
        if len(data) != tensor.size_bytes:
            raise ValueError(f"tensor {tensor.name}: {len(data)} bytes of data for dims {tensor.dims}")
        if data not in self._weight_offsets:
            self._weights += bytes(layout.align(len(self._weights)) - len(self._weights))
            self._weight_offsets[data] = len(self._weights)
            self._weights += data
        return self._weight_offsets[data]

    def _op(self, op: Op) -> bytes:
        index_begin = len(self._indices)
        self._indices += [layout.ABSENT if index is None else index for index in op.inputs]
        self._indices += op.outputs
        attributes = pack_attributes(op)
        attr_begin = len(self._attributes)
        self._attributes += attributes
        return layout.OPRS.pack(
            op.kind,
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
    for name, code in layout.OPS[op.kind].fields:
        value = getattr(op.attributes, name)
        values = (*value, *[0] * (layout.MAX_RANK - len(value))) if code in layout.ARRAY_CODES else (value,)
        parts.append(struct.pack(f"<{code}", *values))
    return b"".join(parts)


def _u32_list(values: list[int]) -> bytes:
    return np.asarray(values, "<u4").tobytes()


def _sections(contents: dict[bytes, bytes]) -> tuple[bytes, bytes]:
    """(section table, everything behind it); each section starts at a multiple of 64, gaps are zero."""
    table_end = layout.HEADER.size + len(contents) * layout.SECTION.size
    table, body = bytearray(), bytearray()
    for kind, data in contents.items():
        offset = layout.align(table_end + len(body))
        body += bytes(offset - table_end - len(body)) + data
        flags = 0 if kind in layout.OPTIONAL_SECTIONS else layout.SECTION_REQUIRED
        entry_size = layout.SECTIONS[kind]
        count = 0 if kind == b"WGTS" else len(data) // entry_size
        table += layout.SECTION.pack(kind, flags, offset, len(data), count, entry_size)
    return bytes(table), bytes(body)
