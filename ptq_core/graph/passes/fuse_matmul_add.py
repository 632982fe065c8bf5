"""MatMul with a constant matrix followed by a constant bias becomes Gemm, whose bias can be int32."""

from __future__ import annotations

import onnx_ir as ir

from ptq_core.graph.constants import constant_array


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
            weight = constant_array(matmul.inputs[1]) if matmul is not None else None
            offset = constant_array(bias)
            if matmul is None or matmul.op_type != "MatMul" or weight is None or offset is None:
                continue
            source = matmul.inputs[0]
            flat = (
                source is not None
                and source.shape is not None
                and len(source.shape) == 2
                and weight.ndim == 2
            )
            row = offset.shape in ((weight.shape[-1],), (1, weight.shape[-1]))
            if not flat or not row or len(product.uses()) != 1 or product.is_graph_output():
                continue
            gemm = ir.node("Gemm", [source, matmul.inputs[1], bias], name=matmul.name)
            result, name = add.outputs[0], add.outputs[0].name
            gemm.outputs[0].shape, gemm.outputs[0].type = result.shape, result.type
            model.graph.insert_after(add, gemm)
            result.replace_all_uses_with(gemm.outputs[0], replace_graph_outputs=True)
            model.graph.remove([matmul, add], safe=True)
            gemm.outputs[0].name = name
            removed[str(add.name)] = str(gemm.name)
            break
    return removed
