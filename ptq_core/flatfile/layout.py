"""The layout of the flat file as data: the twin of docs/flat_format.md (normative) and of runtime/src/format."""

from __future__ import annotations

import struct

MAGIC = b"PTQNB\r\n\x1a"
VERSION_MAJOR = 1
VERSION_MINOR = 5
"""The newest that this reader knows all of; the writer takes the lowest that holds the program (compressed.py)."""
ALIGNMENT = 64
MAX_RANK = 8
MAX_ELEMENTS = 2**31 - 1  # of a tensor
MOST_BOOLS = 4  # bytes of all constant bools, times the size of WGTS; and BOOLS_FLOOR
BOOLS_FLOOR = 1 << 20
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


def align(value: int, alignment: int = ALIGNMENT) -> int:
    """The smallest multiple of ``alignment`` that is ≥ ``value``."""
    return -(-value // alignment) * alignment
