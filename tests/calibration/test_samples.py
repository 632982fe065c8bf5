"""Samples that are arrays: forms a generator may yield, .npy and .npz files, several inputs, what is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image

from ptq_core.calibration import CalibrationResult, GeneratorSamples, calibrate
from ptq_core.calibration.decode import load_pictures
from ptq_core.calibration.samples import as_arrays
from ptq_core.config import QuantizeConfig
from ptq_core.errors import InputError
from ptq_core.options.preprocess import PreprocessOptions
from tests.calibration.conftest import PICTURES, MakeModel

ONE = {"input": (1, 3, 8, 8)}
TWO = {"a": (1, 2), "b": (1, 3)}

RANDOM = np.random.default_rng(8)
X = RANDOM.standard_normal((6, 3, 8, 8)).astype(np.float32)


def config(folder: Path, **changes: Any) -> QuantizeConfig:
    settings: dict[str, Any] = {"model_dir": folder, "save_model_path": folder, "cache_dir": folder / "cache"}
    return QuantizeConfig(**{**settings, **changes})


def two_inputs() -> bytes:
    """c[n, 2] = a[n, 2] + the sum of the int64 b[n, 3]."""
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["b"], ["b_float"], to=TensorProto.FLOAT),
            helper.make_node("ReduceSum", ["b_float", "axes"], ["b_sum"]),
            helper.make_node("Add", ["a", "b_sum"], ["c"]),
        ],
        "two_inputs",
        [
            helper.make_tensor_value_info("a", TensorProto.FLOAT, ["N", 2]),
            helper.make_tensor_value_info("b", TensorProto.INT64, ["N", 3]),
        ],
        [helper.make_tensor_value_info("c", TensorProto.FLOAT, ["N", 2])],
        [helper.make_tensor("axes", TensorProto.INT64, [1], [1])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


A = np.array([[1, -2], [3, 4], [5, 6]], np.float32)
B = np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9]], np.int64)

FORMS: dict[str, Callable[[int], Any]] = {
    "array": lambda i: X[i],
    "tuple": lambda i: (X[i],),
    "list": lambda i: [X[i]],
    "dict": lambda i: {"input": X[i]},
    "nested lists": lambda i: X[i].tolist(),
    "list of nested lists": lambda i: [X[i].tolist()],
    "float64": lambda i: X[i].astype(np.float64),
}


def check_x(result: CalibrationResult, count: int = 6) -> None:
    assert result.pictures == count
    assert result.statistics["input"].count == X[:count].size
    assert result.statistics["input"].minimum == X[:count].min()
    assert result.statistics["twice"].sum_maximum == sum(float(2 * x.max()) for x in X[:count])


@pytest.mark.parametrize("form", FORMS)
def test_sample_generator(tmp_path: Path, two_steps: MakeModel, form: str) -> None:
    def generator() -> Iterator[Any]:
        yield from (FORMS[form](i) for i in range(6))

    settings = config(tmp_path)
    for source in (generator, generator()):
        samples = GeneratorSamples(source, ONE, settings)
        check_x(calibrate(two_steps(), ["input", "twice"], settings, ONE, samples=samples))


@pytest.mark.parametrize("form", FORMS)
def test_plain_samples(tmp_path: Path, two_steps: MakeModel, form: str) -> None:
    samples = (FORMS[form](i) for i in range(6))
    check_x(calibrate(two_steps(), ["input", "twice"], config(tmp_path), ONE, samples=samples))


@pytest.mark.parametrize("form", ["array", "tuple", "dict"])
def test_a_buffer_may_be_filled_again(tmp_path: Path, two_steps: MakeModel, form: str) -> None:
    buffer = np.empty_like(X[0])

    def samples() -> Iterator[Any]:
        for x in X[:6]:
            buffer[:] = x
            yield {"array": buffer, "tuple": (buffer,), "dict": {"input": buffer}}[form]

    check_x(calibrate(two_steps(), ["input", "twice"], config(tmp_path), ONE, samples=samples()))


@pytest.mark.parametrize("size", [1, 4, 6])
@pytest.mark.parametrize("form", ["array", "tuple", "list", "dict", "nested"])
def test_batch_generator(tmp_path: Path, two_steps: MakeModel, form: str, size: int) -> None:
    def generator() -> Iterator[Any]:
        for start in range(0, 6, size):
            part = X[start : start + size]
            yield {
                "array": part,
                "tuple": (part,),
                "list": [part],
                "dict": {"input": part},
                "nested": part.tolist(),
            }[form]

    settings = config(tmp_path)
    samples = GeneratorSamples(generator, ONE, settings, batched=True)
    check_x(calibrate(two_steps(), ["input", "twice"], settings, ONE, samples=samples))
    assert len(list(samples)) == len(list(samples)) == 6


def test_limits(tmp_path: Path) -> None:
    settings = config(tmp_path, batch_size=2, batch_nums=2)
    assert len(list(GeneratorSamples(X, ONE, settings))) == 4
    batches = [X[:3], X[3:5], X[5:]]
    assert len(list(GeneratorSamples(batches, ONE, settings, batched=True))) == 5


@pytest.mark.parametrize("form", ["tuple", "list", "dict", "other order"])
def test_several_inputs(tmp_path: Path, form: str) -> None:
    def sample(a: Any, b: Any) -> Any:
        forms = {"tuple": (a, b), "list": [a, b], "dict": {"a": a, "b": b}, "other order": {"b": b, "a": a}}
        return forms[form]

    single = [sample(a, b) for a, b in zip(A, B, strict=True)]
    batches = [sample(A[:2], B[:2]), sample(A[2:], B[2:])]
    settings = config(tmp_path)
    for samples in (single, GeneratorSamples(batches, TWO, settings, batched=True)):
        result = calibrate(two_inputs(), ["a", "c"], settings, TWO, samples=samples)
        assert result.pictures == 3
        assert (result.statistics["c"].minimum, result.statistics["c"].maximum) == (4, 30)
        assert result.statistics["a"].minimum == -2


STATE = {"a": (1, 2), "state": (2, 1, 3), "rate": ()}
"""Beside ``a``, inputs without a batch."""


def with_state(batch: int | str) -> bytes:
    """c = a · rate + the state's first numbers, for tests of inputs without a batch."""
    constants = {"from": [0, 0], "to": [1, 2], "axes": [0, 2], "axis": [0]}
    nodes = [
        helper.make_node("Mul", ["a", "rate"], ["scaled"]),
        helper.make_node("Slice", ["state", "from", "to", "axes"], ["first"]),
        helper.make_node("Squeeze", ["first", "axis"], ["row"]),
        helper.make_node("Add", ["scaled", "row"], ["c"]),
    ]
    tensors = [helper.make_tensor(n, TensorProto.INT64, [len(v)], v) for n, v in constants.items()]
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in (("a", [batch, 2]), ("state", [2, 1, 3]), ("rate", []))
    ]
    c = helper.make_tensor_value_info("c", TensorProto.FLOAT, [batch, 2])
    graph = helper.make_graph(nodes, "g", inputs, [c], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    return bytes(model.SerializeToString())


@pytest.mark.parametrize("batch", ["N", 1])
@pytest.mark.parametrize("form", ["tuple", "dict"])
def test_inputs_without_a_batch(tmp_path: Path, batch: int | str, form: str) -> None:
    def sample(i: int) -> Any:
        arrays = (np.full(2, i, np.float32), np.full((2, 1, 3), 10 * i, np.float32), np.float32(2))
        return arrays if form == "tuple" else dict(zip(STATE, arrays, strict=True))

    samples = [sample(i) for i in range(4)]
    result = calibrate(with_state(batch), ["c", "state"], config(tmp_path), STATE, samples=samples)
    assert result.pictures == 4
    assert (result.statistics["c"].minimum, result.statistics["c"].maximum) == (0, 36)
    assert result.statistics["state"].maximum == 30
    wrong = [{"a": np.zeros(2), "state": np.zeros((1, 3)), "rate": 2.0}]
    with pytest.raises(InputError, match=r"\[1, 3\] for the input `state`\n.*takes \[2, 1, 3\]\n"):
        calibrate(with_state(batch), ["c"], config(tmp_path), STATE, samples=wrong)


def test_a_fixed_batch_beside_inputs_without_one(tmp_path: Path) -> None:
    """Samples that the model takes at once share them."""
    shapes = {**STATE, "a": (3, 2)}
    state, rate = np.full((2, 1, 3), 7, np.float32), np.float32(2)
    given: list[dict[str, Any]] = [
        {"a": np.full(2, i, np.float32), "state": state, "rate": rate} for i in range(4)
    ]
    result = calibrate(with_state(3), ["c"], config(tmp_path), shapes, samples=given)
    assert (result.statistics["c"].minimum, result.statistics["c"].maximum) == (7, 13)
    given[1]["state"] = np.zeros((2, 1, 3), np.float32)
    with pytest.raises(InputError, match="differ in the input `state`"):
        calibrate(with_state(3), ["c"], config(tmp_path), shapes, samples=given)


def test_array_files(tmp_path: Path, two_steps: MakeModel) -> None:
    folder = tmp_path / "samples"
    folder.mkdir()
    for index, x in enumerate(X[:4]):
        np.save(folder / f"{index}.npy", x)
    np.savez(folder / "4.npz", input=X[4])
    with (folder / "5.NPZ").open("wb") as file:
        np.savez_compressed(file, input=X[5])
    settings = config(
        tmp_path, image_dir=folder, preprocess=PreprocessOptions(mean=(9.0,))
    )  # which does not apply
    check_x(calibrate(two_steps(), ["input", "twice"], settings, ONE))
    listed = tmp_path / "list.txt"
    listed.write_text("0.npy 7\n1.npy\n", encoding="utf-8")
    settings = config(tmp_path, image_dir=folder, image_list=listed)
    check_x(calibrate(two_steps(), ["input", "twice"], settings, ONE), 2)
    paths = [folder / "0.npy", folder / "4.npz"]
    (_, first) = next(load_pictures(paths[:1], PreprocessOptions(), (3, 8, 8)))
    np.testing.assert_array_equal(first, X[0])


def test_npz_of_several_inputs(tmp_path: Path) -> None:
    folder = tmp_path / "samples"
    folder.mkdir()
    for index, (a, b) in enumerate(zip(A, B, strict=True)):
        np.savez(folder / f"{index}.npz", b=b, a=a)
    result = calibrate(two_inputs(), ["c"], config(tmp_path, image_dir=folder), TWO)
    assert result.statistics["c"].maximum == 30


def test_picture_for_several_inputs(folder: Path) -> None:
    with pytest.raises(InputError, match=r"p0\.png is one picture, but the model has the inputs a, b"):
        calibrate(two_inputs(), ["c"], config(folder, image_dir=folder), TWO)


BAD_FILES: dict[str, tuple[Any, str]] = {
    "text": (b"not an array", "cannot read sample"),
    "truncated": (None, "cannot read sample"),
    "objects": (np.array([{}, None]), "cannot read sample"),
    "batch": (X[:1], r"has \[1, 3, 8, 8\] for the input `input`"),
    "shape": (X[0, :2], r"has \[2, 8, 8\]"),
}


@pytest.mark.parametrize("bad", BAD_FILES)
def test_bad_array_files(folder: Path, two_steps: MakeModel, bad: str) -> None:
    content, problem = BAD_FILES[bad]
    path = folder / "p4.npy"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is None:
        np.save(path, X[0])
        path.write_bytes(path.read_bytes()[:-50])
    else:
        np.save(path, content, allow_pickle=True)
    settings = config(folder.parent, image_dir=folder)
    with pytest.raises(InputError, match=problem) as caught:
        calibrate(two_steps(), ["twice"], settings, ONE)
    assert "p4.npy" in caught.value.problem
    settings = config(folder.parent, image_dir=folder, skip_bad_images=True)
    if bad in ("batch", "shape"):  # readable: a mistake that skipping must not hide
        with pytest.raises(InputError):
            calibrate(two_steps(), ["twice"], settings, ONE)
    else:
        result = calibrate(two_steps(), ["twice"], settings, ONE)
        assert result.pictures == PICTURES
        assert [p.name for p, _ in result.skipped] == ["p4.npy"]


REFUSED: list[tuple[Any, Any, bool, str]] = [
    (X[0, 0], ONE, False, r"has \[8, 8\] for the input `input`"),
    (X[:1], ONE, False, r"has \[1, 3, 8, 8\]"),
    (X[0], ONE, True, r"has \[3, 8, 8\]"),
    (X[:0], ONE, True, "holds 0 samples"),
    ((X[0], 7), ONE, False, "has 2 arrays"),
    ({"inptu": X[0]}, ONE, False, "has the inputs inptu"),
    ({}, ONE, False, "has the inputs none"),
    ([[1.0, 2.0], [3.0]], ONE, False, "has 2 arrays"),
    ([[[1.0, 2.0], [3.0]]], ONE, False, "is not an array"),
    (A[0], TWO, False, "has one array"),
    ({"a": A[0]}, TWO, False, "has the inputs a"),
    ((A, B[:2]), TWO, True, "holds 2 and 3 samples"),
]


@pytest.mark.parametrize(("sample", "inputs", "batched", "problem"), REFUSED)
def test_refused(sample: Any, inputs: Any, batched: bool, problem: str) -> None:
    with pytest.raises(InputError, match=f"sample 3 .*{problem}|sample 3 {problem}"):
        as_arrays(sample, inputs, "sample 3", batched=batched)


def test_types_of_another_kind(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="input `b` is float64"):
        calibrate(two_inputs(), ["c"], config(tmp_path), TWO, samples=[(A[0], [0.5, 1.0, 2.0])])
    with pytest.raises(InputError, match="input `a` is complex64"):
        calibrate(two_inputs(), ["c"], config(tmp_path), TWO, samples=[(A[0] * 1j, B[0])])
    with pytest.raises(InputError, match="tensor `b` is int64"):
        calibrate(two_inputs(), ["b"], config(tmp_path), TWO, samples=[(A[0], B[0])])


def test_nan_names_the_sample(tmp_path: Path, two_steps: MakeModel) -> None:
    x = X.copy()
    x[4, 0, 0, 0] = np.nan
    with pytest.raises(InputError, match=r"NaN.* first in sample 4"):
        calibrate(two_steps(), ["twice"], config(tmp_path), ONE, samples=x)


def test_no_samples(tmp_path: Path, two_steps: MakeModel) -> None:
    with pytest.raises(InputError, match="no samples"):
        calibrate(two_steps(), ["twice"], config(tmp_path), ONE, samples=[])


def test_generator_is_cached_only_under_a_key(tmp_path: Path, two_steps: MakeModel) -> None:
    settings = config(tmp_path, is_use_cache_file=True)

    def run(key: str | None, samples: Any = X) -> CalibrationResult:
        return calibrate(two_steps(), ["twice"], settings, ONE, samples=samples, content_key=key)

    for _ in range(2):
        result = run(None)
        assert not result.from_cache
        assert any("content key" in warning for warning in result.warnings)
    assert not settings.cache_dir.exists()
    assert not run("v1").from_cache
    again = run("v1", samples=[])
    assert again.from_cache
    assert not again.warnings
    assert not run("v2").from_cache


def test_resumes_a_generator(tmp_path: Path, two_steps: MakeModel, monkeypatch: pytest.MonkeyPatch) -> None:
    from ptq_core.calibration import collect, pipeline

    monkeypatch.setattr(pipeline, "SAVE_SECONDS", 0)
    monkeypatch.setattr(collect, "MICRO_BATCH_BYTES", 1)
    settings = config(tmp_path, is_use_cache_file=True, batch_size=1)

    def stop(done: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        calibrate(two_steps(), ["input", "twice"], settings, ONE, samples=X, content_key="k", on_batch=stop)
    result = calibrate(two_steps(), ["input", "twice"], settings, ONE, samples=X, content_key="k")
    assert result.resumed == 3
    check_x(result)


def test_uint8_pictures_as_arrays(tmp_path: Path, two_steps: MakeModel) -> None:
    """Models of raw pixels take 0 … 255 as numbers of any type."""
    pixels = np.asarray(Image.new("RGB", (8, 8), (1, 2, 250))).transpose(2, 0, 1)
    result = calibrate(two_steps(), ["twice"], config(tmp_path), ONE, samples=[pixels])
    assert result.statistics["twice"].maximum == 500
