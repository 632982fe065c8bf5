"""`ptq opt`: an ONNX model (FP32 or QDQ) to the flat file of the runtime, with Paddle-Lite's flags."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ptq_cli import opt_kernels, opt_listings
from ptq_cli.explain import compression, explain, verification
from ptq_cli.flags import command, given_flags
from ptq_cli.opt_flags import GROUPS, READ_BY_LISTING, Flags
from ptq_cli.options import size_text
from ptq_cli.terminal import echo, echo_error, logged_meter, report, warn
from ptq_core.errors import InputError, PtqError

if TYPE_CHECKING:
    import onnx_ir as ir

    from ptq_core.tailoring import Tailoring

DEFAULT_QUANT_TYPE = "QUANT_INT16"
"""As in Paddle-Lite: nearly exact, half the size."""

FLAT_FILE_ONLY: dict[str, tuple[object, str]] = {
    "prefer_int8_kernel": (True, "kernels are those of a flat file's operators"),
    "enable_fp16": (False, "half precision is that of a flat file's operators"),
    "quant_model": (
        False,
        "only a flat file has compressed weights; `ptq quantize --algo weight_only` makes such an ONNX model",
    ),
    "record_tailoring_info": (False, "kernels are chosen for a flat file"),
    "explain": (False, "the passes that it explains rewrite flat files"),
}
"""Flags that mean nothing for an ONNX output: their value that asks for nothing, and why."""

OUT_TYPES = {"naive_buffer": ".nb", "protobuf": ".onnx"}


@command(*GROUPS, help_if_bare=True)
def opt(**given: Any) -> int:
    """Optimize an ONNX model (FP32, or QDQ from `ptq quantize`) into one flat file for the runtime.

    \b
    ptq opt --model-dir ./mobilenetv1_int8 --optimize-out mobilenetv1_int8 --valid-targets arm

    Flags are Paddle-Lite's, with - or _ in the names. Exit code 2: the model cannot run; all reasons are listed at once.
    """
    flags = Flags(**given)
    _check_listing(flags)
    printed = _listing(flags)
    if printed is not None:
        say = report if flags.visualization_file_output_path else echo  # a drawing is a file
        for line in printed:
            say(line)
        return 0
    if flags.optimize_out is None:
        raise InputError(
            "no --optimize-out",
            rule="an optimized model needs a place",
            fix="add e.g. --optimize-out mobilenetv1_int8",
        )
    if flags.optimize_out_type not in OUT_TYPES:
        raise InputError(
            f"--optimize-out-type {flags.optimize_out_type}",
            rule=f"the output types are {' and '.join(OUT_TYPES)}",
            fix="leave the flag out for the runtime's flat file",
        )
    _check_together(flags)
    if flags.model_set_dir is not None:
        return _optimize_set(flags, flags.model_set_dir, flags.optimize_out)
    out = _with_suffix(flags, flags.optimize_out)
    for line in _optimize_one(flags, find_source(flags), out):
        report(line)
    if flags.record_tailoring_info:
        report(_write_tailoring(out.with_suffix(""), {out.stem: _tailoring(out)}))
    return 0


def dashed(name: str) -> str:
    """A field of Flags as it is typed."""
    return f"--{name.replace('_', '-')}"


def _check_together(flags: Flags) -> None:
    """Raise InputError for flags that do not go together, before anything is written; DeviceError for a missing tool."""
    from ptq_core.kernels import TOOLS, levels
    from ptq_core.optimize.pipeline import resolve_targets

    if _quant_type(flags) is not None and flags.enable_fp16:
        raise InputError(
            "--enable-fp16 with --quant-model",
            rule="weights are stored either in half precision or as integers that stand for float32",
            fix="leave one of the two out",
        )
    targets = resolve_targets(flags.targets)
    for name, (plain, reason) in FLAT_FILE_ONLY.items():
        if flags.optimize_out_type != "naive_buffer" and getattr(flags, name) != plain:
            raise InputError(
                f"{dashed(name)} with --optimize-out-type {flags.optimize_out_type}",
                rule=reason,
                fix="leave one of the two out",
            )
    if flags.record_tailoring_info:
        for target in targets:
            if target in TOOLS:
                levels(target)


def _check_listing(flags: Flags) -> None:
    """Raise InputError for a flag that the list which is asked for would not read; one given as false asks for nothing."""
    mode = next((name for name in READ_BY_LISTING if getattr(flags, name)), None)
    if mode is None:
        return
    read = READ_BY_LISTING[mode]
    for name, flag in given_flags().items():
        if name != mode and name not in read and getattr(flags, name, False) is not False:
            raise InputError(
                f"{flag} with {dashed(mode)}",
                rule=f"{dashed(mode)} optimizes nothing; it reads {', '.join(map(dashed, read))}",
                fix="leave one of the two out",
            )


def _listing(flags: Flags) -> Iterator[str] | None:
    """The lines of the list that is asked for, None if a model is to be optimized."""
    if flags.print_supported_ops:
        return opt_listings.supported_ops(flags.targets)
    if flags.print_all_ops or flags.print_all_ops_in_md_format:
        return opt_listings.all_ops(markdown=flags.print_all_ops_in_md_format)
    if flags.display_kernels:
        return _display_kernels(flags)
    if flags.print_model_ops:
        return opt_listings.model_ops(_load(flags, find_source(flags)))
    drawing = (flags.optimized_nb_model_path, flags.visualization_file_output_path)
    return opt_listings.draw(*opt_listings.needs_both(*drawing)) if any(drawing) else None


def _display_kernels(flags: Flags) -> Iterator[str]:
    """All kernels of the targets or, with a model or a flat file, those chosen for it."""
    from ptq_core.kernels import TOOLS
    from ptq_core.optimize.pipeline import TARGET_NAMES, resolve_targets

    resolve_targets(flags.targets)
    wanted = dict.fromkeys(target for name in flags.targets for target in TARGET_NAMES[name])
    targets = tuple(target for target in wanted if target in TOOLS)
    this_machine = flags.targets == ("host",)
    if not targets:
        raise InputError(
            f"--valid-targets {flags.valid_targets}",
            rule=f"kernels are known of {', '.join(TOOLS)}; there is no 32-bit build for x86",
            fix="name another target",
        )
    if flags.optimized_nb_model_path is not None:
        yield from opt_kernels.chosen_kernels(
            flags.optimized_nb_model_path, targets, this_machine=this_machine
        )
    elif flags.model_dir is None and flags.model_file is None:
        yield from opt_kernels.all_kernels(targets)
    else:
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder, "model.nb")
            plain = dataclasses.replace(flags, no_verify=True, optimize_out_type="naive_buffer")
            for _ in _optimize_one(plain, find_source(flags), out):
                pass
            yield from opt_kernels.chosen_kernels(out, targets, this_machine=this_machine)


def find_source(flags: Flags) -> Path:
    """The one .onnx file that the flags name."""
    from ptq_core.graph.io import find_model

    if (flags.model_dir is None) == (flags.model_file is None) or flags.model_set_dir is not None:
        raise InputError(
            "give the model as --model-dir or --model-file (or a folder of models as --model-set-dir)",
            rule="exactly one of them names the model",
            fix="e.g. --model-dir ./mobilenetv1_int8_model",
        )
    if flags.model_dir is not None:
        return find_model(flags.model_dir, flags.model_filename)
    if flags.model_filename is not None:
        raise InputError(
            "--model-filename with --model-file",
            rule="the name is that of a file in --model-dir; --model-file is the file itself",
            fix="leave one of the two out",
        )
    return Path(str(flags.model_file))


def _params_filename(flags: Flags, source: Path) -> str | None:
    """The name of the external data beside ``source``, if one is given."""
    if flags.param_file is None:
        return flags.param_filename
    if flags.param_filename is not None:
        raise InputError(
            "--param-filename with --param-file",
            rule="the name is that of a file in --model-dir; --param-file is the file itself",
            fix="leave one of the two out",
        )
    if flags.param_file.resolve().parent != source.resolve().parent:
        raise InputError(
            f"--param-file {flags.param_file} is not beside {source}",
            rule="external data lies in the model's folder",
            fix="put the two files into one folder",
        )
    return flags.param_file.name


def _load(flags: Flags, source: Path) -> ir.Model:
    from ptq_core.graph.io import load_model

    return load_model(source, params_filename=_params_filename(flags, source), input_shape=flags.shapes)


def _quant_type(flags: Flags) -> str | None:
    """How weights are stored as integers; None: not at all."""
    from ptq_core.optimize.compress_weights import TYPES

    if flags.quant_type is not None and flags.quant_type not in TYPES:
        raise InputError(
            f"--quant-type {flags.quant_type}",
            rule=f"the types are {' and '.join(TYPES)}",
            fix="choose one of them",
        )
    if flags.quant_model:
        return flags.quant_type or DEFAULT_QUANT_TYPE
    if flags.quant_type is not None:
        raise InputError(
            f"--quant-type {flags.quant_type} without --quant-model",
            rule="the type belongs to weight-only compression, which --quant-model asks for",
            fix="add --quant-model, or leave --quant-type out",
        )
    return None


def _with_suffix(flags: Flags, out: Path) -> Path:
    suffix = OUT_TYPES[flags.optimize_out_type]
    return out if out.suffix == suffix else out.with_name(out.name + suffix)


def _optimize_one(flags: Flags, source: Path, out: Path) -> Iterator[str]:
    """Optimize ``source`` into the file ``out``; yields what is to be said about it."""
    if flags.optimize_out_type == "protobuf":
        from ptq_core.optimize.pipeline import simplify_to_onnx

        simplified = simplify_to_onnx(_load(flags, source), source, out)
        yield from (f"note: {note}" for note in simplified.notes)
        yield f"{simplified.nodes_before} nodes, {simplified.nodes_after} after simplification"
        yield size_text(simplified.size_bytes)
        yield f"model:  {simplified.path}"
        return
    from ptq_core.optimize.pipeline import optimize

    made = optimize(
        source,
        out,
        targets=flags.targets,
        prefer_int8_kernel=flags.prefer_int8_kernel,
        enable_fp16=flags.enable_fp16,
        params_filename=_params_filename(flags, source),
        input_shape=flags.shapes,
        quant_type=_quant_type(flags),
        verify=not flags.no_verify,
    )
    yield from (f"note: {note}" for note in made.notes)
    if flags.explain:
        yield from explain(made.passes)
    halves = f", {made.fp16_op_count} in fp16" if made.fp16_op_count else ""
    yield (
        f"{made.op_count} operators, {made.int8_op_count} in int8{halves}; arena {size_text(made.arena_bytes)}, "
        f"{made.arena_bytes / max(made.arena_least_bytes, 1):.3f} x the least possible"
    )
    yield from verification(made.verified)
    if made.verified is not None and made.verified.reason:
        warn(f"{out} is not verified: {made.verified.reason}")
    if made.compressed is not None:
        yield compression(made.compressed)
    yield f"{size_text(made.size_bytes)} in {made.seconds:.1f} s"
    yield f"model:  {made.path}"


def _optimize_set(flags: Flags, folder: Path, out: Path) -> int:
    """Optimize every model of ``folder`` into the folder ``out``; one that fails does not stop the others."""
    from ptq_core.graph.io import find_model, find_models

    if flags.model_dir is not None or flags.model_file is not None:
        find_source(flags)  # refuses the combination
    failed: dict[str, PtqError] = {}
    needed: dict[str, Tailoring] = {}
    models = find_models(folder)
    with logged_meter("optimize", "model", len(models)) as progress:
        for index, (name, place) in enumerate(models.items()):
            progress.at(index, what=name)
            report(f"{name}:")
            try:
                made = _with_suffix(flags, out / name)
                for line in _optimize_one(flags, find_model(place, flags.model_filename), made):
                    report(f"  {line}")
                if flags.record_tailoring_info:
                    needed[name] = _tailoring(made)
            except PtqError as error:
                failed[name] = error
                error.reword(opt.in_flags)
                echo_error(error, name)
        progress.at(len(models))
    report(f"{len(models) - len(failed)} of {len(models)} models optimized into {out}")
    if needed:
        report(_write_tailoring(out / "model_set", needed))
    if failed:
        echo(f"failed: {', '.join(failed)}", err=True)
    return max((error.exit_code for error in failed.values()), default=0)


def _tailoring(flat_file: Path) -> Tailoring:
    from ptq_core.tailoring import record

    return record(flat_file)


def _write_tailoring(out: Path, needed: dict[str, Tailoring]) -> str:
    """Write what all of ``needed`` (by model) need together; returns what is to be said about it."""
    from ptq_core.tailoring import SUFFIX, Tailoring, write_tailoring

    union = Tailoring()
    for one in needed.values():
        union |= one
    path = out.with_name(out.name + SUFFIX)
    write_tailoring(path, union, needed)
    return f"tailor: {path} ({len(union.ops)} operators, {len(union.kernels)} kernels); build: make runtime TAILOR={path}"
