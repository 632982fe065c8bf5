"""Fuzzes the entrance of ONNX models with coverage of ours: any bytes are a model, or InputError.

    make fuzz-models SECONDS=600

Every other input is one whose fields are damaged (tests/attack/model_mutations.py), so that what lies behind protobuf is
reached. What ends otherwise is written to build/fuzz/models/ by libFuzzer.
"""

from __future__ import annotations

import sys

import atheris
import numpy as np

with atheris.instrument_imports(include=["ptq_core.graph"]):
    from ptq_core.graph.io import load_model

from google.protobuf.message import DecodeError

from ptq_core.errors import PtqError
from tests.attack.model_mutations import edit_fields, nest
from tests.models import mobile_block
from tests.needs import ROOT

WORK = ROOT / "build" / "fuzz" / "models"


def load(data: bytes) -> None:
    """Raises what `load_model` must not raise."""
    path = WORK / "model.onnx"
    path.write_bytes(data)
    try:
        load_model(path)
    except (PtqError, MemoryError):
        return


def mutate(data: bytes, most: int, seed: int) -> bytes:
    """A custom mutator, as libFuzzer calls it."""
    random = np.random.default_rng(seed)
    try:
        if random.integers(2):
            return (edit_fields if random.integers(8) else nest)(data, random)[:most]
    except (DecodeError, ValueError, IndexError):  # no model, or one without outputs
        pass
    return bytes(atheris.Mutate(data, most))


def main() -> None:
    """Fuzz, with the flags of libFuzzer."""
    seeds = WORK / "seeds"
    seeds.mkdir(parents=True, exist_ok=True)
    (WORK / "corpus").mkdir(exist_ok=True)
    (seeds / "mobile_block.onnx").write_bytes(mobile_block().SerializeToString())
    flags = ["-max_len=65536", "-timeout=25", "-rss_limit_mb=3000", f"-artifact_prefix={WORK}/"]
    words = [sys.argv[0], *flags, *sys.argv[1:], str(WORK / "corpus"), str(seeds)]
    atheris.Setup(words, load, custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
