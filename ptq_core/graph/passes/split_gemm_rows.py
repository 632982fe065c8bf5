"""A Gemm whose C is no constant bias per output becomes a product and a sum, so that the product can run on integers."""

from __future__ import annotations

import onnx_ir as ir

from ptq_core.graph.edits import constant_array, per_channel


def split_gemm_rows(model: ir.Model) -> dict[str, str]:
    """Gemm(A, B, C)  becomes  Gemm(A, B) + C  where C is computed or differs from row to row.

    Requires B constant and beta 1. Ensures that the Gemm keeps its name and the sum the value's; no node is removed.
    """
    for gemm in list(model.graph):
        if gemm.op_type != "Gemm" or gemm.domain not in ("", "ai.onnx") or len(gemm.inputs) < 3:
            continue
        weight, added, result = constant_array(gemm.inputs[1]), gemm.inputs[2], gemm.outputs[0]
        if (
            added is None
            or weight is None
            or weight.ndim != 2
            or gemm.attributes.get_float("beta", 1.0) != 1.0
        ):
            continue
        constant = constant_array(added)
        outputs = weight.shape[0 if gemm.attributes.get_int("transB", 0) else 1]
        if constant is not None and per_channel(constant, outputs) is not None:
            continue
        gemm.resize_inputs(2)
        name = result.name
        add = ir.node("Add", [result, added], name=f"{gemm.name}/add_rows")
        add.outputs[0].shape, add.outputs[0].type = result.shape, result.type
        result.replace_all_uses_with(add.outputs[0], replace_graph_outputs=True)
        add.replace_input_with(0, result)
        model.graph.insert_after(gemm, add)
        result.name, add.outputs[0].name = f"{name}/product", name
    return {}
