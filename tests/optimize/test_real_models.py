"""Whole networks: the committed demo always, the shared real models where they are present."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import onnx
import pytest

from ptq_core.config import load_config
from ptq_core.flatfile.error_bound import error_bounds
from ptq_core.flatfile.interpreter import interpret, run
from ptq_core.flatfile.layout import ALIGNMENT
from ptq_core.flatfile.lifetimes import lower_bound
from ptq_core.flatfile.operators.binary import ADD
from ptq_core.flatfile.operators.conv2d import CONV2D
from ptq_core.flatfile.program import Program
from ptq_core.flatfile.reader import read_program
from ptq_core.flatfile.tensors import DType
from ptq_core.graph.io import load_model
from ptq_core.graph.session import open_session
from ptq_core.optimize.pipeline import lower_to_program, optimize
from ptq_core.quantize.pipeline import quantize


def picture(program: Program, seed: int = 0) -> np.ndarray:
    dims = program.tensors[program.inputs[0]].dims
    return np.random.default_rng(seed).uniform(-1, 1, dims).astype(np.float32)


def check_float(path: Path, out: Path) -> None:
    """The file agrees with onnxruntime within the propagated bound, and its arena is close to the least possible."""
    report = optimize(path, out)
    program = read_program(out.read_bytes())
    assert report.arena_bytes <= 1.05 * lower_bound(program, ALIGNMENT)
    x = picture(program)
    session = open_session(path)
    expected = session.run(None, {session.get_inputs()[0].name: x})
    for got, wanted, bound in zip(run(program, [x]), expected, error_bounds(program, [x]), strict=True):
        assert np.all(np.abs(got.astype(np.float64) - wanted) <= 2 * bound)
        assert np.median(bound) < 0.01 * np.abs(wanted).max(), "a bound that allows anything proves nothing"


def check_int8(path: Path, least_int8: int) -> None:
    """Every int8 tensor that the program and the QDQ graph share is equal in both, whatever its layout."""
    program = lower_to_program(load_model(path))
    assert program.arena_size <= 1.05 * lower_bound(program, ALIGNMENT)
    proto = onnx.load(str(path))
    quantized = {out for node in proto.graph.node if node.op_type == "QuantizeLinear" for out in node.output}
    shared = {
        t.name: i
        for i, t in enumerate(program.tensors)
        if t.dtype == DType.I8 and not t.is_constant and t.name in quantized
    }
    assert len(shared) >= least_int8
    for name in shared:
        proto.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.INT8, None))
    session = open_session(proto.SerializeToString(), int8="kept")
    x = picture(program, 1)
    values = interpret(program, [x])
    channels_last = {op.outputs[0] for op in program.ops if op.kind in (CONV2D, ADD)}
    for (name, index), wanted in zip(
        shared.items(), session.run(list(shared), {session.get_inputs()[0].name: x}), strict=True
    ):
        got = values[index]
        assert got is not None
        if index in channels_last and got.ndim == 4:
            got = got.transpose(0, 3, 1, 2)
        np.testing.assert_array_equal(got.reshape(wanted.shape), wanted, err_msg=name)
    for index, wanted in zip(
        program.outputs, session.run(None, {session.get_inputs()[0].name: x}), strict=False
    ):
        got = values[index]
        assert got is not None
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-6)


def test_demo_float(digits: Path, tmp_path: Path) -> None:
    check_float(digits / "model" / "model.onnx", tmp_path / "digits.nb")


@pytest.mark.parametrize("full", [False, True])
def test_demo_int8(digits: Path, tmp_path: Path, full: bool) -> None:
    config = dataclasses.replace(
        load_config(digits / "quantize.yaml"),
        model_dir=digits / "model",
        image_dir=digits / "calibration_images",
        save_model_path=tmp_path,
        batch_nums=2,
        is_full_quantize=full,
    )
    check_int8(quantize(config).model_path, least_int8=16)


@pytest.mark.real
@pytest.mark.parametrize("name", ["mobilenet_v1_075", "resnet8_cifar10", "Ultraface", "FastestDet"])
def test_real_float(shared_data: Path, tmp_path: Path, name: str) -> None:
    check_float(shared_data / "models" / f"{name}.onnx", tmp_path / f"{name}.nb")


@pytest.mark.real
def test_real_int8(digits: Path, shared_data: Path, tmp_path: Path) -> None:
    demo = load_config(digits / "quantize.yaml")
    config = dataclasses.replace(
        demo,
        model_dir=shared_data / "models",
        model_filename="mobilenet_v1_075.onnx",
        image_dir=shared_data / "images" / "calib",
        save_model_path=tmp_path,
        batch_size=4,
        batch_nums=1,
        skip_quant=(),
        preprocess=dataclasses.replace(
            demo.preprocess, resize=None, resize_short=256, center_crop=(224, 224)
        ),
    )
    check_int8(quantize(config).model_path, least_int8=28)
