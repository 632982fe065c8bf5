"""What `ptq opt` says about its work: what each pass changed (`--explain`), what was verified."""

from __future__ import annotations

from collections.abc import Iterable

from ptq_cli.options import size_text
from ptq_core.reports import CompressReport, PassReport, VerifyReport


def explain(passes: Iterable[PassReport]) -> list[str]:
    """One line per pass that found something, its changes indented below it, and the names of the others."""
    ran = list(passes)
    active = {report.name for report in ran if report.changes}
    lines = []
    for report in (r for r in ran if r.changes):
        changes = f"{len(report.changes)} change{'s' if len(report.changes) > 1 else ''}"
        lines.append(f"{report.name}: {changes}, {report.ops_before} → {report.ops_after} operators")
        lines += [f"  {words}" for words in report.changes]
    idle = dict.fromkeys(report.name for report in ran if report.name not in active)
    if idle:
        lines.append(f"nothing to change: {', '.join(idle)}")
    return lines


def verification(report: VerifyReport | None) -> list[str]:
    """What was compared with what; a line for each that there is. Why something was not, ``reason``, is a warning."""
    if report is None:
        return ["not verified: --no-verify"]
    parts = []
    if report.operators:
        parts.append(f"{report.operators} operators of this machine's runtime")
    if report.pieces:
        parts.append(f"{report.pieces} values of the model in onnxruntime")
    lines = []
    if parts:
        ties = f"; {report.steps_at_ties} integers a step apart at ties" if report.steps_at_ties else ""
        lines = [
            f"verified: {' and '.join(parts)}, {report.inputs}",
            f"  largest difference {report.worst_share:.1%} of a float's bound{ties}",
        ]
    if report.undefined:
        lines.append(
            f"  not compared: {report.undefined} operators or values that read a NaN, of which nothing is defined"
        )
    if report.output_sqnr_db is not None:
        lines.append(
            f"  outputs end to end, for information: {report.output_sqnr_db:.1f} dB against onnxruntime"
        )
    if report.judged:
        lines.append(
            f"  compared with ONNX's reference, as onnxruntime deviates from it: {', '.join(report.judged)}"
        )
    return lines


def compression(report: CompressReport) -> str:
    """One line: what weight-only compression saved, and what it changed."""
    if not report.tensors:
        return f"weights: {report.quant_type} found no float weights to compress"
    outputs = (
        ""
        if report.output_sqnr_db is None
        else f"; outputs of one random input {report.output_sqnr_db:.1f} dB"
    )
    return (
        f"weights: {report.tensors} tensors, {size_text(report.bytes_before)} → {size_text(report.bytes_after)}, "
        f"signal to noise {report.weight_sqnr_db:.1f} dB{outputs}; `ptq eval` tells what that costs in accuracy"
    )
