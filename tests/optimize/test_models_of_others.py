"""Files of onnxruntime's quantizers, made here: each is taken, and computes what onnxruntime does with it as it is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.others_table import RUNS, SETTINGS, Setting, measured


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda s: f"{s.tool}, {s.group}, {s.words}".strip(", "))
def test_is_taken_and_verified(tmp_path: Path, setting: Setting) -> None:
    result = measured(setting, tmp_path)
    verified = result.report.verified
    assert verified is not None
    assert not verified.reason
    assert not verified.judged
    if "dynamic" in setting.tool:
        assert result.report.int8_op_count == 0
        assert max(result.distances) < 0.01  # of a probability: what steps of the activations change
        return
    assert verified.steps_at_ties <= 1
    if "16" in setting.group:
        assert result.report.int8_op_count == 0
        assert max(result.distances) < 1e-4  # a step or two of the 65,535 of the output
        return
    # A depthwise convolution whose weights have distances of nine bits from their zero point runs in float.
    floats = "U8U8" in setting.group and "reduce_range" not in setting.words
    assert result.report.int8_op_count >= 18
    if "QOperator" in setting.group and not floats:
        # Integers all the way: no sum of floats that could round another way.
        assert result.equal == RUNS
        assert verified.steps_at_ties == 0
    else:
        assert result.equal >= RUNS - 2
