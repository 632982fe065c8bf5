#!/usr/bin/env python3
"""`make numerics-table`: compares int8 operators with onnxruntime, and writes the table of this CPU into docs/numerics.md.

    python -m benchmarks.numerics_table [--only-print] [NAME ...]

Takes the rows whose name contains a NAME; all by default, and only then it writes the page.

Each row is a model of one operator between QuantizeLinear and DequantizeLinear, on random integers, scales and zero points.
It goes through `ptq opt`; the runtime and the NumPy reference must give the same bits. Counted is where onnxruntime has
another integer. Exit codes: 0 done, 2 wrong argument, 3 a runtime is missing, 4 the runtime and the reference differ, or
more than a step is between them and onnxruntime.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from benchmarks.exit_codes import MISSED, MISSING, PASSED
from benchmarks.performance_doc import replace_table
from ptq_core.errors import DeviceError
from ptq_core.flatfile.interpreter import run
from ptq_core.flatfile.reader import read_program
from ptq_core.graph.io import load_model
from ptq_core.graph.session import open_session
from ptq_core.optimize.pipeline import optimize
from ptq_core.runtime import Program, cpu_features

Array = NDArray[Any]
ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "numerics.md"
OPSET = 20
TIE = 1e-4
"""A quotient is at a tie where it is so near to k + 1/2, in steps."""


@dataclass(frozen=True)
class Operator:
    """A row: a node over int8 inputs of ``shapes`` and, for "w", int8 weights of ``weight`` with their scales along ``axis``."""

    op_type: str
    shapes: tuple[tuple[int, ...], ...] = ((1, 8, 16, 16),)
    attributes: dict[str, Any] = field(default_factory=dict)
    weight: tuple[int, ...] = ()
    axis: int = 0
    constants: dict[str, Array] = field(default_factory=dict)
    """Further inputs, by name; an empty array is an input that is left out."""
    out_scale: float = 1.0
    """The output's scale over that which holds its range."""
    shared: bool = False
    """The output has the scale and zero point of the input."""
    out_range: tuple[float, float] | None = None
    """The output's range, in place of the one that is seen."""
    round_scales: bool = False
    """Scales are such that quotients often are exact ties, as people write them: 0.02, 0.1."""
    symmetric: bool | None = None
    """Zero points are 0, are not, or by turns."""
    trials: int = 30


def _functions() -> dict[str, Operator]:
    rows = {
        "Sigmoid": {}, "Tanh": {}, "HardSigmoid": {}, "HardSwish": {}, "LeakyRelu": {"alpha": 0.1}, "Elu": {}, "Exp": {},
        "Softplus": {}, "Gelu": {}, "Erf": {}, "Abs": {}, "Mish": {},
    }  # fmt: skip
    shape = ((1, 1, 16, 16),)  # every integer
    return {
        f"lookup of {name}": Operator(name, shape, attributes, trials=120)
        for name, attributes in rows.items()
    }


_POOLS: dict[str, dict[str, Any]] = {
    "2 × 2": {"kernel_shape": [2, 2], "strides": [2, 2]},
    "3 × 3, padded": {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]},
    "3 × 3, padding counted": {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1] * 4, "count_include_pad": 1},
    "3 × 3, ceil_mode": {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1},
}  # fmt: skip

PAIR = ((1, 8, 16, 16), (1, 8, 16, 16))
WHOLE = {"axes": np.array([2, 3], np.int64)}
SIZES = {"roi": np.zeros(0, np.float32), "scales": np.array([1, 1, 1.7, 2.3], np.float32)}
TWICE = SIZES | {"scales": np.array([1, 1, 2, 3], np.float32)}

