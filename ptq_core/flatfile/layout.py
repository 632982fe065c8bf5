"""The layout of the flat file as data: the twin of docs/flat_format.md (normative) and of runtime/src/format."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from ptq_core.flatfile.attributes import (
    ArgMax,
    Attributes,
    Clamp,
    Concat,
    Conv2d,
    Conv2dAdd,
    Dilate,
    Gather,
    NoAttributes,
    Pad,
    Pool2d,
    Reduce,
    Resize,
    Slice,
    Softmax,
    Transpose,
    Unary,
)
from ptq_core.flatfile.program import OpKind

MAGIC = b"PTQNB\r\n\x1a"
VERSION_MAJOR = 1
VERSION_MINOR = 3
"""The newest that this reader knows all of; the writer takes the lowest that holds the program (compressed.py)."""
ALIGNMENT = 64
MAX_RANK = 8
MAX_ELEMENTS = 2**31 - 1  # of a tensor
MAX_ENTRIES = 65536  # of TENS and of OPRS
ABSENT = 0xFFFFFFFF
CRC_BEGIN = 28  # the checksum covers everything behind its own field

# magic, version_major, version_minor, header_size, file_size, crc32, section_count, targets, reserved, producer
HEADER = struct.Struct("<8sHHIQIIII24s")
# kind, flags, offset, size, count, entry_size
SECTION = struct.Struct("<4sIQQII")
SECTION_REQUIRED = 1
MAX_SECTIONS = 64

# scale_begin, scale_count, zero_point, axis
QPRM = struct.Struct("<IIii")
# name, dtype, rank, storage, reserved, qparams, reserved, offset, size, dims[8]
TENS = struct.Struct("<IBBBBIIQQ8I")
# kind, flags, name, index_begin, input_count, output_count, attr_begin, attr_size, reserved[2]
OPRS = struct.Struct("<HHIIHHII2I")
# arena_size, alignment, reserved
PLAN = struct.Struct("<QII")
INDEX = struct.Struct("<I")
SCALE = struct.Struct("<f")

STORAGE_ARENA = 1
STORAGE_CONSTANT = 2

# kind → bytes per entry, in the order in which the writer lays them out; META alone is optional.
SECTIONS = {
    b"STRS": 1,
    b"QPRM": QPRM.size,
    b"SCAL": SCALE.size,
    b"TENS": TENS.size,
    b"OPRS": OPRS.size,
    b"INDX": INDEX.size,
    b"ATTR": 1,
    b"INPT": INDEX.size,
    b"OUTP": INDEX.size,
    b"PLAN": PLAN.size,
    b"WGTS": 1,
    b"META": 1,
}
OPTIONAL_SECTIONS = frozenset({b"META"})

TARGETS = {"arm64": 1, "armv7": 2, "x86_64": 4, "x86": 8}


@dataclass(frozen=True)
class OpFormat:
    """One row of the operator table: attribute class, (field, struct code) in file order, allowed input counts.

    The codes `8I` and `8i` are arrays that are as long as the first input's rank and padded with 0 in the file.
    """

    attributes: type[Attributes]
    fields: tuple[tuple[str, str], ...]
    min_inputs: int
    max_inputs: int


def _u32(*names: str) -> tuple[tuple[str, str], ...]:
    return tuple((name, "I") for name in names)


MANY = 0xFFFF
ARRAY_CODES = frozenset({"8I", "8i"})
_CLAMP = (("lo", "f"), ("hi", "f"), ("q_min", "i"), ("q_max", "i"))
_CONV = _u32(
    "stride_h",
    "stride_w",
    "dilation_h",
    "dilation_w",
    "pad_top",
    "pad_left",
    "pad_bottom",
    "pad_right",
    "groups",
)
_CONV_CLAMP = (("conv_lo", "f"), ("conv_hi", "f"), ("conv_q_min", "i"), ("conv_q_max", "i"))
_POOL = _u32(
    "kernel_h",
    "kernel_w",
    "stride_h",
    "stride_w",
    "dilation_h",
    "dilation_w",
    "pad_top",
    "pad_left",
    "pad_bottom",
    "pad_right",
    "count_include_pad",
)

OPS: dict[OpKind, OpFormat] = {
    OpKind.CONV2D: OpFormat(Conv2d, _CONV + _CLAMP, 2, 3),
    OpKind.FULLY_CONNECTED: OpFormat(Clamp, _CLAMP, 2, 3),
    OpKind.ADD: OpFormat(Clamp, _CLAMP, 2, 2),
    OpKind.SUB: OpFormat(Clamp, _CLAMP, 2, 2),
    OpKind.MUL: OpFormat(Clamp, _CLAMP, 2, 2),
    OpKind.DIV: OpFormat(Clamp, _CLAMP, 2, 2),
    OpKind.MAX_POOL2D: OpFormat(Pool2d, _POOL + _CLAMP, 1, 1),
    OpKind.AVERAGE_POOL2D: OpFormat(Pool2d, _POOL + _CLAMP, 1, 1),
    OpKind.CONCAT: OpFormat(Concat, _u32("axis") + _CLAMP, 1, MANY),
    OpKind.SOFTMAX: OpFormat(Softmax, _u32("axis"), 1, 1),
    OpKind.QUANTIZE: OpFormat(NoAttributes, (), 1, 1),
    OpKind.DEQUANTIZE: OpFormat(NoAttributes, (), 1, 1),
    OpKind.CLAMP: OpFormat(Clamp, _CLAMP, 1, 1),
    OpKind.TRANSPOSE: OpFormat(Transpose, (("perm", "8I"),), 1, 1),
    OpKind.RESHAPE: OpFormat(NoAttributes, (), 1, 1),
    OpKind.PAD: OpFormat(Pad, (("before", "8I"), ("after", "8I"), ("value", "f"), ("q_value", "i")), 1, 1),
    OpKind.UNARY: OpFormat(Unary, (*_u32("function"), ("alpha", "f"), ("beta", "f"), *_CLAMP), 1, 1),
    OpKind.LOOKUP: OpFormat(NoAttributes, (), 2, 2),
    OpKind.MAXIMUM: OpFormat(Clamp, _CLAMP, 2, 2),
    OpKind.MINIMUM: OpFormat(Clamp, _CLAMP, 2, 2),
    OpKind.POW: OpFormat(Clamp, _CLAMP, 2, 2),
    OpKind.RESIZE: OpFormat(
        Resize,
        (*_u32("mode", "coordinates", "rounding"), ("scale_h", "f"), ("scale_w", "f"), *_CLAMP),
        1,
        1,
    ),
    OpKind.SLICE: OpFormat(Slice, (("start", "8i"), ("step", "8i")), 1, 1),
    OpKind.GATHER: OpFormat(Gather, _u32("axis"), 2, 2),
    OpKind.REDUCE: OpFormat(Reduce, _u32("function", "axes") + _CLAMP, 1, 1),
    OpKind.DILATE: OpFormat(Dilate, (("step", "8I"), ("value", "f"), ("q_value", "i")), 1, 1),
    OpKind.CONV2D_ADD: OpFormat(
        Conv2dAdd, (*_CONV, *_CONV_CLAMP, ("scale", "f"), ("zero_point", "i"), *_CLAMP), 3, 4
    ),
    OpKind.ARG_MAX: OpFormat(ArgMax, _u32("axis", "select_last"), 1, 1),
    OpKind.CONVERT: OpFormat(NoAttributes, (), 1, 1),
}


def align(value: int, alignment: int = ALIGNMENT) -> int:
    """The smallest multiple of ``alignment`` that is ≥ ``value``."""
    return -(-value // alignment) * alignment
