"""The example of CONTRIBUTING.md, "How to add an operator", is applied to a copy of the tree, built, and its test is run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tailor_runtime import KERNEL_ROW

from ptq_core.flatfile.operators import BY_CODE

ROOT = Path(__file__).resolve().parent.parent
COPIED = ("ptq_core", "cli", "runtime", "scripts", "tests", "setup.cfg")
BLOCK = re.compile(r"^`([\w./]+)`:\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def example() -> dict[str, str]:
    """File → text, with a number that no kind has."""
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    section = page.split("## How to add an operator")[1].split("\n## ")[0]
    return {
        path: re.sub(r"code=\d+", f"code={max(BY_CODE) + 1}", text) for path, text in BLOCK.findall(section)
    }


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


def build(tree: Path, op: str) -> Path:
    """A runtime of one operator and the scalar kernels alone, unoptimized: that is built soonest."""
    lists = (tree / "runtime" / "src" / "kernels").glob("*/kernels.cc")
    kernels = {row[1] for path in lists for row in KERNEL_ROW.finditer(path.read_text())}
    tailor = tree / "example.tailor"
    scalar = sorted(name for name in kernels if name.endswith("__scalar"))
    tailor.write_text("\n".join([f"op {op}", *(f"kernel {name}" for name in scalar)]))
    script = tree / "runtime" / "build_runtime.py"
    folder = tree / "built"
    run(tree, script, "--tailor", tailor, "--install-dir", folder, CMAKE_BUILD_TYPE="Debug")
    return folder


@pytest.mark.needs("runtime")
def test_the_example_of_an_operator(tmp_path: Path) -> None:
    copy_tree(tmp_path)
    files = example()
    assert len(files) == 3, "a Python file, a C++ file, a test"
    for path, text in files.items():
        assert not (tmp_path / path).exists(), path
        (tmp_path / path).write_text(text, encoding="utf-8")
    row, _, test = files
    folder = build(tmp_path, Path(row).stem)
    run(
        tmp_path,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--no-skips",
        test,
        PTQ_RUNTIME_DIR=str(folder),
    )
