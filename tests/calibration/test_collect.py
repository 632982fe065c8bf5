"""Collection: exact statistics from a model, for every kind of batch dimension; refusals."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ptq_core.calibration import collect
from ptq_core.calibration.samples import Read
from ptq_core.calibration.statistics import Scratch, TensorStatistics
from ptq_core.errors import InputError
from tests.calibration.conftest import MakeModel
from tests.models import mobile_block


def collect_statistics(
    model: bytes, names: list[str], inputs: Iterable[NDArray[np.float32]], input_name: str, **rest: Any
) -> dict[str, TensorStatistics]:
    reads = (Read(f"sample {index}", {input_name: x}) for index, x in enumerate(inputs))
    *_, last = collect.collect_statistics(model, names, reads, [input_name], **rest)
    return last.statistics


NAMES = ["shifted", "input", "twice"]


def samples(count: int = 7) -> list[NDArray[np.float32]]:
    random = np.random.default_rng(4)
    return [random.integers(-9, 9, (3, 8, 8)).astype(np.float32) for _ in range(count)]


def expected(name: str, inputs: list[NDArray[np.float32]]) -> TensorStatistics:
    x = np.stack(inputs)
    statistics = TensorStatistics(name)
    values = {"input": x, "twice": 2 * x, "shifted": 2 * x - 1}[name]
    statistics.update(values, Scratch(), samples=len(x))
    return statistics


def assert_same(a: TensorStatistics, b: TensorStatistics) -> None:
    """Every field, to the last bit."""
    for field in fields(TensorStatistics):
        np.testing.assert_array_equal(getattr(a, field.name), getattr(b, field.name), field.name)


@pytest.mark.parametrize("limit", [1, 5000, 2**24])
@pytest.mark.parametrize("batch", ["N", 1, 3, 10])
def test_exact_for_every_batch_dimension(
    two_steps: MakeModel, batch: int | str, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collect, "MICRO_BATCH_BYTES", limit)
    statistics = collect_statistics(two_steps(batch), NAMES, iter(samples()), "input")
    assert list(statistics) == NAMES
    for name in NAMES:
        assert_same(statistics[name], expected(name, samples()))


def test_open_batch_that_only_runs_with_one(two_steps: MakeModel) -> None:
    names = [*NAMES, "reshaped"]
    statistics = collect_statistics(two_steps(reshape_to_one=True), names, samples(), "input")
    assert_same(statistics["shifted"], expected("shifted", samples()))
    assert statistics["reshaped"].count == 7 * 3 * 8 * 8


def test_only_the_input(two_steps: MakeModel) -> None:
    statistics = collect_statistics(two_steps(), ["input"], samples(), "input")
    assert_same(statistics["input"], expected("input", samples()))


def test_tensors_that_onnxruntime_would_fuse_away() -> None:
    """Between Conv, BatchNormalization and Clip, all three: their statistics must follow from each other."""
    model = mobile_block().SerializeToString()
    names = ["stem/conv/out", "stem/bn/out", "stem/relu6/out"]
    inputs = [np.random.default_rng(i).standard_normal((3, 16, 16)).astype(np.float32) for i in range(3)]
    together = collect_statistics(model, names, inputs, "input")
    assert together["stem/conv/out"].minimum < 0
    assert together["stem/relu6/out"].minimum == 0
    assert together["stem/relu6/out"].maximum == min(6.0, together["stem/bn/out"].maximum)
    for name in names:
        alone = collect_statistics(model, [name], inputs, "input")[name]
        assert alone.count == together[name].count
        assert alone.abs_max == pytest.approx(together[name].abs_max, rel=1e-5)


REFUSED = [
    (["absent"], "input", "no tensor `absent`"),
    (["two"], "input", "no tensor `two`"),
    (["twice"], "inptu", "no input `inptu`"),
    (["shape"], "input", "tensor `shape` is int64"),
]


@pytest.mark.parametrize(("names", "input_name", "problem"), REFUSED)
def test_refused_names(two_steps: MakeModel, names: list[str], input_name: str, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        collect_statistics(two_steps(), names, samples(), input_name)


def test_no_samples(two_steps: MakeModel) -> None:
    with pytest.raises(InputError, match="no samples"):
        collect_statistics(two_steps(), NAMES, [], "input")


@pytest.mark.parametrize("batch", ["N", 1, 3])
def test_nan_names_the_tensor_and_the_sample(two_steps: MakeModel, batch: int | str) -> None:
    inputs = samples(6)
    inputs[4][0, 0, 0] = np.nan
    with pytest.raises(InputError, match=r"`twice` has .*NaN.* first in sample 4"):
        collect_statistics(two_steps(batch), ["twice"], inputs, "input")


def test_division_by_zero_in_the_model(two_steps: MakeModel) -> None:
    with pytest.raises(InputError, match=r"`twice` has .*infinity.* first in sample 0"):
        collect_statistics(two_steps(op="Div"), ["twice"], [np.ones((3, 8, 8), np.float32)], "input")


def test_model_that_does_not_run(two_steps: MakeModel) -> None:
    with pytest.raises(InputError, match="the FP32 model does not run"):
        collect_statistics(two_steps(), ["twice"], [np.ones((3, 4, 4), np.float32)], "input")


@pytest.mark.parametrize(
    ("batch", "seen"),
    [
        (1, [(1, "a"), (2, "abc"), (3, "abc"), (3, "abcd")]),
        (2, [(2, "abc"), (3, "abcd")]),
        ("N", [(1, "a"), (3, "abcd")]),
    ],
)
def test_every_state_says_what_was_passed_over(
    two_steps: MakeModel, batch: int | str, seen: list[tuple[int, str]]
) -> None:
    """Bad samples belong to the state of the good ones that follow them; the last ones, to the last state."""
    good = iter(enumerate(samples(3)))
    reads = [
        Read(f"sample {(found := next(good))[0]}", {"input": found[1]})
        if name == "-"
        else Read(name, {}, (Path(name), "bad"))
        for name in "a-bc--d"
    ]
    states = list(collect.collect_statistics(two_steps(batch), NAMES, reads, ["input"]))
    assert [(state.samples, "".join(str(path) for path, _ in state.skipped)) for state in states] == seen


def test_bad_samples_only_leave_the_statistics_alone(two_steps: MakeModel) -> None:
    first = list(
        collect.collect_statistics(two_steps(), NAMES, [Read("0", {"input": samples(1)[0]})], ["input"])
    )
    bad = [Read("x", {}, (Path("x"), "bad"))]
    (state,) = collect.collect_statistics(two_steps(), NAMES, bad, ["input"], resume=first[-1])
    assert (state.samples, state.skipped) == (1, ((Path("x"), "bad"),))
    assert_same(state.statistics["twice"], expected("twice", samples(1)))
