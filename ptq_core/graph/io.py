"""Load a model so that every later step may rely on it: checked, node names unique, opset >= 13, shapes inferred."""

from __future__ import annotations

import difflib
from pathlib import Path

import onnx
import onnx_ir as ir
from google.protobuf.message import DecodeError

from ptq_core.errors import InputError
from ptq_core.files import atomic_path
from ptq_core.graph.float32 import conversion_note, note_conversion, other_floats, to_float32
from ptq_core.graph.fold_ifs import fold_ifs
from ptq_core.graph.guards import (
    check_constants,
    check_external_data,
    check_sizes,
    check_text,
    doubles,
    entrance,
    external_files,
    first_line,
    open_impossible_dims,
)
from ptq_core.graph.inline_functions import check_functions, inline_functions, inline_operators
from ptq_core.graph.input_shapes import InputShapes, fix_input_shapes
from ptq_core.graph.opsets import upgrade_old_opset
from ptq_core.graph.scopes import name_nodes
from ptq_core.graph.type_check import check_constant_types
from ptq_core.graph.weights import Array, attach, detach
from ptq_core.graph.wire import parse_model
from ptq_core.inputs import is_lack

PADDLE_FILES = ("__model__", "inference.pdmodel", "model.pdmodel", "inference.json")
"""What PaddlePaddle calls a saved model."""


def find_model(model_dir: Path, model_filename: str | None = None) -> Path:
    """The model file in ``model_dir``: ``model_filename``, or the only ``.onnx`` there; a path to a file is taken as it is."""
    if model_dir.is_file() and model_filename is None:
        return model_dir
    if not model_dir.is_dir():
        raise InputError(
            f"no model folder {model_dir}",
            rule="model_dir names an existing folder with an .onnx file",
            fix="check the path",
        )
    found = sorted(model_dir.glob("*.onnx"))
    if model_filename is not None:
        path = model_dir / model_filename
        if path.is_file():
            return path
        near = difflib.get_close_matches(model_filename, [p.name for p in model_dir.iterdir()], n=1)
        raise InputError(
            f"no file {model_filename} in {model_dir}",
            rule="model_filename names a file in model_dir",
            fix=f"did you mean `{near[0]}`?" if near else "check the name",
        )
    if len(found) == 1:
        return found[0]
    if not found and any((model_dir / name).exists() for name in PADDLE_FILES):
        raise InputError(
            f"{model_dir} holds a PaddlePaddle model",
            rule="models are .onnx files",
            fix="convert it with paddle2onnx",
        )
    names = ", ".join(p.name for p in found) or "none"
    raise InputError(
        f"{model_dir} holds {len(found)} .onnx files ({names})",
        rule="without model_filename there must be exactly one",
        fix="set model_filename" if found else "put the model there or correct model_dir",
    )


def find_models(folder: Path) -> dict[str, Path]:
    """Name → place of every model in a set: the .onnx files in ``folder``, and the folders in it that hold some.

    Raises InputError if there is none, or if two have one name.
    """
    if not folder.is_dir():
        raise InputError(
            f"no model set {folder}",
            rule="model_set_dir names an existing folder of models",
            fix="check the path",
        )
    places = [
        place
        for place in sorted(folder.iterdir())
        if (place.suffix == ".onnx" and place.is_file()) or (place.is_dir() and any(place.glob("*.onnx")))
    ]
    found: dict[str, Path] = {}
    for place in places:
        name = place.stem if place.is_file() else place.name
        if name in found:
            raise InputError(
                f"{found[name].name} and {place.name} in {folder} are both called {name}",
                rule="each model of a set has a name of its own: that of its output",
                fix="rename one of them",
            )
        found[name] = place
    if not found:
        raise InputError(
            f"{folder} holds no model",
            rule="a model set has .onnx files, or folders with one .onnx file each",
            fix="put the models there or correct model_set_dir",
        )
    return found


