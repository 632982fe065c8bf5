"""The one place that opens onnxruntime sessions: threads set, telemetry off, sums of int8 exact."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

# Read when the library loads: onnxruntime >= 1.32 starts its telemetry client before any call could stop it.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from ptq_core.errors import DeviceError, InputError

onnxruntime.disable_telemetry_events()
onnxruntime.set_default_logger_severity(3)


Provider = Literal["cpu", "cuda"]
"""Where a session computes: the values of the configuration key `executor`."""

Int8 = Literal["exact", "kept", "plain", "apart"]
"""How a session computes int8 on x86, where onnxruntime by itself turns activations into uint8. Elsewhere three are one.

exact: uint8 inside, no sum saturates. The integers of convolutions and matrix products are those of docs/numerics.md.
kept:  operators on int8, as docs/numerics.md compares them one by one; several times slower without VNNI.
plain: as others open a session. Without VNNI (AVX2) pairs of products saturate at 16 bits: other values, much accuracy lost.
apart: QuantizeLinear and DequantizeLinear only round, what lies between computes floats: for simulations.
"""

_PRECISE, _AS_INT8 = "session.x64quantprecision", "session.qdqisint8allowed"

_INT8_OPTIONS = {
    "exact": (_PRECISE, _AS_INT8),
    "kept": (_AS_INT8,),
    "plain": ("",),
    "apart": ("session.disable_quant_qdq",),
}
"""The option to set; where onnxruntime does not open the model with it, the next. Both give exact sums, the second is slower;
with the first, onnxruntime 1.32 does not open models whose operators share a weight."""

_SEVERITY = {"cpu": 4, "cuda": 3}
"""What a session logs: nothing but the end of the process, or why a provider does not start. All else it raises as well; the
log would write names of the model to standard error as they are."""

_PROVIDERS = {"cpu": ["CPUExecutionProvider"], "cuda": ["CUDAExecutionProvider", "CPUExecutionProvider"]}


def open_session(
    model: Path | bytes,
    *,
    threads: int = 0,
    optimized: bool = True,
    low_memory: bool = False,
    int8: Int8 = "exact",
    provider: Provider = "cpu",
) -> onnxruntime.InferenceSession:
    """Open ``model`` (a path or serialized ModelProto) on ``provider``; cuda leaves to the CPU what it has no kernel for.

    ``threads`` 0 means all cores. ``optimized`` False keeps the graph as written (every node runs on its own).
    ``low_memory`` returns the memory of a tensor as soon as it is not needed, and lets idle threads sleep, for runs that share
    the machine with other work of ours.
    ``int8`` matters to quantized models only: "kept" where an operator's bits are compared.
    Raises InputError if onnxruntime refuses the model, DeviceError if cuda is asked for and cannot be used.
    """
    if _PROVIDERS[provider][0] not in onnxruntime.get_available_providers():
        raise DeviceError(
            f"executor {provider}: this onnxruntime {onnxruntime.__version__} has no {_PROVIDERS[provider][0]}",
            rule="cuda needs the onnxruntime build with the CUDA provider; there is no silent fallback to the CPU",
            fix="install the package onnxruntime-gpu in place of onnxruntime, or set executor: cpu",
        )
    source = str(model) if isinstance(model, Path) else model
    *faster, last = _INT8_OPTIONS[int8]
    for entry in (*faster, last):
        options = _options(threads, optimized, low_memory, entry)
        options.log_severity_level = _SEVERITY[provider] if entry == last else _SEVERITY["cpu"]
        try:
            session = onnxruntime.InferenceSession(source, options, providers=_PROVIDERS[provider])
            break
        except Exception as error:  # onnxruntime's exceptions share no base class
            if entry != last:
                continue
            name = source if isinstance(source, str) else "the model"
            raise InputError(
                f"onnxruntime cannot load {name}: {str(error).splitlines()[0]}",
                rule="the model must be a valid ONNX model of operators that onnxruntime knows",
                fix="check the export; `onnx.checker.check_model` often says more",
            ) from error
    # onnxruntime only logs a provider that fails to start, and goes on without it.
    if _PROVIDERS[provider][0] not in session.get_providers():
        raise DeviceError(
            f"executor {provider}: onnxruntime could not start its {_PROVIDERS[provider][0]}",
            rule="cuda needs an Nvidia driver, CUDA and cuDNN of the versions that onnxruntime-gpu was built for",
            fix="install them, or set executor: cpu",
        )
    session.disable_fallback()
    return session


def run_session(
    session: onnxruntime.InferenceSession,
    names: Sequence[str] | None,
    feeds: Mapping[str, NDArray[Any]],
    *,
    problem: str = "onnxruntime cannot run the model",
    rule: str,
    fix: str,
) -> list[NDArray[Any]]:
    """The outputs called ``names`` (None: all) for ``feeds``; InputError of these words where onnxruntime fails."""
    try:
        return [np.asarray(values) for values in session.run(names, dict(feeds))]
    except Exception as error:  # onnxruntime's exceptions share no base class
        raise InputError(f"{problem}: {str(error).splitlines()[0]}", rule=rule, fix=fix) from error


def _options(threads: int, optimized: bool, low_memory: bool, entry: str) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    if entry:
        options.add_session_config_entry(entry, "1")
    if not optimized:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    if low_memory:
        options.enable_cpu_mem_arena = False
        options.enable_mem_pattern = False
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options
