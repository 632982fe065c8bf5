"""What `ptq opt` says about its work: what each pass changed (`--explain`), what was verified."""

from __future__ import annotations

from collections.abc import Iterable

from cli.options import size_text
from ptq_core.reports import CompressReport, PassReport, VerifyReport


def explain(passes: Iterable[PassReport]) -> str:
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
    return "\n".join(lines)


def verification(report: VerifyReport | None) -> str:
    """One line: what was compared with what, or why nothing was."""
    if report is None:
        return "not verified: --no-verify"
    if report.reason:
        return f"not verified: {report.reason}"
    values = f"{report.outputs} output{'s' if report.outputs > 1 else ''}"
    same = (
        "the same bits"
        if report.identical == report.outputs
        else f"{report.worst_share:.1%} of the allowed difference"
    )
    return f"verified: this machine's runtime against onnxruntime, one random input, {values}: {same}"


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