ROWS: dict[str, Operator] = {
    "conv": Operator("Conv", ((2, 24, 8, 8),), {"pads": [1] * 4}, (16, 24, 3, 3)),
    "conv, round scales": Operator(
        "Conv", ((2, 24, 8, 8),), {"pads": [1] * 4}, (16, 24, 3, 3), round_scales=True
    ),
    "gemm": Operator("Gemm", ((24, 100),), {}, (100, 57), 1),
    "matmul": Operator("MatMul", ((24, 100),), {}, (100, 57), 1),
    "matmul, round scales": Operator("MatMul", ((24, 100),), {}, (100, 57), 1, round_scales=True),
    "matmul of activations": Operator("MatMul", ((2, 3, 24, 50), (2, 3, 50, 17))),
    "add": Operator("Add", PAIR),
    "sub": Operator("Sub", PAIR),
    "mul": Operator("Mul", PAIR),
    **_functions(),
    "lookup of PRelu": Operator(
        "PRelu", ((1, 1, 16, 16),), constants={"slope": np.array([0.1], np.float32)}, trials=120
    ),
    "linear resize, half_pixel": Operator("Resize", attributes={"mode": "linear"}, constants=SIZES),
    "linear resize, asymmetric": Operator(
        "Resize",
        attributes={"mode": "linear", "coordinate_transformation_mode": "asymmetric"},
        constants=SIZES,
    ),
    "linear resize, align_corners": Operator(
        "Resize",
        attributes={"mode": "linear", "coordinate_transformation_mode": "align_corners"},
        constants=TWICE,
    ),
    "reduce mean": Operator("ReduceMean", ((4, 64, 7, 7),), {"keepdims": 1}, constants=WHOLE),
    "global average pool": Operator("GlobalAveragePool", ((4, 64, 7, 7),)),
    **{f"average pool {name}": Operator("AveragePool", attributes=a) for name, a in _POOLS.items()},
    **{
        f"average pool {name}, one scale": Operator("AveragePool", attributes=a, shared=True)
        for name, a in _POOLS.items()
    },
    "softmax, symmetric": Operator("Softmax", ((64, 10),), {"axis": 1}, out_range=(0, 1), symmetric=True),
    "softmax, asymmetric": Operator("Softmax", ((64, 10),), {"axis": 1}, out_range=(0, 1), symmetric=False),
}


@dataclass(frozen=True)
class QParams:
    """scale and zero point of an int8 tensor, scales along an axis."""

    scale: Array
    zero_point: int

    def real(self, q: Array, shape: Sequence[int] = ()) -> Array:
        """float64 of the integers ``q``; ``shape`` is the scale's."""
        return np.asarray(
            (q.astype(np.float64) - self.zero_point) * self.scale.astype(np.float64).reshape(shape)
        )