def load_model(
    path: Path, *, params_filename: str | None = None, input_shape: InputShapes | None = None
) -> ir.Model:
    """Load, check and complete an ONNX model.

    ``params_filename`` is the external-data file beside the model; it must exist and must be the one the model refers to.
    ``input_shape`` fixes the shapes of inputs where the model leaves them open.
    Afterwards local functions are inlined, Ifs of a known condition are the branch that is taken, all floats are float32
    (float32.py), every node has a unique name, the opset is at least 13, and shapes are inferred with static data propagation.
    Raises InputError.
    """
    with entrance(path):
        return _load(path, params_filename, input_shape)


def _load(path: Path, params_filename: str | None, input_shape: InputShapes | None) -> ir.Model:
    proto = _read(path)
    order = {tensor.name: rank for rank, tensor in enumerate(proto.graph.initializer)}
    proto, weights = _without_weights(proto, path, params_filename)
    open_impossible_dims(proto)
    onnx.checker.check_model(proto)
    if input_shape is not None:
        fix_input_shapes(proto, input_shape, weights)
    name_nodes(proto)
    proto, converted = _flattened(proto, path, weights)
    proto = upgrade_old_opset(proto, path)
    name_nodes(proto)
    try:
        proto = onnx.shape_inference.infer_shapes(
            proto, strict_mode=False, data_prop=not doubles(proto.graph)
        )
    except Exception as error:
        if is_lack(error):
            raise
        raise _shapes_do_not_fit(path, error) from error
    check_sizes(proto.graph)
    model = ir.from_proto(proto)
    attach(model, weights, order)
    check_constant_types(model)
    note_conversion(model, converted)
    return model


def _flattened(proto: onnx.ModelProto, path: Path, weights: dict[str, Array]) -> tuple[onnx.ModelProto, str]:
    """``proto`` of operators alone, whose floats are float32, as those of ``weights``; and a sentence about that, if any.

    Local functions are inlined, Ifs of a known condition replaced by the branch that is taken.
    """
    proto = inline_functions(proto)
    try:
        proto = fold_ifs(inline_operators(proto))
        return proto, to_float32(proto, weights)
    except onnx.shape_inference.InferenceError as error:
        raise _shapes_do_not_fit(path, error) from error


def _shapes_do_not_fit(path: Path, error: Exception) -> InputError:
    return InputError(
        f"shapes of {path} do not fit: {first_line(error)}",
        rule="shape inference must succeed",
        fix="check input_shape and the export",
    )


def read_apart(source: Path | bytes) -> tuple[onnx.ModelProto, dict[str, Array]]:
    """A model (its file or ModelProto bytes) without its large constants, which are inputs there, and these.

    Of operators alone and in float32, as in load_model, but in its own opset, and not checked. Raises InputError where the
    file or its external data cannot be read.
    """
    if isinstance(source, Path):
        with entrance(source):
            proto, weights = _without_weights(_read(source), source, None)
            return _flattened(proto, source, weights)[0], weights
    proto = onnx.ModelProto.FromString(source)
    _drop_constant_inputs(proto)
    weights = detach(proto, Path())
    return _flattened(proto, Path("the model"), weights)[0], weights


def _without_weights(
    proto: onnx.ModelProto, path: Path, params_filename: str | None
) -> tuple[onnx.ModelProto, dict[str, Array]]:
    """``proto`` without its large constants, and these; a protobuf frees its memory only as a whole, so it is made anew."""
    check_external_data(proto, path, params_filename)
    _drop_constant_inputs(proto)
    weights = detach(proto, path.parent)
    try:
        onnx.external_data_helper.load_external_data_for_model(proto, str(path.parent))
    except Exception as error:
        if is_lack(error):
            raise
        raise InputError(
            f"cannot read the external data of {path}: {first_line(error)}",
            rule="external data lies beside the model, in files that are long enough",
            fix="copy the model again with its external data",
        ) from error
    check_constants(proto)
    return onnx.ModelProto.FromString(proto.SerializeToString()), weights


