"""Here every pass is held to its promise: what it leaves is a program that the reader takes."""

from __future__ import annotations

import copy
import dataclasses
import functools

import pytest

from ptq_core.flatfile import layout
from ptq_core.flatfile.program import Program
from ptq_core.flatfile.reader import read_program
from ptq_core.flatfile.writer import write_program
from ptq_core.optimize import passes
from ptq_core.optimize.memory_plan import plan_memory
from ptq_core.optimize.passes import Rewrite
from ptq_core.optimize.passes.dequantize_constants import dequantize_constants
from ptq_core.optimize.rewrite import keep_tensors


def keeps_rules(rewrite: Rewrite) -> Rewrite:
    """``rewrite``, followed by a look at the whole program with the rules of docs/flat_format.md."""

    @functools.wraps(rewrite)
    def checked(program: Program) -> list[str]:
        changes = rewrite(program)
        if changes:
            whole = copy.deepcopy(program)
            whole.targets = tuple(layout.TARGETS)
            dequantize_constants(whole)  # until it has run, float operators may read integers
            used = {i for op in whole.ops for i in (*op.reads, *op.outputs)} | {*whole.inputs, *whole.outputs}
            keep_tensors(whole, sorted(used))
            plan_memory(whole)
            read_program(write_program(whole))  # raises FlatFileError
        return changes

    return checked


@pytest.fixture(autouse=True)
def _every_pass_keeps_the_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    checked = (dataclasses.replace(entry, rewrite=keeps_rules(entry.rewrite)) for entry in passes.PASSES)
    monkeypatch.setattr(passes, "PASSES", tuple(checked))