class Model:
    """One drawing of a row: the QDQ model, its inputs, and the exact result."""

    def __init__(self, row: Operator, random: np.random.Generator, symmetric: bool) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, Array] = {}
        self.inputs: dict[str, Array] = {}
        exact: dict[str, Array] = {}
        names, first = [], None
        for i, shape in enumerate(row.shapes):
            scale = random.choice([0.02, 0.05, 0.1]) if row.round_scales else random.uniform(0.005, 0.1)
            q = QParams(np.array([scale], np.float32), 0 if symmetric else int(random.integers(-128, 128)))
            values = random.permutation(np.arange(-128, 128)) if np.prod(shape) == 256 else None
            integers = (
                random.integers(-128, 128, shape) if values is None else values.reshape(shape)
            ).astype(np.int8)
            self.inputs[f"x{i}"] = q.real(integers).astype(np.float32)
            names.append(self._through(f"x{i}", q))
            exact[f"x{i}"] = q.real(integers)
            first = first or q
        if row.weight:
            names.append("w")
            exact["w"] = self._weight(row, random)
        for name, array in row.constants.items():
            names.append(name if array.size else "")
            if array.size:
                self.constants[name] = exact[name] = array
        order = [n.removesuffix("/back") for n in names]
        self.alone = helper.make_node(row.op_type, order, ["y"], "op", **row.attributes)
        self.operands = exact
        self.float_result = self._in_float()
        self.out = first if row.shared and first else self._output(row, random, symmetric)
        self.nodes.append(helper.make_node(row.op_type, names, ["y"], "op", **row.attributes))
        self._through("y", self.out)
        self.proto = self._proto()

    def _through(self, name: str, q: QParams) -> str:
        """QuantizeLinear and DequantizeLinear behind ``name``."""
        self.constants |= {f"{name}/s": np.asarray(q.scale[0]), f"{name}/z": np.array(q.zero_point, np.int8)}
        for op, source, result in (
            ("QuantizeLinear", name, f"{name}/q"),
            ("DequantizeLinear", f"{name}/q", f"{name}/back"),
        ):
            self.nodes.append(
                helper.make_node(op, [source, f"{name}/s", f"{name}/z"], [result], f"{name}/{op}")
            )
        return f"{name}/back"

    def _weight(self, row: Operator, random: np.random.Generator) -> Array:
        channels = row.weight[row.axis]
        drawn = (
            random.choice([0.01, 0.02, 0.005], channels)
            if row.round_scales
            else random.uniform(1e-3, 0.02, channels)
        )
        scales, q = drawn.astype(np.float32), random.integers(-127, 128, row.weight).astype(np.int8)
        self.constants |= {"w/q": q, "w/s": scales, "w/z": np.zeros(channels, np.int8)}
        self.nodes.append(
            helper.make_node(
                "DequantizeLinear", ["w/q", "w/s", "w/z"], ["w"], "w/DequantizeLinear", axis=row.axis
            )
        )
        shape = [channels if i == row.axis else 1 for i in range(len(row.weight))]
        return QParams(scales, 0).real(q, shape)

    def _output(self, row: Operator, random: np.random.Generator, symmetric: bool) -> QParams:
        low, high = row.out_range or (
            min(float(self.float_result.min()), 0.0),
            max(float(self.float_result.max()), 0.0),
        )
        if row.round_scales:
            return QParams(np.array([random.choice([0.1, 0.2, 0.5])], np.float32), 0 if symmetric else 3)
        if row.out_range is None:  # some values saturate
            low, high = (bound * random.uniform(0.7, 1.0) for bound in (low, high))
        if symmetric:
            return QParams(np.array([max(-low, high, 1e-3) / 127], np.float32), 0)
        scale = np.array([max(high - low, 1e-3) / 255], np.float32)
        return QParams(scale, int(np.clip(np.rint(-128 - low / float(scale[0])), -128, 127)))

    def _proto(self) -> onnx.ModelProto:
        def value(name: str, shape: Sequence[int]) -> onnx.ValueInfoProto:
            return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

        graph = helper.make_graph(
            self.nodes,
            "row",
            [value(name, x.shape) for name, x in self.inputs.items()],
            [value("y/back", self.float_result.shape)],
            [numpy_helper.from_array(np.asarray(array), name) for name, array in self.constants.items()],
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9)

    def integers(self, y: Array) -> Array:
        """The integers that the float result ``y`` stands for."""
        return np.rint(y.astype(np.float64) / float(self.out.scale[0])).astype(np.int64)

    def at_tie(self) -> Array:
        """Where the exact quotient, by ONNX's reference in float64, is one; bool."""
        graph = self._graph(self.operands, TensorProto.DOUBLE)
        results: Any = ReferenceEvaluator(graph).run(None, self.operands)
        exact = np.asarray(results[0])
        quotient = exact / float(self.out.scale[0])
        return np.asarray(np.abs(quotient - np.floor(quotient) - 0.5) < TIE)

    def _in_float(self) -> Array:
        values = {n: v.astype(np.float32) if v.dtype == np.float64 else v for n, v in self.operands.items()}
        session = open_session(self._graph(values, TensorProto.FLOAT).SerializeToString(), threads=1)
        return np.asarray(session.run(None, values)[0])

    def _graph(self, values: dict[str, Array], result: int) -> onnx.ModelProto:
        """The operator alone, all its operands being inputs."""
        inputs = [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(v.dtype), v.shape)
            for name, v in values.items()
        ]
        output = helper.make_tensor_value_info("y", result, None)
        graph = helper.make_graph([self.alone], "alone", inputs, [output])
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9)


class DisagreementError(Exception):
    """The runtime and the reference differ, or onnxruntime is more than a step away."""


def plain_session(proto: bytes) -> onnxruntime.InferenceSession:
    """As a user opens one, without an option."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    return onnxruntime.InferenceSession(proto, options, providers=["CPUExecutionProvider"])


SESSIONS: dict[str, Callable[[bytes], onnxruntime.InferenceSession]] = {
    "as optimized": lambda proto: open_session(proto, threads=1, int8="kept"),
    "every node on its own": lambda proto: open_session(proto, threads=1, optimized=False),
    "a plain session": plain_session,
}
"""The table's columns. The first two set session.qdqisint8allowed, the third sets nothing."""

HELD = ("as optimized", "every node on its own")
"""Those that are never more than a step away."""


