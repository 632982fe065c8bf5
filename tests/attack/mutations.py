"""Damage: functions of some content and a random generator, which give other content."""

from __future__ import annotations

import io
import json
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np

from tests.flatfile.both_readers import sealed

Random = np.random.Generator
Mutation = Callable[[bytes, Random], bytes]

NUMBERS = (-(2**62), -(2**31), -2, -1, 0, 1, 2, 3, 7, 99, 65536, 2**31 - 1, 2**31, 2**40, 2**62)
REALS = (np.nan, np.inf, -np.inf, -1e38, 1e-45, 0.0, -0.0)
HOSTILE = (
    "",
    " ",
    "x",
    "input",
    "\x1b[31mred",
    "\x1b]0;title\x07",
    "a\nverified: all good",
    "real\rfake",
    "\u202egood",
    "\x9b2J",
    "=1+1",
    "<script>",
    "../../x",
    "/etc/passwd",
    "x" * 5000,
    "\x00",
    "${HOME}",
    "-",
    "--help",
    "é" * 300,
)
WORDS = (
    *HOSTILE,
    "Conv",
    "MatMul",
    "Gemm",
    "DequantizeLinear",
    "QuantizeLinear",
    "Loop",
    "If",
    "Resize",
    "Pad",
    "Reshape",
)


T = TypeVar("T")


def pick(items: Sequence[T], random: Random) -> T:
    """One of ``items``."""
    return items[int(random.integers(len(items)))]


def cut_off(data: bytes, random: Random) -> bytes:
    """The beginning of it, or the end."""
    at = int(random.integers(len(data) + 1))
    return data[:at] if random.integers(4) else data[at:]


def flip_bits(data: bytes, random: Random) -> bytes:
    """One to four bits are others."""
    flipped = bytearray(data)
    for at in random.integers(len(data), size=random.integers(1, 5)):
        flipped[at] ^= 1 << random.integers(8)
    return bytes(flipped)


def shuffle(data: bytes, random: Random) -> bytes:
    """A piece is removed, doubled, moved, or random bytes stand in its place."""
    begin, end = sorted(int(at) for at in random.integers(len(data) + 1, size=2))
    end = min(end, begin + 64) if random.integers(2) else end
    piece, rest = data[begin:end], data[:begin] + data[end:]
    at = int(random.integers(len(rest) + 1))
    return pick(
        (
            rest,
            data[:end] + piece + data[end:],
            rest[:at] + piece + rest[at:],
            data[:begin] + random.bytes(end - begin) + data[end:],
        ),
        random,
    )


STRANGE = (
    b"",
    b"\n",
    b"<!DOCTYPE html><html></html>",
    b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n",
    b"\x89PNG\r\n\x1a\n",
    b"PK\x03\x04",
    b"\x00" * 4096,
    b"\xff" * 4096,
    b"[" * 5000,
    b"{" * 5000,
    b"\x08\x08" * 3000,
    b"\x3a\x80" * 3000,
)


def another_file(data: bytes, random: Random) -> bytes:
    """What downloads leave, or nonsense."""
    return pick((*STRANGE, random.bytes(200)), random)


BYTES: tuple[Mutation, ...] = (cut_off, flip_bits, flip_bits, shuffle, another_file)


def any_bytes(data: bytes, random: Random) -> bytes:
    """One of the above."""
    return pick(BYTES, random)(data, random)


# Flat files


def flat_fields(data: bytes, random: Random) -> bytes:
    """Words of 1 to 8 bytes become other numbers, or those of elsewhere; the checksum holds again."""
    changed = bytearray(data)
    for _ in range(int(random.integers(1, 5))):
        width = int(pick((1, 2, 4, 8), random))
        at = int(random.integers(len(data) - 8)) // width * width
        if random.integers(2):
            value = int(pick(NUMBERS, random)) & (2 ** (8 * width) - 1)
            changed[at : at + width] = value.to_bytes(width, "little")
        else:
            other = int(random.integers(len(data) - 8)) // width * width
            changed[at : at + width] = data[other : other + width]
    return sealed(changed)


def flat_bytes(data: bytes, random: Random) -> bytes:
    """Damage of any kind behind a checksum that holds, for one half."""
    damaged = any_bytes(data, random)
    return sealed(damaged) if random.integers(2) else damaged


# Text: YAML, lists, JSON

