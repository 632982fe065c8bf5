"""What `ptq opt --explain` prints: every pass that changed something, and each of its changes."""

from __future__ import annotations

from collections.abc import Iterable

from ptq_core.reports import PassReport


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
