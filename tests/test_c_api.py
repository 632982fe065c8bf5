"""The C API as C sees it: the header alone, the example compiled and run, the library's exports."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from ptq_core.runtime import _FUNCTIONS, Program, load_library, runtime_folder
from tests.flatfile.test_compatibility import INPUT
from tests.flatfile.test_compatibility import SAMPLE as MODEL
from tests.needs import ROOT, need

HEADER = ROOT / "runtime" / "include" / "ptq" / "ptq.h"
EXAMPLE = ROOT / "examples" / "c" / "classify.c"
STRICT = ["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-I", str(ROOT / "runtime" / "include")]
LIBRARY = runtime_folder("host")

needs_runtime = pytest.mark.needs("runtime")


def declared() -> set[str]:
    """Every function of the header."""
    return set(re.findall(r"^PTQ_API [^;(]*?(ptq_\w+)\(", HEADER.read_text(encoding="utf-8"), re.MULTILINE))


@pytest.mark.needs("gcc")
@pytest.mark.parametrize("standard", ["-std=c99", "-std=c11", "-std=c++17"])
def test_the_header_stands_alone(standard: str, tmp_path: Path) -> None:
    source = tmp_path / ("a.cc" if "++" in standard else "a.c")
    source.write_text('#include "ptq/ptq.h"\nint version(void) { return PTQ_API_VERSION; }\n')
    subprocess.run(["gcc", *STRICT, standard, "-fsyntax-only", str(source)], check=True)


def test_the_binding_knows_every_function() -> None:
    assert declared() - set(_FUNCTIONS) == {"ptq_context_pin_threads"}  # of benchmark_bin
    assert set(_FUNCTIONS) <= declared()


@pytest.mark.needs("runtime", "nm")
def test_exports_are_the_header() -> None:
    libraries = sorted(LIBRARY.parent.glob("*/*.so"))
    assert LIBRARY / "libptq.so" in libraries
    for library in libraries:
        lines = subprocess.run(
            ["nm", "-D", "--defined-only", str(library)], check=True, capture_output=True, text=True
        ).stdout.splitlines()
        assert {line.split()[-1].split("@")[0] for line in lines} == declared(), library


@needs_runtime
def test_versions_agree() -> None:
    numbers = dict(re.findall(r"#define (PTQ_API_VERSION_\w+) (\d+)", HEADER.read_text(encoding="utf-8")))
    major, minor = (int(numbers[f"PTQ_API_VERSION_{part}"]) for part in ("MAJOR", "MINOR"))
    assert load_library().ptq_api_version() == 1000 * major + minor


@pytest.fixture(scope="module")
def classify(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example, compiled as its first lines say."""
    need("gcc", "runtime")
    program = tmp_path_factory.mktemp("c") / "classify"
    link = ["-L", str(LIBRARY), "-lptq", f"-Wl,-rpath,{LIBRARY}"]
    subprocess.run(["gcc", "-std=c11", *STRICT, str(EXAMPLE), *link, "-o", str(program)], check=True)
    return program


def run(*command: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)


def test_the_example_classifies(classify: Path, tmp_path: Path) -> None:
    (tmp_path / "input").write_bytes(INPUT.tobytes())
    result = run(classify, MODEL, tmp_path / "input")
    assert (result.returncode, result.stderr) == (0, "")
    with Program(MODEL) as program:
        y = program.run(INPUT)[0].ravel()
    best = np.argsort(-y, kind="stable")[:5]
    assert result.stdout.splitlines() == [f"{i} {y[i]:.6g}" for i in best]
    assert run(classify, MODEL).returncode == 0


@needs_runtime
def test_the_example_refuses(classify: Path, tmp_path: Path) -> None:
    short, bad = tmp_path / "short", tmp_path / "bad.nb"
    short.write_bytes(b"1234")
    bad.write_bytes(MODEL.read_bytes()[:-1])
    for arguments, said in (
        ((), "usage"),
        ((tmp_path / "absent.nb",), "cannot open"),
        ((bad,), "file_size"),
        ((MODEL, short), "the model's input has 864 bytes"),
    ):
        result = run(classify, *arguments)
        assert result.returncode == 2
        assert said in result.stderr
