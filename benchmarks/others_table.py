#!/usr/bin/env python3
"""`make others-table`: INT8 models of other quantizers through `ptq opt`, and the table of docs/opt.md.

    python -m benchmarks.others_table [--only-print] [--nncf PYTHON]

One small seeded network is quantized by onnxruntime's own tools in each setting; each file goes through `ptq opt`
with its verification. Exit codes: 0 done, 4 a file was refused, or does not compute its model.
"""

from __future__ import annotations

import argparse
import itertools
import logging
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from benchmarks.exit_codes import MISSED, PASSED
from benchmarks.markdown_table import markdown_table
from benchmarks.performance_doc import replace_table
from ptq_core.errors import PtqError
from ptq_core.flatfile.interpreter import run
from ptq_core.flatfile.reader import load_program
from ptq_core.graph.values import ModelValues
from ptq_core.optimize.pipeline import optimize
from ptq_core.reports import OptimizeReport

PAGE = Path(__file__).resolve().parent.parent / "docs" / "opt.md"

SHAPE, INPUT, OUTPUT = (1, 3, 32, 32), "x", "y"

Make = Callable[[Path, Path], None]
"""Writes the quantized form of a float model: (its path, the path to write)."""


@dataclass(frozen=True)
class Setting:
    """One way to quantize the network, in the words of the table."""

    tool: str
    group: str
    words: str
    make: Make


def samples(count: int, seed: int = 0) -> Iterator[dict[str, Any]]:
    """Inputs of the network."""
    random = np.random.default_rng(seed)
    return iter([{INPUT: random.standard_normal(SHAPE).astype(np.float32)} for _ in range(count)])


class _Network:
    """A graph built node by node; a node's output has its name."""

    def __init__(self) -> None:
        self.random = np.random.default_rng(0)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, name: str, array: Any) -> str:
        self.constants.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def node(self, op_type: str, name: str, inputs: Sequence[str], **attributes: Any) -> str:
        self.nodes.append(helper.make_node(op_type, inputs, [name], name=f"{name}_node", **attributes))
        return name

    def weight(self, name: str, *shape: int) -> str:
        scale = 1 / np.sqrt(np.prod(shape[1:]))
        return self.constant(name, (self.random.standard_normal(shape) * scale).astype(np.float32))

    def conv(self, name: str, x: str, cin: int, cout: int, k: int = 3, **attributes: Any) -> str:
        weight = self.weight(f"{name}_w", cout, cin // attributes.get("group", 1), k, k)
        bias = self.constant(f"{name}_b", (self.random.standard_normal(cout) * 0.2).astype(np.float32))
        return self.node("Conv", name, [x, weight, bias], pads=[k // 2] * 4, **attributes)


def write_network(path: Path, opset: int = 17) -> None:
    """The float model: convolutions, a residual, pools, activations, a concatenation, a resize, a classifier."""
    n = _Network()
    x = n.node("Relu", "r1", [n.conv("c1", INPUT, 3, 16, strides=[2, 2])])
    bounds = [n.constant("low", np.float32(0)), n.constant("high", np.float32(6))]
    y = n.node("Clip", "r2", [n.conv("dw", x, 16, 16, group=16), *bounds])
    y = n.node("Add", "add", [n.conv("pw", y, 16, 16, k=1), x])
    y = n.node("MaxPool", "mp", [y], kernel_shape=[2, 2], strides=[2, 2])
    left = n.node("LeakyRelu", "lr", [n.conv("c3", y, 16, 16)], alpha=0.1)
    gate = n.node("Sigmoid", "sg", [n.conv("c4", y, 16, 16)])
    left = n.node("Mul", "mul", [left, gate])
    right = n.node("AveragePool", "avg", [y], kernel_shape=[3, 3], pads=[1] * 4, count_include_pad=1)
    y = n.node("Concat", "cat", [left, right], axis=1)
    twice = n.constant("twice", np.array([1, 1, 2, 2], np.float32))
    nearest = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    y = n.node("Resize", "up", [y, "", twice], **nearest)
    y = n.node("Relu", "r5", [n.conv("c5", y, 32, 24)])
    y = n.node("Flatten", "fl", [n.node("GlobalAveragePool", "gap", [y])])
    y = n.node("MatMul", "mm", [y, n.weight("mm_w", 24, 20)])
    y = n.node("Gemm", "fc", [y, n.weight("fc_w", 10, 20), n.weight("fc_b", 10)], transB=1)
    n.node("Softmax", OUTPUT, [y], axis=-1)
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in ((INPUT, SHAPE), (OUTPUT, (1, 10)))
    ]
    graph = helper.make_graph(n.nodes, "network", ends[:1], ends[1:], n.constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8), path)


def _reader() -> Any:
    """What onnxruntime's quantizers calibrate with."""
    from onnxruntime import quantization

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]
        inputs = samples(8)

        def get_next(self) -> dict[str, Any] | None:
            return next(self.inputs, None)

    return Reader()


