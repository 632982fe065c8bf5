"""GridSample: values of a picture at computed positions."""

from __future__ import annotations

import onnx_ir as ir

from ptq_core.flatfile.operators.grid_sample import GRID_SAMPLE, GridSample, SampleMode, SamplePadding
from ptq_core.optimize.lowering.context import Activation, Lowering, Unsupported, get_int, get_string

MODES = {
    "bilinear": SampleMode.LINEAR,
    "linear": SampleMode.LINEAR,
    "nearest": SampleMode.NEAREST,
    "bicubic": SampleMode.CUBIC,
    "cubic": SampleMode.CUBIC,
}
"""Before opset 20, and since."""

PADDINGS = {
    "zeros": SamplePadding.ZEROS,
    "border": SamplePadding.BORDER,
    "reflection": SamplePadding.REFLECTION,
}


def lower_grid_sample(context: Lowering, node: ir.Node) -> None:
    """GridSample over one to three dimensions."""
    x, grid = context.real_input(node, 0), context.real_input(node, 1)
    dims, points = context.dims(x), context.dims(grid)
    if not 3 <= len(dims) <= 5:
        raise Unsupported(f"its input has {len(dims)} dimensions, not 3, 4 or 5")
    if len(points) != len(dims) or points[0] != dims[0] or points[-1] != len(dims) - 2:
        raise Unsupported(f"its grid {list(points)} does not fit its input {list(dims)}")
    mode, padding = get_string(node, "mode", "linear"), get_string(node, "padding_mode", "zeros")
    if mode not in MODES or padding not in PADDINGS:
        raise Unsupported(f"its mode or padding are unknown: {mode}, {padding}")
    attributes = GridSample(
        mode=int(MODES[mode]),
        padding=int(PADDINGS[padding]),
        align_corners=int(bool(get_int(node, "align_corners", 0))),
    )
    source, places = context.channels_last(x), context.model_layout(grid)
    out = context.arena_tensor(str(node.outputs[0].name), (*points[:-1], dims[1]))
    y = context.emit(GRID_SAMPLE, str(node.name), (source, places), out, attributes)
    context.bind(node.outputs[0], Activation(y, channels_last=True))
