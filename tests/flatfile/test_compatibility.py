"""Files of older versions load and compute the same bytes; newer minor versions load unless they need what is unknown."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from ptq_core.errors import InputError
from ptq_core.flatfile import layout
from ptq_core.flatfile.interpreter import run
from ptq_core.flatfile.reader import load_program, read_program
from ptq_core.runtime import Program
from tests.flatfile.both_readers import sealed

FOLDER = Path(__file__).parent / "compat"
VERSIONS = sorted(path.name for path in FOLDER.iterdir() if path.is_dir())
FILES = sorted(path for path in FOLDER.glob("*/*.nb"))
COMPUTED = [path for path in FILES if path.with_suffix(".out").exists()]
SAMPLE = FOLDER / "1.1" / "int8_chain.nb"
NEWER = layout.VERSION_MINOR + 1
INPUT = (np.arange(3 * 8 * 9, dtype=np.float32) % 37 - 18).reshape(1, 3, 8, 9) / np.float32(8)

needs_runtime = pytest.mark.needs("runtime")


def test_every_version_is_kept() -> None:
    current = (layout.VERSION_MAJOR, layout.VERSION_MINOR)
    wanted = [f"{current[0]}.{minor}" for minor in range(current[1] + 1)]
    assert wanted == VERSIONS
    assert {path.parent.name for path in COMPUTED} == set(VERSIONS)


def name_of(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_python_reads(path: Path) -> None:
    program = load_program(path)
    assert program.version == tuple(int(part) for part in path.parent.name.split("."))
    assert len(program.ops) >= 4


@pytest.mark.parametrize("path", COMPUTED, ids=name_of)
def test_python_computes(path: Path) -> None:
    outputs = b"".join(np.ascontiguousarray(y).tobytes() for y in run(load_program(path), [INPUT]))
    assert outputs == path.with_suffix(".out").read_bytes()


@needs_runtime
@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_the_runtime_reads_and_computes(path: Path) -> None:
    with Program(path) as program:
        if path in COMPUTED:
            outputs = b"".join(y.tobytes() for y in program.run(INPUT))
            assert outputs == path.with_suffix(".out").read_bytes()


def newer(*changes: tuple[int, str, object]) -> bytes:
    """A file of the next minor version, with some fields changed."""
    data = bytearray(SAMPLE.read_bytes())
    struct.pack_into("<H", data, 10, NEWER)
    for offset, code, value in changes:
        struct.pack_into(f"<{code}", data, offset, value)
    return sealed(data)


def place_of(kind: bytes) -> tuple[int, int]:
    """(file offset of the section's table entry, of its content)."""
    data = newer()
    entry = next(at for at in range(64, 64 + 64 * 32, 32) if data[at : at + 4] == kind)
    return entry, struct.unpack_from("<Q", data, entry + 8)[0]


def longer_entries() -> bytes:
    """A newer file whose PLAN entry has 16 bytes more."""
    entry, content = place_of(b"PLAN")
    data = newer((entry + 16, "Q", 32), (entry + 28, "I", 32))
    assert not any(data[content + 16 : content + 32])  # the gap behind it has room
    return sealed(bytearray(data[: content + 16]) + struct.pack("<4I", 1, 2, 3, 4) + data[content + 32 :])


@needs_runtime
def test_newer_minor_versions_load() -> None:
    meta, _ = place_of(b"META")
    unknown_section = newer((meta, "4s", b"NEWS"))
    unknown_target = newer((32, "I", 16 | 1))
    for data in (newer(), unknown_section, unknown_target, longer_entries()):
        assert read_program(data).version == (layout.VERSION_MAJOR, NEWER)
        with Program(data) as program:
            outputs = b"".join(y.tobytes() for y in program.run(INPUT))
        assert outputs == SAMPLE.with_suffix(".out").read_bytes()


@needs_runtime
def test_what_is_unknown_and_needed_is_refused_with_its_writer() -> None:
    meta, _ = place_of(b"META")
    _, operators = place_of(b"OPRS")
    cases = {
        "required section 'NEWS'": newer((meta, "4s", b"NEWS"), (meta + 4, "I", 1)),
        "kind: 999": newer((operators, "H", 999)),
        "version: 2.0": newer((8, "H", 2), (10, "H", 0)),
    }
    for said, data in cases.items():
        for read in (read_program, Program):
            with pytest.raises(InputError) as caught:
                read(data)
            assert said in str(caught.value)
            assert "written by 'ptq 1.1 test'" in str(caught.value)
