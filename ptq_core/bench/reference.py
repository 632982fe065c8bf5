"""What this machine's runtime computes for a model: the yardstick for a device's outputs."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ptq_core.bench.report import Outputs
from ptq_core.bench.subjects import Subject
from ptq_core.errors import DeviceError, InputError
from ptq_core.flatfile.error_bound import error_bounds
from ptq_core.flatfile.reader import read_program
from ptq_core.runtime import Array, Program, TensorInfo

SEED = 0


class Reference:
    """Inputs for ``subject``, as files in ``scratch`` that a device can be given, and its outputs on them here.

    Inputs are the same for models whose inputs have the same shapes. Nothing is done before `prepare`; several threads may
    share a reference.
    """

    def __init__(self, subject: Subject, scratch: Path) -> None:
        self._subject, self._scratch = subject, scratch
        self._lock = threading.Lock()
        self._files: list[Path] | None = None
        self._bounds: Sequence[Array] | None = None

    def prepare(self) -> list[Path] | None:
        """The files of the inputs; None if the runtime is not built for this machine, so that nothing can be compared.

        Raises InputError if the model cannot be run here.
        """
        with self._lock:
            if self._files is None:
                try:
                    self._run_here()
                except DeviceError:
                    return None
            return self._files

    def _run_here(self) -> None:
        with Program(self._subject.flat) as program:
            self._inputs, self._outputs = _first_run(program)
        self._files = []
        for index, values in enumerate(self._inputs):
            self._files.append(self._scratch / f"{self._subject.precision}_input{index}.bin")
            self._files[-1].write_bytes(values.tobytes())

    @property
    def output_bytes(self) -> int:
        """Of all outputs; known after `prepare`."""
        return sum(output.nbytes for output in self._outputs)

    def compare(self, raw: bytes) -> Outputs:
        """``raw`` are a device's outputs, one behind the other. `unclear` where they differ and no bound is known."""
        if raw == b"".join(output.tobytes() for output in self._outputs):
            return "identical"
        if len(raw) != self.output_bytes:
            return "different"
        try:
            bounds = self._error_bounds()
        except ValueError:  # an error of float operators that may flip a rounding to int8
            return "unclear"
        start = 0
        for here, bound in zip(self._outputs, bounds, strict=True):
            there = np.frombuffer(raw, here.dtype, here.size, start).reshape(here.shape)
            start += here.nbytes
            with np.errstate(invalid="ignore"):
                difference = np.abs(there.astype(np.float64) - here.astype(np.float64))
            same = (there == here) | (np.isnan(there) & np.isnan(here))
            if not np.all(same | (difference <= 2 * bound)):
                return "different"
        return "close"

    def _error_bounds(self) -> Sequence[Array]:
        with self._lock:
            if self._bounds is None:
                self._bounds = error_bounds(read_program(self._subject.flat.read_bytes()), self._inputs)
            return self._bounds


ATTEMPTS = 18
"""As benchmark_bin does (runtime/tools/measure.cc): integers may be rows of a table, or divisors. Each attempt has half as many
numbers as the one before the last, every second leaves out 0."""


def _first_run(program: Program) -> tuple[list[Array], list[Array]]:
    """Random inputs that ``program`` takes, and its outputs. Raises InputError where none of the attempts fits."""
    for attempt in range(ATTEMPTS):
        inputs = [_random(info, index, attempt) for index, info in enumerate(program.inputs)]
        try:
            return inputs, program.run(*inputs)
        except InputError:
            if attempt + 1 == ATTEMPTS or not any(x.dtype in _WHOLE for x in inputs):
                raise
    raise AssertionError("an attempt ends it")


_WHOLE = (np.uint8, np.int32, np.int64)


def _random(info: TensorInfo, index: int, attempt: int) -> Array:
    """What benchmark_bin's own random inputs look like: [-1, 1), all of int8, 0 ... 255 of other integers at first."""
    generator = np.random.default_rng((SEED, index))
    if info.dtype == np.float32:
        return generator.uniform(-1, 1, info.shape).astype(np.float32)
    if info.dtype == np.bool_:
        return generator.integers(0, 2, info.shape).astype(np.bool_)
    if info.dtype == np.int8:
        return generator.integers(-128, 127, info.shape, info.dtype, endpoint=True)
    numbers = generator.integers(0, 255, info.shape, info.dtype, endpoint=True) >> attempt // 2
    return np.asarray(np.maximum(numbers, attempt % 2), info.dtype)
