"""`ptq quantize`: every configuration key is also a flag."""

from __future__ import annotations

import math
from pathlib import Path

from ptq_cli import terminal
from ptq_cli.flags import command
from ptq_cli.options import size_text
from ptq_cli.quantize_flags import config_groups, overrides
from ptq_core.config import load_config
from ptq_core.reports import LossReport, OutputLoss, QuantizeReport


@command(*config_groups())
def quantize(
    config: Path | None, assignments: tuple[str, ...], **flags: str | tuple[str, ...] | None
) -> None:
    """Quantize an FP32 ONNX model with a folder of pictures.

    Writes model.onnx (standard QDQ ONNX, runs in onnxruntime) and quantization.json (every tensor's
    threshold, scale and bits; every operator: quantized, or why not) to --save-model-path.
    Paths are relative to the current folder; lists are separated by commas.
    """
    from ptq_core.quantize.pipeline import quantize as run  # imports onnxruntime: only when needed

    _print(run(load_config(config, overrides(assignments, flags))))


def _print(report: QuantizeReport) -> None:
    terminal.warn(*report.warnings)
    terminal.note(*report.notes)
    ratio = report.size_fp32_bytes / report.size_int8_bytes
    change = f"{ratio:.2f}x smaller" if ratio >= 1 else f"{1 / ratio:.2f}x larger"
    how = (
        f"calibrated on {report.pictures} pictures" if report.pictures else "weights only, without pictures,"
    )
    terminal.report(
        f"{report.quantized_ops} operators quantized, {report.float_ops} in float (reasons in {report.report_path.name})",
        f"{how} in {report.seconds:.1f} s",
        f"{size_text(report.size_fp32_bytes)} -> {size_text(report.size_int8_bytes)} ({change})",
        f"model:  {report.model_path}",
        f"report: {report.report_path}",
    )
    if report.loss is not None:
        terminal.report(*_loss_lines(report.loss))
    terminal.report(*report.hints)


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
