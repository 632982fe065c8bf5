"""Second moments of a layer's inputs: all that a layer-wise reconstruction needs to know of the calibration samples.

A convolution is, at each output position, w · p with the patch p of its input. With p from the float model and p̂ from the
quantized one, the mean squared error of rounded weights w̃ against the float output is the quadratic form

    E[(w · p − w̃ · p̂)²] = w̃ᵀ H w̃ − 2 w̃ᵀ Cᵀ w + wᵀ E[p pᵀ] w        H = E[p̂ p̂ᵀ], C = E[p p̂ᵀ]

so its gradient needs the K × K moments and no samples (K weights per output channel).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]

POSITIONS = 32768
"""Output positions sampled per layer, evenly from all samples: far more than K, so that H is well determined."""

LARGEST_K = 4608
"""Weights per output channel (3 · 3 · 512) up to which moments are kept: H and C then take 85 MB each."""


@dataclass(frozen=True)
class Moments:
    """``second`` H and ``cross`` C, float32 [groups, K, K]; with ``centred`` means taken away, as a corrected bias does."""

    second: FloatArray
    cross: FloatArray


def layer_moments(
    node: ir.Node,
    weight_shape: Sequence[int],
    x: Sequence[FloatArray],
    x_hat: Sequence[FloatArray],
    *,
    centred: bool,
    seed: int = 0,
) -> Moments | None:
    """Moments of the patches that ``node`` (2-D Conv, Gemm, MatMul) reads; None where it is too large or of another type.

    None too where the number of its inputs' rows depends on values: they differ between ``x`` and ``x_hat``, or there are none.
    ``x`` and ``x_hat`` hold micro-batches of its float and its quantized input. The sampled positions depend on ``seed`` only.
    """
    groups, size = _patch_size(node, weight_shape)
    if size == 0 or size > LARGEST_K:
        return None
    if any(one.shape != other.shape or one.size == 0 for one, other in zip(x, x_hat, strict=True)):
        return None
    random = np.random.default_rng(seed)
    wanted = -(-POSITIONS // sum(len(batch) for batch in x))
    second = np.zeros((groups, size, size), np.float32)
    cross = np.zeros((groups, size, size), np.float32)
    mean = np.zeros((groups, size))
    mean_hat = np.zeros((groups, size))
    count = 0
    for batch, batch_hat in zip(x, x_hat, strict=True):
        for one, other in zip(batch, batch_hat, strict=True):
            state = random.integers(2**63)
            patches = _patches(node, weight_shape, one, np.random.default_rng(state), wanted)
            patches_hat = _patches(node, weight_shape, other, np.random.default_rng(state), wanted)
            transposed = patches_hat.transpose(0, 2, 1)
            second += patches_hat @ transposed
            cross += patches @ transposed
            mean += patches.sum(axis=2, dtype=np.float64)
            mean_hat += patches_hat.sum(axis=2, dtype=np.float64)
            count += patches.shape[2]
    second /= np.float32(count)
    cross /= np.float32(count)
    if centred:
        mean, mean_hat = mean / count, mean_hat / count
        second -= (mean_hat[:, :, np.newaxis] * mean_hat[:, np.newaxis]).astype(np.float32)
        cross -= (mean[:, :, np.newaxis] * mean_hat[:, np.newaxis]).astype(np.float32)
    return Moments(second, cross)


def _patch_size(node: ir.Node, shape: Sequence[int]) -> tuple[int, int]:
    """(groups, K); K = 0 for what is not supported."""
    if node.op_type == "Conv" and len(shape) == 4:
        return node.attributes.get_int("group", 1), int(np.prod(shape[1:]))
    if node.op_type in ("Gemm", "MatMul") and len(shape) == 2 and not node.attributes.get_int("transA", 0):
        return 1, int(shape[1] if node.attributes.get_int("transB", 0) else shape[0])
    return 0, 0


def _patches(
    node: ir.Node, shape: Sequence[int], x: FloatArray, random: np.random.Generator, wanted: int
) -> FloatArray:
    """[groups, K, P] with P ≤ ``wanted`` output positions of one sample, chosen by ``random`` without replacement."""
    if node.op_type != "Conv":
        rows = x.reshape(-1, x.shape[-1])
        chosen = random.permutation(len(rows))[:wanted]
        return np.ascontiguousarray(rows[chosen].T[np.newaxis])
    kernel = (shape[2], shape[3])
    strides = tuple(node.attributes.get_ints("strides", (1, 1)))
    dilations = tuple(node.attributes.get_ints("dilations", (1, 1)))
    spans = tuple((k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True))
    pads = _pads(node, x.shape[1:], spans, strides)
    padded = np.pad(x, ((0, 0), (pads[0], pads[2]), (pads[1], pads[3])))
    heights, widths = (
        (size - span) // stride + 1
        for size, span, stride in zip(padded.shape[1:], spans, strides, strict=True)
    )
    chosen = random.permutation(heights * widths)[:wanted]
    top, left = (chosen // widths) * strides[0], (chosen % widths) * strides[1]
    rows = top + (np.arange(kernel[0]) * dilations[0])[:, np.newaxis, np.newaxis]
    columns = left + (np.arange(kernel[1]) * dilations[1])[np.newaxis, :, np.newaxis]
    taken: FloatArray = padded[:, rows, columns]  # [channels, kernel height, kernel width, P]
    groups = node.attributes.get_int("group", 1)
    return taken.reshape(groups, -1, len(chosen))


def _pads(
    node: ir.Node, size: Sequence[int], spans: Sequence[int], strides: Sequence[int]
) -> tuple[int, int, int, int]:
    """(top, left, bottom, right)."""
    kind = node.attributes.get_string("auto_pad", "NOTSET")
    if kind in ("SAME_UPPER", "SAME_LOWER"):
        total = [
            max(0, (-(-n // stride) - 1) * stride + span - n)
            for n, span, stride in zip(size, spans, strides, strict=True)
        ]
        less, more = [t // 2 for t in total], [t - t // 2 for t in total]
        first, last = (less, more) if kind == "SAME_UPPER" else (more, less)
        return first[0], first[1], last[0], last[1]
    top, left, bottom, right = (
        node.attributes.get_ints("pads", (0, 0, 0, 0)) if kind == "NOTSET" else (0,) * 4
    )
    return top, left, bottom, right