def save_model(model: ir.Model, path: Path) -> None:
    """Save ``model`` as one self-contained file, atomically, after onnx.checker has passed it (else a bug of ours).

    Inferred shapes are left out: every reader infers them again, and in small models they are a tenth of the file.
    """
    proto = ir.to_proto(model)
    del proto.graph.value_info[:]
    data = _serialize(proto)
    onnx.checker.check_model(data)
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def check_not_overwritten(source: Path, target: Path) -> None:
    """Raise InputError if writing ``target`` would replace the float model ``source``."""
    if target.resolve() == source.resolve():
        raise InputError(
            f"{target} would overwrite the float model {source}",
            rule="the quantized model goes to a folder of its own",
            fix="choose another save_model_path",
        )


def to_bytes(model: ir.Model) -> bytes:
    """Serialize ``model`` to ModelProto bytes (< 2 GB; raises InputError beyond)."""
    return _serialize(ir.to_proto(model))


def _serialize(proto: onnx.ModelProto) -> bytes:
    try:
        return bytes(proto.SerializeToString())
    except ValueError as error:
        raise InputError(
            f"the model does not fit a protobuf: {error}",
            rule="models are limited to 2 GB",
            fix="split the model",
        ) from error


def float32_source(path: Path) -> tuple[Path | bytes, str]:
    """``path``, or the bytes of its model in float32 if that has other floats; and the sentence that says so, or "".

    Raises InputError as load_model.
    """
    with entrance(path):
        proto = _read(path)
        check_external_data(proto, path, None)
        check_functions(proto)  # onnxruntime would inline them all
        if not other_floats(proto):
            return path, ""
    model = load_model(path)
    return to_bytes(model), conversion_note(model)


def size_bytes(path: Path) -> int:
    """Size of a model file together with its external data, in bytes."""
    proto = onnx.load(str(path), load_external_data=False)
    return path.stat().st_size + sum((path.parent / name).stat().st_size for name in external_files(proto))


FED_TYPES = (
    ir.DataType.FLOAT,
    ir.DataType.INT32,
    ir.DataType.INT64,
    ir.DataType.UINT8,
    ir.DataType.BOOL,
)


def picture_input(model: ir.Model) -> ir.Value:
    """The single input that pictures, or arrays of whole numbers, are fed to; raises InputError if there is not exactly one."""
    inputs = model.graph.inputs
    if len(inputs) != 1:
        names = ", ".join(str(v.name) for v in inputs) or "none"
        raise InputError(
            f"the model has {len(inputs)} inputs ({names})",
            rule="pictures are fed to exactly one input",
            fix="export the model with one picture input",
        )
    if inputs[0].dtype not in FED_TYPES:
        raise InputError(
            f"input `{inputs[0].name}` is {inputs[0].dtype}",
            rule="the input is float32, or takes whole numbers or bools",
            fix="export the model with a float32 input",
        )
    return inputs[0]


def _read(path: Path) -> onnx.ModelProto:
    try:
        proto = parse_model(path)
    except FileNotFoundError:
        raise InputError(f"no model file {path}", rule="the model must exist", fix="check the path") from None
    except (OSError, DecodeError) as error:
        if is_lack(error):
            raise
        raise InputError(
            f"cannot read {path} as an ONNX model: {error}",
            rule="the model is an ONNX protobuf file",
            fix="check that the file is complete and not of another format",
        ) from None
    if not proto.graph.node:
        raise InputError(
            f"{path} has no nodes",
            rule="an ONNX model has a graph",
            fix="check that the file is an ONNX model",
        )
    check_text(proto)
    return proto


def _drop_constant_inputs(proto: onnx.ModelProto) -> None:
    """Before IR version 4 initializers had to be listed as inputs too; they are constants to us."""
    constants = {tensor.name for tensor in proto.graph.initializer}
    fed = [value for value in proto.graph.input if value.name not in constants]
    del proto.graph.input[:]
    proto.graph.input.extend(fed)
    proto.ir_version = max(proto.ir_version, 8)
