#!/usr/bin/env python3
"""`make opt-table`: runs `ptq opt` on every model, and writes what it did into docs/opt.md.

    python -m benchmarks.opt_doc [--models build/models] [--data ../shared/data/models] [--only-print] [NAME ...]

Every generated model is taken as it lies in --models (`make models`); every .onnx of --data also in int8, quantized with
generated pictures. Seconds are the fastest of three whole processes, memory is the largest of the three (the kernel's ru_maxrss).
Exit codes: 0 done, 1 an output does not match onnxruntime, 2 wrong argument, 3 a command could not run, 4 an arena is more
than 1.05 times the least possible.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import onnx
from onnx import TensorProto, helper
from PIL import Image

from benchmarks import bench
from benchmarks.exit_codes import MISSED, MISSING, PASSED
from benchmarks.make_models import MODELS, OPSET, PICTURES, pictures
from benchmarks.performance_doc import replace_table
from ptq_core.errors import PtqError
from ptq_core.graph.input_shapes import static_shape
from ptq_core.graph.io import load_model, picture_input
from ptq_core.optimize.pipeline import optimize
from ptq_core.reports import VerifyReport

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "opt.md"
RUNS = 3
LARGEST_RATIO = 1.05


def smallest(work: Path) -> Path:
    """A model of one operator: what `ptq opt` takes for it, it takes for every model."""
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3, 8, 8]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "smallest", [x], [y])
    path = work / "smallest.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8), path)
    return path


def peak(model: Path, out: Path) -> tuple[float, float]:
    """Seconds and MB of one `ptq opt` of ``model``."""
    flags = ["--model-file", str(model), "--optimize-out", str(out), "--valid-targets", "arm,host"]
    return bench.measure([*bench.PTQ, "opt", *flags])


class Row(NamedTuple):
    """One line of the table; sizes in bytes, memory in MB."""

    name: str
    precision: str
    nodes: int
    operators: int
    int8: int
    model: int
    file: int
    arena: int
    least: int
    seconds: float
    memory: float
    verified: VerifyReport

    @property
    def ratio(self) -> float:
        """Arena over what no plan can do without."""
        return self.arena / self.least

    def cells(self, baseline: float) -> list[str]:
        """As the table prints it."""
        decibels = self.verified.output_sqnr_db
        end_to_end = "" if decibels is None else f", {decibels:.0f} dB"
        found = self.verified.reason or f"{self.verified.worst_share:.0%}{end_to_end}"
        above = max(self.memory - baseline, 0) / (self.model / 1e6)
        return [
            self.name,
            self.precision,
            f"{self.nodes} → {self.operators}",
            str(self.int8),
            f"{self.model / 1e6:.2f}",
            f"{self.file / 1e6:.2f}",
            f"{self.arena / 1e6:.3f}",
            f"{self.least / 1e6:.3f}",
            f"{self.ratio:.3f}",
            found,
            f"{self.seconds:.2f}",
            f"{self.memory:.0f}",
            f"{above:.1f}",
        ]


HEADINGS = (
    "model", "", "nodes → ops", "int8", "ONNX MB", ".nb MB", "arena MB", "least MB", "ratio", "verified",
    "s", "peak MB", "above",
)  # fmt: skip


def quantized(source: Path, work: Path) -> Path:
    """``source`` in int8, calibrated on generated pictures of its size."""
    _, _, height, width = static_shape(picture_input(load_model(source)))
    images = work / "pictures"
    images.mkdir()
    for index, picture in enumerate(pictures(2, PICTURES, (height, width))):
        Image.fromarray(picture).save(images / f"{index}.png")
    flags = ["--resize", f"{height},{width}", "--mean", "127.5", "--std", "127.5", "--batch-size", "1"]
    command = [
        *bench.PTQ, "quantize", "--model-dir", str(source), "--image-dir", str(images), *flags, "--algo", "abs_max",
        "--is-full-quantize", "--save-model-path", str(work / "int8"),
    ]  # fmt: skip
    subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
    return work / "int8" / "model.onnx"


def row(name: str, precision: str, model: Path, work: Path) -> Row:
    """Optimize ``model`` in this process, for the numbers, and in processes of its own, for time and memory."""
    out = work / f"{precision}.nb"
    report = optimize(model, out, targets=("arm", "host"), verify=True)
    assert report.verified is not None
    runs = [peak(model, out) for _ in range(RUNS)]
    return Row(
        name,
        precision,
        report.passes[0].ops_before,
        report.op_count,
        report.int8_op_count,
        model.stat().st_size,
        report.size_bytes,
        report.arena_bytes,
        report.arena_least_bytes,
        min(seconds for seconds, _ in runs),
        max(memory for _, memory in runs),
        report.verified,
    )


def rows(models: Path, data: Path, names: Sequence[str]) -> Iterator[Row]:
    """Every model that is wanted and there."""
    with tempfile.TemporaryDirectory() as folder:
        for name in MODELS:
            if not names or name in names:
                for precision in ("fp32", "int8"):
                    yield row(name, precision, models / name / f"{precision}.onnx", Path(folder))
        for source in sorted(data.glob("*.onnx")):
            if not names or source.stem in names:
                work = Path(folder) / source.stem
                work.mkdir()
                yield row(source.name, "fp32", source, work)
                yield row(source.name, "int8", quantized(source, work), work)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="generated model, or stem of one of --data")
    parser.add_argument("--models", type=Path, default=ROOT / "build" / "models")
    parser.add_argument("--data", type=Path, default=bench.DATA / "models")
    parser.add_argument("--only-print", action="store_true", help="leave the page as it is")
    parsed = parser.parse_args(arguments)
    try:
        with tempfile.TemporaryDirectory() as folder:
            baseline = peak(smallest(Path(folder)), Path(folder) / "smallest")[1]
        found = []
        for one in rows(parsed.models, parsed.data, parsed.names):
            found.append(one)
            print(" | ".join(one.cells(baseline)), flush=True)
    except subprocess.CalledProcessError as error:
        print(f"opt_doc.py: {error}\n{error.stderr or ''}", file=sys.stderr)
        return MISSING
    except PtqError as error:
        print(f"opt_doc.py: {error}", file=sys.stderr)
        return error.exit_code
    lines = [
        HEADINGS,
        ["---"] * 2 + ["---:"] * 7 + ["---"] + ["---:"] * 3,
        *(one.cells(baseline) for one in found),
    ]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    if not parsed.only_print:
        text = f"{table}\n\nBaseline: {baseline:.0f} MB, what a model of one Relu takes."
        PAGE.write_text(replace_table(PAGE.read_text(encoding="utf-8"), "models", text), encoding="utf-8")
    missed = [f"{one.name} {one.precision}" for one in found if one.ratio > LARGEST_RATIO]
    if missed:
        print(f"more than {LARGEST_RATIO} times the least arena: {', '.join(missed)}", file=sys.stderr)
    return MISSED if missed else PASSED


if __name__ == "__main__":
    sys.exit(main())
