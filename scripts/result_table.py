"""Print the one result table of a run of run_post_training_quantization.sh from the files in its output folder."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

PRECISIONS = ("fp32", "int8")


def load(path: Path) -> dict[str, Any] | None:
    """The JSON object in ``path``, or None where that step was not asked for."""
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def rows(out: Path) -> list[tuple[str, ...]]:
    """Rows (what, FP32, INT8, change) of what was measured."""
    size = {p: (out / f"{p}.nb").stat().st_size for p in PRECISIONS}
    table: list[tuple[str, ...]] = [("", "FP32", "INT8", "")]
    megabytes = [f"{size[p] / 1e6:.3f} MB" for p in PRECISIONS]
    table.append(("size of the .nb", *megabytes, f"{size['fp32'] / size['int8']:.2f}x smaller"))
    accuracy = {p: load(out / f"eval_{p}.json") for p in PRECISIONS}
    fp32, int8 = accuracy["fp32"], accuracy["int8"]
    if fp32 and int8:
        shares = [f"{100 * report['top1']:.2f} %" for report in (fp32, int8)]
        change = f"{100 * (int8['top1'] - fp32['top1']):+.2f} points on {int8['count']} pictures"
        table.append(("top-1", *shares, change))
    bench = load(out / "bench.json")
    measured = (
        [(device["device"], case) for device in bench["devices"] for case in device["cases"]] if bench else []
    )
    for device, case in measured:
        latency = {model["precision"]: model["latency"]["median_ms"] for model in case["models"]}
        medians = [f"{latency[p]:.3f} ms" for p in PRECISIONS]
        gain = case["speed_up"]
        change = f"speed-up {gain['ratio']:.2f}x (95 % interval {gain['low']:.2f}-{gain['high']:.2f})"
        threads = "1 thread" if case["threads"] == 1 else f"{case['threads']} threads"
        table.append((f"median latency, {device}, {threads}", *medians, change))
    return table


def shown(cell: str) -> str:
    """``cell`` with what a terminal obeys as escapes: devices name themselves. (python3 here may not know ptq's packages.)"""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in cell)


def main() -> None:
    """Print the table, then where everything lies."""
    out = Path(sys.argv[1])
    table = [tuple(map(shown, row)) for row in rows(out)]
    widths = [max(len(row[column]) for row in table) for column in range(4)]
    for row in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    print()
    for what, name in (
        ("INT8 ONNX", "int8_model/model.onnx"),
        ("report", "int8_model/quantization.json"),
        ("flat files", "fp32.nb"),
        ("", "int8.nb"),
        ("res.txt", "res.txt"),
        ("page", "bench.html"),
        ("JSON", "bench.json"),
        ("", "eval_int8.json"),
    ):
        if (out / name).is_file():
            print(f"{what:<11} {out / name}")


if __name__ == "__main__":
    main()
