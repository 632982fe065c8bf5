"""The C runtime in Python: load a flat file (`.nb`), run it on NumPy arrays, look at every operator's output.

A ctypes binding of `runtime/include/ptq/ptq.h`; the library is built by `make runtime` into `ptq_core/_runtime/host/`.
"""

from __future__ import annotations

import ctypes
import functools
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from ptq_core.carried import IS_CHECKOUT, built_runtimes
from ptq_core.errors import DeviceError, InputError, PtqError
from ptq_core.version import VERSION

RUNTIME_DIR_VARIABLE = "PTQ_RUNTIME_DIR"
"""Environment variable that replaces the package's `_runtime` folder (one sub-folder per ABI)."""

MAX_THREADS = 64

Array = npt.NDArray[Any]
Observer = Callable[[int, "TensorInfo", Array, float], None]
"""Called after each operator: index of the operator, its first output, a copy of its values, microseconds taken."""


@dataclass(frozen=True)
class TensorInfo:
    """An input, output or intermediate tensor. `scale` is the first scale; 0.0 (and zero point 0) for floats."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    scale: float
    zero_point: int


@dataclass(frozen=True)
class OpInfo:
    """An operator: the node's name in the model, its kind in the flat file, the kernel chosen for this CPU.

    ``macs`` are the multiply-accumulates of one run, 0 where that says nothing.
    """

    name: str
    kind: str
    kernel: str
    macs: int


def runtime_folder(abi: str) -> Path:
    """The folder with the runtime built for ``abi`` (`host`, `arm64-v8a`, …); it may not exist."""
    override = os.environ.get(RUNTIME_DIR_VARIABLE)
    if override:
        return Path(override) / abi
    own = Path(__file__).parent / "_runtime" / abi
    return own if IS_CHECKOUT or abi == "host" or own.is_dir() else built_runtimes() / abi


def runtime_binary(abi: str, name: str = "benchmark_bin") -> Path:
    """A file of the runtime built for ``abi``. Raises DeviceError, naming the next step, if it was not built."""
    path = runtime_folder(abi) / name
    if not path.is_file():
        raise DeviceError(
            f"no {name} for {abi}: {path} does not exist",
            rule="the C++ runtime must be built first; a wheel carries that of its own machine",
            fix=f"{_how_to_build(abi)}, or set {RUNTIME_DIR_VARIABLE} to a folder that has {abi}/{name}",
        )
    return path


def _how_to_build(abi: str) -> str:
    if IS_CHECKOUT:
        return f"run `{'make runtime' if abi == 'host' else 'make runtime-all'}`"
    return "install ptq again" if abi == "host" else f"run `python -m ptq_core.runtime_build {abi}`"


class Program:
    """A loaded flat file. Use as a context manager, or call `close()`; calls from several threads take turns.

    ``source`` is the path of a `.nb` or its bytes. Raises InputError for a missing, damaged or unsupported file,
    DeviceError if the runtime is not built or memory runs out.
    """

    def __init__(self, source: Path | str | bytes) -> None:
        self._handle: ctypes.c_void_p | None = None
        self._contexts: dict[int, ctypes.c_void_p] = {}
        self._observer: Observer | None = None
        self._lock = threading.RLock()
        self._library = load_library()
        self._source = source  # bytes must outlive the program
        self.name = "the program" if isinstance(source, bytes) else str(source)
        handle = ctypes.c_void_p()
        if isinstance(source, bytes):
            status = self._library.ptq_program_from_memory(source, len(source), ctypes.byref(handle))
        else:
            status = self._library.ptq_program_load(os.fsencode(source), ctypes.byref(handle))
        if status == _INVALID_ARGUMENT:  # ours are valid, so it speaks of PTQ_CPU
            raise InputError(
                _text(self._library.ptq_last_error()),
                rule="PTQ_CPU, where it is set, names an instruction set of this CPU",
                fix="unset PTQ_CPU or correct it",
            )
        self._check(status)
        self._handle = handle
        self.arena_bytes: int = self._library.ptq_program_arena_bytes(handle)
        self.work: int = self._library.ptq_program_work(handle)
        self.inputs = self._tensors("input")
        self.outputs = self._tensors("output")
        self.ops = self._operators()

    def run(self, *arrays: Array, threads: int = 1) -> list[Array]:
        """Run on one array per input, of exactly its dtype and shape; returns a new array per output.

        Raises InputError if the arrays or ``threads`` (1 … 64) do not fit, or what an observer raised.
        """
        with self._lock:
            self._check_arrays(arrays)
            context = self._context(threads)
            for index, (info, array) in enumerate(zip(self.inputs, arrays, strict=True)):
                _view(self._library.ptq_context_input(context, index), info)[...] = array
            if self._observer is None:
                self._check(self._library.ptq_run(context))
            else:
                self._run_observed(context, self._observer)
            return [
                _view(self._library.ptq_context_output(context, index), info).copy()
                for index, info in enumerate(self.outputs)
            ]

    def observe(self, observer: Observer | None) -> None:
        """Call ``observer`` after each operator of the following runs; None stops it."""
        self._observer = observer

    def run_observed(self, *arrays: Array, threads: int = 1) -> dict[str, tuple[TensorInfo, Array]]:
        """Run once; returns every operator's first output by its tensor's name, in execution order."""
        seen: dict[str, tuple[TensorInfo, Array]] = {}

        def keep(_op: int, info: TensorInfo, values: Array, _microseconds: float) -> None:
            seen[info.name] = (info, values)

        with self._lock:
            before, self._observer = self._observer, keep
            try:
                self.run(*arrays, threads=threads)
            finally:
                self._observer = before
        return seen

    def close(self) -> None:
        """Free the contexts and the program; may be called twice."""
        with self._lock:
            while self._contexts:
                self._library.ptq_context_destroy(self._contexts.popitem()[1])
            handle, self._handle = self._handle, None
            if handle is not None:
                self._library.ptq_program_destroy(handle)

    def __enter__(self) -> Program:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_handle", None) is not None:
            self.close()

    def _context(self, threads: int) -> ctypes.c_void_p:
        if self._handle is None:
            raise ValueError(f"{self.name} was closed")
        if threads not in self._contexts:
            if not 1 <= threads <= MAX_THREADS:
                raise InputError(
                    f"{threads} threads",
                    rule=f"threads is 1 to {MAX_THREADS}",
                    fix="choose a number in that range",
                )
            context = ctypes.c_void_p()
            self._check(self._library.ptq_context_create(self._handle, threads, ctypes.byref(context)))
            self._contexts[threads] = context
        return self._contexts[threads]

    def _run_observed(self, context: ctypes.c_void_p, observer: Observer) -> None:
        raised: list[BaseException] = []

        def relay(_user: int | None, op: int, info: Any, data: int, microseconds: float) -> None:
            if raised:
                return
            try:
                tensor = _tensor_info(info.contents)
                observer(op, tensor, _view(data, tensor).copy(), microseconds)
            except BaseException as error:  # must not cross the C frames; raised again below
                raised.append(error)

        callback = _OBSERVER(relay)  # alive until the observer is taken off again
        self._library.ptq_context_set_observer(context, callback, None)
        try:
            status = self._library.ptq_run(context)
        finally:
            self._library.ptq_context_set_observer(context, _OBSERVER(), None)
        if raised:
            raise raised[0]
        self._check(status)

    def _check_arrays(self, arrays: tuple[Array, ...]) -> None:
        if len(arrays) != len(self.inputs):
            raise InputError(
                f"{len(arrays)} arrays for {self.name}",
                rule=f"it has {len(self.inputs)} inputs: {', '.join(info.name for info in self.inputs)}",
                fix="give one array per input",
            )
        for info, array in zip(self.inputs, arrays, strict=True):
            if array.shape != info.shape or array.dtype != info.dtype:
                raise InputError(
                    f"input `{info.name}` of {self.name} got {array.dtype} {list(array.shape)}",
                    rule=f"it takes {info.dtype} {list(info.shape)}",
                    fix="convert the array, or check the preprocessing and the model's input shape",
                )

    def _tensors(self, side: str) -> tuple[TensorInfo, ...]:
        read = getattr(self._library, f"ptq_program_{side}_info")
        tensors = []
        for index in range(getattr(self._library, f"ptq_program_{side}_count")(self._handle)):
            info = _CTensorInfo()
            self._check(read(self._handle, index, ctypes.byref(info)))
            tensors.append(_tensor_info(info))
        return tuple(tensors)

    def _operators(self) -> tuple[OpInfo, ...]:
        operators = []
        for index in range(self._library.ptq_program_op_count(self._handle)):
            info = _COpInfo()
            self._check(self._library.ptq_program_op_info(self._handle, index, ctypes.byref(info)))
            operators.append(OpInfo(_text(info.name), _text(info.kind), _text(info.kernel), int(info.macs)))
        return tuple(operators)

    def _check(self, status: int) -> None:
        if status == 0:
            return
        error, rule, fix = _FAILURES.get(status, _FAILURES[_INVALID_ARGUMENT])
        said = _text(self._library.ptq_last_error()) or f"status {status}"
        raise error(f"{self.name}: {said}", rule=rule, fix=fix)


def cpu_features() -> str:
    """Names of the instruction sets that the runtime uses on this machine."""
    return _text(load_library().ptq_cpu_features())


def load_library() -> ctypes.CDLL:
    """The host's libptq.so, loaded once per path. Raises DeviceError if it is absent, broken or of another version."""
    return _load(runtime_binary("host", "libptq.so"))


