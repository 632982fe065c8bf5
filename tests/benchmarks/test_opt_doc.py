"""The script behind docs/opt.md: what a line says, where the table goes, and what happens without the models."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from benchmarks import make_models, networks, opt_doc, performance_doc
from ptq_core.reports import VerifyReport

ROW = opt_doc.Row(
    "net", "int8", 9, 3, 2, 2_000_000, 1_000_000, 1280, 1024, 0.5, 130.0, VerifyReport(operators=3, pieces=2)
)


def test_a_line() -> None:
    cells = ROW.cells(120.0)
    assert len(cells) == len(opt_doc.HEADINGS)
    assert cells[2:4] == ["9 → 3", "2"]
    assert cells[8:] == ["1.250", "0%", "0.50", "130", "5.0"]


@pytest.mark.parametrize(
    ("verified", "said"),
    [
        (VerifyReport(operators=2, pieces=1, worst_share=0.25, output_sqnr_db=120.4), "25%, 120 dB"),
        (VerifyReport(reason="no runtime"), "no runtime"),
    ],
)
def test_what_was_verified(verified: VerifyReport, said: str) -> None:
    assert ROW._replace(verified=verified).cells(0.0)[9] == said


def test_the_table_has_a_place() -> None:
    page = opt_doc.PAGE.read_text(encoding="utf-8")
    assert "| here |" in performance_doc.replace_table(page, "models", "| here |")


def test_missing_models_are_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opt_doc, "peak", lambda *_: (0.0, 0.0))
    assert opt_doc.main(["--models", str(tmp_path), "--only-print", "mobilenet_v1"]) == 2


@pytest.mark.parametrize(
    ("name", "shapes"),
    [("ssd_like", [[1, 1917, 4], [1, 1917, 21]]), ("yolox_nano_like", [[1, 3549, 85]])],
)
def test_detectors_have_the_published_outputs(name: str, shapes: list[list[int]]) -> None:
    b = networks.Builder(np.random.default_rng(0))
    b.channels["input"] = 3
    outputs = make_models.MODELS[name](b, "input")
    model = make_models.to_model(name, b, outputs, make_models.SIZES[name])
    onnx.checker.check_model(model, full_check=True)
    found = [[d.dim_value for d in value.type.tensor_type.shape.dim] for value in model.graph.output]
    assert found == shapes
