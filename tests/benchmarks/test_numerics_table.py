"""The script behind the table of docs/numerics.md: what it counts, that it can fail, and where the table goes."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from benchmarks import numerics_table, performance_doc
from ptq_core.flatfile import interpreter

needs_runtime = pytest.mark.needs("runtime")


@needs_runtime
@pytest.mark.parametrize("name", [n for n in numerics_table.ROWS if "softmax" not in n])
def test_differences_are_at_ties_only(name: str, tmp_path: Path) -> None:
    row = dataclasses.replace(numerics_table.ROWS[name], trials=2)
    counts = numerics_table.measure(name, row, tmp_path)
    assert counts.values > 0
    assert [counts.beyond[session] for session in numerics_table.HELD] == [0, 0]
    if "conv" in name or "matmul" in name or "gemm" in name:
        assert counts.different["as optimized"] == 0


@needs_runtime
def test_the_integer_softmax_is_seen(tmp_path: Path) -> None:
    counts = numerics_table.measure(
        "softmax, asymmetric", numerics_table.ROWS["softmax, asymmetric"], tmp_path
    )
    assert counts.beyond["as optimized"] > 0
    assert counts.different["every node on its own"] == 0


@needs_runtime
def test_a_step_too_many_is_refused(tmp_path: Path) -> None:
    """onnxruntime's integer pool counts what hangs over the padding (docs/numerics.md)."""
    attributes = {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1, "count_include_pad": 1}
    row = numerics_table.Operator("AveragePool", attributes=attributes)
    with pytest.raises(numerics_table.DisagreementError, match=r"steps from onnxruntime, as optimized"):
        numerics_table.measure("pool", row, tmp_path)


@needs_runtime
def test_a_reference_of_other_bits_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right = interpreter.run

    def wrong(*arguments: Any) -> list[Any]:
        return [y + 1e-3 for y in right(*arguments)]

    monkeypatch.setattr(numerics_table, "run", wrong)
    with pytest.raises(numerics_table.DisagreementError, match="the reference differ"):
        numerics_table.measure("add", numerics_table.ROWS["add"], tmp_path)


@pytest.mark.parametrize("kind", ["avx2", "avx512"])
def test_the_table_has_a_place(kind: str) -> None:
    page = numerics_table.PAGE.read_text(encoding="utf-8")
    assert "| here |" in performance_doc.replace_table(page, kind, "| here |")


def test_unknown_rows_are_the_users() -> None:
    with pytest.raises(SystemExit) as caught:
        numerics_table.main(["no such row"])
    assert caught.value.code == 2
