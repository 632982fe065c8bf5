"""The examples of CONTRIBUTING.md are applied to a copy of the tree, built, and what they add is run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
from kernel_rows import kernel_rows

from ptq_core.flatfile.operators import BY_CODE
from ptq_core.runtime import cpu_features
from tests.needs import ROOT, not_here

COPIED = ("ptq_core", "cli", "runtime", "scripts", "tests", "docs", "setup.cfg")
BLOCK = re.compile(r"^`([\w./]+)`:\n\n```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NEW_KERNEL = "copy_x8_x16__avx2"
RUN_THE_KERNEL = f"""
import numpy as np
from ptq_core.flatfile.interpreter import run
from ptq_core.flatfile.operators.gather import GATHER
from ptq_core.flatfile.tensors import DType
from ptq_core.flatfile.writer import write_program
from ptq_core.runtime import Program
from tests.flatfile.generated import one_op_program

for seed in range(20):
    random = np.random.default_rng(seed)
    program = one_op_program(GATHER, DType.F32, random)
    x = random.standard_normal(program.tensors[0].dims).astype(np.float32)
    with Program(write_program(program)) as runtime:
        assert [op.kernel for op in runtime.ops] == ["{NEW_KERNEL}"]
        np.testing.assert_array_equal(runtime.run(x)[0], run(program, [x])[0])
"""


def apply_example(section: str, tree: Path) -> list[str]:
    """Writes the files of a section's example into ``tree``, and adds the lines of its diffs; returns their paths."""
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    blocks = BLOCK.findall(page.split(f"## {section}\n")[1].split("\n## ")[0])
    for name, language, text in blocks:
        path = tree / name
        if language == "diff":
            lines = text.splitlines(keepends=True)
            old = "".join(line[1:] for line in lines if line[0] == " ")
            before = path.read_text(encoding="utf-8")
            assert before.count(old) == 1, f"{name} does not have once:\n{old}"
            text = before.replace(old, "".join(line[1:] for line in lines))
        else:
            assert not path.exists(), name
        path.write_text(text, encoding="utf-8")
    return [name for name, _, _ in blocks]


def copy_tree(target: Path) -> None:
    ignored = shutil.ignore_patterns("__pycache__", "_runtime", "*.nb", "*.onnx")
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, target / name, ignore=ignored)
        else:
            shutil.copy(ROOT / name, target)


def run(tree: Path, *command: object, **variables: str) -> None:
    done = subprocess.run(
        [sys.executable, *map(str, command)],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree), **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def run_tests(tree: Path, *tests: str, **variables: str) -> None:
    run(tree, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--no-skips", *tests, **variables)


def build(tree: Path, op: str, kernels: Iterable[str] = ()) -> Path:
    """A runtime of one operator, ``kernels`` and the scalar ones alone, unoptimized: that is built soonest."""
    scalar = {row.name for row in kernel_rows(tree / "runtime") if row.name.endswith("__scalar")}
    tailor = tree / "example.tailor"
    tailor.write_text("\n".join([f"op {op}", *(f"kernel {name}" for name in sorted({*scalar, *kernels}))]))
    script = tree / "runtime" / "build_runtime.py"
    folder = tree / "built"
    run(tree, script, "--tailor", tailor, "--install-dir", folder, CMAKE_BUILD_TYPE="Debug")
    return folder


@pytest.mark.needs("runtime")
def test_the_example_of_an_operator(tmp_path: Path) -> None:
    copy_tree(tmp_path)
    row, _, test = apply_example("How to add an operator", tmp_path)
    path = tmp_path / row
    free = max(BY_CODE) + 1  # the page's number may be taken by now
    path.write_text(re.sub(r"code=\d+", f"code={free}", path.read_text(encoding="utf-8")), encoding="utf-8")
    folder = build(tmp_path, Path(row).stem)
    run_tests(tmp_path, test, PTQ_RUNTIME_DIR=str(folder))


@pytest.mark.needs("runtime")
def test_the_example_of_a_kernel(tmp_path: Path) -> None:
    if "avx2" not in cpu_features().split():
        not_here("the example is for AVX2")
    copy_tree(tmp_path)
    assert len(apply_example("How to add a kernel", tmp_path)) == 3, "a file, its row, its line in the page"
    folder = build(tmp_path, "gather", [NEW_KERNEL])
    run(tmp_path, "-c", RUN_THE_KERNEL, PTQ_RUNTIME_DIR=str(folder))
    run_tests(tmp_path, "tests/test_docs.py::test_every_kernel_is_documented")
