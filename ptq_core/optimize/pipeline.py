"""`ptq opt`: an ONNX model (FP32 or QDQ) → a flat file for the phone runtime."""

from __future__ import annotations

import dataclasses
import hashlib
import platform
import time
from collections.abc import Sequence
from pathlib import Path

import onnx
import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from ptq_core.errors import InputError
from ptq_core.files import atomic_path
from ptq_core.flatfile import layout
from ptq_core.flatfile.lifetimes import lower_bound
from ptq_core.flatfile.operators.weighted import is_compressed
from ptq_core.flatfile.program import Op, Program
from ptq_core.flatfile.reader import map_program
from ptq_core.flatfile.tensors import Array, DType
from ptq_core.flatfile.writer import write_file
from ptq_core.graph.dialects import one_dialect
from ptq_core.graph.float32 import conversion_note
from ptq_core.graph.input_shapes import InputShapes
from ptq_core.graph.io import load_model, save_model, to_bytes
from ptq_core.graph.passes import simplify
from ptq_core.graph.weights import release_constants
from ptq_core.memory import give_back_freed
from ptq_core.optimize.compress_weights import TYPES, compress_weights, output_sqnr_db
from ptq_core.optimize.lowering.lower import lower_graph
from ptq_core.optimize.memory_plan import plan_memory
from ptq_core.optimize.outputs import name_tensors, part_outputs
from ptq_core.optimize.passes import run_passes
from ptq_core.optimize.source_program import SourceProgram
from ptq_core.optimize.verify.inputs import random_inputs
from ptq_core.optimize.verify.verify import verify as check
from ptq_core.reports import CompressReport, OptimizeReport, PassReport, SimplifyReport

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
    enable_fp16: bool = False,
    params_filename: str | None = None,
    input_shape: InputShapes | None = None,
    quant_type: str | None = None,
    verify: bool = False,
) -> OptimizeReport:
    """Write ``model`` as the flat file ``out`` (atomically) and read it back to check it.

    ``targets`` are keys of TARGET_NAMES. An open batch dimension becomes 1; ``input_shape`` fixes others and ``params_filename``
    names the external data, both with a path only (ValueError): they belong to load_model. ``prefer_int8_kernel`` False runs a
    QDQ model in float. ``enable_fp16`` stores and runs what is float in half precision, but for inputs and outputs.
    ``quant_type``, a key of compress_weights.TYPES, stores the weights of float operators as integers; what that changes is in
    the report, and the program before it is what is verified. With ``verify`` the file must compute what onnxruntime computes
    (optimize/verify), else PtqError and no file. Raises InputError for a model, a shape or a target that the runtime cannot
    run; all refused nodes are named at once; and for both ``enable_fp16`` and ``quant_type``. A path takes less memory than a
    model: the weights are freed once they are lowered.
    """
    start = time.perf_counter()
    mask = resolve_targets(targets)
    if enable_fp16 and quant_type is not None:
        raise InputError(
            "both enable_fp16 and quant_model",
            rule="weights are stored either in half precision or as integers of float32 weights",
            fix="leave one of the two out",
        )
    source: Path | bytes
    if isinstance(model, Path):
        source, name = model, model.stem
        loaded = load_model(model, params_filename=params_filename, input_shape=input_shape)
    else:
        if (params_filename, input_shape) != (None, None):
            raise ValueError("input_shape belongs to load_model when the model is loaded already")
        source, name = to_bytes(model), str(model.graph.name or "")
        loaded = ir.from_proto(onnx.ModelProto.FromString(source))
    converted = conversion_note(loaded)
    simplified = _simplified(loaded)
    program, lowered = lower_graph(loaded)
    source_program = SourceProgram(program)
    outputs = [str(value.name) for value in loaded.graph.outputs]
    release_constants(loaded)  # free the weights now, not when the garbage of a graph is collected
    passes = (
        simplified
        + lowered
        + rewrite(program, outputs, prefer_int8_kernel=prefer_int8_kernel, enable_fp16=enable_fp16)
    )
    program.targets = mask
    int8_ops = sum(runs_on_int8(program, op) for op in program.ops)
    fp16_ops = sum(program.tensors[op.outputs[0]].dtype == DType.F16 for op in program.ops)
    program.meta = {
        "model": name,
        "sha256": _sha256(source),
        "precision": "int8" if int8_ops else "fp16" if fp16_ops else "fp32",
    }
    verified = compressed = None
    with atomic_path(out) as temporary:
        size = _write(program, temporary)
        source_program.leave_constants_to(program)
        inputs = random_inputs(program) if verify else []
        whole, compressed = _compressed(program, quant_type, temporary, inputs)
        if compressed is not None:
            size = temporary.stat().st_size
        for index, tensor in enumerate(program.tensors):  # free the weights
            program.tensors[index] = dataclasses.replace(tensor, data=None)
        give_back_freed()
        written = map_program(whole)
        if verify:
            lowered_again = source_program.restored(written)
            verified = check(whole, written, lowered_again, source, outputs)
    return OptimizeReport(
        path=out,
        size_bytes=size,
        arena_bytes=program.arena_size,
        arena_least_bytes=lower_bound(program, layout.ALIGNMENT),
        op_count=len(program.ops),
        int8_op_count=int8_ops,
        fp16_op_count=fp16_ops,
        passes=passes,
        compressed=compressed,
        verified=verified,
        notes=(converted,) if converted else (),
        seconds=time.perf_counter() - start,
    )


