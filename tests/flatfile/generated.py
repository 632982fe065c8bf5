"""Small random programs of one operator, every kind in every type: seeds of the fuzzers, cases of the readers' tests."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ptq_core.flatfile.operators import MODULES
from ptq_core.flatfile.operators.arg_max import ARG_MAX, ArgMax
from ptq_core.flatfile.operators.attributes import Attributes, Clamp, NoAttributes
from ptq_core.flatfile.operators.binary import ADD, DIV, MAXIMUM, MINIMUM, MOD, MUL, POW, SUB
from ptq_core.flatfile.operators.clamp import CLAMP
from ptq_core.flatfile.operators.compare import COMPARE, Compare, Comparison
from ptq_core.flatfile.operators.concat import CONCAT, Concat
from ptq_core.flatfile.operators.conv2d import CONV2D, Conv2d
from ptq_core.flatfile.operators.conv2d_add import CONV2D_ADD, Conv2dAdd
from ptq_core.flatfile.operators.cum_sum import CUM_SUM, CumSum
from ptq_core.flatfile.operators.description import OperatorKind, Scales
from ptq_core.flatfile.operators.dilate import DILATE, Dilate
from ptq_core.flatfile.operators.fully_connected import FULLY_CONNECTED
from ptq_core.flatfile.operators.gather import GATHER, Gather
from ptq_core.flatfile.operators.gather_nd import GATHER_ND
from ptq_core.flatfile.operators.grid_sample import GRID_SAMPLE, GridSample, SampleMode, SamplePadding
from ptq_core.flatfile.operators.lookup import LOOKUP
from ptq_core.flatfile.operators.matmul import MATMUL, Matmul
from ptq_core.flatfile.operators.pad import PAD, Pad
from ptq_core.flatfile.operators.pool2d import AVERAGE_POOL2D, MAX_POOL2D, Pool2d
from ptq_core.flatfile.operators.reduce import REDUCE, Reduce, ReduceFunction
from ptq_core.flatfile.operators.reshape import RESHAPE
from ptq_core.flatfile.operators.resize import RESIZE, Resize
from ptq_core.flatfile.operators.scatter_nd import SCATTER_ND, Reduction, ScatterNd
from ptq_core.flatfile.operators.slice import SLICE, Slice
from ptq_core.flatfile.operators.softmax import SOFTMAX, Softmax
from ptq_core.flatfile.operators.top_k import TOP_K, TopK
from ptq_core.flatfile.operators.transpose import TRANSPOSE, Transpose
from ptq_core.flatfile.operators.unary import FUNCTIONS, UNARY, Unary, UnaryFunction
from ptq_core.flatfile.operators.where import WHERE
from ptq_core.flatfile.operators.window_arg_max import WINDOW_ARG_MAX, WindowArgMax
from ptq_core.flatfile.program import Op, Program
from ptq_core.flatfile.tensors import DType, QuantParams, Tensor
from ptq_core.optimize.memory_plan import plan_memory
from tests.flatfile.shapes import shape_of

Dims = tuple[int, ...]
Random = np.random.Generator

ADDS = (ADD, SUB, MUL, DIV, MAXIMUM, MINIMUM, POW, MOD, COMPARE)


class _Builder:
    """One operator under construction; activations are inputs, all of one type."""

    def __init__(self, kind: OperatorKind[Any], dtype: DType, random: Random) -> None:
        self.kind, self.dtype, self.random = kind, dtype, random
        self.program = Program(targets=("x86_64", "arm64"), producer="ptq test")
        self.inputs: list[int | None] = []

    def qparams(self, count: int = 0) -> QuantParams | None:
        """Of an activation, or of weights with ``count`` channels."""
        if self.dtype != DType.I8:
            return None
        scales = self.random.uniform(0.01, 0.1, max(count, 1)).astype(np.float32)
        if count:
            return QuantParams(scales, 0, 0 if count > 1 else -1)
        return QuantParams(scales, int(self.random.integers(-128, 128)))

    def activation(self, dims: Dims, like: int | None = None, dtype: DType | None = None) -> int:
        """A new input of the program, of another ``dtype`` if one is given."""
        qparams = self.qparams() if like is None else self.program.tensors[like].qparams
        qparams = None if dtype else qparams
        index = self.program.add(Tensor(f"x{len(self.inputs)}", dtype or self.dtype, dims, qparams))
        self.program.inputs.append(index)
        self.inputs.append(index)
        return index

    def constant(self, values: np.ndarray[Any, Any], dtype: DType, qparams: QuantParams | None) -> None:
        data = np.ascontiguousarray(values, dtype.numpy)
        self.inputs.append(self.program.add(Tensor(f"c{len(self.inputs)}", dtype, data.shape, qparams, data)))

    def weights(self, dims: Dims, bias: bool) -> None:
        """Constant weights and a bias, of the activations' type or, of float ones, compressed."""
        stored = DType(self.random.choice([DType.F32, DType.I8, DType.I16]))
        if self.dtype == DType.F32 and stored != DType.F32:
            most = np.iinfo(stored.numpy).max
            count = dims[0] if self.random.integers(2) else 1
            scales = (self.random.uniform(0.5, 1, count) / most).astype(np.float32)
            values = self.random.integers(-most, most + 1, dims)
            self.constant(values, stored, QuantParams(scales, 0, 0 if count > 1 else -1))
        elif self.dtype != DType.I8:
            self.constant(self.random.standard_normal(dims), self.dtype, None)
        else:
            values = self.random.integers(-127, 128, dims)
            self.constant(values, DType.I8, self.qparams(dims[0] if self.random.integers(2) else 1))
        if bias:
            self.bias(dims[0])

    def bias(self, count: int) -> None:
        wanted = DType.I32 if self.dtype == DType.I8 else self.dtype
        self.constant(self.random.integers(-100, 100, count), wanted, None)

    def finish(self, attributes: Attributes, y: Dims | None = None, dtype: DType | None = None) -> Program:
        program, dims = self.program, [self.program.tensors[i].dims for i in self.inputs if i is not None]
        out = shape_of(self.kind, attributes, dims, y or ())
        kept = self.kind.selects(attributes) and not self.kind.rescales(attributes)
        own = dtype or self.dtype
        kept = kept or self.kind.inputs[0].scales == Scales.OF_OUTPUT
        qparams = program.tensors[0].qparams if kept else self.qparams()
        if self.kind == LOOKUP:
            qparams = program.tensors[1].qparams
        if own == DType.I8 and qparams is None:  # quantize
            qparams = QuantParams(np.array([0.05], np.float32), -7)
        index = program.add(Tensor("y", own, out, qparams if own == DType.I8 else None))
        program.ops = [Op(self.kind, "op", tuple(self.inputs), (index,), attributes)]
        program.outputs = [index]
        plan_memory(program)
        return program


