"""Damaged models, of a fixed seed: every command does its work or says what is wrong with the input, and calls nothing a bug."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ptq_cli import main
from tests.attack.model_mutations import edit_fields, nest
from tests.attack.mutations import Mutation, cut_off, flip_bits
from tests.models import mobile_block

PER_KIND = 25
"""Models of each kind and command: some seconds in all."""

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


@pytest.mark.needs("runtime")
@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("mutate", [cut_off, flip_bits, edit_fields, nest], ids=lambda kind: kind.__name__)
def test_a_damaged_model_is_no_bug(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
    mutate: Mutation,
) -> None:
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (16, 16), (50, 100, 200)).save("a.png")
    data = mobile_block().SerializeToString()
    for seed in range(PER_KIND):
        Path("m.onnx").write_bytes(mutate(data, np.random.default_rng(seed)))
        code = main.run([command, *COMMANDS[command]])
        assert code in (0, 2, 3), (seed, capsys.readouterr().err)
        capsys.readouterr()
