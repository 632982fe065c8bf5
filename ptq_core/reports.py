"""Plain records that the pipelines return; units are in the names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class OutputLoss:
    """One output of the quantized model against FP32's.

    ``sqnr_db`` over all pictures: inf where nothing differs, −inf where FP32's is 0 everywhere; None where the output is not
    float or has another size than FP32's. ``best_class_equal``: of how many pictures the largest value is at the same place,
    None where the output is not [N, C], [N, C, 1, 1] or [N, 1, 1, C] with C ≥ 2; ``probabilities`` where
    they are ≥ 0 and add up to 1. ``equal_share``: share of equal values in [0, 1] of an output that is not float, else None.
    """

    name: str
    sqnr_db: float | None
    best_class_equal: int | None = None
    equal_share: float | None = None
    probabilities: bool = False


@dataclass(frozen=True)
class OperatorLoss:
    """A quantized operator: SQNR in dB, against FP32, of the worst of its inputs and of its output; inf where nothing differs."""

    name: str
    op_type: str
    input_sqnr_db: float
    output_sqnr_db: float


@dataclass(frozen=True)
class LossReport:
    """What quantization costs, measured on ``pictures``; ``operators`` are those that add most noise, the worst first."""

    pictures: int
    outputs: tuple[OutputLoss, ...]
    operators: tuple[OperatorLoss, ...]


@dataclass(frozen=True)
class QuantizeReport:
    """What `quantize` did: where the model lies, what was quantized, what was not and why.

    ``notes`` are no reason to worry; ``hints`` are for whoever runs the model. ``loss`` is None where nobody asked
    (`check: false`) and where it could not be measured.
    """

    model_path: Path
    report_path: Path
    size_fp32_bytes: int
    size_int8_bytes: int
    quantized_ops: int
    float_ops: int
    pictures: int
    warnings: tuple[str, ...]
    notes: tuple[str, ...]
    hints: tuple[str, ...]
    loss: LossReport | None
    seconds: float


@dataclass(frozen=True)
class PassReport:
    """What one pass of `opt` changed: nodes or operators before and after, and a few words per change."""

    name: str
    ops_before: int
    ops_after: int
    changes: tuple[str, ...]


@dataclass(frozen=True)
class VerifyReport:
    """How a written file was found to compute its model (optimize/verify); ``reason`` is why something could not be compared.

    The runtime's ``operators`` were compared with their references, ``pieces`` of the program with the model; 0 where that was
    not possible. The largest difference of a float is ``worst_share`` of the allowed one (≤ 1); ``steps_at_ties`` integers lie a
    step away from the model's, where the exact quotient is at a tie. ``undefined`` operators and pieces read a NaN and were not
    compared. ``judged`` are values that onnxruntime computes otherwise than ONNX's reference evaluator, which agrees with us.
    For information: ``output_sqnr_db`` of the worst output against onnxruntime end to end, where small differences grow.
    ``inputs`` says what both were run on.
    """

    operators: int = 0
    pieces: int = 0
    steps_at_ties: int = 0
    undefined: int = 0
    worst_share: float = 0.0
    judged: tuple[str, ...] = ()
    output_sqnr_db: float | None = None
    inputs: str = ""
    reason: str = ""


@dataclass(frozen=True)
class CompressReport:
    """What weight-only compression did to the weights of float operators: how many tensors, their bytes, their error.

    ``weight_sqnr_db`` is Σ w² over Σ (w − stored w)². ``output_sqnr_db`` is the same of the outputs for one random input, by this
    machine's runtime; None if that was not run.
    """

    quant_type: str
    tensors: int
    bytes_before: int
    bytes_after: int
    weight_sqnr_db: float
    output_sqnr_db: float | None = None


@dataclass(frozen=True)
class OptimizeReport:
    """What `opt` wrote. No memory plan needs less than ``arena_least_bytes`` (flatfile/lifetimes.py).

    ``passes`` has every pass in the order in which they ran, also those that found nothing; ``verified`` is None if nobody asked.
    ``notes`` say what happened to the model on the way in.
    """

    path: Path
    size_bytes: int
    arena_bytes: int
    arena_least_bytes: int
    op_count: int
    int8_op_count: int
    fp16_op_count: int
    passes: tuple[PassReport, ...]
    compressed: CompressReport | None
    verified: VerifyReport | None
    notes: tuple[str, ...]
    seconds: float


@dataclass(frozen=True)
class SimplifyReport:
    """The ONNX model that `opt` wrote; ``notes`` as of OptimizeReport."""

    path: Path
    size_bytes: int
    nodes_before: int
    nodes_after: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class AccuracyReport:
    """Classification accuracy on a labelled list; top1 and top5 are shares of count in [0, 1]; ``notes`` as of OptimizeReport."""

    model: str
    top1: float
    top5: float
    count: int
    seconds: float
    notes: tuple[str, ...] = ()
