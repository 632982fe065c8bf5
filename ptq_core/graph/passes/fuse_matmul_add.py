"""MatMul with a constant matrix followed by a constant bias becomes Gemm, whose bias can be int32."""

from __future__ import annotations

import onnx_ir as ir

from ptq_core.graph.edits import constant_array


def fuse_matmul_add(model: ir.Model) -> dict[str, str]:
    """x·W + b  becomes  Gemm(x, W, b).

    Requires x of rank 2, W [K, N] constant, b [N] or [1, N] constant, and no other consumer of the product. Ensures that the
    Gemm keeps the MatMul's name and the Add's output value.
    """
    removed = {}
    for add in list(model.graph):
        if add.op_type != "Add":
            continue
        for product, bias in ((add.inputs[0], add.inputs[1]), (add.inputs[1], add.inputs[0])):
            matmul = product.producer() if product is not None else None
            if product is None or matmul is None or not _fits(matmul, product, bias):
                continue
            gemm = ir.node("Gemm", [*matmul.inputs, bias], name=matmul.name)
            result, name = add.outputs[0], add.outputs[0].name
            gemm.outputs[0].shape, gemm.outputs[0].type = result.shape, result.type
            model.graph.insert_after(add, gemm)
            result.replace_all_uses_with(gemm.outputs[0], replace_graph_outputs=True)
            model.graph.remove([matmul, add], safe=True)
            gemm.outputs[0].name = name
            removed[str(add.name)] = str(gemm.name)
            break
    return removed


def _fits(matmul: ir.Node, product: ir.Value, bias: ir.Value | None) -> bool:
    if matmul.op_type != "MatMul" or len(product.uses()) != 1 or product.is_graph_output():
        return False
    source, weight, offset = matmul.inputs[0], constant_array(matmul.inputs[1]), constant_array(bias)
    if source is None or source.shape is None or len(source.shape) != 2 or weight is None or offset is None:
        return False
    return weight.ndim == 2 and offset.shape in ((weight.shape[1],), (1, weight.shape[1]))
