"""Damaged models, of a fixed seed: every command does its work or says what is wrong with the input, and calls nothing a bug."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from google.protobuf.message import Message
from PIL import Image

from ptq_cli import main
from tests.models import mobile_block

PER_KIND = 25
"""Models of each kind and command: some seconds in all."""

NUMBERS = (-(2**62), -2, -1, 0, 1, 3, 99, 2**31, 2**40, 2**62)
WORDS = ("", "x", "input", "Conv", "MatMul", "Gemm", "DequantizeLinear", "Loop", "Resize", "Pad")

COMMANDS = {
    "quantize": [
        "--model-dir",
        "m.onnx",
        "--image-dir",
        ".",
        "--save-model-path",
        "q",
        "--is-full-quantize",
        "true",
    ],
    "opt": ["--model-file", "m.onnx", "--optimize-out", "o", "--valid-targets", "host"],
    "show": ["m.onnx"],
}


def cut_off(data: bytes, random: np.random.Generator) -> bytes:
    return data[: random.integers(len(data))]


def flip_bits(data: bytes, random: np.random.Generator) -> bytes:
    flipped = bytearray(data)
    for at in random.integers(len(data), size=random.integers(1, 4)):
        flipped[at] ^= 1 << random.integers(8)
    return bytes(flipped)


def edit_fields(data: bytes, random: np.random.Generator) -> bytes:
    """One or two fields get another value, or are removed."""
    model = onnx.ModelProto.FromString(data)
    messages = list(_messages(model))
    for _ in range(random.integers(1, 3)):
        message = messages[random.integers(len(messages))]
        fields = message.ListFields()
        if not fields:
            continue
        field, value = fields[int(random.integers(len(fields)))]
        new = {str: WORDS, int: NUMBERS, float: (np.nan, np.inf, -1e38)}.get(type(value))
        try:
            if new is None or not random.integers(3):
                message.ClearField(field.name)
            else:
                setattr(message, field.name, new[random.integers(len(new))])
        except ValueError:  # a number that the field does not hold
            message.ClearField(field.name)
    return model.SerializeToString()


def _messages(message: Message) -> Iterator[Message]:
    yield message
    for field, value in message.ListFields():
        if field.type == field.TYPE_MESSAGE:
            for inner in (value,) if isinstance(value, Message) else value:
                yield from _messages(inner)


@pytest.mark.needs("runtime")
@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("mutate", [cut_off, flip_bits, edit_fields], ids=lambda kind: kind.__name__)
def test_a_damaged_model_is_no_bug(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
    mutate: object,
) -> None:
    assert callable(mutate)
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (16, 16), (50, 100, 200)).save("a.png")
    data = mobile_block().SerializeToString()
    for seed in range(PER_KIND):
        Path("m.onnx").write_bytes(mutate(data, np.random.default_rng(seed)))
        code = main.run([command, *COMMANDS[command]])
        assert code in (0, 2, 3), (seed, capsys.readouterr().err)
        capsys.readouterr()