def _static(
    file_format: str, activations: str, weights: str, per_channel: bool, reduce_range: bool, symmetric: bool
) -> Make:
    def make(source: Path, out: Path) -> None:
        from onnxruntime import quantization

        quantization.quantize_static(
            str(source),
            str(out),
            _reader(),
            quant_format=quantization.QuantFormat[file_format],
            activation_type=quantization.QuantType[f"Q{activations}"],
            weight_type=quantization.QuantType[f"Q{weights}"],
            per_channel=per_channel,
            reduce_range=reduce_range,
            extra_options={
                "ActivationSymmetric": symmetric,
                "WeightSymmetric": symmetric or weights.startswith("Int"),
            },
        )

    return make


def _for_qnn(activations: str, weights: str) -> Make:
    """As onnxruntime prepares models for Qualcomm's NPUs, its preprocessing included."""

    def make(source: Path, out: Path) -> None:
        from onnxruntime import quantization
        from onnxruntime.quantization.execution_providers import qnn

        prepared = out.with_suffix(".prepared.onnx")
        changed = qnn.qnn_preprocess_model(str(source), str(prepared))
        model = str(prepared if changed else source)
        config = qnn.get_qnn_qdq_config(
            model,
            _reader(),
            activation_type=quantization.QuantType[f"Q{activations}"],
            weight_type=quantization.QuantType[f"Q{weights}"],
            per_channel=weights == "Int8",
        )
        quantization.quantize(model, str(out), config)

    return make


def _dynamic(weights: str, per_channel: bool) -> Make:
    def make(source: Path, out: Path) -> None:
        from onnxruntime import quantization

        weight_type = quantization.QuantType[f"Q{weights}"]
        quantization.quantize_dynamic(str(source), str(out), weight_type=weight_type, per_channel=per_channel)

    return make


NNCF = """
import sys, nncf, numpy, onnx
source, inputs, out, preset = sys.argv[1:]
samples = nncf.Dataset([{"x": x} for x in numpy.load(inputs)], lambda x: x)
onnx.save(nncf.quantize(onnx.load(source), samples, preset=nncf.QuantizationPreset[preset]), out)
"""


def _by_nncf(python: str, preset: str) -> Make:
    def make(source: Path, out: Path) -> None:
        inputs = out.with_suffix(".npy")
        np.save(inputs, np.stack([each[INPUT] for each in samples(8)]))
        arguments = [python, "-c", NNCF, str(source), str(inputs), str(out), preset]
        subprocess.run(arguments, check=True, capture_output=True)

    return make


def nncf_settings(python: str) -> Iterator[Setting]:
    """What the interpreter ``python``, which has NNCF, makes."""
    for preset in ("PERFORMANCE", "MIXED"):
        yield Setting("NNCF", f"QDQ, preset {preset.lower()}", "", _by_nncf(python, preset))


TYPES = {"S8S8": ("Int8", "Int8"), "U8S8": ("UInt8", "Int8"), "U8U8": ("UInt8", "UInt8")}