LINES = (
    "\x1b[2J",
    "a: &a [x,x,x]\nb: &b [*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b]\nd: [*c,*c,*c,*c]",
    "!!python/object/apply:os.system [id]",
    "- - - - -",
    "algo: " + "9" * 6000,
    "batch_size: -1",
    "batch_size: 10000000000",
    "batch_nums: 1e400",
    "{",
    "[" * 3000,
    "\t",
    "preprocess: {resize: [100000, 100000]}",
    "preprocess: {std: [0, 0, 0]}",
    "preprocess: 3",
    "? {a: b}",
    "algo: .nan",
    "<<: *x",
    "model_dir: /dev/zero",
    "image_dir: .",
    "save_model_path: ''",
    "algo: null",
    "scope: null",
    "%YAML 9.9",
    "--- !!binary x",
    "@",
    "*",
    "weight_bits: 16",
    "weight_bits: 4",
    "hist_percent: 2",
    "hist_percent: -1",
    "skip_quant: [[[]]]",
    "quantizable_op_type: {a: 1}",
)


def text_lines(data: bytes, random: Random) -> bytes:
    """Lines are removed, doubled, changed, or strange ones put in."""
    lines = data.split(b"\n")
    for _ in range(int(random.integers(1, 4))):
        at = int(random.integers(len(lines)))
        action = random.integers(4)
        if action == 0 and len(lines) > 1:
            del lines[at]
        elif action == 1:
            lines.insert(at, pick(lines, random))
        elif action == 2:
            lines.insert(at, pick(LINES, random).encode())
        else:
            head, mark, _ = lines[at].partition(pick((b": ", b" ", b"/"), random))
            lines[at] = head + mark + _value(random)
    return b"\n".join(lines)


def _value(random: Random) -> bytes:
    value = pick((*WORDS, *NUMBERS, *REALS, "[1, 2, 3]", "{a: b}", "null", "true", "[]"), random)
    return str(value).encode("utf-8", "surrogatepass")


def json_values(data: bytes, random: Random) -> bytes:
    """One to three values are others, or gone."""
    record = json.loads(data)
    for _ in range(int(random.integers(1, 4))):
        places = [
            (where, key)
            for where in _containers(record)
            for key in (where if isinstance(where, dict) else range(len(where)))
        ]
        if not places:
            break
        where, key = pick(places, random)
        if random.integers(3):
            where[key] = pick(
                (*HOSTILE, *NUMBERS, *REALS, None, True, [], {}, [[]], "nan", [1.0] * 500, -1.5), random
            )
        else:
            del where[key]
    return json.dumps(record).encode()


def _containers(record: Any) -> Iterator[Any]:
    if isinstance(record, dict | list):
        yield record
        for inner in list(record.values()) if isinstance(record, dict) else record:
            yield from _containers(inner)


# Pictures and arrays


def png_size(data: bytes, random: Random) -> bytes:
    """A PNG that says that it is larger, or of another kind, with checksums that hold."""
    changed = bytearray(data)
    width, height = (int(pick((0, 1, 7, 30000, 65535, 2**31 - 1, 2**32 - 1), random)) for _ in range(2))
    struct.pack_into(">II", changed, 16, width, height)
    changed[24:29] = (
        bytes(int(value) for value in random.integers(0, 17, 5)) if random.integers(2) else data[24:29]
    )
    struct.pack_into(">I", changed, 29, zlib.crc32(changed[12:29]))
    return bytes(changed)


def arrays(data: bytes, random: Random) -> bytes:
    """Not this content: a `.npy` or `.npz` of odd types, sizes and shapes."""
    header = {
        "descr": pick(("<f4", "<f8", "|u1", "|O", "<c16", "<U8", ">f4", "<M8[s]", "|b1", "<f2"), random),
        "fortran_order": bool(random.integers(2)),
        "shape": pick(
            ((3, 16, 16), (16, 16, 3), (0,), (), (2**40, 2**40), (10**6, 10**6), (1, 3, 16, 16), (-1,)),
            random,
        ),
    }
    stream = io.BytesIO()
    try:
        np.lib.format.write_array_header_1_0(stream, header)
    except ValueError:
        return b"\x93NUMPY\x01\x00"
    made = stream.getvalue() + random.bytes(int(pick((0, 768, 3072), random)))
    if random.integers(2):
        return made
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", made)
        if random.integers(2):
            archive.writestr("y.npy", b"\x93NUMPY" + b"\0" * 50_000_000)
    return packed.getvalue()


def picture(data: bytes, random: Random) -> bytes:
    """Damage to a PNG."""
    return pick((any_bytes, any_bytes, png_size, arrays), random)(data, random)


def zip_members(data: bytes, random: Random) -> bytes:
    """A cache whose arrays are others: damaged, of other shapes, missing, or very large ones."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = pick(sorted(members), random)
    action = random.integers(4)
    if action == 0:
        del members[name]
    elif action == 1:
        members[name] = any_bytes(members[name], random)
    elif action == 2:
        members[pick(sorted(members), random)] = members[name]
    else:
        members[name] = members[name][:128] + b"\0" * 300_000_000
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for each, content in members.items():
            archive.writestr(each, content)
    return made.getvalue()
