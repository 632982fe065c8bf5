"""Remove dequantize → quantize: an int8 chain stays int8."""

from __future__ import annotations

from ptq_core.flatfile.operators.attributes import Clamp
from ptq_core.flatfile.operators.clamp import CLAMP
from ptq_core.flatfile.operators.dequantize import DEQUANTIZE
from ptq_core.flatfile.operators.quantize import QUANTIZE
from ptq_core.flatfile.program import Op, Program
from ptq_core.optimize.rewrite import Rewriter


def cancel_quantize(program: Program) -> list[str]:
    """dequantize → quantize ⇒ nothing where scale and zero point are equal, else a clamp that requantizes.

    Requires nothing. Ensures the int8 values of docs/numerics.md, "requantize".
    """
    rewriter = Rewriter(program)
    for quantize in rewriter.ops(QUANTIZE):
        dequantize = rewriter.producer(quantize.inputs[0], DEQUANTIZE)
        if dequantize is None:
            continue
        source = dequantize.inputs[0]
        if (
            source is not None
            and rewriter.tensor(source).qparams == rewriter.tensor(quantize.outputs[0]).qparams
        ):
            rewriter.bypass(quantize, source)
        else:
            rewriter.replace(quantize, [Op(CLAMP, quantize.name, (source,), quantize.outputs, Clamp())])
    return rewriter.changes
