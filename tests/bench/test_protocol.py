"""benchmark_bin's answer: what is accepted, and which field an error names."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from ptq_core.bench.protocol import BenchmarkRun, parse
from ptq_core.errors import DeviceError

GOOD: dict[str, Any] = {
    "schema": 2,
    "tool": "benchmark_bin",
    "version": "0.1.0",
    "abi": "arm64-v8a",
    "cpu_features": "neon dotprod",
    "threads": 2,
    "warmup": 1,
    "repeats": 3,
    "stopped": "repeats",
    "models": [
        {
            "path": "a.nb",
            "load_ms": 0,
            "first_ms": 5.5,
            "arena_bytes": 64,
            "file_bytes": 1000,
            "samples_ms": [1, 2.5, 3],
            "output_crc32": 255,
            "ops": [{"name": "conv", "kind": "conv2d", "kernel": "k", "mean_us": 7}],
        }
    ],
    "peak_rss_bytes": 1 << 20,
}


def read(document: object) -> BenchmarkRun:
    return parse(json.dumps(document), models=1, threads=2, repeats=3)


def test_a_good_answer_becomes_records() -> None:
    run = read({**GOOD, "from_the_future": True})
    assert (run.abi, run.threads, run.peak_rss_bytes) == ("arm64-v8a", 2, 1 << 20)
    (model,) = run.models
    assert model.samples_ms == (1.0, 2.5, 3.0)
    assert model.output_crc32 == "000000ff"
    assert model.ops[0].mean_us == 7.0


def test_a_checksum_may_be_hexadecimal_and_ops_may_be_absent() -> None:
    document = copy.deepcopy(GOOD)
    document["models"][0]["output_crc32"] = "0xDEADBEEF"
    del document["models"][0]["ops"]
    (model,) = read(document).models
    assert (model.output_crc32, model.ops) == ("deadbeef", ())


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        ("schema", 1, "`schema` is 1"),
        ("stopped", "luck", "`stopped` is 'luck'"),
        ("tool", "other", "`tool` 'other'"),
        ("version", None, "`version` is None"),
        ("threads", 1, "`threads` is 1 where 2"),
        ("repeats", True, "`repeats` is True"),
        ("peak_rss_bytes", -1, "`peak_rss_bytes` is -1"),
        ("models", {}, "`models` is {}"),
        ("models", [], "number of `models` is 0 where 1"),
        ("models.0", "a.nb", "`models[0]` is no JSON object"),
        ("models.0.load_ms", "3", "`models[0].load_ms` is '3'"),
        ("models.0.first_ms", float("nan"), "`models[0].first_ms` is nan"),
        ("models.0.samples_ms", [], "`models[0].samples_ms` is []"),
        ("models.0.samples_ms", [1, 0, 2], "`models[0].samples_ms` is [1, 0, 2]"),
        ("models.0.samples_ms", [1, 2, float("inf")], "`models[0].samples_ms` is [1, 2, inf]"),
        ("models.0.samples_ms", [1, 2], "number of samples of a.nb is 2 where 3"),
        ("models.0.output_crc32", 1 << 32, "`models[0].output_crc32` is 4294967296"),
        ("models.0.output_crc32", "xyz", "`models[0].output_crc32` is 'xyz'"),
        ("models.0.ops.0.mean_us", None, "`models[0].ops[0].mean_us` is None"),
    ],
)
def test_a_wrong_field_is_named(path: str, value: object, named: str) -> None:
    document = copy.deepcopy(GOOD)
    target: Any = document
    *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    for parent in parents:
        target = target[parent]
    target[last] = value
    with pytest.raises(DeviceError) as caught:
        read(document)
    assert named in caught.value.problem


def test_a_stop_rule_decides_the_number_of_samples() -> None:
    document = {**copy.deepcopy(GOOD), "stopped": "confidence"}
    document["models"][0]["samples_ms"] = [1, 2]
    assert read(document).models[0].samples_ms == (1.0, 2.0)
    document["models"].append({**document["models"][0], "samples_ms": [1, 2, 3]})
    with pytest.raises(DeviceError, match=r"number of samples of a\.nb is 2 where 3"):
        parse(json.dumps(document), models=2, threads=2, repeats=3)


@pytest.mark.parametrize("name", list(GOOD))
def test_a_missing_field_is_named(name: str) -> None:
    with pytest.raises(DeviceError, match=f"`{name}` is missing"):
        read({key: value for key, value in GOOD.items() if key != name})


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "its answer is empty"),
        ("Illegal\ninstruction", "'Illegal instruction' is not JSON"),
        ("[1]", "no JSON object"),
    ],
)
def test_garbage_is_quoted(text: str, named: str) -> None:
    with pytest.raises(DeviceError) as caught:
        parse(text, models=1, threads=2, repeats=3)
    assert named in caught.value.problem
    assert caught.value.exit_code == 3
