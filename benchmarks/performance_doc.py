#!/usr/bin/env python3
"""`make performance`: measures the tables of docs/performance.md again and writes them into it. Wants an idle machine.

    python -m benchmarks.performance_doc [latency] [layers] [arm-loops] [arm-inferences]        (default: all)

A table stands between the lines <!-- begin NAME --> and <!-- end NAME -->. A missed target is printed, and no reason to stop.
Exit codes: 0 done, 2 wrong argument, 3 a command could not run.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.exit_codes import MISSED, MISSING, PASSED

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "performance.md"
COMMANDS = {
    "latency": ("build/peers/bin/python", "-m", "benchmarks.bench_latency"),
    "layers": (
        "env", "PTQ_CPU=avx512vnni", "ptq_core/_runtime/host/benchmark_bin", "--profile", "--repeats=200", "--result_filename=",
        "build/models/mobilenet_v1/int8.nb",
    ),
    "arm-loops": (sys.executable, "-m", "benchmarks.bench_arm", "loops"),
    "arm-inferences": (sys.executable, "-m", "benchmarks.bench_arm", "inferences"),
}  # fmt: skip
"""Table → the command that prints it."""

PRINTED_TO_STDERR = ("layers",)


def run(name: str) -> str:
    """What the command of a table prints, as Markdown. Raises SystemExit if it could not measure."""
    try:
        done = subprocess.run(COMMANDS[name], cwd=ROOT, capture_output=True, text=True, check=False)
    except OSError as error:
        print(f"performance_doc.py: {error}", file=sys.stderr)
        raise SystemExit(MISSING) from error
    if done.returncode not in (PASSED, MISSED):
        print(
            f"performance_doc.py: {' '.join(COMMANDS[name])} failed:\n{done.stderr[-2000:]}", file=sys.stderr
        )
        raise SystemExit(MISSING)
    if name in PRINTED_TO_STDERR:
        narrower = re.sub(r"^ {4}", "", done.stderr.strip(), flags=re.MULTILINE)  # than the page may be wide
        return f"```text\n{narrower}\n```"
    return done.stdout.strip()


def replace_table(page: str, name: str, table: str) -> str:
    """``page`` with what stands between the marks of ``name`` replaced. Raises ValueError unless they stand there once."""
    begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
    if page.count(begin) != 1 or page.count(end) != 1:
        raise ValueError(f"the marks of {name} do not stand in the page exactly once")
    pattern = f"{re.escape(begin)}.*?{re.escape(end)}"
    return re.sub(pattern, lambda _: f"{begin}\n{table}\n{end}", page, flags=re.DOTALL)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="TABLE", help=f"of {', '.join(COMMANDS)} (default: all)")
    parsed = parser.parse_args(arguments)
    unknown = [name for name in parsed.names if name not in COMMANDS]
    if unknown:
        parser.error(f"no table {unknown[0]}: choose of {', '.join(COMMANDS)}")
    for name in parsed.names or COMMANDS:
        table = run(name)
        print(f"{name}\n{table}\n", flush=True)
        PAGE.write_text(replace_table(PAGE.read_text(encoding="utf-8"), name, table), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
