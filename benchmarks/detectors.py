"""Detectors as ONNX graphs with seeded random weights: backbone, heads and their concatenation, without the choice of boxes."""

from __future__ import annotations

from benchmarks.networks import MOBILENET_V1, Builder, mobilenet_v1_blocks

SSD_CLASSES = 21
SSD_BOXES = (3, 6, 6, 6, 6, 6)
"""Boxes per pixel of each map, as in SSD on MobileNetV1 for pictures of 300 x 300: 1917 in all."""

SSD_EXTRA = ((256, 512), (128, 256), (128, 256), (64, 128))
"""Channels of the pairs of convolutions that make the smaller maps."""

YOLOX_CLASSES = 80


def ssd_like(b: Builder, x: str) -> tuple[str, ...]:
    """SSD (Liu et al., ECCV 2016) on MobileNetV1: boxes [1, 1917, 4] and the softmax of the scores [1, 1917, 21]."""
    x = mobilenet_v1_blocks(b, b.unit(x, 32, 3, 2, "Clip"), MOBILENET_V1[:11])
    maps = [x, x := mobilenet_v1_blocks(b, x, MOBILENET_V1[11:])]
    for narrow, wide in SSD_EXTRA:
        x = b.activate(b.conv(x, narrow, 1, bias=True), "Relu")
        x = b.activate(b.conv(x, wide, 3, 2, bias=True), "Relu")
        maps.append(x)
    boxes, scores = [], []
    for features, count in zip(maps, SSD_BOXES, strict=True):
        boxes.append(_rows(b, b.conv(features, 4 * count, 1, bias=True), 4))
        scores.append(_rows(b, b.conv(features, SSD_CLASSES * count, 1, bias=True), SSD_CLASSES))
    joined = b.concat(*scores)
    return b.concat(*boxes), b.node("Softmax", [joined], SSD_CLASSES, axis=-1)


def _rows(b: Builder, x: str, values: int) -> str:
    """[1, boxes * values, H, W] as [1, H * W * boxes, values]."""
    moved = b.node("Transpose", [x], b.channels[x], perm=[0, 2, 3, 1])
    return b.node("Reshape", [moved, b.ints(1, -1, values)], b.channels[x])


def yolox_nano_like(b: Builder, x: str) -> tuple[str, ...]:
    """YOLOX-Nano (Ge et al., 2021): [1, 3549, 85] for 416 x 416; depth 0.33, width 0.25, separable convolutions."""
    x = b.unit(_focus(b, x), 16, 3, activation="SiLU")
    maps = []
    for channels, repeat in ((32, 1), (64, 3), (128, 3)):
        x = _cross_stage(b, _separable(b, x, channels, 2), channels, repeat)
        maps.append(x)
    x = _pyramid_pool(b, _separable(b, x, 256, 2))
    x = _cross_stage(b, x, 256, 1, shortcut=False)
    _, fine, middle = maps
    low = b.unit(x, 128, 1, activation="SiLU")
    y = _cross_stage(b, b.concat(_upsample(b, low), middle), 128, 1, shortcut=False)
    high = b.unit(y, 64, 1, activation="SiLU")
    outs = [_cross_stage(b, b.concat(_upsample(b, high), fine), 64, 1, shortcut=False)]
    for other, channels in ((high, 128), (low, 256)):
        y = b.concat(_separable(b, outs[-1], b.channels[outs[-1]], 2), other)
        outs.append(_cross_stage(b, y, channels, 1, shortcut=False))
    values = 5 + YOLOX_CLASSES
    heads = [b.node("Reshape", [_head(b, out), b.ints(1, values, -1)], values) for out in outs]
    return (b.node("Transpose", [b.concat(*heads, axis=2)], values, perm=[0, 2, 1]),)


def _focus(b: Builder, x: str) -> str:
    """Every second pixel of every second row, four times, as channels."""
    parts = []
    for row, column in ((0, 0), (1, 0), (0, 1), (1, 1)):
        end = b.ints(2**31, 2**31)
        begin, axes, steps = b.ints(row, column), b.ints(2, 3), b.ints(2, 2)
        parts.append(b.node("Slice", [x, begin, end, axes, steps], b.channels[x]))
    return b.concat(*parts)


def _separable(b: Builder, x: str, channels: int, stride: int = 1) -> str:
    return b.unit(b.depthwise(x, 3, stride, "SiLU"), channels, 1, activation="SiLU")


def _cross_stage(b: Builder, x: str, channels: int, repeat: int, *, shortcut: bool = True) -> str:
    """Half of the channels through ``repeat`` bottlenecks, half around them (Wang et al., CSPNet, 2020)."""
    y, around = (b.unit(x, channels // 2, 1, activation="SiLU") for _ in range(2))
    for _ in range(repeat):
        z = _separable(b, b.unit(y, channels // 2, 1, activation="SiLU"), channels // 2)
        y = b.add(z, y) if shortcut else z
    return b.unit(b.concat(y, around), channels, 1, activation="SiLU")


def _pyramid_pool(b: Builder, x: str) -> str:
    c = b.channels[x]
    x = b.unit(x, c // 2, 1, activation="SiLU")
    pools = [
        b.node("MaxPool", [x], c // 2, kernel_shape=[k, k], strides=[1, 1], pads=[k // 2] * 4)
        for k in (5, 9, 13)
    ]
    return b.unit(b.concat(x, *pools), c, 1, activation="SiLU")


def _upsample(b: Builder, x: str) -> str:
    inputs = [x, "", b.constant("scales", [1, 1, 2, 2])]
    keys = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    return b.node("Resize", inputs, b.channels[x], mode="nearest", **keys)


def _head(b: Builder, x: str) -> str:
    """[1, 4 + 1 + classes, H, W]: box, and what is there after a sigmoid."""
    x = b.unit(x, 64, 1, activation="SiLU")
    classes, box = (_separable(b, _separable(b, x, 64), 64) for _ in range(2))
    scores = b.activate(b.conv(classes, YOLOX_CLASSES, 1, bias=True), "Sigmoid")
    there = b.activate(b.conv(box, 1, 1, bias=True), "Sigmoid")
    return b.concat(b.conv(box, 4, 1, bias=True), there, scores)