def _settings() -> Iterator[Setting]:
    for file_format, types in itertools.product(("QDQ", "QOperator"), TYPES):
        for per_channel, reduce_range, symmetric in itertools.product((False, True), repeat=3):
            group = f"{file_format}, {types}, per {'channel' if per_channel else 'tensor'}"
            words = ", ".join(["reduce_range"] * reduce_range + ["symmetric"] * symmetric)
            make = _static(file_format, *TYPES[types], per_channel, reduce_range, symmetric)
            yield Setting("quantize_static", group, words, make)
    for words, pair in {
        "U8U8": ("UInt8", "UInt8"),
        "U8S8": ("UInt8", "Int8"),
        "U16U8": ("UInt16", "UInt8"),
    }.items():
        yield Setting("get_qnn_qdq_config", f"QDQ, {words}", "", _for_qnn(*pair))
    for wide in ("Int16", "UInt16"):
        words = f"{'S' if wide == 'Int16' else 'U'}16S8"
        make = _static("QDQ", wide, "Int8", True, False, False)
        yield Setting("quantize_static", f"QDQ, {words}, per channel", "", make)
    for weights, per_channel in itertools.product(("Int8", "UInt8"), (False, True)):
        words = "per channel" if per_channel else ""
        yield Setting("quantize_dynamic", f"{weights} weights", words, _dynamic(weights, per_channel))


SETTINGS = tuple(_settings())


@dataclass(frozen=True)
class Result:
    """What became of one file, and how far its outputs are from onnxruntime's in each of RUNS runs."""

    report: OptimizeReport
    distances: tuple[float, ...]

    @property
    def equal(self) -> int:
        """Runs whose outputs are the same to the last bit."""
        return self.distances.count(0.0)


def measured(setting: Setting, folder: Path) -> Result:
    """Quantize the network, and take it through `ptq opt`. Raises PtqError where it is refused or computes something else."""
    source, quantized, flat = (folder / name for name in ("float.onnx", "quantized.onnx", "quantized.nb"))
    write_network(source)
    logging.disable(logging.WARNING)  # its advice about preprocessing
    try:
        setting.make(source, quantized)
    finally:
        logging.disable(logging.NOTSET)
    report = optimize(quantized, flat, targets=("host",), verify=True)
    program, model = load_program(flat), ModelValues(quantized, [OUTPUT])
    distances = []
    for each in samples(RUNS, seed=1):
        (wanted,) = (values[OUTPUT] for values in model.walk(each) if OUTPUT in values)
        (got,) = run(program, [each[INPUT]])
        distances.append(float(np.abs(got - wanted).max()))
    return Result(report, tuple(distances))


RUNS = 8
HEADINGS = ("tool", "setting", "files", "taken", "operators", "int8", "equal", "apart", "ties")


def rows(settings: Iterable[Setting]) -> Iterator[list[str]]:
    """A row per group of settings; the numbers of its files as a range."""
    for (tool, group), members in itertools.groupby(settings, lambda s: (s.tool, s.group)):
        results = []
        refused = 0
        for setting in members:
            with tempfile.TemporaryDirectory() as folder:
                try:
                    results.append(measured(setting, Path(folder)))
                except PtqError as error:
                    refused += 1
                    print(f"{tool}, {group}, {setting.words}: {error}", file=sys.stderr)
        reports = [result.report for result in results]
        ties = [r.verified.steps_at_ties for r in reports if r.verified is not None]
        equal = f"{sum(r.equal for r in results)} of {RUNS * len(results)}"
        distance = max((max(r.distances) for r in results), default=0.0)
        yield [
            tool,
            group,
            str(len(results) + refused),
            str(len(results)),
            _range([r.op_count for r in reports]),
            _range([r.int8_op_count for r in reports]),
            equal,
            f"{distance:.2g}",
            _range(ties),
        ]


def _range(numbers: Sequence[int]) -> str:
    ends = dict.fromkeys([min(numbers, default=0), max(numbers, default=0)])
    return "–".join(map(str, ends))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only-print", action="store_true", help="leave docs/opt.md as it is")
    parser.add_argument(
        "--nncf", metavar="PYTHON", help="an interpreter that has NNCF; without it the table has no row of it"
    )
    parsed = parser.parse_args(arguments)
    found = list(rows([*SETTINGS, *(nncf_settings(parsed.nncf) if parsed.nncf else ())]))
    table = markdown_table(HEADINGS, found)
    print(table)
    if not parsed.only_print:
        PAGE.write_text(replace_table(PAGE.read_text(encoding="utf-8"), "others", table), encoding="utf-8")
    return PASSED if all(row[2] == row[3] for row in found) else MISSED


if __name__ == "__main__":
    sys.exit(main())
