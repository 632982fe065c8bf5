"""What a command does not use is not imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import onnx
import pytest

from tests.models import mobile_block

REPORT = """
import sys
from ptq_cli.main import run
code = run(sys.argv[1:])
print(*sorted(set({names!r}) & set(sys.modules)))
sys.exit(code)
"""

HEAVY = ("numpy", "onnx_ir", "onnxruntime", "sympy.core")
"""Loaded: sympy itself is in sys.modules before it is executed, its submodules are not."""


@pytest.mark.parametrize(
    ("words", "loaded"),
    [
        pytest.param(["--version"], [], id="version"),
        pytest.param(["quantize", "--help"], ["numpy"], id="help"),
        pytest.param(
            ["opt", "--model-file", "model.onnx", "--optimize-out", "out"],
            ["numpy", "onnx_ir", "onnxruntime"],
            id="opt",
        ),
    ],
)
def test_a_command_imports_no_more_than_it_needs(words: list[str], loaded: list[str], tmp_path: Path) -> None:
    onnx.save(mobile_block(), tmp_path / "model.onnx")
    program = [sys.executable, "-c", REPORT.format(names=HEAVY), *words]
    done = subprocess.run(program, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[-2].split() == loaded
