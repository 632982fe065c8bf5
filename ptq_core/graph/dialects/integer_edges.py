"""uint8 that a quantized model is fed with or gives out is converted there: inside, QuantizeLinear makes all integers.

Both ways are exact: x becomes (x − z) · s, which its own scale quantizes to x again; a quotient that is rounded becomes x.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from ptq_core.graph.dialects.integers import Scale, Writer
from ptq_core.graph.edits import constant_array, input_of


def convert_edges(model: ir.Model) -> list[str]:
    """Requires one constant scale, and that DequantizeLinear alone reads an input; others stay.

    Ensures that no uint8 input or output of the model is quantized.
    """
    writer, changes = Writer(model.graph), []
    for value in model.graph.inputs:
        readers = [use.node for use in value.uses()]
        scales = [_scale(reader) for reader in readers if reader.op_type == "DequantizeLinear"]
        if value.dtype != ir.DataType.UINT8 or len(scales) != len(readers) or None in scales:
            continue
        for reader, scale in zip(readers, scales, strict=True):
            assert scale is not None
            reader.replace_input_with(0, _fed(writer, reader, value, scale))
            changes.append(f"input `{value.name}` ⇒ Cast + Sub + Mul + QuantizeLinear")
    for node in list(model.graph):
        scale = _scale(node) if node.op_type == "QuantizeLinear" else None
        if scale is None or not node.outputs[0].is_graph_output():
            continue
        _give_out(writer, node, scale)
        changes.append(f"output `{node.outputs[0].name}` ⇒ QuantizeLinear … Cast")
    return changes


def _scale(node: ir.Node) -> Scale | None:
    """The scale and the zero point of ``node``, which is uint8; None where they are not constant, or not one."""
    scale, zero_point = input_of(node, 1), input_of(node, 2)
    s, z = constant_array(scale), constant_array(zero_point)
    if scale is None or s is None or s.size != 1 or z is None or z.size != 1 or z.dtype != np.uint8:
        return None
    return Scale(scale, zero_point)


def _fed(writer: Writer, reader: ir.Node, value: ir.Value, scale: Scale) -> ir.Value:
    s, z = _numbers(writer, reader, scale)
    x = writer.emit(reader, "Cast", [value], "Cast", {"to": int(ir.DataType.FLOAT)})
    x = writer.emit(reader, "Mul", [writer.emit(reader, "Sub", [x, z], "Sub"), s], "Mul")
    return writer.emit(reader, "QuantizeLinear", [x, *scale.inputs], "QuantizeLinear")


def _give_out(writer: Writer, node: ir.Node, scale: Scale) -> None:
    s, z = _numbers(writer, node, scale)
    q = writer.emit(node, "QuantizeLinear", [node.inputs[0], *scale.inputs], "QuantizeLinear")
    for reader, place in list(node.outputs[0].uses()):
        reader.replace_input_with(place, q)
    x = writer.emit(node, "Div", [writer.dequantized(node, q, scale, "real"), s], "Div")
    # Rounded last, it is an integer to the last bit: a sum behind it would carry a roundoff, which Cast makes a step of.
    x = writer.emit(node, "Round", [writer.emit(node, "Add", [x, z], "Add")], "Round")
    writer.take_over(node, writer.emit(node, "Cast", [x], "Cast", {"to": int(ir.DataType.UINT8)}))


def _numbers(writer: Writer, node: ir.Node, scale: Scale) -> tuple[ir.Value, ir.Value]:
    """Scale and zero point as float constants."""
    arrays = (constant_array(value) for value in scale.inputs)
    s, z = (np.zeros(()) if array is None else array for array in arrays)
    made = [np.asarray(array.reshape(()), np.float32) for array in (s, z)]
    return writer.constant(f"{node.name}/scale", made[0]), writer.constant(f"{node.name}/zero", made[1])
