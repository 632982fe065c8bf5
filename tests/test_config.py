"""The configuration: what is accepted, and what each mistake says."""

from __future__ import annotations

import dataclasses
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from ptq_core.config import QuantizeConfig, from_text, load_config
from ptq_core.errors import InputError
from ptq_core.options.calibration import CalibrationOptions, RangeOptions
from ptq_core.options.model import ModelOptions
from ptq_core.options.preprocess import PreprocessOptions
from ptq_core.options.quantize import QuantizeOptions
from tests.needs import ROOT

NEEDED = {"model_dir": "m", "save_model_path": "s"}


def test_defaults_are_the_ancestors() -> None:
    config = load_config(None, NEEDED)
    assert config.algo == "KL"
    assert config.quantizable_op_type == ("conv2d", "depthwise_conv2d", "mul")
    assert (config.weight_bits, config.activation_bits, config.batch_size, config.batch_nums) == (
        8,
        8,
        10,
        None,
    )
    assert config.weight_quantize_type == "channel_wise_abs_max"
    assert not config.is_full_quantize
    assert not config.is_use_cache_file


def test_yaml_is_read_and_flags_win(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(
        "model_dir: a\nsave_model_path: b\nalgo: abs_max\nbatch_nums: 3\n"
        "preprocess: {resize: [32, 40], mean: [1, 2, 3], std: [4, 5, 6]}\n"
    )
    config = load_config(file, {"algo": "KL", "preprocess.std": [2]})
    assert (config.model_dir, config.algo, config.batch_nums) == (Path("a"), "KL", 3)
    assert config.preprocess == PreprocessOptions(resize=(32, 40), mean=(1, 2, 3), std=(2, 2, 2))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"batchsize": 3}, ["unknown key `batchsize`", "did you mean `batch_size`"]),
        ({"preprocess": {"maen": [1]}}, ["unknown key `preprocess.maen`", "did you mean `preprocess.mean`"]),
        ({"batch_size": "ten"}, ["`batch_size` is 'ten'", "a whole number"]),
        ({"batch_size": True}, ["`batch_size` is True", "a whole number"]),
        ({"batch_size": 0}, ["`batch_size` is 0", "at least 1"]),
        ({"batch_nums": 10**30}, ["`batch_nums` is 10000", "a whole number below 2147483648"]),
        ({"input_shape": [2**40, 3, 8, 8]}, ["`input_shape` is [1099511627776", "whole numbers from 1 to"]),
        ({"is_full_quantize": "yes please"}, ["`is_full_quantize`", "true or false"]),
        ({"algo": "KLL"}, ["`algo` is 'KLL'", "did you mean `KL`"]),
        ({"weight_bits": 0}, ["`weight_bits` is 0", "from 1 to 16"]),
        ({"activation_bits": 17}, ["`activation_bits` is 17"]),
        ({"preprocess": [1]}, ["`preprocess` is [1]", "a mapping"]),
        ({"preprocess": {"std": [0, 1, 1]}}, ["`preprocess.std`", "above zero"]),
        ({"preprocess": {"mean": [1, 2]}}, ["`preprocess.mean`", "3 number(s) for RGB"]),
        ({"preprocess": {"resize": [8, 8], "resize_short": 8}}, ["both `resize` and `resize_short`"]),
        ({"preprocess": {"center_crop": [0, 8]}}, ["`preprocess.center_crop`"]),
        ({"preprocess": {"resize": [100000, 100000]}}, ["`preprocess.resize`", "from 1 to 16384"]),
        ({"preprocess": {"resize_short": 16385}}, ["`preprocess.resize_short`", "from 1 to 16384"]),
        ({"input_shape": [1, 3, 0, 4]}, ["`input_shape`"]),
        ({"input_shape": [[1, 3], 4]}, ["`input_shape` is 4"]),
        ({"input_shape": {"a": "1,3"}}, ["`input_shape` is '1,3'"]),
        ({"input_shape": "a:1,x"}, ["input shape `a:1,x`"]),
        ({"input_shape": 3}, ["`input_shape` is 3", "a mapping of the inputs' names"]),
        ({"quantizable_op_type": []}, ["`quantizable_op_type`"]),
        ({"store_int4": True}, ["`store_int4` is true, but `weight_bits` is 8"]),
        ({"algo": "weight_only", "bias_correction": True}, ["weight_only, together with"]),
        ({"round_type": "adaround", "weight_bits": 1}, ["1-bit weights are signs"]),
        ({"hist_percent": 0.0}, ["`hist_percent` is 0.0"]),
        ({"model_dir": None}, ["missing `model_dir`"]),
    ],
)
def test_mistakes_are_named(values: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        load_config(None, {**NEEDED, **values})
    assert caught.value.exit_code == 2
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ("a: [1", "not valid YAML"),
        ("algo: KL\nalgo: abs_max\n", "the key `algo` stands twice"),
        ("- 1\n- 2\n", "not a mapping"),
        pytest.param("batch_nums: " + "9" * 6000, "a number of 6000 characters", id="endless number"),
        pytest.param("batch_nums: 0x" + "f" * 6000, "a number of 6002 characters", id="endless hex number"),
        pytest.param("input_shape: " + "[" * 3000, "nested more than 32 deep", id="brackets"),
        pytest.param("skip_quant: &a [*a]", "an alias inside of what it stands for", id="circle"),
        pytest.param(
            "skip_quant: [&a [x, x, x, x], "
            + ", ".join(f"&{n} [{', '.join(['*' + p] * 9)}]" for p, n in pairwise("abcdefgh"))
            + "]",
            "more than 100000 parts",
            id="aliases of aliases",
        ),
        ("{[a]: 1}", "a key is not a plain word"),
        ("a: !!timestamp b", "not valid YAML"),
        ("a: !!bool b", "not valid YAML"),
        ("a: 2001-99-99", "not valid YAML"),
        ("\xff\xfe", "cannot read"),
    ],
)
def test_broken_files(tmp_path: Path, content: str, word: str) -> None:
    file = tmp_path / "c.yaml"
    file.write_bytes(content.encode("latin-1"))
    with pytest.raises(InputError, match=word) as caught:
        load_config(file)
    assert len(str(caught.value)) < 500


