"""Resize and Pad with axes become full-rank, and give the same bits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ptq_core.graph import io
from ptq_core.graph.passes.spread_axes import spread_axes
from ptq_core.graph.session import open_session
from tests.models import Builder, save

CASES: dict[str, tuple[str, dict[str, Any], dict[str, Any], bool]] = {
    # op type, inputs behind the first ("": absent), attributes, whether the axes go away with an open batch too
    "pad": ("Pad", {"pads": [1, 0, 2, 3], "": None, "axes": [3, 2]}, {}, True),
    "pad of negative axes, with a value": (
        "Pad",
        {"pads": [1, 3], "value": np.float32(-2), "axes": [-1]},
        {},
        True,
    ),
    "pad by reflection": ("Pad", {"pads": [1, 3], "": None, "axes": [2]}, {"mode": "reflect"}, True),
    "scales": ("Resize", {"": None, "scales": np.array([2, 1.5], np.float32)}, {"axes": [2, 3]}, True),
    "sizes": (
        "Resize",
        {"": None, " ": None, "sizes": [7, 5]},
        {"axes": [-1, 2], "mode": "linear"},
        True,
    ),
    "sizes of one": ("Resize", {"": None, " ": None, "sizes": [13]}, {"axes": [3], "mode": "cubic"}, True),
    "sizes of the batch": ("Resize", {"": None, " ": None, "sizes": [4, 8]}, {"axes": [0, 3]}, False),
    "a policy": (
        "Resize",
        {"": None, " ": None, "sizes": [8, 9]},
        {"axes": [2, 3], "keep_aspect_ratio_policy": "not_larger"},
        False,
    ),
}


@pytest.mark.parametrize("batch", [1, "N"])
@pytest.mark.parametrize(("op_type", "inputs", "attributes", "spread"), CASES.values(), ids=CASES)
def test_same_bits_without_axes(
    tmp_path: Path,
    op_type: str,
    inputs: dict[str, Any],
    attributes: dict[str, Any],
    spread: bool,
    batch: int | str,
) -> None:
    b = Builder()
    names = [b.constant(name, value) if value is not None else "" for name, value in inputs.items()]
    proto = b.model(
        b.node(op_type, "node", ["input", *names], **attributes), shape=(batch, 3, 6, 10), opset=18
    )
    model = io.load_model(save(proto, tmp_path))
    assert spread_axes(model) == {}
    (node,) = model.graph
    with_axes = "axes" in node.attributes or (op_type == "Pad" and len(node.inputs) > 3)
    assert with_axes != (spread or (batch == 1 and "policy" not in str(attributes)))
    x = np.random.default_rng(0).standard_normal((1, 3, 6, 10)).astype(np.float32)
    (wanted,), (got,) = (
        open_session(bytes_, optimized=False).run(None, {"input": x})
        for bytes_ in (proto.SerializeToString(), io.to_bytes(model))
    )
    np.testing.assert_array_equal(got, wanted)
