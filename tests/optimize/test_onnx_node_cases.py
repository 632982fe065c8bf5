"""The node test cases of the onnx package for the operators we claim: each runs and agrees, or is refused for a stated limit."""

from __future__ import annotations

import itertools
from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import pytest

from ptq_core.errors import InputError
from ptq_core.flatfile.interpreter import run
from ptq_core.flatfile.reader import read_program
from ptq_core.graph.float32 import OTHERS
from ptq_core.graph.inline_functions import DEFINED_BY_OTHERS
from ptq_core.graph.session import open_session
from ptq_core.optimize.lowering.context import DTYPES
from ptq_core.optimize.lowering.operators import OPERATORS
from ptq_core.optimize.pipeline import optimize
from tests.agreement import RUNTIME_IS_BUILT, assert_runtime_agrees
from tests.optimize.onnx_cases import Case, cases

# What the message says → the cases. A case that runs after all, or is refused with other words, fails.
REFUSED: dict[str, tuple[str, ...]] = {
    "which has no kernel": (
        "maxpool_2d_uint8",
        "pow_types_int32_float32",
        "pow_types_int32_int32",
        "pow_types_int64_float32",
        "pow_types_int64_int64",
        "reduce_max_bool_inputs",
        "reduce_min_bool_inputs",
    ),
    "its input is not quantized": (
        "dequantizelinear_axis",
        "dequantizelinear_blocked",
    ),
    "it computes on float32 without fmod": (
        *(f"mod_float{bits}_mixed_sign_fmod_0" for bits in (16, 32, 64)),
        *(f"mod_float_edge_cases_fmod_0_float{bits}" for bits in (16, 32, 64)),
    ),
    "it is in training mode": (
        "batchnorm_example_training_mode",
        "batchnorm_epsilon_training_mode",
        "training_dropout_default",
        "training_dropout_default_mask",
        "training_dropout",
        "training_dropout_mask",
        "training_dropout_zero_ratio",
        "training_dropout_zero_ratio_mask",
    ),
    "its second output (mask)": ("dropout_default_mask", "dropout_default_mask_ratio"),
    "one scale per channel": ("quantizelinear_axis",),
    "it quantizes in blocks": ("quantizelinear_blocked_asymmetric", "quantizelinear_blocked_symmetric"),
    "counted by an input, nonpad_kv_seqlen": (
        "attention_4d_diff_heads_mask4d_padded_kv",
        "attention_4d_gqa_causal_nonpad_decode",
        "attention_4d_causal_nonpad_continued_prefill",
        "attention_4d_padded_kv_bf16",
        "attention_4d_causal_padded_kv_bf16",
        "attention_4d_gqa_causal_nonpad_decode_fp16",
        "attention_local_window_ext_cache_float16_mask",
        "attention_4d_causal_nonpad_negative_offset_structural_empty",
        "attention_4d_causal_nonpad_attn_mask_composition",
        "attention_4d_causal_nonpad_batch_prefill",
        "attention_local_window_ext_cache_rank3_head_mask",
        "attention_local_window_ext_cache_rank4_batch_mask",
        "attention_local_window_ext_cache_rank2_mask",
    ),
    "leaves a query no key": (
        "attention_24_qk_matmul_output_mode3_softmax_precision",
        "attention_causal_boolmask_nan_robustness",
        "attention_23_boolmask_fullymasked_row_nan_robustness",
        "attention_23_fullymasked_qk_matmul_output_mode3_zero",
        "attention_24_fullymasked_qk_matmul_output_mode3_zero",
        "attention_local_window_gqa_rank4_mask",
    ),
    "int8 kernels need int8": (
        "quantizelinear_e4m3fn",
        "quantizelinear_e5m2",
        "quantizelinear_uint2",
        "quantizelinear_int2",
        "quantizelinear_float4e2m1",
        "quantizelinear_uint16",
        "quantizelinear_int16",
        "quantizelinear_uint4",
        "quantizelinear_int4",
    ),
    "cannot be reshaped to [3, 4, 0]": ("reshape_allowzero_reordered",),
    "does not depend on the inputs": (
        *(f"eyelike_{what}" for what in ("without_dtype", "with_dtype", "populate_off_main_diagonal")),
        *(
            f"s{what}"
            for what in (
                "ize",
                "ize_example",
                "hape",
                "hape_example",
                "hape_start_1",
                "hape_end_1",
                "hape_start_negative_1",
                "hape_end_negative_1",
                "hape_start_1_end_negative_1",
                "hape_start_1_end_2",
                "hape_clip_start",
                "hape_clip_end",
                "hape_start_greater_than_end",
            )
        ),
    ),
    "names a dimension of an operand twice": ("einsum_batch_diagonal",),
    "its result is empty": ("slice_start_out_of_bounds",),
    "it splits 1 into [0, 0, 0]": ("split_zero_size_splits_opset13", "split_zero_size_splits_opset18"),
}
OTHERWISE = dict.fromkeys(
    ("resize_downsample_scales_linear_align_corners", "resize_downsample_scales_cubic_align_corners"),
    "the corners of its result lie on those of its input, as the standard, onnxruntime and PyTorch have it;"
    " onnx's evaluator takes the length before it is rounded down",
)
OTHERWISE["maxunpool_export_with_output_shape"] = (
    "indices count the elements of the output that is asked for, as onnxruntime and PyTorch have it;"
    " onnx's evaluator counts those of the smallest output"
)
"""Cases that run, and whose result is not onnx's: why."""