def test_a_long_value_is_cut(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    listed = f"[{', '.join('y' * 9000)}]"
    for text in (
        f"skip_quant: {{x: {listed}}}",
        f"algo: {listed}",
        f"? {'k' * 9000}\n: 1",
        f"algo: {'z' * 9000}",
    ):
        file.write_text(text)
        with pytest.raises(InputError, match=r"… \([0-9]+ more\)") as caught:
            load_config(file, NEEDED)
        assert len(str(caught.value)) < 1500


def test_missing_file_and_missing_keys(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no configuration file"):
        load_config(tmp_path / "none.yaml")
    with pytest.raises(InputError, match="missing `model_dir`, `save_model_path`"):
        load_config(None)


@pytest.mark.parametrize(
    ("cls", "name", "text", "value"),
    [
        (QuantizeConfig, "quantizable_op_type", "conv2d, mul", ["conv2d", "mul"]),
        (QuantizeConfig, "batch_nums", "4", 4),
        (QuantizeConfig, "is_full_quantize", "true", True),
        (QuantizeConfig, "model_dir", "12", "12"),
        (PreprocessOptions, "mean", "127.5,1", [127.5, 1]),
    ],
)
def test_flag_texts_become_plain_values(cls: type, name: str, text: str, value: Any) -> None:
    assert from_text(cls, name, text) == value


@pytest.mark.parametrize(
    ("given", "shapes"),
    [
        ([1, 3, 8, 8], ((1, 3, 8, 8),)),
        ([[1, 3, 8, 8], [1, 5]], ((1, 3, 8, 8), (1, 5))),
        ({"a": [1, 3], "b": []}, {"a": (1, 3), "b": ()}),
        ("1,3,8,8:1,5", ((1, 3, 8, 8), (1, 5))),
        (("a:1,3", "b:0:2,4"), {"a": (1, 3), "b:0": (2, 4)}),
    ],
)
def test_shapes_in_yaml_python_and_flags(given: Any, shapes: Any) -> None:
    config = load_config(None, {"model_dir": "m", "save_model_path": "s", "input_shape": given})
    assert config.input_shape == shapes


def test_grey_pictures_need_one_mean() -> None:
    assert PreprocessOptions(channel_order="GRAY").mean == (0.0,)


OWN_PART = {  # folder → the options that its files may name
    "ptq_core/calibration": {"CalibrationOptions", "RangeOptions", "PreprocessOptions"},
    "ptq_core/evaluate": {"PreprocessOptions"},
    "ptq_core/quantize": {"QuantizeOptions", "RangeOptions", "CalibrationOptions", "PreprocessOptions"},
}


@pytest.mark.parametrize("folder", OWN_PART)
def test_a_room_takes_its_own_part(folder: str) -> None:
    """Only the pipeline of a command, and what pipelines share, has the whole; mypy holds each room to what its part has."""
    for file in (ROOT / folder).rglob("*.py"):
        text = file.read_text(encoding="utf-8")
        assert set(re.findall(r"\b\w+Options\b", text)) <= OWN_PART[folder], file
        assert "QuantizeConfig" not in text or file.name in ("pipeline.py", "planning.py"), file


def test_rooms_share_no_key() -> None:
    parts = (ModelOptions, CalibrationOptions, QuantizeOptions)
    keys = [f.name for part in parts for f in dataclasses.fields(part)]
    assert sorted(keys) == sorted(f.name for f in dataclasses.fields(QuantizeConfig))
    assert all(f.metadata["help"] for f in dataclasses.fields(QuantizeConfig))


def test_a_part_alone_is_checked() -> None:
    """Rooms can be used without a configuration."""
    assert CalibrationOptions(batch_size=4, batch_nums=3).requested == 12
    assert CalibrationOptions().requested is None
    with pytest.raises(InputError, match="`batch_nums` is 0"):
        CalibrationOptions(batch_nums=0)
    with pytest.raises(InputError, match="`activation_bits` is 0"):
        RangeOptions(activation_bits=0)
    with pytest.raises(InputError, match="`hist_percent` is 2"):
        QuantizeOptions(hist_percent=2)