class _CTensorInfo(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("dtype", ctypes.c_int32),
        ("rank", ctypes.c_int32),
        ("dims", ctypes.c_int64 * 8),
        ("size_bytes", ctypes.c_size_t),
        ("scale", ctypes.c_float),
        ("zero_point", ctypes.c_int32),
    )


class _COpInfo(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("kind", ctypes.c_char_p),
        ("kernel", ctypes.c_char_p),
        ("input_count", ctypes.c_uint32),
        ("output_count", ctypes.c_uint32),
        ("macs", ctypes.c_uint64),
    )


_OBSERVER = ctypes.CFUNCTYPE(
    None, ctypes.c_void_p, ctypes.c_uint32, ctypes.POINTER(_CTensorInfo), ctypes.c_void_p, ctypes.c_double
)
_POINTER, _SIZE, _STATUS = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
_OUT = ctypes.POINTER(ctypes.c_void_p)

_FUNCTIONS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "ptq_version": (ctypes.c_char_p, ()),
    "ptq_api_version": (ctypes.c_int32, ()),
    "ptq_last_error": (ctypes.c_char_p, ()),
    "ptq_cpu_features": (ctypes.c_char_p, ()),
    "ptq_program_load": (_STATUS, (ctypes.c_char_p, _OUT)),
    "ptq_program_from_memory": (_STATUS, (_POINTER, _SIZE, _OUT)),
    "ptq_program_destroy": (None, (_POINTER,)),
    "ptq_program_arena_bytes": (_SIZE, (_POINTER,)),
    "ptq_program_work": (ctypes.c_uint64, (_POINTER,)),
    "ptq_program_input_count": (_SIZE, (_POINTER,)),
    "ptq_program_output_count": (_SIZE, (_POINTER,)),
    "ptq_program_op_count": (_SIZE, (_POINTER,)),
    "ptq_program_input_info": (_STATUS, (_POINTER, _SIZE, ctypes.POINTER(_CTensorInfo))),
    "ptq_program_output_info": (_STATUS, (_POINTER, _SIZE, ctypes.POINTER(_CTensorInfo))),
    "ptq_program_op_info": (_STATUS, (_POINTER, _SIZE, ctypes.POINTER(_COpInfo))),
    "ptq_context_create": (_STATUS, (_POINTER, ctypes.c_int32, _OUT)),
    "ptq_context_destroy": (None, (_POINTER,)),
    "ptq_context_input": (_POINTER, (_POINTER, _SIZE)),
    "ptq_context_output": (_POINTER, (_POINTER, _SIZE)),
    "ptq_context_set_observer": (None, (_POINTER, _OBSERVER, _POINTER)),
    "ptq_run": (_STATUS, (_POINTER,)),
}
"""Every function of ptq.h: what it returns, what it takes."""

