"""`ptq opt`: an ONNX model (FP32 or QDQ) → a flat file for the phone runtime."""

from __future__ import annotations

import dataclasses
import hashlib
import platform
import time
from pathlib import Path

import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from ptq_core.errors import InputError
from ptq_core.files import atomic_path
from ptq_core.flatfile import layout
from ptq_core.flatfile.lifetimes import lower_bound
from ptq_core.flatfile.program import DType, Op, Program
from ptq_core.flatfile.reader import read_program
from ptq_core.flatfile.writer import write_program
from ptq_core.graph.io import InputShapes, load_model, save_model, to_bytes
from ptq_core.graph.passes import simplify
from ptq_core.optimize.lowering.lower import lower_graph
from ptq_core.optimize.memory_plan import plan_memory
from ptq_core.optimize.passes import run_passes
from ptq_core.reports import OptimizeReport, PassReport, SimplifyReport

_X86_MACHINES = {"x86_64": "x86_64", "amd64": "x86_64", "i686": "x86", "i386": "x86"}
_ARM_MACHINES = {"aarch64": "arm64", "arm64": "arm64", "armv7l": "armv7", "armv8l": "armv7"}

TARGET_NAMES: dict[str, tuple[str, ...]] = {
    "arm": ("arm64", "armv7"),
    "arm64": ("arm64",),
    "armv7": ("armv7",),
    "x86": ("x86_64", "x86"),
    "x86_64": ("x86_64",),
    "host": ({**_X86_MACHINES, **_ARM_MACHINES}.get(platform.machine().lower(), "x86_64"),),
}
"""What the user may ask for → targets of the file."""


def optimize(
    model: ir.Model | Path,
    out: Path,
    *,
    targets: tuple[str, ...] = ("arm",),
    prefer_int8_kernel: bool = True,
    input_shape: InputShapes | None = None,
) -> OptimizeReport:
    """Write ``model`` as the flat file ``out`` (atomically) and read it back to check it.

    ``targets`` are keys of TARGET_NAMES. An open batch dimension becomes 1; ``input_shape`` fixes others, with a path only
    (give it to load_model otherwise; ValueError). ``prefer_int8_kernel`` False runs a QDQ model in float. Raises InputError
    for a model, a shape or a target that the runtime cannot run; all refused nodes are named at once.
    """
    start = time.perf_counter()
    mask = resolve_targets(targets)
    if isinstance(model, Path):
        source, name = model.read_bytes() if model.is_file() else b"", model.stem
        loaded = load_model(model, input_shape=input_shape)
    else:
        if input_shape is not None:
            raise ValueError("input_shape belongs to load_model when the model is loaded already")
        source, name, loaded = to_bytes(model), str(model.graph.name or ""), model
    program, passes = lower_and_report(loaded, prefer_int8_kernel=prefer_int8_kernel)
    program.targets = mask
    int8_ops = sum(runs_on_int8(program, op) for op in program.ops)
    program.meta = {
        "model": name,
        "sha256": hashlib.sha256(source).hexdigest(),
        "precision": "int8" if int8_ops else "fp32",
    }
    data = write_program(program)
    read_program(
        data
    )  # the reader's checks hold for what we write; a failure here is a bug and must not reach a phone
    with atomic_path(out) as temporary:
        temporary.write_bytes(data)
    return OptimizeReport(
        path=out,
        size_bytes=len(data),
        arena_bytes=program.arena_size,
        arena_least_bytes=lower_bound(program, layout.ALIGNMENT),
        op_count=len(program.ops),
        int8_op_count=int8_ops,
        passes=passes,
        seconds=time.perf_counter() - start,
    )


def simplify_to_onnx(model: ir.Model, source: Path, out: Path) -> SimplifyReport:
    """Write ``model``, loaded from ``source``, as the simplified ONNX model ``out`` (atomically).

    It computes the same up to float rounding; inputs and outputs keep their names. InputError if ``out`` is ``source``.
    """
    if out.resolve() == source.resolve():
        raise InputError(
            f"{out} would overwrite the model {source}",
            rule="the optimized model does not replace its source",
            fix="choose another optimize_out",
        )
    before = len(model.graph)
    simplify(model)
    RemoveUnusedNodesPass()(model)
    save_model(model, out)
    return SimplifyReport(out, out.stat().st_size, before, len(model.graph))


def lower_to_program(model: ir.Model, *, prefer_int8_kernel: bool = True) -> Program:
    """Lower ``model`` (see graph.io.load_model), run all passes and plan the memory. Targets and meta are left open."""
    return lower_and_report(model, prefer_int8_kernel=prefer_int8_kernel)[0]


def lower_and_report(
    model: ir.Model, *, prefer_int8_kernel: bool = True
) -> tuple[Program, tuple[PassReport, ...]]:
    """As `lower_to_program`, with a report per pass in the order in which they ran."""
    program, lowered = lower_graph(model)
    rewritten = run_passes(program, prefer_int8_kernel=prefer_int8_kernel)
    _name_tensors(program, [str(value.name) for value in model.graph.outputs])
    plan_memory(program)
    return program, lowered + rewritten


def resolve_targets(targets: tuple[str, ...]) -> tuple[str, ...]:
    """The file's targets for the names a user gave, in the order of layout.TARGETS; InputError for an unknown name or none."""
    unknown = [name for name in targets if name not in TARGET_NAMES]
    if unknown or not targets:
        raise InputError(
            f"unknown target {', '.join(unknown)}" if unknown else "no target",
            rule=f"targets are of {', '.join(TARGET_NAMES)}",
            fix="correct valid_targets",
        )
    wanted = {target for name in targets for target in TARGET_NAMES[name]}
    return tuple(target for target in layout.TARGETS if target in wanted)


def runs_on_int8(program: Program, op: Op) -> bool:
    """True if ``op`` computes on int8; dequantize only converts, so it does not count."""
    reads = [program.tensors[index].dtype for index in op.reads]
    return DType.I8 in reads and op.kind.label != "dequantize"


def _name_tensors(program: Program, outputs: list[str]) -> None:
    """Outputs bear the model's names; every name is unique."""
    names = dict(zip(program.outputs, outputs, strict=True))
    names.update({index: program.tensors[index].name for index in program.inputs})
    taken = set(names.values())
    for index, tensor in enumerate(program.tensors):
        name = names.get(index, tensor.name)
        if index not in names:
            count = 1
            while name in taken:
                count += 1
                name = f"{tensor.name}:{count}"
            taken.add(name)
        program.tensors[index] = dataclasses.replace(tensor, name=name)
