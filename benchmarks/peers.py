"""The runtimes that latency is measured on: how each gets its model and runs it once, on one thread.

A peer that is not installed or does not take a precision is left out, in words. Every peer gets the same ONNX file as `ptq opt`,
in its own format where it has one; the conversion is made by the peer's own converter and kept beside the ONNX file.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

CLASSIC = ("mobilenet_v1", "mobilenet_v2", "resnet50")
"""The models with targets; onnx_to_tflite knows their operators."""

CLASSES = 1000
"""The output of every model is float32 [1, CLASSES]."""

Run = Callable[[], Any]
"""One inference; returns its output, without a copy if it can, as something that np.asarray takes. Raises PeerError."""


class PeerError(RuntimeError):
    """A runtime or its converter is not there, or could not do its work."""


@dataclass(frozen=True)
class Peer:
    """A row: what to import, the file it runs, how to make that file from the ONNX model, how to load it.

    ``load`` takes the file and the input, float32 [1, 3, H, W].
    """

    name: str
    package: str
    suffix: str
    load: Callable[[Path, np.ndarray], Run]
    convert: Callable[[Path, Path], None] | None = None
    precisions: Sequence[str] = ("fp32", "int8")
    models: Sequence[str] = (*CLASSIC, "mobilenet_v3_large")


def load_ptq(path: Path, x: np.ndarray) -> Run:
    """The C functions themselves: ptq_core.runtime.Program would copy input and output at every run."""
    from ptq_core.runtime import load_library

    library, program, context = load_library(), ctypes.c_void_p(), ctypes.c_void_p()

    def check(status: int) -> None:
        if status:
            raise PeerError(f"{path}: {library.ptq_last_error().decode()}")

    check(library.ptq_program_load(os.fsencode(path), ctypes.byref(program)))
    check(library.ptq_context_create(program, 1, ctypes.byref(context)))
    ctypes.memmove(library.ptq_context_input(context, 0), x.ctypes.data, x.nbytes)
    address = ctypes.cast(library.ptq_context_output(context, 0), ctypes.POINTER(ctypes.c_float))
    output = np.ctypeslib.as_array(address, (CLASSES,))

    def run() -> Any:
        check(library.ptq_run(context))
        return output

    return run


def load_onnxruntime(path: Path, x: np.ndarray) -> Run:
    """With its defaults: on x86 it makes the int8 activations of the model uint8, which is faster there."""
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime

    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])
    feed = {session.get_inputs()[0].name: x}
    return lambda: session.run(None, feed)[0]


def load_openvino(path: Path, x: np.ndarray) -> Run:
    """Float stays float32: left alone, it computes float models in bfloat16 where the CPU can."""
    import openvino

    config = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": 1,
        "NUM_STREAMS": 1,
        "INFERENCE_PRECISION_HINT": "f32",
    }
    request = openvino.Core().compile_model(str(path), "CPU", config).create_infer_request()
    request.set_input_tensor(openvino.Tensor(x))

    def run() -> Any:
        request.infer()
        return request.get_output_tensor().data

    return run


def load_ncnn(path: Path, x: np.ndarray) -> Run:
    import ncnn

    net = ncnn.Net()
    net.opt.num_threads = 1
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
    net.opt.use_bf16_storage = False
    net.load_param(str(path))
    net.load_model(str(path.with_suffix(".bin")))
    source = ncnn.Mat(x[0]).clone()  # the matrix is a view that does not keep the array alive

    def run() -> Any:
        with net.create_extractor() as extractor:
            extractor.input("in0", source)
            return extractor.extract("out0")[1]

    return run


def convert_ncnn(onnx_file: Path, out: Path) -> None:
    """The program in the package pnnx, which writes several files beside its input; the package's Python part wants torch."""
    package = importlib.util.find_spec("pnnx")
    if package is None or not package.submodule_search_locations:
        raise PeerError("ncnn's converter is missing: pip install --no-deps pnnx")
    program = Path(package.submodule_search_locations[0]) / "pnnx"
    work = out.parent / "pnnx"
    work.mkdir(exist_ok=True)
    (work / "model.onnx").write_bytes(onnx_file.read_bytes())
    command = [str(program), "model.onnx", "inputshape=[1,3,224,224]", "fp16=0"]
    subprocess.run(command, check=True, cwd=work, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    (work / "model.ncnn.bin").replace(out.with_suffix(".bin"))
    (work / "model.ncnn.param").replace(out)


def load_mnn(path: Path, x: np.ndarray) -> Run:
    import MNN

    runtime = MNN.nn.create_runtime_manager(({"backend": "CPU", "numThread": 1, "precision": "high"},))
    module = MNN.nn.load_module_from_file(
        str(path), [], [], runtime_manager=runtime, shape_mutable=False, rearrange=True
    )
    source = MNN.expr.const(x, list(x.shape), MNN.expr.NCHW)
    output = source

    def run() -> Any:
        nonlocal output  # what read returns is a view of the variable
        output = module.forward([source])[0]
        return output.read()  # computes

    return run


def convert_mnn(onnx_file: Path, out: Path) -> None:
    """The converter's library function: the command mnnconvert would start pip and report to its makers."""
    program = "import _tools, sys; _tools.mnnconvert(['mnnconvert', *sys.argv[1:]])"
    flags = ["-f", "ONNX", "--modelFile", str(onnx_file), "--MNNModel", str(out), "--bizCode", "bench"]
    subprocess.run([sys.executable, "-c", program, *flags], check=True, stdout=subprocess.DEVNULL)


def load_litert(path: Path, x: np.ndarray) -> Run:
    """The interpreter gives everything that XNNPACK can run to XNNPACK; its layout is NHWC."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path), num_threads=1)
    interpreter.allocate_tensors()
    interpreter.set_tensor(
        interpreter.get_input_details()[0]["index"], np.ascontiguousarray(x.transpose(0, 2, 3, 1))
    )
    output = interpreter.get_output_details()[0]["index"]

    def run() -> Any:
        interpreter.invoke()
        return interpreter.get_tensor(output)

    return run


def convert_litert(onnx_file: Path, out: Path) -> None:
    """Our own converter; there is none from ONNX without a training framework."""
    from benchmarks import onnx_to_tflite

    onnx_to_tflite.convert(onnx_file, out)


OURS = Peer("ptq", "ptq_core", ".nb", load_ptq)
PEERS = (
    Peer("onnxruntime", "onnxruntime", ".onnx", load_onnxruntime),
    Peer("OpenVINO", "openvino", ".onnx", load_openvino),
    Peer("LiteRT", "ai_edge_litert", ".tflite", load_litert, convert_litert, models=CLASSIC),
    Peer("ncnn", "ncnn", ".param", load_ncnn, convert_ncnn, ("fp32",)),
    Peer("MNN", "MNN", ".mnn", load_mnn, convert_mnn, ("fp32",)),
)
"""ncnn and MNN take no int8 activations from a QDQ model."""