def _clamp(random: Random) -> dict[str, Any]:
    choice = random.integers(3)
    if choice == 0:
        return {}
    return {"lo": 0.0, "hi": 6.0 if choice == 1 else math.inf, "q_min": -100, "q_max": 100}


def _filler(dtype: DType) -> dict[str, Any]:
    return {"value": -0.5, "q_value": 1 if dtype in (DType.U8, DType.BOOL) else -5}


def _dims(random: Random, rank: int, most: int = 6) -> Dims:
    return tuple(int(d) for d in random.integers(1, most + 1, rank))


def _convolution(b: _Builder) -> Program:
    r = b.random
    depthwise = bool(r.integers(2))
    c = int(r.integers(1, 20))
    groups = c if depthwise else int(r.choice([g for g in range(1, c + 1) if c % g == 0]))
    outputs = c if depthwise else groups * int(r.integers(1, 9))
    kernel = tuple(int(k) for k in r.integers(1, 4, 2))
    x: Dims = (int(r.integers(1, 3)), *(int(d) for d in r.integers(5, 12, 2)), c)
    names = ("stride_h", "stride_w", "dilation_h", "dilation_w")
    fields: dict[str, Any] = {name: int(r.integers(1, 3)) for name in names}
    fields |= {f"pad_{side}": int(r.integers(0, 3)) for side in ("top", "left", "bottom", "right")}
    attributes = Conv2d(**fields, **_clamp(r), groups=groups)
    b.activation(x)
    b.weights((outputs, *kernel, c // groups), bias=b.kind == CONV2D and bool(r.integers(2)))
    if b.kind == CONV2D:
        to_float = b.dtype == DType.I8 and bool(r.integers(2))
        return b.finish(attributes, dtype=DType.F32 if to_float else None)
    y = shape_of(CONV2D, attributes, [x, (outputs, *kernel, c // groups)])
    b.activation(y)
    if r.integers(2):
        b.bias(outputs)
    own: dict[str, Any] = {"scale": 0.07, "zero_point": -3} if b.dtype == DType.I8 else {}
    clamp = {f"conv_{name}": value for name, value in _clamp(r).items()}
    return b.finish(Conv2dAdd(**fields, **_clamp(r), **clamp, **own, groups=groups))


def _fully_connected(b: _Builder) -> Program:
    n, k, o = _dims(b.random, 3, 40)
    b.activation((n, k))
    b.weights((o, k), bias=bool(b.random.integers(2)))
    return b.finish(Clamp(**_clamp(b.random)))


def _matmul(b: _Builder) -> Program:
    r = b.random
    m, k, n = _dims(r, 3, 40)
    batch = _dims(r, int(r.integers(3)), 3)
    transposed = int(r.integers(2))
    b.activation((*batch, m, k))
    own = tuple(d if r.integers(2) else 1 for d in batch[int(r.integers(len(batch) + 1)) :])
    b.activation((*own, n, k) if transposed else (*own, k, n))
    to_float = b.dtype == DType.I8 and bool(r.integers(2))
    attributes = Matmul(transpose_b=transposed, **_clamp(r))
    return b.finish(attributes, dtype=DType.F32 if to_float else None)


def _binary(b: _Builder) -> Program:
    dims = _dims(b.random, int(b.random.integers(1, 5)))
    b.activation(dims)
    b.activation(tuple(d if b.random.integers(2) else 1 for d in dims[int(b.random.integers(len(dims))) :]))
    if b.kind == COMPARE:
        return b.finish(Compare(comparison=int(b.random.integers(len(Comparison)))), dtype=DType.BOOL)
    return b.finish(Clamp(**_clamp(b.random)))


def _where(b: _Builder) -> Program:
    dims = _dims(b.random, int(b.random.integers(1, 5)))
    x = b.activation(dims)
    for like, dtype in ((x, None), (None, DType.BOOL)):
        rest = dims[int(b.random.integers(len(dims))) :]
        b.activation(tuple(d if b.random.integers(2) else 1 for d in rest), like, dtype)
    return b.finish(NoAttributes())


def _places(b: _Builder) -> Program:
    """Of a gather or a scatter: constant places, now and then from the end, of either type."""
    r = b.random
    x = _dims(r, int(r.integers(1, 4)))
    like = b.activation(x)
    count = int(r.integers(1, len(x) + 1))
    lead = _dims(r, int(r.integers(0, 3)), 4)
    rows = [r.integers(-d, d, lead) for d in x[:count]]
    b.constant(np.stack(rows, axis=-1), DType(r.choice([DType.I32, DType.I64])), None)
    if b.kind == GATHER_ND:
        return b.finish(NoAttributes())
    b.activation((*lead, *x[count:]), like)
    plain = b.dtype in (DType.I8, DType.BOOL)
    return b.finish(ScatterNd(reduction=0 if plain else int(r.integers(len(Reduction)))))


def _pool(b: _Builder) -> Program:
    r = b.random
    fields: dict[str, Any] = {"kernel_h": int(r.integers(1, 4)), "kernel_w": int(r.integers(1, 4))}
    fields |= {"stride_h": int(r.integers(1, 3)), "stride_w": int(r.integers(1, 3))}
    fields |= {
        "pad_top": int(r.integers(fields["kernel_h"])),
        "pad_left": int(r.integers(fields["kernel_w"])),
    }
    b.activation((1, *(int(d) for d in r.integers(4, 9, 2)), int(r.integers(1, 40))))
    average = b.kind == AVERAGE_POOL2D
    return b.finish(Pool2d(**fields, **_clamp(r), count_include_pad=int(average and r.integers(2))))


def _concat(b: _Builder) -> Program:
    dims = _dims(b.random, 4)
    axis = int(b.random.integers(4))
    for _ in range(int(b.random.integers(1, 4))):
        b.activation((*dims[:axis], int(b.random.integers(1, 20)), *dims[axis + 1 :]))
    return b.finish(Concat(axis=axis, **_clamp(b.random)))


def _of_one(b: _Builder) -> Program:
    """Operators of one input of any rank."""
    r, kind = b.random, b.kind
    rank = int(r.integers(1, 6))
    x = _dims(r, rank)
    b.activation(x)
    axis = int(r.integers(rank))
    y: Dims | None = None
    dtype = DType(r.choice(kind.types_of(kind.output, b.dtype)))
    attributes: Attributes = NoAttributes()
    if kind == SOFTMAX:
        attributes = Softmax(axis=axis)
    elif kind == CLAMP:
        attributes = Clamp(**_clamp(r))
    elif kind == TRANSPOSE:
        attributes = Transpose(perm=tuple(int(i) for i in r.permutation(rank)))
    elif kind == RESHAPE:
        y = (math.prod(x),) if r.integers(2) else (1, *x[::-1])
    elif kind == PAD:
        before, after = (tuple(int(n) for n in r.integers(0, 3, rank)) for _ in range(2))
        attributes = Pad(before=before, after=after, **_filler(b.dtype))
    elif kind == UNARY:
        function = UnaryFunction(int(r.integers(len(UnaryFunction))))
        parameters: dict[str, Any] = dict.fromkeys(FUNCTIONS[function].parameters, 0.25)
        attributes = Unary(function=function, **parameters, **_clamp(r))
    elif kind == LOOKUP:
        b.constant(r.integers(-128, 128, 256), DType.I8, b.qparams())
    elif kind == SLICE:
        steps = tuple(int(s) for s in r.choice([-2, -1, 1, 2], rank))
        y = tuple(-(-d // abs(s)) for d, s in zip(x, steps, strict=True))
        attributes = Slice(
            start=tuple(d - 1 if s < 0 else 0 for d, s in zip(x, steps, strict=True)), step=steps
        )
    elif kind == GATHER:
        b.constant(r.integers(0, x[axis], int(r.integers(1, 9))), DType.I32, None)
        attributes = Gather(axis=axis)
    elif kind == REDUCE:
        functions = list(ReduceFunction) if b.dtype == DType.F32 else [0, 2, 3]
        axes = int(r.integers(1, 1 << rank))
        attributes = Reduce(function=int(r.choice(functions)), axes=axes, **_clamp(r))
    elif kind == DILATE:
        attributes = Dilate(step=tuple(int(s) for s in r.integers(1, 4, rank)), **_filler(b.dtype))
    elif kind == TOP_K:
        y = (*x[:axis], int(r.integers(1, x[axis] + 1)), *x[axis + 1 :])
        attributes = TopK(axis=axis, largest=int(r.integers(2)))
    elif kind == CUM_SUM:
        attributes = CumSum(axis=axis, exclusive=int(r.integers(2)), reverse=int(r.integers(2)))
    elif kind == ARG_MAX:
        attributes = ArgMax(axis=axis, select_last=int(r.integers(2)))
    return b.finish(attributes, y, dtype)


def _resize(b: _Builder) -> Program:
    r = b.random
    n, h, w, c = _dims(r, 4)
    oh, ow = _dims(r, 2, 12)
    b.activation((n, h, w, c))
    linear = int(r.integers(2))
    attributes = Resize(
        mode=linear,
        coordinates=int(r.integers(4)),
        rounding=0 if linear else int(r.integers(4)),
        scale_h=oh / h,
        scale_w=ow / w,
        **_clamp(r),
    )
    return b.finish(attributes, (n, oh, ow, c))


def _window_arg_max(b: _Builder) -> Program:
    r = b.random
    x = _dims(r, int(r.integers(1, 5)))
    b.activation(x)
    kernel, stride, dilation = (tuple(int(k) for k in r.integers(1, 3, len(x))) for _ in range(3))
    before = tuple(int(r.integers(k)) if d == 1 else 0 for k, d in zip(kernel, dilation, strict=True))
    attributes = WindowArgMax(kernel=kernel, stride=stride, dilation=dilation, before=before)
    y = tuple((d - 1 + pad) // s + 1 for d, pad, s in zip(x, before, stride, strict=True))
    return b.finish(attributes, y, DType.I64)


def _grid_sample(b: _Builder) -> Program:
    r = b.random
    n, *sizes, c = _dims(r, int(r.integers(3, 6)), 5)
    b.activation((n, *sizes, c))
    b.activation((n, *_dims(r, len(sizes), 4), len(sizes)))
    modes, paddings = len(SampleMode), len(SamplePadding)
    attributes = GridSample(
        mode=int(r.integers(modes)), padding=int(r.integers(paddings)), align_corners=int(r.integers(2))
    )
    return b.finish(attributes)


_MAKERS: dict[OperatorKind[Any], Callable[[_Builder], Program]] = {
    CONV2D: _convolution,
    CONV2D_ADD: _convolution,
    FULLY_CONNECTED: _fully_connected,
    MATMUL: _matmul,
    MAX_POOL2D: _pool,
    AVERAGE_POOL2D: _pool,
    CONCAT: _concat,
    RESIZE: _resize,
    GRID_SAMPLE: _grid_sample,
    WINDOW_ARG_MAX: _window_arg_max,
    WHERE: _where,
    **dict.fromkeys((GATHER_ND, SCATTER_ND), _places),
    **dict.fromkeys(ADDS, _binary),
}


def one_op_program(kind: OperatorKind[Any], dtype: DType, random: Random) -> Program:
    """A valid program of one operator of ``kind`` whose activations are ``dtype``, with a memory plan."""
    return _MAKERS.get(kind, _of_one)(_Builder(kind, dtype, random))


def kinds_and_types() -> Iterator[tuple[OperatorKind[Any], DType]]:
    """Every kind with every type of its first input."""
    for kind in MODULES:
        for dtype in kind.types:
            yield kind, dtype