_DTYPES: dict[int, np.dtype[Any]] = {
    1: np.dtype(np.float32),
    2: np.dtype(np.int8),
    3: np.dtype(np.int32),
    5: np.dtype(np.float16),
    6: np.dtype(np.int64),
    7: np.dtype(np.uint8),
    8: np.dtype(np.bool_),
}

_INVALID_ARGUMENT = 1
_FAILURES: dict[int, tuple[type[PtqError], str, str]] = {
    _INVALID_ARGUMENT: (
        PtqError,
        "the binding calls the runtime with valid arguments",
        "report this as a bug of ptq",
    ),
    2: (InputError, "the model is a readable `.nb` file", "check the path and its permissions"),
    3: (
        InputError,
        "the model is an undamaged flat file of this format version",
        "write it again with `ptq opt`",
    ),
    4: (
        InputError,
        "this build and CPU must be able to run the model",
        "write it again with `ptq opt --valid-targets host`; unset PTQ_CPU if it is set",
    ),
    5: (
        DeviceError,
        "the memory plan and the weights must fit into memory",
        "free memory or use a smaller model",
    ),
    6: (
        InputError,
        "indices that the model computes exist, and it divides no integer by 0",
        "check what the model is fed: its inputs have values that it was not made for",
    ),
}
"""ptq_status → the error it becomes, the rule, the next step."""


@functools.cache
def _load(path: Path) -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(str(path))
        for name, (result, arguments) in _FUNCTIONS.items():
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
    except (OSError, AttributeError) as error:
        raise DeviceError(
            f"cannot load {path}: {error}",
            rule="libptq.so must be built for this machine",
            fix="run `make clean runtime`",
        ) from error
    version = _text(library.ptq_version())
    if version != VERSION:
        raise DeviceError(
            f"{path} is version {version}",
            rule=f"the runtime must be of this package's version, {VERSION}",
            fix="run `make runtime`",
        )
    return library


def _text(value: bytes | None) -> str:
    return (value or b"").decode("utf-8", "replace")


def _tensor_info(info: _CTensorInfo) -> TensorInfo:
    shape = tuple(int(size) for size in info.dims[: info.rank])
    return TensorInfo(_text(info.name), _DTYPES[info.dtype], shape, float(info.scale), int(info.zero_point))


def _view(address: int, info: TensorInfo) -> Array:
    """The tensor at ``address`` without a copy; valid as long as the context."""
    size = int(np.prod(info.shape, dtype=np.int64)) * info.dtype.itemsize
    memory = memoryview((ctypes.c_char * size).from_address(address))
    return np.frombuffer(memory, info.dtype).reshape(info.shape)