@dataclass
class Counts:
    """Of a row: integers that were compared, and by session those that differ, and those that differ away from ties."""

    values: int = 0
    different: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SESSIONS, 0))
    beyond: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SESSIONS, 0))
    steps: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SESSIONS, 0))

    def cells(self) -> list[str]:
        """As the table prints them."""
        cells = [f"{self.values:,}".replace(",", " ")]
        for name in SESSIONS:
            text = f"{self.different[name]:,}".replace(",", " ")
            if self.beyond[name]:
                text += f", {self.beyond[name]} not at a tie"
            if self.steps[name] > 1:
                text += f", up to {self.steps[name]} steps"
            cells.append(text)
        return cells


def measure(name: str, row: Operator, folder: Path) -> Counts:
    """Raises DisagreementError. The name is the seed."""
    random, counts = np.random.default_rng(list(name.encode())), Counts()
    for trial in range(row.trials):
        model = Model(row, random, trial % 2 == 0 if row.symmetric is None else row.symmetric)
        proto = model.proto.SerializeToString()
        source, flat = folder / "row.onnx", folder / "row.nb"
        source.write_bytes(proto)
        optimize(load_model(source), flat, targets=("host",), verify=False)
        with Program(flat) as program:
            feeds = [model.inputs[info.name] for info in program.inputs]
            got = program.run(*feeds)[0]
        if not np.array_equal(got, run(read_program(flat.read_bytes()), feeds)[0]):
            raise DisagreementError(f"{name}: the runtime and the reference differ in trial {trial}")
        ours, ties = model.integers(got), None
        counts.values += ours.size
        for session, opened in SESSIONS.items():
            theirs = model.integers(np.asarray(opened(proto).run(None, model.inputs)[0]))
            different = theirs != ours
            if not different.any():
                continue
            ties = model.at_tie() if ties is None else ties
            counts.different[session] += int(different.sum())
            counts.beyond[session] += int((different & ~ties).sum())
            counts.steps[session] = max(counts.steps[session], int(np.abs(theirs - ours).max()))
            if session in HELD and counts.steps[session] > 1:
                raise DisagreementError(
                    f"{name}: {counts.steps[session]} steps from onnxruntime, {session}, in trial {trial}"
                )
    return counts


def cpu_kind() -> tuple[str, str]:
    """(avx512, avx2, neon or scalar: the table of the page; what to call this CPU)."""
    features = cpu_features().split()
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "unknown")
    kind = next((k for k in ("avx512", "avx2", "neon") if any(f.startswith(k) for f in features)), "scalar")
    return kind, f"{model} ({', '.join(features)})"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="rows whose name contains it (default: all)")
    parser.add_argument("--only-print", action="store_true", help="leave the page as it is")
    parsed = parser.parse_args(arguments)
    chosen = {n: r for n, r in ROWS.items() if not parsed.names or any(part in n for part in parsed.names)}
    if not chosen:
        parser.error(f"no row is called {' or '.join(parsed.names)}")
    try:
        kind, cpu = cpu_kind()
    except DeviceError as error:
        print(f"numerics_table.py: {error}", file=sys.stderr)
        return MISSING
    writes = not parsed.only_print and not parsed.names
    if writes and f"<!-- begin {kind} -->" not in PAGE.read_text(encoding="utf-8"):
        parser.error(f"{PAGE.name} has no table for {kind}: make marks for one, or use --only-print")
    lines = [["operator", "values", *SESSIONS], ["---", *["---:"] * (1 + len(SESSIONS))]]
    try:
        with tempfile.TemporaryDirectory() as folder:
            for name, row in chosen.items():
                lines.append([name, *measure(name, row, Path(folder)).cells()])
                print(" | ".join(lines[-1]), flush=True)
    except DeviceError as error:
        print(f"numerics_table.py: {error}", file=sys.stderr)
        return MISSING
    except DisagreementError as error:
        print(f"numerics_table.py: {error}", file=sys.stderr)
        return MISSED
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    if writes:
        text = f"onnxruntime {onnxruntime.__version__} on {cpu}:\n\n{table}"
        PAGE.write_text(replace_table(PAGE.read_text(encoding="utf-8"), kind, text), encoding="utf-8")
    return PASSED


if __name__ == "__main__":
    sys.exit(main())