STEPS = {
    np.dtype(np.float16): 2.0**-10,
    np.dtype(ml_dtypes.bfloat16): 2.0**-7,
    np.dtype(np.float64): 2.0**-23,
}
"""Types that are computed as float32 → the step at 1 of the coarser type: onnx rounds each operation to its own."""

REASON = {name: reason for reason, names in REFUSED.items() for name in names}


def refusal(case: Case) -> str | None:
    """What the refusal of ``case`` must say (alternatives with |); None if it must run."""
    if case.name in REASON:
        return REASON[case.name]
    for value in case.model.graph.input:
        if value.type.tensor_type.elem_type not in (*DTYPES, *OTHERS):
            return "inputs of a flat file are tensors of"
        if any(d.HasField("dim_value") and d.dim_value == 0 for d in value.type.tensor_type.shape.dim):
            return "open shape"
    if case.op_type in ("Cast", "CastLike") and case.model.graph.output[0].type.tensor_type.elem_type not in (
        *DTYPES,
        *OTHERS,
    ):
        return "it casts a computed value to"
    return None


def flat_file(case: Case, folder: Path) -> bytes:
    source, out = folder / "case.onnx", folder / "case.nb"
    onnx.save(case.model, str(source))
    optimize(source, out, targets=("host",))
    return out.read_bytes()


RUN = [name for name, case in cases().items() if refusal(case) is None]
DENIED = [name for name in cases() if name not in RUN]


@pytest.mark.parametrize("name", RUN)
def test_runs(name: str, tmp_path: Path) -> None:
    case = cases()[name]
    data = flat_file(case, tmp_path)
    program = read_program(data)
    wanted_outputs = case.outputs
    if name in OTHERWISE:
        session = open_session(case.model.SerializeToString())
        wanted_outputs = session.run(
            None, {v.name: x for v, x in zip(case.model.graph.input, case.inputs, strict=True)}
        )
    inputs = [x.astype(np.float32) if x.dtype in STEPS else x for x in case.inputs]
    for got, wanted in zip(run(program, inputs), wanted_outputs, strict=True):
        rtol = max(case.rtol, 2 * STEPS.get(wanted.dtype, 0))
        np.testing.assert_allclose(
            got, wanted.astype(got.dtype), rtol=rtol, atol=case.atol + STEPS.get(wanted.dtype, 0)
        )
    if RUNTIME_IS_BUILT:
        assert_runtime_agrees(program, data, inputs)


@pytest.mark.parametrize("name", DENIED)
def test_is_refused(name: str, tmp_path: Path) -> None:
    case = cases()[name]
    with pytest.raises(InputError) as caught:
        flat_file(case, tmp_path)
    assert any(part in str(caught.value) for part in str(refusal(case)).split("|"))


def test_the_list_is_of_cases_that_exist() -> None:
    assert {*REASON, *OTHERWISE} <= set(cases())
    assert len(RUN) >= 885, "cases that ran must run"


def test_every_claimed_operator_runs() -> None:
    """The cases of these are of other types, or give out a constant; other tests have them."""
    types = {cases()[name].op_type for name in RUN} - set(itertools.chain(*DEFINED_BY_OTHERS))
    assert set(OPERATORS) - types == {"EyeLike", "GlobalLpPool", "Shape", "Size"}
    assert list(itertools.chain(*REFUSED.values())) == list(REASON)