def _write(program: Program, path: Path) -> int:
    """Write ``program``; returns the file's size. Whoever calls it reads the file back: that fails only for a bug of ours."""
    with path.open("wb") as stream:
        return write_file(program, stream)


def _compressed(
    program: Program, quant_type: str | None, path: Path, inputs: Sequence[Array]
) -> tuple[Path, CompressReport | None]:
    """Compress ``program``, whose file is ``path``, and write it again; returns the file of before and a report.

    Without ``quant_type`` nothing happens. With ``inputs`` the report has what it does to the outputs, if a runtime is built.
    """
    if quant_type is None:
        return path, None
    whole = path.with_suffix(".whole.nb")  # beside it in the temporary folder of `atomic_path`
    path.rename(whole)
    report = compress_weights(program, quant_type)
    if report.tensors:
        program.meta = {**program.meta, "weights": TYPES[quant_type][0].label}
    _write(program, path)
    map_program(path)
    return whole, dataclasses.replace(report, output_sqnr_db=output_sqnr_db(whole, path, inputs))


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
    before, converted = len(model.graph), conversion_note(model)
    simplify(model)
    RemoveUnusedNodesPass()(model)
    save_model(model, out)
    notes = (converted,) if converted else ()
    return SimplifyReport(out, out.stat().st_size, before, len(model.graph), notes)


def lower_to_program(
    model: ir.Model, *, prefer_int8_kernel: bool = True, enable_fp16: bool = False
) -> Program:
    """Simplify and lower ``model`` (see graph.io.load_model), run all passes and plan the memory; targets and meta are left open.

    ``model`` is changed, as `ptq quantize` changes it.
    """
    _simplified(model)
    program, _ = lower_graph(model)
    outputs = [str(value.name) for value in model.graph.outputs]
    rewrite(program, outputs, prefer_int8_kernel=prefer_int8_kernel, enable_fp16=enable_fp16)
    return program


def _simplified(model: ir.Model) -> tuple[PassReport, ...]:
    """Bring ``model`` to one dialect, and simplify it by the passes that `ptq quantize` runs too: both get the same bits."""
    count = len(model.graph)
    dialect = one_dialect(model)
    before = len(model.graph)
    removed = simplify(model)
    changes = (f"`{name}` ⇒ {into}" for name, into in removed.items())
    simplified = PassReport("simplify", before, len(model.graph), tuple(changes))
    if not dialect:
        return (simplified,)
    return PassReport("one_dialect", count, before, tuple(dialect)), simplified


def rewrite(
    program: Program, outputs: Sequence[str], *, prefer_int8_kernel: bool = True, enable_fp16: bool = False
) -> tuple[PassReport, ...]:
    """Run all passes, give the program's ``outputs`` their names and plan the memory; a report per pass, in their order."""
    reports = run_passes(program, prefer_int8_kernel=prefer_int8_kernel, enable_fp16=enable_fp16)
    part_outputs(program, outputs)
    name_tensors(program, outputs)
    plan_memory(program)
    return reports


def _sha256(source: Path | bytes) -> str:
    """Of the .onnx file, without external data."""
    digest = hashlib.sha256()
    if isinstance(source, bytes):
        digest.update(source)
    else:
        with source.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


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
    """True if ``op`` computes on int8; what only converts it to floats does not, and compressed weights are floats."""
    x, *others = (program.tensors[index] for index in op.reads)
    reads = [x.dtype, *(tensor.dtype for tensor in others if not is_compressed(x, tensor))]
    to_float = op.kind.converts and program.tensors[op.outputs[0]].dtype != DType.I8
    return DType.I8 in reads and not to_float
