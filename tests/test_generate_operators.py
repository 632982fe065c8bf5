"""The runtime's operator tables, as generated from the rows; that the runtime agrees with them its own tests show."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from build_runtime import find_python_tool

from ptq_core.flatfile.layout import MAX_RANK
from ptq_core.flatfile.operators import MODULES

ROOT = Path(__file__).resolve().parent.parent
GENERATOR = ROOT / "runtime" / "generate_operators.py"


def generate(folder: Path) -> dict[str, str]:
    subprocess.run([sys.executable, str(GENERATOR), str(folder)], check=True)
    return {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()}


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return generate(tmp_path_factory.mktemp("generated"))


def test_every_row_is_in_every_table(tables: dict[str, str]) -> None:
    for row in MODULES:
        assert f'"{row.name}"' in tables["op_kinds.cc"], row
        assert f"= {row.code}," in tables["operators.h"], row
    assert tables["registry.cc"].count("Prepare") == len(MODULES)
    assert tables["registry.h"].count("ptq_status Prepare") == len(set(MODULES.values()))


def test_every_prepared_operator_has_its_file() -> None:
    sources = "".join(path.read_text() for path in (ROOT / "runtime" / "src" / "ops").glob("*.cc"))
    for module in MODULES.values():
        assert f"Prepare{''.join(part.capitalize() for part in module.split('_'))}(" in sources, module


def test_structures_have_the_size_of_the_format(tables: dict[str, str]) -> None:
    for row in MODULES:
        size = sum(struct.calcsize(f"<{MAX_RANK if f.code.array else 1}{f.code.letter}") for f in row.fields)
        name = f"{row.attributes.__name__}Attrs"
        assert not size or f'static_assert(sizeof({name}) == {size}, "{name}");' in tables["operators.h"]


def test_two_clamps_are_two_members(tables: dict[str, str]) -> None:
    body = tables["operators.h"].split("struct Conv2dAddAttrs {")[1].split("}")[0]
    wanted = ["groups", "conv_clamp", "scale", "zero_point", "clamp"]
    assert [line.rstrip(";").split()[-1] for line in body.strip().splitlines()][-5:] == wanted


def test_what_is_right_already_keeps_its_time(tmp_path: Path) -> None:
    generate(tmp_path)
    for path in tmp_path.iterdir():
        os.utime(path, (1, 1))
    (tmp_path / "registry.cc").write_text("old")
    generate(tmp_path)
    assert {path.name for path in tmp_path.iterdir() if path.stat().st_mtime > 1} == {"registry.cc"}


def configure(runtime: Path, build: Path) -> subprocess.CompletedProcess[str]:
    """As CMakeLists.txt chooses the tables, with a Python that is not there, and without a compiler."""
    lines = [
        "cmake_minimum_required(VERSION 3.22)",
        "project(tables LANGUAGES NONE)",
        "include(cmake/operators.cmake)",
    ]
    (runtime / "CMakeLists.txt").write_text("\n".join(lines))
    command = [find_python_tool("cmake"), "-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={find_python_tool('ninja')}"]
    command += ["-S", str(runtime), "-B", str(build), "-DPTQ_PYTHON=/no/python"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_source_archive_needs_no_python(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "runtime" / "cmake", tmp_path / "runtime" / "cmake")
    from_git = configure(tmp_path / "runtime", tmp_path / "first")
    assert from_git.returncode != 0
    assert "Python3" in from_git.stderr
    generate(tmp_path / "runtime" / "generated")
    done = configure(tmp_path / "runtime", tmp_path / "second")
    assert done.returncode == 0, done.stderr
