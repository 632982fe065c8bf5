"""`ptq quantize`: every configuration key is also a flag."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any

import click

from ptq_cli.options import CONTEXT, size_text
from ptq_core.config import PreprocessConfig, QuantizeConfig, from_text, load_config, parse_yaml_value
from ptq_core.errors import InputError
from ptq_core.reports import LossReport, OutputLoss, QuantizeReport

NESTED = "preprocess"
"""The one key whose value is itself a mapping; its keys are flags of their own."""


def _flags() -> list[tuple[str, type, Field[Any]]]:
    """(dotted key, its dataclass, its field) of every key."""
    own = [(f.name, QuantizeConfig, f) for f in fields(QuantizeConfig) if f.name != NESTED]
    return own + [(f"{NESTED}.{f.name}", PreprocessConfig, f) for f in fields(PreprocessConfig)]


def _add_flags(function: Callable[..., None]) -> Callable[..., None]:
    for dotted, _, f in reversed(_flags()):
        name = f.name.replace("_", "-")
        is_bool = f.default is True or f.default is False
        text = f.metadata["help"] + _default_text(f)
        if f.default is True:
            off = f"no__{dotted.replace('.', '__')}"
            function = click.option(f"--no-{name}", off, flag_value="false", hidden=True)(function)
            text += f", also --no-{name}"
        function = click.option(
            f"--{name}",
            dotted.replace(".", "__"),
            metavar="[true|false]" if is_bool else "VALUE",
            is_flag=False,
            flag_value="true" if is_bool else None,
            help=text,
        )(function)
    return function


def _default_text(f: Field[Any]) -> str:
    if f.default is MISSING or f.default is None:
        return ""
    value = f.default
    shown = (
        ",".join(f"{v:g}" if isinstance(v, float) else str(v) for v in value)
        if isinstance(value, tuple)
        else value
    )
    return f" [default: {str(shown).lower() if isinstance(shown, bool) else shown}]"


@click.command(context_settings=CONTEXT)
@click.option("-c", "--config", type=click.Path(path_type=Path), help="YAML configuration; flags win over it")
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="KEY=VALUE",
    help="set any key, e.g. preprocess.std=[1,1,1]",
)
@_add_flags
def quantize(config: Path | None, assignments: tuple[str, ...], **flags: str | None) -> None:
    """Quantize an FP32 ONNX model with a folder of pictures.

    Writes model.onnx (standard QDQ ONNX, runs in onnxruntime) and quantization.json (every tensor's
    threshold, scale and bits; every operator: quantized, or why not) to --save-model-path.
    Paths are relative to the current folder; lists are separated by commas.
    """
    from ptq_core.quantize.pipeline import quantize as run  # imports onnxruntime: only when needed

    overrides = {}
    for dotted, cls, f in _flags():
        parameter = dotted.replace(".", "__")
        text = flags[parameter] or flags.get(f"no__{parameter}")
        if text is not None:
            overrides[dotted] = from_text(cls, f.name, text)
    for assignment in assignments:
        key, separator, value = assignment.partition("=")
        if not separator:
            raise InputError(
                f"--set {assignment}", rule="--set takes KEY=VALUE", fix="e.g. --set algo=abs_max"
            )
        overrides[key.strip()] = parse_yaml_value(value)
    _print(run(load_config(config, overrides)))


def _print(report: QuantizeReport) -> None:
    for warning in report.warnings:
        click.echo(f"warning: {warning}", err=True)
    for note in report.notes:
        click.echo(f"note: {note}", err=True)
    ratio = report.size_fp32_bytes / report.size_int8_bytes
    change = f"{ratio:.2f}x smaller" if ratio >= 1 else f"{1 / ratio:.2f}x larger"
    how = (
        f"calibrated on {report.pictures} pictures" if report.pictures else "weights only, without pictures,"
    )
    click.echo(
        f"{report.quantized_ops} operators quantized, {report.float_ops} in float (reasons in {report.report_path.name})\n"
        f"{how} in {report.seconds:.1f} s\n"
        f"{size_text(report.size_fp32_bytes)} -> {size_text(report.size_int8_bytes)} ({change})\n"
        f"model:  {report.model_path}\n"
        f"report: {report.report_path}"
    )
    if report.loss is not None:
        click.echo("\n".join(_loss_lines(report.loss)))
    for hint in report.hints:
        click.echo(hint)


OUTPUTS_SHOWN = 5
"""More outputs are in quantization.json only."""


def _loss_lines(loss: LossReport) -> list[str]:
    worst = sorted(loss.outputs, key=lambda output: math.inf if output.sqnr_db is None else output.sqnr_db)
    hidden = len(worst) - OUTPUTS_SHOWN
    lines = [f"against FP32 on {loss.pictures} pictures (signal to noise):"]
    lines += [f"  {output.name}: {_output_text(output, loss.pictures)}" for output in worst[:OUTPUTS_SHOWN]]
    if hidden > 0:
        lines.append(f"  {hidden} more outputs, none worse")
    if loss.operators:
        lines.append("operators that cost most (their inputs -> their output):")
    lines += [
        f"  {each.name} ({each.op_type}): {_decibels(each.input_sqnr_db)} -> {_decibels(each.output_sqnr_db)}"
        for each in loss.operators
    ]
    return lines


def _output_text(output: OutputLoss, pictures: int) -> str:
    if output.equal_share is not None:
        return f"{output.equal_share:.1%} of the values equal"
    if output.sqnr_db is None:
        return "of another size than FP32's"
    best = output.best_class_equal
    return _decibels(output.sqnr_db) + ("" if best is None else f", best class equal in {best} of {pictures}")


def _decibels(sqnr_db: float) -> str:
    """`21.3 dB`, `exact`, or what it is where FP32 has only zeros."""
    if math.isinf(sqnr_db):
        return "exact" if sqnr_db > 0 else "not 0, as FP32's"
    return f"{sqnr_db:.1f} dB"
