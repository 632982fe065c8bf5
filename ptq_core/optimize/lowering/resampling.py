"""Resizing one dimension as a matrix: each pixel of the result is a weighted sum of pixels along that dimension."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ptq_core.flatfile.tensors import Array
from ptq_core.numerics import functions
from ptq_core.optimize.lowering.context import Activation, Constant, Lowering, check_numbers
from ptq_core.optimize.lowering.matrices import multiply_rows

F32 = np.float32


@dataclass(frozen=True)
class Sampling:
    """How a Resize takes values; names and meaning are those of ONNX's attributes."""

    mode: str
    coordinates: str
    rounding: str
    antialias: bool = False
    cubic_a: float = -0.75
    exclude_outside: bool = False
    extrapolation: float = 0.0


@dataclass(frozen=True)
class Scaled:
    """A dimension of ``size`` that is resized to ``outputs``; ``start`` … ``end`` of it, as a share, is cropped."""

    size: int
    outputs: int
    scale: float
    start: float = 0.0
    end: float = 1.0


def places(scaled: Scaled, coordinates: str) -> Array:
    """Where each pixel of the result lies, float32 [outputs], by onnxruntime's formulas (docs/numerics.md, "Resize")."""
    size, outputs, scale = F32(scaled.size), F32(scaled.outputs), F32(scaled.scale)
    i = np.arange(scaled.outputs, dtype=F32)
    if coordinates == "half_pixel_symmetric":
        offset = size / F32(2) * (F32(1) - outputs / (scale * size))
        # onnxruntime computes this one in double.
        return np.asarray(float(offset) + (i.astype(np.float64) + 0.5) / float(scale) - 0.5, F32)
    if coordinates == "tf_crop_and_resize":
        start, end, last = F32(scaled.start), F32(scaled.end), size - F32(1)
        if scaled.outputs == 1:
            return np.asarray(F32(0.5) * (start + end) * last + i, F32)
        return np.asarray(start * last + i * (end - start) * last / (outputs - F32(1)), F32)
    return functions.coordinates(coordinates, scaled.size, scaled.outputs, scaled.scale)


def outside(scaled: Scaled, coordinates: str) -> Array:
    """Which pixels of the result are no part of the picture, bool [outputs]: only a crop has them."""
    if coordinates != "tf_crop_and_resize":
        return np.zeros(scaled.outputs, bool)
    at = places(scaled, coordinates)
    return np.asarray((at < 0) | (at > scaled.size - 1))


def weights(scaled: Scaled, sampling: Sampling) -> Array:
    """The matrix, float32 [outputs, size]; rows of zeros for pixels `outside`."""
    check_numbers(scaled.outputs * scaled.size, "its matrix")
    at = places(scaled, sampling.coordinates)
    rows = np.arange(scaled.outputs)
    matrix = np.zeros((scaled.outputs, scaled.size), F32)
    if sampling.mode == "nearest":
        matrix[rows, functions.nearest_indices(at, sampling.rounding, scaled.size)] = 1
    else:
        base = np.floor(at)
        stretch = F32(min(scaled.scale, 1.0)) if sampling.antialias else F32(1)
        radius = 2 if sampling.mode == "cubic" else 1
        first = int(np.floor(-radius / stretch)) + 1
        taps = np.arange(first, 2 - first)
        distance = np.abs((taps.astype(F32) - (at - base)[:, None]) * stretch)
        values = _cubic(distance, F32(sampling.cubic_a)) if radius == 2 else np.maximum(F32(1) - distance, 0)
        pixels = base.astype(np.int64)[:, None] + taps
        if sampling.exclude_outside:
            values = np.where((pixels >= 0) & (pixels < scaled.size), values, F32(0))
        if sampling.antialias or sampling.exclude_outside:
            values = values / values.sum(axis=1, keepdims=True)
        np.add.at(matrix, (rows[:, None], np.clip(pixels, 0, scaled.size - 1)), values)
    matrix[outside(scaled, sampling.coordinates)] = 0
    return matrix


def _cubic(t: Array, a: np.float32) -> Array:
    """Keys, Cubic convolution interpolation for digital image processing, 1981, equation 15 with free a."""
    one, two, three, four, five, eight = (F32(n) for n in (1, 2, 3, 4, 5, 8))
    near = ((a + two) * t - (a + three)) * t * t + one
    far = ((a * t - five * a) * t + eight * a) * t - four * a
    return np.where(t <= 1, near, np.where(t < two, far, F32(0)))


def resample(
    context: Lowering, node_name: str, name: str, x: Activation, axis: int, matrix: Array
) -> Activation:
    """``matrix`` [outputs, size] along dimension ``axis`` of the model's layout: a matrix product of the rows along it."""
    at = context.stored_axis(x, axis)
    dims = context.tensor(x).dims
    rank = len(dims)
    behind = (*(i for i in range(rank) if i != at), at)
    rows = context.transpose(x.tensor, behind, node_name, f"{name}:turned")
    lines = context.reshape(rows, (-1, dims[at]), f"{name}:lines", node_name)
    weight = context.constant_tensor(f"{name}:weights", Constant(matrix))
    outputs = len(matrix)
    product = multiply_rows(context, node_name, f"{name}:product", lines, weight)
    turned = (*(dims[i] for i in behind[:-1]), outputs)
    spread = context.reshape(product, turned, f"{name}:spread", node_name)
    back = tuple(behind.index(i) for i in range(rank))
    return Activation(context.transpose(spread, back, node_name, name), x.channels_last)
