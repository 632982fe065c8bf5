"""A model file without its large constants: they stay where they lie, and the model refers to them there.

Parsing a protobuf copies every constant, and the bytes of the file are a second copy. So the parts of the file that hold the
large constants of the main graph are stepped over, by the rules of the wire format (protobuf's "Encoding" page), and each
becomes external data whose file is the model's own. Anything unexpected is left to the protobuf library and its messages.
"""

from __future__ import annotations

import math
import mmap
import os
from collections.abc import Iterator
from pathlib import Path

import onnx

from ptq_core.inputs import open_input

MIN_BYTES = 4096
"""Smaller constants stay in the model: shapes are inferred from the values of some."""

_LENGTH = 2
"""The wire type of what has a length: messages, strings, bytes."""

_GRAPH = onnx.ModelProto.DESCRIPTOR.fields_by_name["graph"].number
_INITIALIZER = onnx.GraphProto.DESCRIPTOR.fields_by_name["initializer"].number
_RAW_DATA = onnx.TensorProto.DESCRIPTOR.fields_by_name["raw_data"].number
_LOCATION = onnx.TensorProto.DESCRIPTOR.fields_by_name["data_location"].number

Field = tuple[int, int, int, int]
"""(number, where the field begins, where its value begins, where it ends)"""


def parse_model(path: Path) -> onnx.ModelProto:
    """The model in ``path``; its large constants are external data in that same file. Raises as open_input and protobuf do."""
    with open_input(path) as stream:
        if not os.fstat(stream.fileno()).st_size:
            return onnx.ModelProto()
        with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
            try:
                return onnx.ModelProto.FromString(_referring(data, path.name))
            except (ValueError, IndexError):  # no wire format that we know
                return onnx.ModelProto.FromString(data[:])


def _referring(data: mmap.mmap, name: str) -> bytes:
    parts = []
    for number, begin, first, end in _fields(data, 0, len(data)):
        if number == _GRAPH:
            graph = b"".join(_graph(data, first, end, name))
            parts += [_tag(_GRAPH), _varint(len(graph)), graph]
        else:
            parts.append(data[begin:end])
    return b"".join(parts)


def _graph(data: mmap.mmap, start: int, stop: int, name: str) -> Iterator[bytes]:
    for number, begin, first, end in _fields(data, start, stop):
        tensor = _tensor(data, first, end, name) if number == _INITIALIZER else None
        if tensor is None:
            yield data[begin:end]
        else:
            yield _tag(_INITIALIZER) + _varint(len(tensor)) + tensor


def _tensor(data: mmap.mmap, start: int, stop: int, name: str) -> bytes | None:
    """A TensorProto that refers to its bytes in the file ``name``; None if it is small, refers to a file or has odd dims."""
    fields = list(_fields(data, start, stop))
    raw = [field for field in fields if field[0] == _RAW_DATA]
    if len(raw) != 1 or raw[0][3] - raw[0][2] < MIN_BYTES or any(field[0] == _LOCATION for field in fields):
        return None
    kept = b"".join(data[begin:end] for number, begin, _, end in fields if number != _RAW_DATA)
    if _size(onnx.TensorProto.FromString(kept)) != raw[0][3] - raw[0][2]:
        return None
    place = onnx.TensorProto(data_location=onnx.TensorProto.EXTERNAL)
    _, _, first, end = raw[0]
    for key, value in (("location", name), ("offset", str(first)), ("length", str(end - first))):
        place.external_data.add(key=key, value=value)
    return kept + place.SerializeToString()


def _size(tensor: onnx.TensorProto) -> int | None:
    """The bytes that dims and type ask for; None where NumPy has no such type."""
    try:
        return math.prod(tensor.dims) * onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
    except KeyError:
        return None


def _fields(data: mmap.mmap, start: int, stop: int) -> Iterator[Field]:
    """The fields of the message between ``start`` and ``stop``. Raises ValueError or IndexError for what is none."""
    at = start
    while at < stop:
        key, first = _read_varint(data, at)
        number, kind = key >> 3, key & 7
        if kind == _LENGTH:
            length, first = _read_varint(data, first)
            end = first + length
        elif kind == 0:
            _, end = _read_varint(data, first)
        elif kind in (1, 5):
            end = first + (8 if kind == 1 else 4)
        else:
            raise ValueError(f"wire type {kind}")
        if not number or end > stop:
            raise ValueError(f"field {number} ends at {end} of {stop}")
        yield number, at, first, end
        at = end


def _read_varint(data: mmap.mmap, at: int) -> tuple[int, int]:
    """(value, where it ends)"""
    value = 0
    for shift in range(0, 70, 7):
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("a number of more than ten bytes")


def _varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _tag(number: int) -> bytes:
    return _varint(number << 3 | _LENGTH)
