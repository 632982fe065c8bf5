"""The Python API: the ancestor's parameters, generators, and its mistakes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from ptq_core import PostTrainingQuantization
from ptq_core.errors import InputError
from ptq_core.graph.session import open_session
from tests.models import mobile_block, save

Array = NDArray[np.float32]


def pictures(count: int = 6) -> list[Array]:
    random = np.random.default_rng(0)
    return [random.standard_normal((3, 16, 16)).astype(np.float32) for _ in range(count)]


def singles() -> Iterator[Array]:
    yield from pictures()


def tuples() -> Iterator[tuple[Array]]:
    yield from ((picture,) for picture in pictures())


def dicts() -> Iterator[dict[str, Array]]:
    yield from ({"input": picture} for picture in pictures())


def batches() -> Iterator[Array]:
    stacked = np.stack(pictures())
    yield stacked[:4]
    yield stacked[4:]


def one_buffer() -> Iterator[Array]:
    """As loaders do that spare memory: an array is filled again for the next sample."""
    buffer = np.empty((3, 16, 16), np.float32)
    for picture in pictures():
        buffer[:] = picture
        yield buffer


def one_buffer_of_batches() -> Iterator[Array]:
    buffer = np.empty((2, 3, 16, 16), np.float32)
    for start in range(0, 6, 2):
        buffer[:] = pictures()[start : start + 2]
        yield buffer


@pytest.fixture
def fp32(tmp_path: Path) -> Path:
    save(mobile_block(), tmp_path / "fp32")
    return tmp_path / "fp32"


@pytest.mark.parametrize(
    "source",
    [
        {"sample_generator": singles},
        {"sample_generator": tuples},
        {"sample_generator": dicts},
        {"sample_generator": pictures()},
        {"batch_generator": batches},
        {"data_loader": batches},
        {"sample_generator": one_buffer},
        {"batch_generator": one_buffer_of_batches},
    ],
    ids=[
        "function",
        "tuples",
        "dicts",
        "list",
        "batches",
        "data_loader",
        "one buffer",
        "one buffer of batches",
    ],
)
def test_every_source_gives_the_same_model(fp32: Path, source: dict[str, Any]) -> None:
    expected = PostTrainingQuantization("cpu", fp32, sample_generator=singles).quantize()
    model = PostTrainingQuantization("cpu", fp32, **source).quantize()
    assert model.SerializeToString() == expected.SerializeToString()


def test_save(fp32: Path, tmp_path: Path) -> None:
    ptq = PostTrainingQuantization(
        executor="cpu", model_dir=str(fp32), sample_generator=singles, batch_size=2, batch_nums=2, algo="abs_max",
        quantizable_op_type=["conv2d", "mul"], skip_quant=["head"],
    )  # fmt: skip
    ptq.quantize()
    path = ptq.save_quantized_model(tmp_path / "int8", model_filename="m.onnx")
    model = onnx.load(str(path))
    onnx.checker.check_model(model)
    assert sum(node.op_type == "QuantizeLinear" for node in model.graph.node) > 0
    x = np.stack(pictures(2))
    assert open_session(path).run(None, {"input": x})[0].shape == (2, 10)
    assert '"pictures": 4' in (tmp_path / "int8" / "quantization.json").read_text()


def test_a_cached_generator_needs_a_content_key(fp32: Path, tmp_path: Path) -> None:
    keys: dict[str, Any] = {
        "is_use_cache_file": True,
        "cache_dir": tmp_path / "cache",
        "sample_generator": singles,
    }
    with pytest.warns(UserWarning, match="content"):
        PostTrainingQuantization("cpu", fp32, **keys).quantize()
    first = PostTrainingQuantization("cpu", fp32, content_key="v1", **keys).quantize()
    keys["sample_generator"] = []  # not asked: the statistics are there
    second = PostTrainingQuantization("cpu", fp32, content_key="v1", **keys).quantize()
    assert first.SerializeToString() == second.SerializeToString()


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_accuracy_methods_take_array_files(fp32: Path, tmp_path: Path, suffix: str) -> None:
    (tmp_path / "arrays").mkdir()
    for index, picture in enumerate(pictures()):
        path = tmp_path / "arrays" / f"{index}{suffix}"
        np.save(path, picture) if suffix == ".npy" else np.savez(path, input=picture)
    ptq = PostTrainingQuantization(
        "cpu", fp32, image_dir=tmp_path / "arrays", bias_correction=True, equalize=True
    )
    assert len(ptq.quantize().graph.node) > 10


def test_accuracy_methods_take_generators_too(fp32: Path) -> None:
    ptq = PostTrainingQuantization("cpu", fp32, sample_generator=singles, bias_correction=True, equalize=True)
    assert len(ptq.quantize().graph.node) > 10


def test_accuracy_methods_take_one_buffer(fp32: Path) -> None:
    keys: dict[str, Any] = {"round_type": "adaround", "equalize": True}
    written = [
        PostTrainingQuantization("cpu", fp32, sample_generator=source, **keys).quantize()
        for source in (singles, one_buffer)
    ]
    assert written[0].SerializeToString() == written[1].SerializeToString()


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        (
            {"sample_generator": singles, "batch_generator": batches},
            "samples are given as sample_generator, batch_gen",
        ),
        ({"sample_generator": singles, "image_dir": "x"}, "sample_generator, image_dir"),
        ({"sample_generator": singles, "algo": "KLD"}, "did you mean `KL`"),
        ({"sample_generator": singles, "bath_size": 3}, "did you mean `batch_size`"),
        ({"sample_generator": singles, "scope": 1}, "scope"),
        ({"sample_generator": singles, "model_filename": "no.onnx"}, "no file no.onnx"),
        ({"sample_generator": singles, "onnx_format": True}, "onnx_format has no meaning here"),
        ({"sample_generator": singles(), "bias_correction": True}, "already running"),
        ({}, "image_dir"),
    ],
)
def test_mistakes(fp32: Path, keys: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        PostTrainingQuantization("cpu", fp32, **keys).quantize()


def test_samples_that_do_not_fit(fp32: Path) -> None:
    with pytest.raises(InputError, match="16"):
        PostTrainingQuantization("cpu", fp32, sample_generator=[np.zeros((3, 8, 8), np.float32)]).quantize()


def test_saving_in_the_wrong_order_or_place(fp32: Path, tmp_path: Path) -> None:
    ptq = PostTrainingQuantization("cpu", fp32, sample_generator=singles)
    with pytest.raises(InputError, match="quantize\\(\\) first"):
        ptq.save_quantized_model(tmp_path / "int8")
    ptq.quantize()
    with pytest.raises(InputError, match="would overwrite"):
        ptq.save_quantized_model(fp32)
    wrong: Any = "p"
    with pytest.raises(InputError, match="params_filename"):
        ptq.save_quantized_model(tmp_path / "int8", params_filename=wrong)
